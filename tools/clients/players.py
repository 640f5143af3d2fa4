"""Programs that play the stream: starts each by its recipe of docs/INTEGRATIONS.md, and counts the pictures that it has
seen."""
import hashlib
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import unquote, urlsplit

import cv2

from camera import HEIGHT, PEERS, WIDTH, block, fail, section

PYTHON = PEERS / "venv/bin/python"
VIDEO = "/video_feed"
# The behaviour of a program when namecam restarts.
ENDS, STAYS, RETURNS = "ends", "stays without a picture", "comes back"


def recipe(heading, program):
    """The line of the section that starts `program`."""
    lines = [line.strip() for line in section(heading).splitlines() if line.startswith("    ")]
    return next((line for line in lines if line.startswith(program + " ")), None) or fail(f"{heading} has no line with {program}")


def first_number(*command):
    text = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return re.search(r"\b(?<!-)\d+\.\d+[\d.]*", text.stdout + text.stderr).group()


class Player:
    """A program, or lines of Python. `heading` is the section of the docs with its recipe."""
    # The least share of namecam's pictures that the program must see.
    least = 0.7
    height, silent = HEIGHT, "It does not say"
    # The seconds without a byte after which the program ends or prints `gives_up`; None if it waits for ever.
    notices_s, gives_up = None, "\0"
    name, heading, program, after_restart, note = "", "VLC, ffmpeg, mpv, GStreamer", "", ENDS, ""

    def __init__(self, camera, folder):
        self.camera, self.folder = camera, folder / self.name.replace(" ", "-")
        self.folder.mkdir()
        self.folder.chmod(0o777)  # VLC runs as another user
        self.pictures, self.newest = 0, None

    def version(self):
        return first_number(self.program, "--version")

    def shown(self):
        """The recipe as the docs show it."""
        return recipe(self.heading, self.program)

    def arguments(self, url):
        """The words of the recipe, with `url` in place of its URL."""
        own = self.camera.with_password(VIDEO)
        return [word.replace(own, url) for word in shlex.split(self.camera.filled_in(self.shown()))]

    def start(self, command, out="out", **more):
        stream = (self.folder / out).open("wb")
        self.process = subprocess.Popen([str(word) for word in command], stdout=stream, stderr=subprocess.STDOUT,
                                        stdin=subprocess.PIPE, start_new_session=True, **more)
        return self.process

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=20)

    def out(self):
        return (self.folder / "out").read_text(errors="replace")

    def watch(self, url):
        raise NotImplementedError

    def count(self):
        """The number of pictures that the program has seen so far."""
        raise NotImplementedError

    def command_of_still(self, url, path):
        """A command that writes one picture of the stream to `path`."""
        raise NotImplementedError

    def still(self, url, path, patience=30):
        """Saves one picture of the stream to `path`; returns None, or the output of the program if it got no
        picture."""
        path.unlink(missing_ok=True)
        run = self.start(self.command_of_still(url, path), "still")
        end = time.monotonic() + patience
        while run.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        self.stop()
        return None if path.exists() and path.stat().st_size else (self.folder / "still").read_text(errors="replace")

    def content(self, file):
        """A value that differs from picture to picture; None if the picture is not one of the camera."""
        return hashlib.sha256(file.read_bytes()).digest()

    def files(self, pattern):
        """Counts and removes the pictures that a program writes into its folder. A picture like the one before does not
        count."""
        whole = [file for file in self.folder.glob(pattern) if time.time() - file.stat().st_mtime > 0.3]
        for file in sorted(whole, key=lambda file: (file.stat().st_mtime, file.name)):
            content = self.content(file)
            self.pictures += content not in (None, self.newest)
            self.newest = content
            file.unlink()
        return self.pictures


class Ffmpeg(Player):
    name = program = "ffmpeg"
    notices_s = 10

    def version(self):
        return first_number("ffmpeg", "-version")

    def watch(self, url):
        words = self.arguments(url)
        before = words[:words.index("-t")]
        self.start([*before, "-nostdin", "-c", "copy", "-progress", "pipe:1", "-f", "null", "-"])

    def count(self):
        found = re.findall(r"^frame=\s*(\d+)", self.out(), re.M)
        return int(found[-1]) if found else 0

    def command_of_still(self, url, path):
        return ["ffmpeg", "-nostdin", "-v", "error", "-i", url, "-frames:v", "1", "-y", path]


class Frigate(Ffmpeg):
    """ffmpeg with Frigate's arguments for `preset-http-mjpeg-generic` and the role `detect` (frigate/ffmpeg_presets.py
    and frigate/config/camera/ffmpeg.py). Frigate starts ffmpeg again 10 s after ffmpeg has ended."""
    name, heading, program, notices_s = "Frigate's arguments for ffmpeg", "Frigate", "ffmpeg", None
    note = "Frigate itself starts ffmpeg again"

    def shown(self):
        return "the block under [Frigate](#frigate)"

    def watch(self, url):
        yaml = block("Frigate", "yaml")
        [path], [size] = re.findall(r"path: (\S+)", yaml), re.findall(r"width: (\d+)\n\s*height: (\d+)\n\s*fps: 5\n", yaml)
        if self.camera.filled_in(path) != url or "input_args: preset-http-mjpeg-generic\n" not in yaml or size != (str(WIDTH), str(HEIGHT)):
            fail("the recipe for Frigate has changed; change tools/clients/players.py, too")
        preset = "-user_agent FFmpeg\\ Frigate/0.16 -avoid_negative_ts make_zero -fflags nobuffer -flags low_delay -strict experimental "
        preset += "-fflags +genpts+discardcorrupt -use_wallclock_as_timestamps 1"
        output = f"-threads 2 -f rawvideo -pix_fmt yuv420p -r 5 -vf fps=5,scale={WIDTH}:{HEIGHT} pipe:"
        command = f"ffmpeg -hide_banner -loglevel warning -threads 2 {preset} -i {shlex.quote(url)} {output}"
        self.start(["sh", "-c", f"{command} 2>{shlex.quote(str(self.folder / 'errors'))} | {shlex.quote(sys.executable)} -c '{COUNT_RAW}'"])

    def count(self):
        return len(self.out().splitlines())


COUNT_RAW = f"import sys\nwhile len(sys.stdin.buffer.read({WIDTH * HEIGHT * 3 // 2})) == {WIDTH * HEIGHT * 3 // 2}: print(1, flush=True)"


class Vlc(Player):
    name, program, after_restart = "VLC", "vlc", RETURNS
    note = "It shows each picture twice, here counted once"
    silent = "Without a window it does not say"
    # VLC's filter `scene` writes pictures with a height that is a multiple of 32.
    height = -(-HEIGHT // 32) * 32
    # VLC refuses to run as root.
    user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []

    def version(self):
        return first_number(*self.user, "cvlc", "--version")

    def cvlc(self, url, *more):
        words = ["cvlc", "--no-color", "--vout", "dummy", "--aout", "dummy", *more, *self.arguments(url)[1:]]
        return [*self.user, "env", f"HOME={self.folder}", *words]

    def watch(self, url):
        self.start(self.cvlc(url, "-I", "rc"))

    def count(self):
        """Half of the number of frames that VLC reports. Its counter begins at 0 with each connection."""
        if self.process.poll() is None:
            self.process.stdin.write(b"stats\n")
            self.process.stdin.flush()
            time.sleep(0.3)
        shown, before = 0, 0
        for now in map(int, re.findall(r"frames displayed :\s+(\d+)", self.out())):
            shown += now - before if now >= before else now
            before = now
        return shown // 2

    def still(self, url, path, patience=30):
        scene = ["--video-filter", "scene", "--scene-path", self.folder, "--scene-prefix", "p", "--scene-format", "jpg", "--scene-ratio", "1"]
        self.start(self.cvlc(url, "-I", "dummy", *scene), "still")
        end = time.monotonic() + patience
        while not (found := sorted(self.folder.glob("p*.jpg"))[1:2]) and self.process.poll() is None and time.monotonic() < end:
            if time.monotonic() > end - patience + 8 and "401" in (self.folder / "still").read_text(errors="replace"):
                break
            time.sleep(0.2)
        self.stop()
        if found:
            found[0].rename(path)
        for file in self.folder.glob("p*.jpg"):
            file.unlink()
        return None if found else (self.folder / "still").read_text(errors="replace")


class Mpv(Player):
    name = program = "mpv"
    after_restart = RETURNS
    notices_s, gives_up = 10, "error reading packet"

    def mpv(self, url, *more):
        into = ["--vo=image", "--vo-image-format=jpg", "--vo-image-jpeg-quality=80", f"--vo-image-outdir={self.folder}"]
        return ["mpv", "--no-config", "--ao=null", *into, *more, *self.arguments(url)[1:]]

    def watch(self, url):
        self.start(self.mpv(url))

    def count(self):
        return self.files("*.jpg")

    def still(self, url, path, patience=30):
        path.unlink(missing_ok=True)
        words = [word for word in self.mpv(url, "--frames=1") if not word.startswith("--loop")]
        self.start(words, "still").wait(timeout=patience)
        for file in self.folder.glob("*.jpg"):
            file.rename(path)
        return None if path.exists() else (self.folder / "still").read_text(errors="replace")


class Gstreamer(Player):
    name, program, notices_s = "GStreamer", "gst-launch-1.0", 30

    def watch(self, url):
        words = [part for word in self.arguments(url) for part in (["fakesink", "silent=false"] if word == "autovideosink" else [word])]
        self.start([words[0], "-v", *words[1:]])

    def count(self):
        return self.out().count("last-message = chain")

    def command_of_still(self, url, path):
        words = self.arguments(url)
        until = words.index("jpegdec")
        return [words[0], *words[1:until], "jpegdec", "!", "jpegenc", "snapshot=true", "!", "filesink", f"location={path}"]


class Curl(Player):
    name, heading, program = "curl", "curl", "curl"

    def shown(self):
        return "curl -Nsu anna:PASSWORD http://board:5000/video_feed"

    def watch(self, url):
        self.seen = 0
        self.process = subprocess.Popen(["curl", "-Nsf", url], stdout=subprocess.PIPE, start_new_session=True)
        threading.Thread(target=self.read, args=[self.process.stdout], daemon=True).start()

    def read(self, stream):
        while line := stream.readline():
            self.seen += line.startswith(b"X-Timestamp: ")

    def count(self):
        return self.seen

    def command_of_still(self, url, path):
        # `video_feed` never ends, so curl gets the snapshot.
        return ["curl", "-sSf", url.replace(VIDEO, "/snapshot.jpg"), "-o", path]


class Motion(Player):
    name, heading, program, after_restart = "motion", "motion", "motion", RETURNS
    # namecam and motion have separate clocks of 10 pictures a second: motion saves some pictures twice, which count
    # once, and misses some.
    note, least = "It saves pictures at its own `framerate`, here 10 a second, and misses some", 0.4

    def version(self):
        return first_number("motion", "-h")

    def shown(self):
        return "the block under [motion](#motion)"

    def motion(self, url):
        """The command for motion. The user and the password of `url` go into the line `netcam_userpass` of the
        block."""
        parts = urlsplit(url)
        text = block("motion", "ini").replace("http://board:5000" + VIDEO, url.replace(f"{parts.netloc}", parts.netloc.rpartition("@")[2]))
        user = f"{parts.username}:{unquote(parts.password)}" if parts.username else ""
        text = re.sub(r"(?m)^netcam_userpass anna:PASSWORD$", f"netcam_userpass {user}" if user else "", text)
        config = self.folder / "motion.conf"
        config.write_text(f"{text}daemon off\ntarget_dir {self.folder}\nwebcontrol_port 0\nstream_port 0\nlog_level 6\ntext_right \n")
        return ["motion", "-n", "-c", config]

    def content(self, file):
        """Compares the decoded pictures: while namecam is away, motion saves the last picture again with another time,
        or a grey picture."""
        picture = cv2.imread(str(file), cv2.IMREAD_REDUCED_COLOR_8)
        is_grey = int((picture.max(axis=2) - picture.min(axis=2) > 60).sum()) < 100
        return None if is_grey else picture.tobytes()

    def watch(self, url):
        self.start(self.motion(url))

    def count(self):
        return self.files("*.jpg")

    def still(self, url, path, patience=30):
        self.start(self.motion(url), "still")
        end, found = time.monotonic() + patience, []
        while not found and time.monotonic() < end:
            text = (self.folder / "still").read_text(errors="replace")
            if "401" in text or self.process.poll() is not None:
                break
            # Before motion is connected, it writes a grey picture.
            whole = [file for file in sorted(self.folder.glob("*.jpg")) if time.time() - file.stat().st_mtime > 0.3]
            found = whole[-1:] if "connected" in text else []
            time.sleep(0.1)
        self.stop()
        if found:
            found[0].rename(path)
        for file in self.folder.glob("*.jpg"):
            file.unlink()
        return None if found else text


class Python(Player):
    """Lines of Python that print a line per picture."""
    heading, library = "", ""

    def version(self):
        return subprocess.run([PYTHON, "-c", f"import {self.library}; print({self.library}.__version__)"],
                              capture_output=True, text=True, check=True).stdout.strip()

    def code(self, url):
        raise NotImplementedError

    def watch(self, url):
        self.start([PYTHON, "-uc", self.code(url)])

    def count(self):
        return len(re.findall(r"^picture|^\(\d+, \d+, 3\)$", self.out(), re.M))


class Opencv(Python):
    name, heading, library, after_restart = "OpenCV", "OpenCV", "cv2", RETURNS
    notices_s, gives_up = 30, "timeout triggered"

    def shown(self):
        return "the lines under [OpenCV](#opencv)"

    def code(self, url):
        return block("OpenCV", "python").replace("http://anna:PASSWORD@board:5000" + VIDEO, url)

    def command_of_still(self, url, path):
        # With the boxes of an earlier look, a picture a little later.
        code = "import cv2, sys\ns = cv2.VideoCapture(sys.argv[1])\nok, p = s.read()\nsys.exit(0 if ok and cv2.imwrite(sys.argv[2], p) else 'no picture')"
        return [PYTHON, "-c", code, url, path]


class Requests(Python):
    name, heading, library, notices_s = "requests", "Python", "requests", 10

    def shown(self):
        return "the lines under [Python](#python)"

    def code(self, url):
        return block("Python", "python").replace("http://anna:PASSWORD@board:5000" + VIDEO, url)

    def command_of_still(self, url, path):
        code = "import requests, sys\na = requests.get(sys.argv[1], timeout=10)\na.raise_for_status()\nopen(sys.argv[2], 'wb').write(a.content)"
        return [PYTHON, "-c", code, url.replace(VIDEO, "/snapshot.jpg"), path]


class Aiohttp(Python):
    """aiohttp's own multipart reader, which is strict."""
    name, library = "aiohttp", "aiohttp"

    def shown(self):
        return "`aiohttp.MultipartReader.from_response(answer)`"

    READ = """
import aiohttp, asyncio, sys, yarl
async def read(url, path):
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(yarl.URL(url, encoded=True)) as answer:
        parts = aiohttp.MultipartReader.from_response(answer)
        while part := await parts.next():
            picture = bytes(await part.read())
            assert picture[:2] == b"\\xff\\xd8" and picture[-2:] == b"\\xff\\xd9" and len(picture) == int(part.headers["Content-Length"])
            print("picture", flush=True)
            if path:
                open(path, "wb").write(picture)
                return
asyncio.run(read(*sys.argv[1:]))
"""

    def watch(self, url):
        self.start([PYTHON, "-uc", self.READ, url, ""])

    def command_of_still(self, url, path):
        return [PYTHON, "-uc", self.READ, url, path]


ALL = [Ffmpeg, Vlc, Mpv, Gstreamer, Opencv, Curl, Motion, Requests, Aiohttp, Frigate]
