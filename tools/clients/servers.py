"""Servers that use the stream or the snapshot: OctoPrint, Moonraker and Home Assistant themselves, and go2rtc by the
rules of its source."""
import base64
import json
import os
import signal
import subprocess
import time
import urllib.request
from urllib.parse import unquote, urlsplit

from camera import HEIGHT, PASSWORD, PEERS, PLAIN, ROOT, USER, WIDTH, block, expect, fail, free_port, say, section, until


def is_picture(content):
    import cv2
    import numpy
    picture = cv2.imdecode(numpy.frombuffer(content, numpy.uint8), cv2.IMREAD_COLOR)
    return picture is not None and picture.shape == (HEIGHT, WIDTH, 3)


class Server:
    """A process with an HTTP port of its own."""

    def __init__(self, folder, command, port, ready):
        self.base, self.log = f"http://127.0.0.1:{port}", folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, cwd=folder, start_new_session=True)
        self.headers = {}
        until(f"{command[0]} answers; see its log:\n{self.log}", lambda: self.process.poll() is None and self.ask(ready), 120)

    def ask(self, path, body=None):
        headers = {**self.headers, **({"Content-Type": "application/json"} if body else {})}
        request = urllib.request.Request(self.base + path, body and json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def octoprint(camera, folder):
    """Tests the request of the button *Test* beside OctoPrint's snapshot URL, and the address with which its page shows
    the stream."""
    key, port = "0123456789ABCDEF0123456789ABCDEF", free_port()
    quiet = ["softwareupdate", "pluginmanager", "announcements", "tracking", "discovery", "achievements", "pi_support", "health_check", "backup"]
    (folder / "config.yaml").write_text(json.dumps({
        "server": {"firstRun": False, "onlineCheck": {"enabled": False}, "pluginBlacklist": {"enabled": False}},
        "api": {"key": key}, "plugins": {"_disabled": quiet}}))
    command = [PEERS / "octoprint/bin/octoprint", "serve", "--iknowwhatimdoing", "--basedir", folder, "--host", "127.0.0.1", "--port", port]
    server = Server(folder, command, port, "/api/version?apikey=" + key)
    server.headers = {"X-Api-Key": key}
    try:
        def tried(url, **more):
            return server.ask("/api/util/test", {
                "command": "url", "url": url, "method": "GET", "response": "bytes", "timeout": 5, "validSsl": True,
                "content_type_whitelist": ["image/*"], "content_type_guess": True, **more})

        [stream, snapshot] = [url for url in section("OctoPrint").split("`") if url.startswith("http://board:5000") and "token=" in url]
        snapshot = snapshot.replace("http://board:5000", camera.base).replace("TOKEN", camera.token)
        for what, answer in {
            "with a token": tried(snapshot),
            "with user and password in the address": tried(camera.with_password("/?action=snapshot")),
            "with Basic": tried(f"{camera.base}/?action=snapshot", basicAuth={"username": USER, "password": PASSWORD}),
            "with a bearer token": tried(f"{camera.base}/?action=snapshot", bearerAuth=camera.token),
        }.items():
            found = answer["result"] and is_picture(base64.b64decode(answer["response"]["content"]))
            expect(f"OctoPrint's test of the snapshot {what}", found, True)
        answer = tried(f"{camera.base}/?action=snapshot")
        expect("OctoPrint's test without a password", (answer["result"], answer["status"]), (False, 401))
        # OctoPrint's page appends the time to the address of the stream, and shows the stream in an <img> from another
        # origin.
        stream = stream.replace("http://board:5000", camera.base).replace("TOKEN", camera.token)
        with urllib.request.urlopen(f"{stream}&{time.time_ns() // 1_000_000}", timeout=10) as answer:
            kind, policy = answer.headers.get_content_type(), answer.headers["Cross-Origin-Resource-Policy"]
        expect("the stream for OctoPrint's page", (kind, policy), ("multipart/x-mixed-replace", "cross-origin"))
        version = server.ask("/api/version")["server"]
    finally:
        server.stop()
    return ["OctoPrint", version, "its test of the snapshot is passed with a token, Basic, a bearer token and `user:password@`",
            "asks anew for each snapshot", "Chromium takes no `user:password@` for the stream on its page: use a token", "[OctoPrint](#octoprint)"]


def moonraker(camera, folder):
    """Runs Moonraker's own test of its webcams."""
    port, encoded = free_port(), camera.with_password("/?action=snapshot")
    webcams = {"token": camera.with_token("/?action=snapshot"), "basic": camera.with_password("/?action=snapshot", "plain", PLAIN),
               "encoded": encoded, "nobody": f"{camera.base}/?action=snapshot", "wrong": f"{camera.base}/video_fee"}
    recipe = block("Moonraker", "ini").replace("http://board:5000", camera.base).replace("TOKEN", camera.token).replace("[webcam door]", "[webcam token]")
    more = "".join(f"[webcam {name}]\nstream_url: {url}\nsnapshot_url: {url}\n" for name, url in webcams.items() if name != "token")
    config = folder / "moonraker.conf"
    config.write_text(f"[server]\nhost: 127.0.0.1\nport: {port}\nklippy_uds_address: {folder}/klippy\n[machine]\nprovider: none\n"
                      # Otherwise Moonraker fetches news and the names of USB devices from the network.
                      "[announcements]\ndev_mode: True\n"
                      f"[authorization]\ntrusted_clients:\n  127.0.0.1\n{recipe}\n{more}")
    (folder / "data/misc").mkdir(parents=True)
    (folder / "data/misc/usb.ids").touch()
    server = Server(folder, [PEERS / "moonraker/bin/python", "-m", "moonraker", "-d", folder / "data", "-c", config], port, "/server/info")
    try:
        tested = {name: server.ask(f"/server/webcams/test?name={name}", {"name": name})["result"] for name in webcams}
        expect("Moonraker hands the address on", tested["token"]["snapshot_url"], webcams["token"])
        reached = {name: answer["snapshot_reachable"] for name, answer in tested.items()}
        # tornado sends the password as in the address, without decoding it.
        expect("Moonraker reaches the snapshot", reached, {"token": True, "basic": True, "encoded": False, "nobody": False, "wrong": False})
    finally:
        server.stop()
    version = subprocess.run([PEERS / "moonraker/bin/pip", "show", "moonraker"], capture_output=True, text=True, check=True).stdout
    version = version.split("Version: ")[1].split()[0]
    return ["Moonraker", version, "its test of the webcam is passed with a token, and with `user:password@` of letters and digits",
            "asks anew for each snapshot", "It does not decode `%20` and the like in a password: use a token", "[Moonraker](#moonraker)"]


def go2rtc_pictures(url, most):
    """Reads pictures as go2rtc does (internal/http/http.go, pkg/mpjpeg/multipart.go, pkg/image/producer.go). The
    content type before the semicolon decides: go2rtc reads the parts of a multipart stream by their Content-Length,
    each after a line that begins with --, and requests a single picture again and again."""
    parts = urlsplit(url)
    login = base64.b64encode(f"{parts.username}:{unquote(parts.password)}".encode()).decode()
    request = urllib.request.Request(url.replace(parts.netloc, parts.netloc.rpartition("@")[2]), headers={"Authorization": f"Basic {login}"})

    def opened():
        return urllib.request.urlopen(request, timeout=10)

    with opened() as answer:
        kind = answer.headers["Content-Type"].split(";")[0]
        if kind == "image/jpeg":
            yield answer.read()
        elif kind != "multipart/x-mixed-replace":
            fail(f"go2rtc does not know {kind}")
        for _ in range(most if kind != "image/jpeg" else 0):
            while (line := answer.readline()) == b"\r\n":
                pass
            if not line.startswith(b"--") or line.startswith(b"----"):
                fail(f"go2rtc: a wrong boundary: {line!r}")
            fields = {}
            while (line := answer.readline()) not in (b"\r\n", b"\n", b""):
                name, _, value = line.decode("ascii").partition(":")
                fields[name.lower()] = value.strip()
            yield answer.read(int(fields["content-length"]))
    for _ in range(most - 1 if kind == "image/jpeg" else 0):
        with opened() as answer:
            yield answer.read()


def go2rtc(camera, _folder):
    [line] = [line for line in block("go2rtc", "yaml").splitlines() if "http://" in line]
    begun = time.monotonic()
    for url in [camera.filled_in(line.split(": ", 1)[1]), camera.with_password("/video_feed?overlay=0"), camera.with_password("/snapshot.jpg")]:
        pictures = list(go2rtc_pictures(url, 20))
        whole = [picture[:2] == b"\xff\xd8" and picture[-2:] == b"\xff\xd9" for picture in pictures]
        expect(f"go2rtc: 20 whole pictures of {url}", (len(pictures), all(whole), is_picture(pictures[-1])), (20, True, True))
    say(f"go2rtc's rules: 60 pictures in {time.monotonic() - begun:.1f} s")
    return ["go2rtc", "by the rules of its source", "reads the stream, the stream without boxes, and the snapshot as a stream",
            "by its source it connects again after 1 s, later after up to a minute", "", "[go2rtc](#go2rtc)"]


def home_assistant(camera, folder):
    """Sets up *MJPEG IP Camera* and the sensors of the docs in the real Home Assistant of `make ha-test`."""
    said = subprocess.run([ROOT / "target/ha/venv/bin/python", ROOT / "tools/clients/home.py", folder], text=True, capture_output=True, timeout=180,
                          env={**os.environ, "PYTHONPATH": str(PEERS / "home")}, input=json.dumps({"url": camera.base, "user": USER, "password": PASSWORD, "yaml": block("Home Assistant", "yaml")}))
    if said.returncode:
        fail(f"Home Assistant: {said.stderr[-3000:]}")
    found = json.loads(said.stdout.splitlines()[-1])
    pictures = found.pop("pictures")
    version = found.pop("version")
    still = base64.b64decode(found.pop("still"))
    expect("Home Assistant", found, {"wrong": {"username": "invalid_auth"}, "right": "create_entry", "who": "Barack Obama", "there": "on"})
    expect("the still picture in Home Assistant", is_picture(still), True)
    if pictures < 30:
        fail(f"Home Assistant passes {pictures} pictures on in 5 s")
    return ["Home Assistant, MJPEG IP Camera and REST", version, f"still picture; {pictures / 5:.1f} pictures a second through it; the two sensors",
            "asks anew when somebody opens the picture", "", "[Home Assistant](#home-assistant)"]


ALL = {"OctoPrint": octoprint, "Moonraker": moonraker, "go2rtc": go2rtc, "Home Assistant": home_assistant}


def rows(camera, folder, only):
    made = []
    for name, tried in ALL.items():
        if only and not any(word in name for word in only):
            continue
        if tried is home_assistant and not (ROOT / "target/ha/installed").exists():
            if os.environ.get("WRITE_DOCS"):
                fail("the table wants Home Assistant, which is missing: `make ha-test` installs it")
            say("Home Assistant is missing, and is left out: `make ha-test` installs it")
            continue
        own = folder / name.replace(" ", "-")
        own.mkdir()
        made.append(tried(camera, own))
        say(f"{name} {made[-1][1]}: {made[-1][2]}")
    return made
