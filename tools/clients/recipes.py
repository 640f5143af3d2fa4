"""Tests the recipes of docs/INTEGRATIONS.md that need no programming: a message on the phone, a light, a chime that is
silent for residents.

The receivers follow the published rules of ntfy (docs/publish.md, "Message templating") and of Shelly (Gen2,
Switch.Set). The real aplay runs with a sound device that discards the sound."""
import json
import re
import shlex
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from camera import HEIGHT, PASSWORD, USER, WIDTH, Camera, block, expect, fail, say, section, until

HEADING = "A message on the phone, a light, a chime: webhooks and programs"


class Receiver(BaseHTTPRequestHandler):
    """A server that stands in for ntfy and for a lamp."""

    def do_POST(self):
        """Like ntfy, makes a message from a template in the address and the fields of a JSON body."""
        address, body = urlsplit(self.path), self.rfile.read(int(self.headers["Content-Length"]))
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        topic = re.fullmatch(r"/([-_A-Za-z0-9]{1,64})", address.path)
        if not topic or query.get("tpl") not in ("1", "yes", "true") or len(body) > 32768:
            return self.answer(400, {"code": 40000})
        fields = json.loads(body)
        message = re.sub(r"{{\s*\.(\w+)\s*}}", lambda name: str(fields[name[1]]), query["m"])
        self.server.messages.append((topic[1], query["t"], message))
        self.server.signed.append((self.headers["X-Namecam-Signature"], body))
        self.answer(200, {"id": "hwQ2YpKdmg", "event": "message", "topic": topic[1], "message": message})

    def do_GET(self):
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path != "/rpc/Switch.Set" or query.get("id") != "0" or query.get("on") not in ("true", "false"):
            return self.answer(404, {"code": 404})
        self.server.lamp.append((query["on"], float(query.get("toggle_after", 0))))
        self.answer(200, {"was_on": False})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def settings(begin, host):
    """The recipe with a value that begins with `begin`, as arguments for --set. `host` replaces the host names of the
    docs."""
    found = re.search(rf"^    \[(\w+)\]\n((?:    \w+ = .*\n)*    \w+ = {re.escape(begin)}(?:.*\n)(?:    \w+ = .*\n)*)", section(HEADING), re.M)
    if not found:
        fail(f"the docs have no recipe with {begin}")
    pairs = [line.strip().split(" = ", 1) for line in found[2].splitlines()]
    return [f"{found[1]}.{key}={re.sub(r'(ntfy|lamp)[.]lan', host, value)}" for key, value in pairs]


def faults(camera):
    """The faults without those that a busy machine can cause."""
    return [fault for fault in camera.state()["faults"] if not fault["cause"].startswith("recognition: slowed down")]


def commands(camera, folder):
    """Runs the lines of the docs under curl, and the line for ffmpeg, unchanged except for address and password."""
    lines = [line.strip() for line in section("curl").splitlines() if line.startswith("    curl ")]
    expect("the lines under curl", len(lines), 3)
    for line, holds in zip(lines, [b'"camera":', b"", b"event: "]):
        words = shlex.split(line.replace("http://board:5000", camera.base).replace("anna:PASSWORD", shlex.quote(f"{USER}:{PASSWORD}")))
        # The last command runs until it is stopped. Meanwhile a person comes, so that there is an event.
        run = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE)
        if holds == b"event: ":
            camera.show("nobody")
            time.sleep(15)
            camera.show("known")
            time.sleep(10)
            run.terminate()
        out = run.communicate(timeout=30)[0]
        if holds not in out:
            fail(f"{line} prints {out[:500]}")
    expect("the picture that curl saves", (folder / "now.jpg").read_bytes()[:2], b"\xff\xd8")
    [line] = [line.strip() for line in section("VLC, ffmpeg, mpv, GStreamer").splitlines() if line.startswith("    ffmpeg ")]
    subprocess.run(shlex.split(camera.filled_in(line).replace("ffmpeg ", "ffmpeg -v error -nostdin -y ", 1)), cwd=folder, check=True, timeout=60)
    asks = "ffprobe -v error -count_packets -show_entries stream=codec_name,width,height,nb_read_packets:format=duration -of json clip.mkv"
    found = json.loads(subprocess.run(asks.split(), cwd=folder, check=True, capture_output=True).stdout)
    [stream], seconds = found["streams"], float(found["format"]["duration"])
    expect("the clip", (stream["codec_name"], stream["width"], stream["height"]), ("mjpeg", WIDTH, HEIGHT))
    if abs(seconds - 10) > 1 or not 70 <= int(stream["nb_read_packets"]) <= 110:
        fail(f"the clip has {stream['nb_read_packets']} pictures in {seconds} s")
    say(f"the lines under curl, and ffmpeg's clip of {seconds:.1f} s with {stream['nb_read_packets']} pictures: good")


def message_and_light(program, folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.messages, server.signed, server.lamp = [], [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"
    secret = folder / "secret"
    secret.write_text("a secret of the test\n")
    sets = [*settings("http://ntfy.lan/", host), *settings("curl ", host), f"webhook.secret_file={secret}"]
    camera = Camera(folder / "message", program, *sets, password=False)
    camera.show("nobody")
    camera.start()
    try:
        until("the gallery is read", lambda: camera.state()["recognition"]["people"])
        camera.show("stranger")
        until("a stranger is in sight", lambda: any(face["state"] == "unknown" for face in camera.state()["faces"]))
        expect("a stranger: no message and no light", (server.messages, server.lamp), ([], []))
        camera.show("known")
        until("a message and a light", lambda: server.messages and server.lamp)
        time.sleep(3)
        expect("one message", server.messages, [("door", "namecam", "Barack Obama is here")])
        expect("one light, for five minutes", server.lamp, [("true", 300.0)])
        # Tests the function of the docs with which a receiver checks the signature.
        scope = {}
        exec(block(HEADING, "python"), scope)  # noqa: S102 the docs' own lines
        [(signature, body)] = server.signed
        is_of_namecam = scope["is_of_namecam"]
        found = [is_of_namecam(signature, body, b"a secret of the test"), is_of_namecam(signature, body + b" ", b"a secret of the test")]
        expect("the signature of the docs, and of another body", found, [True, False])
        expect("faults of the sinks", faults(camera), [])
    finally:
        camera.stop()
        server.shutdown()


def chime(program, folder):
    heard, tools = folder / "heard", folder / "bin"
    tools.mkdir()
    play = tools / "aplay"
    # Calls the real aplay with a sound device that discards the sound, and writes a line per call.
    play.write_text(f'#!/bin/sh\nPATH=${{PATH#*:}}\naplay -D null "$@" && echo "$NAMECAM_KIND:$NAMECAM_NAME" >>{heard}\n')
    play.chmod(0o755)
    camera = Camera(folder / "chime", program, *settings("aplay ", ""), password=False)
    camera.show("known")
    camera.start({"PATH": f"{tools}:/usr/bin:/bin"})
    try:
        until("a resident is named", lambda: any(face["name"] for face in camera.state()["faces"]))
        time.sleep(10)
        expect("silent for a resident", heard.exists(), False)
        camera.show("stranger")
        until("a chime for a stranger", heard.exists, 90)
        time.sleep(5)
        expect("one chime", heard.read_text(), "stranger:\n")
        expect("faults of the sinks", faults(camera), [])
    except SystemExit:
        print(camera.state()["faces"], camera.state()["faults"], (camera.folder / "log").read_text()[-2000:], file=sys.stderr)
        raise
    finally:
        camera.stop()


def tried(program, camera, folder, only):
    if only and "recipes" not in only:
        return
    commands(camera, folder)
    camera.stop()
    for recipe in [message_and_light, chime]:
        own = folder / recipe.__name__
        own.mkdir()
        recipe(program, own)
        say(f"the recipe of a {recipe.__name__.replace('_', ' ')}: good")
