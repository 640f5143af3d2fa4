"""run.py NAMECAM: what programs read of a running namecam is what docs/API.md promises. `make api-test` runs it.

The demo runs with its models, a gallery of its own, an admin and a viewer."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "target/api"
WAIT_S = 60


def fail(what):
    sys.exit(f"api-test: {what}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Namecam:
    """The demo, with copies of its gallery and state that a test may destroy."""

    def __init__(self, program, folder):
        self.folder = folder
        self.base = f"http://127.0.0.1:{free_port()}"
        shutil.copytree(ROOT / "demo/gallery", folder / "gallery")
        users = folder / "users"
        self.tokens = {}
        for role in ["admin", "viewer"]:
            command = [program, "passwd", "--config", "/dev/null", "--file", users, "--token", role]
            told = subprocess.run(command + ["--admin"] * (role == "admin"), check=True, capture_output=True, text=True)
            self.tokens[role] = told.stdout.split()[-1]
        sets = [f"http.bind={self.base[7:]}", f"http.password_file={users}", f"gallery.path={folder}/gallery", f"state.path={folder}/state"]
        command = [program, "demo", "--config", ROOT / "demo/namecam.ini", *(word for key in sets for word in ("--set", key))]
        self.log = folder / "namecam.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")})

    def ask(self, path, role="admin", method="GET", body=None, **headers):
        """Status, content type and body of an answer."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if role:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        request = urllib.request.Request(self.base + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.headers["Content-Type"], refusal.read()

    def until(self, what, reached):
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                fail(f"namecam has ended, status {self.process.returncode}")
            try:
                if value := reached():
                    return value
            except OSError:
                pass
            time.sleep(0.1)
        fail(f"not within {WAIT_S} s: {what}")

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=20)


def metrics(namecam):
    """promtool finds nothing to say of the metrics."""
    status, kind, text = namecam.ask("/metrics", "viewer")
    if (status, kind) != (200, "text/plain; version=0.0.4; charset=utf-8"):
        fail(f"/metrics: {status} {kind}")
    checked = subprocess.run([PEERS / "promtool", "check", "metrics"], input=text, capture_output=True)
    if checked.returncode != 0 or checked.stdout or checked.stderr:
        fail(f"promtool check metrics: {checked.stdout.decode()}{checked.stderr.decode()}")
    names = {line.split()[2] for line in text.decode().splitlines() if line.startswith("# TYPE ")}
    ours = [f"process_{name}" for name in ("cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds", "start_time_seconds")]
    if missing := {"namecam_build_info", *ours} - names:
        fail(f"/metrics lacks {', '.join(sorted(missing))}")
    print(f"  promtool check metrics: {len(names)} metrics, nothing to say")


def main():
    folder = Path(tempfile.mkdtemp(prefix="namecam-api-"))
    namecam = Namecam(Path(sys.argv[1]).resolve(), folder)
    try:
        namecam.until("a face with a name", lambda: b'"state":"named"' in namecam.ask("/api/state")[2])
        metrics(namecam)
    except BaseException:
        print(namecam.log.read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        namecam.end()
        shutil.rmtree(folder)
    print("api-test: all is as docs/API.md says")


main()
