#!/usr/bin/env python3
"""Measures namecam on a clip with two faces, optionally beside another program: make bench [ARGS="--peer COMMAND ..."]

usage: bench.py NAMECAM [--seconds S] [--clip CLIP.mjpeg] [--looks L] [--only looks|rooms|stream|page|attack|logins] [--people GALLERY] [--peer COMMAND ...]

The clip (640x480, 30 fps, two drifting faces; made with ffmpeg from the test pictures unless one is given) is the camera
of namecam. Everything runs on this machine in one run, with one OpenBLAS thread per program: compare the rows with each
other, not with other machines. PEER is called as COMMAND GALLERY CLIP SECONDS VIEWERS and prints one JSON line with
loops_per_s, stream_fps, cpu, rss_mb, load_s. Only the standard library and ffmpeg are needed.
"""
import argparse, json, os, re, shutil, socket, subprocess, sys, tempfile, threading, time, urllib.request

import bench_attack, bench_logins, bench_page, bench_rooms, bench_stream

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PICTURES = os.path.join(HERE, "target", "pictures")
TICKS = os.sysconf("SC_CLK_TCK")


def make_clip(path, frames=150, width=640, height=480):
    """Two heads that drift on noise, as the MJPEG of a USB camera: quality about 85, 4:2:2, and the noise of a sensor, so that
    all frames differ."""
    faces = [os.path.join(PICTURES, name) for name in ("obama.jpg", "biden.jpg")]
    crops = ["crop=iw*0.62:ih*0.62:iw*0.19:ih*0.06", "crop=iw*0.62:ih*0.62:iw*0.19:ih*0.06"]
    tall, middle = height * 288 // 480, height // 2
    graph = (
        f"color=c=gray:s={width}x{height}:r=30,noise=alls=40:all_seed=7,gblur=3[bg];"
        f"[0]{crops[0]},scale=-1:{tall}[a];[1]{crops[1]},scale=-1:{tall}[b];"
        f"[bg][a]overlay=x='{width // 4}-w/2+38*sin(n/40)':y='{middle}-h/2+24*cos(n/55)'[c];"
        f"[c][b]overlay=x='{width * 3 // 4}-w/2+38*sin(n/40+1)':y='{middle}-h/2+24*cos(n/55+2)'[w];[w]noise=alls=4:all_seed=3:allf=t[v]"
    )
    inputs = [word for face in faces for word in ("-loop", "1", "-framerate", "30", "-i", face)]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *inputs, "-filter_complex", graph, "-map", "[v]", "-frames:v", str(frames),
                    "-q:v", "4", "-pix_fmt", "yuvj422p", "-f", "mjpeg", path], check=True)


def make_gallery(folder):
    for person, names in {"Barack Obama": ["obama.jpg", "obama2.jpg"], "Joe Biden": ["biden.jpg"]}.items():
        os.makedirs(os.path.join(folder, person))
        for name in names:
            shutil.copy2(os.path.join(PICTURES, name), os.path.join(folder, person, name))


class Namecam:
    """A running namecam with the clip as its camera; `close` ends it."""

    def __init__(self, program, folder, clip, settings, player=None):
        player = player or f"ffmpeg -loglevel error -re -stream_loop -1 -f mjpeg -framerate 30 -i {clip} -c copy -f mjpeg -"
        ini = os.path.join(folder, "bench.ini")
        with open(ini, "w") as f:
            f.write(f"[camera]\nsource = pipe:{player}\n[gallery]\npath = {folder}/gallery\n"
                    f"[models]\npath = {HERE}/models\n[http]\nbind = 127.0.0.1:0\n[log]\nlevel = warn\n")
        sets = [word for setting in settings for word in ("--set", setting)]
        env = dict(os.environ, XDG_CACHE_HOME=os.path.join(folder, "cache"))
        self.started = time.monotonic()
        self.process = subprocess.Popen([program, "run", "--config", ini, *sets], stderr=subprocess.PIPE, text=True, env=env)
        for line in self.process.stderr:
            found = re.match(r"listening on http://(.*)/", line)
            if found:
                self.address = found.group(1)
                break
        self.listening_s = time.monotonic() - self.started
        self.log = []
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()

    def state(self):
        with urllib.request.urlopen(f"http://{self.address}/api/state", timeout=10) as answer:
            return json.load(answer)

    def until(self, so):
        while not so(self.state()):
            time.sleep(0.02)
        return time.monotonic() - self.started

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            words = f.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / TICKS

    def peak_mb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) * 1024 / 1e6

    def close(self):
        self.process.terminate()
        self.process.wait()


class Viewer(threading.Thread):
    """Reads the stream and counts frames, like a browser. Its own processor time is not counted."""

    def __init__(self, address):
        super().__init__(daemon=True)
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.sendall(b"GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.frames = 0

    def run(self):
        while data := self.socket.recv(1 << 20):
            self.frames += data.count(b"--frame")


def measure(program, folder, clip, seconds, viewers, settings):
    namecam = Namecam(program, folder, clip, settings)
    recognising = "recognition.enabled=no" not in settings
    try:
        first_frame_s = namecam.until(lambda s: s["camera"]["frames"] > 0)
        if recognising:
            namecam.until(lambda s: s["recognition"]["generation"] > 0 and s["recognition"]["looks"] > 0)
            time.sleep(2)
        crowd = [Viewer(namecam.address) for _ in range(viewers)]
        for viewer in crowd:
            viewer.start()
        time.sleep(1.5)
        before, frames, cpu, at = namecam.state(), [v.frames for v in crowd], namecam.cpu(), time.monotonic()
        time.sleep(seconds)
        dt = time.monotonic() - at
        row = {"cpu": round((namecam.cpu() - cpu) / dt, 3), "stream_fps": [round((v.frames - n) / dt, 1) for v, n in zip(crowd, frames)],
               "rss_mb": round(namecam.peak_mb()), "listening_s": round(namecam.listening_s, 2), "first_frame_s": round(first_frame_s, 2)}
        after = namecam.state()
        if recognising:
            looks = after["recognition"]["looks"] - before["recognition"]["looks"]
            row = {"looks_per_s": round(looks / dt, 2), **row, "names": sorted(face["name"] or "?" for face in after["faces"])}
        return row
    finally:
        namecam.close()


def hold_out(program, folder, clip):
    """Runs bad viewers: one that never reads, and 1,000 that connect and disconnect."""
    namecam = Namecam(program, folder, clip, [])
    host, port = namecam.address.rsplit(":", 1)

    def connect():
        viewer = socket.create_connection((host, int(port)))
        viewer.sendall(b"GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return viewer

    def holds():
        with open(f"/proc/{namecam.process.pid}/status") as f:
            status = f.read()
        number = lambda key: int(re.search(rf"{key}:\s+(\d+)", status).group(1))
        return {"rss_mb": round(number("VmRSS") * 1024 / 1e6), "threads": number("Threads"),
                "descriptors": len(os.listdir(f"/proc/{namecam.process.pid}/fd"))}

    try:
        namecam.until(lambda s: s["recognition"]["looks"] > 10)
        started, stalled = time.monotonic(), connect()
        namecam.until(lambda s: s["stream"]["viewers"] == 1)
        namecam.until(lambda s: s["stream"]["viewers"] == 0)
        row = {"never_reads_cut_off_s": round(time.monotonic() - started, 1)}
        stalled.close()
        row["before"] = holds()
        for _ in range(1000):
            viewer = connect()
            viewer.recv(1000)
            viewer.close()
        namecam.until(lambda s: s["stream"]["viewers"] == 0)
        time.sleep(3)
        return {**row, "after_1000": holds()}
    finally:
        namecam.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("namecam")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--clip")
    parser.add_argument("--looks", type=float, default=4.5, help="looks a second of the rows that are compared with the peer")
    parser.add_argument("--only", choices=["looks", "rooms", "stream", "page", "attack", "logins"], help="these rows alone; else all")
    parser.add_argument("--frames", type=int, default=100_000, help="how many pictures are fed at full speed")
    parser.add_argument("--people", help="a gallery to measure memory with")
    parser.add_argument("--peer", nargs=argparse.REMAINDER, default=[])
    args = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        clip = args.clip or os.path.join(folder, "clip.mjpeg")
        if not args.clip:
            make_clip(clip)
        make_gallery(os.path.join(folder, "gallery"))
        wanted = lambda rows: args.only in (None, rows)
        show = lambda who, what, row: print(f"{who:<8} {what:<44} {row if isinstance(row, str) else json.dumps(row)}", flush=True)
        if wanted("looks"):
            for what, row in looks(args, folder, clip):
                show("namecam", what, row)
        if wanted("rooms"):
            rooms = bench_rooms.rows(lambda clip, settings: measure(args.namecam, folder, clip, args.seconds, 0, settings),
                                     lambda clip: Namecam(args.namecam, folder, clip, []), folder, PICTURES, args.seconds)
            for what, row in rooms:
                show("namecam", what, row)
        if wanted("attack"):
            start = lambda clip, settings: Namecam(args.namecam, folder, clip, settings)
            for what, row in bench_attack.rows(start, folder, clip, args.seconds):
                show("namecam", what, row)
        if wanted("logins"):
            start = lambda clip, settings: Namecam(args.namecam, folder, clip, settings)
            what = f"{bench_logins.ADDRESSES} addresses with {bench_logins.EACH} wrong passwords each"
            show("namecam", what, bench_logins.row(args.namecam, start, folder, clip))
        clips = [clip]
        if wanted("stream") or wanted("page"):
            clips.append(os.path.join(folder, "large.mjpeg"))
            make_clip(clips[1], width=1280, height=720)
        start = lambda clip, settings, player=None: Namecam(args.namecam, folder, clip, settings, player)
        sizes = dict(zip(bench_stream.SIZES, clips))
        if wanted("page"):
            for what, row in bench_page.rows(start, sizes, args.seconds):
                show("namecam", what, row)
        if wanted("stream"):
            as_often = f"recognition.interval_ms={1000 / args.looks:.0f}"
            show("namecam", f"large.mjpeg, {args.looks} looks a second, 1 viewer", measure(args.namecam, folder, clips[1], args.seconds, 1, [as_often]))
            for what, row in bench_stream.rows(start, sizes, args.seconds, args.frames, args.people):
                show("namecam", what, row)
        for clip, viewers in [(clip, viewers) for clip in clips for viewers in (0, 1, 8)] if args.peer else ():
            command = [*args.peer, os.path.join(folder, "gallery"), clip, str(args.seconds), str(viewers)]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            show("peer", f"{os.path.basename(clip)}, {viewers} viewers", output.strip().splitlines()[-1])


def looks(args, folder, clip):
    """Yields names and figures of rows: the cost of passes with and without viewers, and the effect of bad viewers."""
    as_often = f"recognition.interval_ms={1000 / args.looks:.0f}"
    rows = [
        ("as often as possible, upsample 1", 0, ["recognition.interval_ms=0"]),
        ("as often as possible, upsample 0", 0, ["recognition.interval_ms=0", "recognition.upsample=0"]),
        (f"{args.looks} looks a second, no viewers", 0, [as_often]),
        (f"{args.looks} looks a second, 1 viewer", 1, [as_often]),
        (f"{args.looks} looks a second, 8 viewers", 8, [as_often]),
        ("no recognition, no viewers", 0, ["recognition.enabled=no"]),
        ("no recognition, 1 viewer (passthrough)", 1, ["recognition.enabled=no"]),
    ]
    for what, viewers, settings in rows:
        yield what, measure(args.namecam, folder, clip, args.seconds, viewers, settings)
    yield "bad viewers", hold_out(args.namecam, folder, clip)


if __name__ == "__main__":
    sys.exit(main())
