"""Rows of bench.py about the stream: the cost of a frame and of a viewer, compared with lower bounds, and the age of
pictures.

CPU is milliseconds of processor time per frame, of all threads except recognition, from /proc/PID/task/*/schedstat. The
lower bounds are from benches/floor.rs: libjpeg-turbo alone on the same clip, and writing the same bytes to as many
connections.
"""
import json, os, re, socket, statistics, subprocess, threading, time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FPS = 30
# Faces for an overlay, with rare passes of recognition.
OVERLAY = ["recognition.interval_ms=1000"]
PLAIN = ["recognition.enabled=no"]
SIZES = ("640x480", "1280x720")
# Renditions side by side, the default one first.
RENDITIONS = ("", "?width=1024", "?width=640", "?width=320")


def floor(*words):
    """Starts benches/floor.rs, with the environment of `make bench`."""
    command = ["cargo", "bench", "--locked", "--quiet", "--bench", "floor", "--", *map(str, words)]
    return subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True)


def codec_ms(clip, seconds, fps=FPS):
    """The milliseconds of the codec per picture, at the rate of the camera, with cold caches; with 0, without
    pauses."""
    return json.loads(floor("codec", clip, seconds, fps).communicate()[0])["ms_a_frame"]


def write_ms(size, viewers, seconds):
    return sent_ms(floor("write", size, viewers, seconds), viewers)


def sent_ms(process, viewers):
    host, port = process.stdout.readline().strip().rsplit(":", 1)
    crowd = [Drain(socket.create_connection((host, int(port)))) for _ in range(viewers)]
    for reader in crowd:
        reader.start()
    return json.loads(process.communicate()[0])["ms_a_frame"]


class Drain(threading.Thread):
    """Discards received bytes in the kernel, so that readers hardly affect the measurement."""

    def __init__(self, connection):
        super().__init__(daemon=True)
        self.socket = connection

    def run(self):
        scratch = bytearray(1 << 20)
        while self.socket.recv_into(scratch, len(scratch), socket.MSG_TRUNC):
            pass


def ask(address, receive_buffer=None, wish=""):
    host, port = address.rsplit(":", 1)
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect((host, int(port)))
    connection.sendall(f"GET /video_feed{wish} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


class Viewer(threading.Thread):
    """Reads the heads of parts, and records the age of each when its last byte has arrived. `rate`: bytes per second."""

    def __init__(self, address, rate=None, receive_buffer=None, wish=""):
        super().__init__(daemon=True)
        self.socket, self.rate, self.ages_ms, self.bytes = ask(address, receive_buffer, wish), rate, [], 0
        self.scratch, self.begun = bytearray(1 << 20), time.monotonic()
        self.start()

    def take(self, size, flags=0):
        if self.rate:
            size = min(size, max(512, int(self.rate / 200)))
        got = self.socket.recv_into(self.scratch, min(size, len(self.scratch)), flags)
        if not got:
            raise EOFError
        self.bytes += got
        if self.rate:
            time.sleep(max(0.0, self.begun + self.bytes / self.rate - time.monotonic()))
        return got

    def head(self, end):
        head = b""
        while end not in head:
            head += self.scratch[:self.take(60)]
        return head.partition(end)

    def run(self):
        try:
            rest = self.head(b"\r\n\r\n--frame\r\n")[2]
            while True:
                while b"\r\n\r\n" not in rest:
                    rest += self.scratch[:self.take(128)]
                head, _, rest = rest.partition(b"\r\n\r\n")
                left = int(re.search(rb"Content-Length: (\d+)", head).group(1)) + len(b"\r\n--frame\r\n") - len(rest)
                while left > 0:
                    left -= self.take(left, socket.MSG_TRUNC)
                rest = b""
                self.ages_ms.append((time.time() - float(re.search(rb"X-Timestamp: ([\d.]+)", head).group(1))) * 1000)
        except (EOFError, OSError):
            pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self.socket.close()


class Stalled(threading.Thread):
    """A client that never reads, and reconnects before it is disconnected."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.ended = address, threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            with ask(self.address, 4096):
                self.ended.wait(7)


def figures(ages_ms):
    ages_ms = sorted(ages_ms)
    if not ages_ms:
        return None
    at = lambda share: round(ages_ms[min(len(ages_ms) - 1, int(len(ages_ms) * share))], 1)
    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": round(ages_ms[-1], 1)}


def cpu_ms(namecam):
    """Milliseconds of processor time by the names of threads."""
    spent, tasks = {}, f"/proc/{namecam.process.pid}/task"
    for task in os.listdir(tasks):
        try:
            with open(f"{tasks}/{task}/comm") as comm, open(f"{tasks}/{task}/schedstat") as stat:
                name = comm.read().strip()
                spent[name] = spent.get(name, 0) + int(stat.read().split()[0]) / 1e6
        except FileNotFoundError:
            pass
    return spent


def rss_mb(namecam):
    with open(f"/proc/{namecam.process.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024 / 1e6


def settle(namecam, recognising):
    namecam.until(lambda s: s["camera"]["frames"] > FPS)
    if recognising:
        namecam.until(lambda s: s["recognition"]["generation"] > 0 and all(face["name"] for face in s["faces"]) and len(s["faces"]) == 2)


def watched(start, clip, settings, viewers, seconds):
    """The cost of a number of viewers: the picture for all of them, and the writes to each."""
    # 64, because one client may take only three quarters of the places.
    namecam = start(clip, [*settings, "stream.max_viewers=64"])
    try:
        settle(namecam, settings == OVERLAY)
        crowd = [Viewer(namecam.address) for _ in range(viewers)]
        time.sleep(2)
        pictures = lambda: namecam.state()["camera"]["frames"]
        frames, before, seen, taken, at = pictures(), cpu_ms(namecam), [len(v.ages_ms) for v in crowd], [v.bytes for v in crowd], time.monotonic()
        time.sleep(seconds)
        after, dt = cpu_ms(namecam), time.monotonic() - at
        rates = [round((len(v.ages_ms) - n) / dt, 1) for v, n in zip(crowd, seen)]
        read, frames = sum(v.bytes - n for v, n in zip(crowd, taken)), pictures() - frames
        spent = {name: (after[name] - before.get(name, 0)) / frames for name in after if name != "recognition"}
        shown = sum(len(v.ages_ms) - n for v, n in zip(crowd, seen))
        for viewer in crowd:
            viewer.close()
        return {"ms_a_frame": round(sum(spent.values()), 3), "cores": round(sum(spent.values()) * frames / dt / 1000, 4),
                "least_fps": min(rates, default=None), "picture_bytes": round(read / shown) if shown else None}
    finally:
        namecam.close()


def old(start, clip, seconds, stalled):
    """The age of pictures: from capture to the write, as counted by namecam, and to the last byte at the reader."""
    namecam = start(clip, OVERLAY)
    try:
        settle(namecam, True)
        bad = [Stalled(namecam.address) for _ in range(stalled)]
        time.sleep(3)
        viewer = Viewer(namecam.address)
        # Waits until the figures no longer contain earlier pictures.
        time.sleep(max(seconds, 62))
        state = namecam.state()["stream"]
        row = {"viewers": state["viewers"], "written": state["age_ms"]["total"], "at_the_reader": figures(viewer.ages_ms[FPS:]), "fps": state["fps"]}
        for one in bad:
            one.ended.set()
        viewer.close()
        return row
    finally:
        namecam.close()


def side_by_side(start, clip, seconds, fps):
    """One viewer for each of RENDITIONS, and a camera with a given rate; a rate above the encoding rate shows whether renditions
    use more than one core."""
    player = f"ffmpeg -loglevel error -re -stream_loop -1 -f mjpeg -framerate {fps} -i {clip} -c copy -f mjpeg -"
    namecam = start(clip, OVERLAY, player=player)
    try:
        settle(namecam, True)
        crowd = [Viewer(namecam.address, wish=wish) for wish in RENDITIONS]
        time.sleep(2)
        before, counts, at = cpu_ms(namecam), [len(v.ages_ms) for v in crowd], time.monotonic()
        time.sleep(seconds)
        after, dt = cpu_ms(namecam), time.monotonic() - at
        ages = [v.ages_ms[n:] for v, n in zip(crowd, counts)]
        spent = sum(after[name] - before.get(name, 0) for name in after if name != "recognition")
        for viewer in crowd:
            viewer.close()
        shown = sum(len(some) for some in ages)
        return {"fps": [round(len(some) / dt, 1) for some in ages], "cores": round(spent / dt / 1000, 3), "ms_a_picture": round(spent / shown, 3),
                "usual_age_ms": figures(ages[0]), "peak_mb": round(namecam.peak_mb(), 1)}
    finally:
        namecam.close()


def slow(start, clip, rate, receive_buffer, seconds):
    """The age of the pictures of a reader that receives a given number of bytes per second."""
    namecam = start(clip, OVERLAY)
    try:
        settle(namecam, True)
        viewer = Viewer(namecam.address, rate, receive_buffer)
        time.sleep(seconds)
        ages_ms = viewer.ages_ms[3:]
        viewer.close()
        return {"fps": round(len(ages_ms) / seconds, 1), "age_ms": figures(ages_ms)}
    finally:
        namecam.close()


def flood(start, clip, settings, frames):
    """The memory while the camera delivers pictures as fast as they are read."""
    namecam = start(clip, settings, player=f"sh -c 'while cat {clip}; do :; done'")
    try:
        if settings != PLAIN:
            namecam.until(lambda s: s["recognition"]["generation"] > 0)
        viewer, marks, begun = Viewer(namecam.address), [], time.monotonic()
        for share in (0.1, 0.55, 1):
            def came(state):
                camera = state["camera"]
                return camera["frames"] + camera["dropped"] >= frames * share
            while not came(namecam.state()):
                time.sleep(0.5)
            marks.append(round(rss_mb(namecam), 1))
        viewer.close()
        return {"frames": frames, "seconds": round(time.monotonic() - begun), "rss_mb_at_10_55_100_%": marks, "peak_mb": round(namecam.peak_mb(), 1)}
    finally:
        namecam.close()


def beside_floor(start, clip, seconds):
    """The cost with the overlay on and one viewer, measured between two runs of the lower bound."""
    floors = [codec_ms(clip, seconds / 2)]
    row = watched(start, clip, OVERLAY, 1, seconds)
    floors.append(codec_ms(clip, seconds / 2))
    least = statistics.mean(floors)
    without_pause = codec_ms(clip, seconds / 2, 0)
    return {**row, "libjpeg_turbo_ms": round(least, 3), "ratio": round(row["ms_a_frame"] / least, 2), "without_a_pause_ms": without_pause}


def passed_on(start, clip, seconds):
    """The cost of passing a JPEG from the pipe to one viewer, compared with a single thread that only reads and
    writes."""
    floors = [sent_ms(floor("pass", clip, seconds / 2), 1)]
    row = watched(start, clip, PLAIN, 1, seconds)
    floors.append(sent_ms(floor("pass", clip, seconds / 2), 1))
    least = statistics.mean(floors)
    return {**row, "read_and_write_ms": round(least, 3), "ratio": round(row["ms_a_frame"] / least, 2)}


def masked(start, clip, seconds):
    """The cost with a mask over a fifth of the picture, for which each JPEG is decoded and encoded, between two runs
    that pass JPEGs on."""
    open_ = [watched(start, clip, PLAIN, 1, seconds / 2)["ms_a_frame"]]
    row = watched(start, clip, [*PLAIN, "camera.mask=10,10,50,40"], 1, seconds)
    open_.append(watched(start, clip, PLAIN, 1, seconds / 2)["ms_a_frame"])
    return {**row, "passed_on_ms": open_, "ratio": round(row["ms_a_frame"] / statistics.mean(open_), 1)}


def crowds(start, clip, seconds):
    """The cost of 1, 8 and 32 viewers, compared with the lower bound of their writes."""
    for viewers in (1, 8, 32):
        row = watched(start, clip, OVERLAY, viewers, seconds)
        row["write_floor_ms"] = write_ms(row["picture_bytes"], viewers, seconds / 2)
        row["ms_but_for_writes"] = round(row["ms_a_frame"] - row["write_floor_ms"], 3)
        yield f"{viewers} viewers, overlay", row


def rows(start, clips, seconds, frames, people):
    """Yields names and figures of rows; `start(clip, settings, player=None)` starts namecam, `clips` has one for each of SIZES.
    `people` is a gallery for the measurement of memory, or None."""
    for size in SIZES:
        yield f"{size}, overlay, 1 viewer", beside_floor(start, clips[size], seconds)
        yield f"{size}, passthrough, 1 viewer", passed_on(start, clips[size], seconds)
        yield f"{size}, passthrough and masked, 1 viewer", masked(start, clips[size], seconds)
        yield f"{size}, no viewers, no recognition", watched(start, clips[size], PLAIN, 0, seconds)
    large = clips[SIZES[-1]]
    yield from crowds(start, large, seconds)
    for stalled in (0, 8):
        yield f"age, {SIZES[-1]}, overlay, {stalled} stalled", old(start, large, seconds, stalled)
    for fps in (FPS, 4 * FPS):
        yield f"{SIZES[-1]}, {fps} fps, {len(RENDITIONS)} renditions at once", side_by_side(start, clips[SIZES[-1]], seconds, fps)
    for rate in (500, 1000, 2000):
        for receive_buffer in (16 << 10, None):
            what = f"slow reader, {rate} KB/s, buffer {receive_buffer or 'as it comes'}"
            yield what, slow(start, large, rate * 1000, receive_buffer, seconds)
    galleries = [] if people is None else [f"gallery.path={os.path.abspath(people)}"]
    for what, settings in (("no recognition", PLAIN), ("recognition as often as possible", ["recognition.interval_ms=0", *galleries])):
        yield f"full speed, {SIZES[0]}, {what}", flood(start, clips[SIZES[0]], settings, frames)
