"""Runs namecam in a folder of its own, with a camera that shows a chosen person, with user accounts and a token."""
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
# A password with characters that an address must write in hexadecimal, as the docs say, and a plain one for Moonraker.
PASSWORD, PLAIN = "a password: 50% für @home", "plainpassword"
WIDTH, HEIGHT, FPS = 1280, 720, 10
BOX = "ff00ff"


def fail(what):
    sys.exit(f"clients: {what}")


def expect(what, found, wanted):
    if found != wanted:
        fail(f"{what}: {found!r} in place of {wanted!r}")


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
    """The block of the section that begins with ```language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", section(heading), re.M | re.S)
    return found.group(1) if found else fail(f"the section {heading} has no block of {language}")


# A camera of 10 pictures a second, which shows the pictures in the folder that the file `now` names, by turns.
FEED = """
import itertools, pathlib, sys, time
root, due = pathlib.Path(sys.argv[1]), time.monotonic()
for turn in itertools.count():
    pictures = sorted((root / (root / "now").read_text()).glob("*.jpg"))
    sys.stdout.buffer.write(pictures[turn % len(pictures)].read_bytes())
    sys.stdout.buffer.flush()
    due = max(due + 0.1, time.monotonic())
    time.sleep(max(0, due - time.monotonic()))
"""


def draw(folder, picture):
    """Makes pictures with a square that moves along the lower edge, so that each picture differs from the one
    before."""
    import cv2
    import numpy
    folder.mkdir(parents=True)
    scene = numpy.full((HEIGHT, WIDTH, 3), 60, numpy.uint8)
    if picture:
        person = cv2.imread(str(picture))
        scale = 600 / max(person.shape[:2])
        person = cv2.resize(person, None, fx=scale, fy=scale)
        scene[20:20 + person.shape[0], 340:340 + person.shape[1]] = person
    for number in range(40):
        with_square = scene.copy()
        with_square[-40:, number * 30:number * 30 + 40] = 230
        cv2.imwrite(str(folder / f"{number:02}.jpg"), with_square)


class Camera:
    """`namecam run` on a fixed port, with a camera that shows Barack Obama, Joe Biden or nobody. The demo's gallery
    knows only Obama."""

    def __init__(self, folder, program, *sets, password=True):
        self.folder, self.program, self.port = folder, program, free_port()
        for name, picture in [("nobody", None), ("known", "obama2.jpg"), ("stranger", "biden.jpg")]:
            draw(folder / "pictures" / name, picture and ROOT / "target/pictures" / picture)
        self.show("known")
        (folder / "feed.py").write_text(FEED)
        self.host = f"127.0.0.1:{self.port}"
        self.base = f"http://{self.host}"
        source = f"camera.source=pipe:{sys.executable} {folder}/feed.py {folder}/pictures"
        self.sets = [source, f"http.bind={self.host}", f"overlay.box_color={BOX}", f"state.path={folder}/state", *sets]
        self.token = None
        if password:
            self.sets.append(f"http.password_file={folder}/users")
            self.passwd(USER, text=PASSWORD)
            self.passwd("plain", text=PLAIN)
            self.token = self.passwd("--token", "dashboard").strip()

    def show(self, name):
        (self.folder / "pictures/next").write_text(name)
        (self.folder / "pictures/next").rename(self.folder / "pictures/now")

    def passwd(self, *arguments, text=""):
        command = [self.program, "passwd", "--config", "/dev/null", "--file", self.folder / "users", *arguments]
        return subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def start(self, environment=None):
        # The cache of descriptors is kept from run to run, so that only the first run computes them.
        environment = {**os.environ, **(environment or {}), "XDG_CACHE_HOME": str(PEERS / "cache")}
        command = [self.program, "run", "--config", ROOT / "demo/namecam.ini", *(w for s in self.sets for w in ("--set", s))]
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
        """A line of the docs, with the address and the password of this camera."""
        return text.replace("anna:PASSWORD@board:5000", self.with_password("/").removeprefix("http://").rstrip("/")).replace("board:5000", self.host)
