"""namecam with the demo's pictures, a user, a token, and what it writes in a folder of its own."""
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "target/clients"
DOCS = ROOT / "docs/INTEGRATIONS.md"
USER = "anna"
# With characters that an address must write in hexadecimal, as the docs say; Moonraker gets a plain one.
PASSWORD, PLAIN = "a password: 50% für @home", "plainpassword"
WIDTH, HEIGHT, FPS = 1280, 720, 10
BOX = "ff00ff"


def fail(what):
    sys.exit(f"clients: {what}")


def say(what):
    print(f"clients: {what}", flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, reached, patience=60.0):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if value := reached():
                return value
        time.sleep(0.1)
    fail(f"not within {patience:.0f} s: {what}")


def section(heading):
    """The text of docs/INTEGRATIONS.md below `## heading`."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", DOCS.read_text(), re.M | re.S)
    return found.group(1) if found else fail(f"docs/INTEGRATIONS.md has no section {heading}")


def block(heading, language):
    """The block of that section that begins with ```language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", section(heading), re.M | re.S)
    return found.group(1) if found else fail(f"the section {heading} has no block of {language}")


class Camera:
    """`namecam demo` on a port that stays."""

    def __init__(self, folder, program, *sets, source=None, password=True):
        self.folder, self.program, self.port = folder, program, free_port()
        folder.mkdir(parents=True)
        self.host = f"127.0.0.1:{self.port}"
        self.base = f"http://{self.host}"
        self.sets = [f"http.bind={self.host}", f"camera.fps={FPS}", f"overlay.box_color={BOX}", f"state.path={folder}/state", *sets]
        if source:
            self.sets.append(f"camera.source=stills:{source}")
        self.token = None
        if password:
            self.sets.append(f"http.password_file={folder}/users")
            self.passwd(USER, text=PASSWORD)
            self.passwd("plain", text=PLAIN)
            self.token = self.passwd("--token", "dashboard").strip()

    def passwd(self, *arguments, text=""):
        command = [self.program, "passwd", "--config", "/dev/null", "--file", self.folder / "users", *arguments]
        return subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def start(self):
        # The descriptors of the gallery outlast the folder, so that a run waits for them once.
        environment = {**os.environ, "XDG_CACHE_HOME": str(PEERS / "cache")}
        command = [self.program, "demo", "--config", ROOT / "demo/namecam.ini", *(w for s in self.sets for w in ("--set", s))]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        until("namecam has pictures", lambda: self.process.poll() is None and self.state()["camera"]["online"])

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)

    def state(self):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        with urllib.request.urlopen(urllib.request.Request(f"{self.base}/api/state", headers=headers), timeout=5) as answer:
            return json.load(answer)

    def with_password(self, path, user=USER, password=PASSWORD):
        return f"http://{user}:{quote(password, '')}@{self.host}{path}"

    def with_token(self, path):
        return f"{self.base}{path}{'&' if '?' in path else '?'}token={self.token}"

    def filled_in(self, text):
        """A line of the docs, for this camera."""
        return text.replace("anna:PASSWORD@board:5000", self.with_password("/").removeprefix("http://").rstrip("/")).replace("board:5000", self.host)
