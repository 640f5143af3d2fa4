"""The steps for the camera and recognition. Each returns its measurement as text, or raises Failed with the reason."""

import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pictures
from appliance import UNIT, Board
from machine import PATIENCE_S, Failed, wait
from pictures import View

Step = Callable[[Board], str]

MJPG = View("MJPG", 640, 480)
MIN_FPS = 25.0
# Larger than the error of a JPEG of quality 80, and smaller than the error of a wrong colour matrix or a shifted plane.
MAX_PIXEL_ERROR = 4.0
PARTS = 40
GALLERY = "/var/lib/namecam/gallery"
PERSON = "Barack Obama"
QUIET_S = 20
QUIET_LINES = 3
# How long feed.c keeps the camera unplugged.
AWAY_S = 0.3
REPLUGS = 50
# After this many rounds, reused memory has been allocated.
WARM_UP = 10
BACK_WITHIN_S = 3.0
MAX_GROWTH_MB = 2.0


def only_capture(board: Board) -> str:
    """Makes namecam pass the pictures of the camera through."""
    board.write_ini(recognition__enabled="no", overlay__enabled="no")
    board.plug_in(MJPG)
    board.restart()
    return f"started with recognition off: VmRSS {board.memory_mb()[0]:.0f} MB"


def rate_of(board: Board, view: View) -> str:
    """The rate of a plugged-in camera; fails when it is too low."""
    board.plug_in(view)
    board.sees(view)
    rate = board.frames_per_second(MIN_FPS)
    if rate < MIN_FPS:
        raise Failed(f"{view}: {rate:.1f} fps")
    return f"{rate:.1f} fps"


def passthrough(view: View) -> Step:
    """The JPEGs of a camera are sent unchanged."""

    def step(board: Board) -> str:
        rate, fed = rate_of(board, view), view.fed(board.machine.share)
        seen: set[int] = set()
        with closing(board.machine.stream()) as parts:
            for _ in range(PARTS):
                _, jpeg = next(parts)
                if jpeg not in fed:
                    raise Failed(f"{view}: a part of {len(jpeg)} bytes is none of the camera's pictures")
                seen.add(fed.index(jpeg))
        if len(seen) < len(fed):
            raise Failed(f"{view}: only {len(seen)} of {len(fed)} pictures arrived")
        return f"{view}: {rate}; {PARTS} parts of /video_feed identical to what was fed, byte for byte"

    return step


def pixel_error(board: Board, view: View) -> float:
    """The difference between the snapshot and the picture of the camera."""
    reply = board.machine.get("/snapshot.jpg?strict=1")
    if reply.status != 200:
        raise Failed(f"{view}: the snapshot answers {reply.status}")
    found = pictures.error(MJPG.rgb(reply.body), view.rgb(view.fed(board.machine.share)[0]))
    if found > MAX_PIXEL_ERROR:
        raise Failed(f"{view}: the pixels are off by {found:.1f} of 255 on average")
    return found


def raw(view: View) -> Step:
    """A raw format has the full rate and the right colours."""

    def step(board: Board) -> str:
        rate = rate_of(board, view)
        return f"{view}: {rate}; the pixels are off by {pixel_error(board, view):.1f} of 255 on average"

    return step


def other_formats(board: Board) -> str:
    """The other formats of the table of pixel formats."""
    errors = []
    views = [View(fourcc, 320, 240, pictures.PEOPLE[:1]) for fourcc in ("JPEG", *pictures.RAW)]
    for view in views:
        board.plug_in(view)
        board.sees(view)
        errors.append(f"{view.fourcc} {pixel_error(board, view):.1f}")
    return "320x240, the pixels are off by " + ", ".join(errors)


def named(board: Board) -> str:
    """An ordinary user copies a folder of a person, and the face in front of the camera gets a name."""
    machine, view = board.machine, View("MJPG", 640, 480, pictures.PEOPLE[:1])
    board.plug_in(view)
    board.write_ini(recognition__enabled="yes", recognition__detect_width="320", recognition__upsample="0", overlay__enabled="yes")
    board.restart()
    machine.sh(f"usermod -a -G {UNIT} pi")
    begun = time.monotonic()
    wait("a face in /api/state", lambda: machine.state()["faces"])
    if names := [face["name"] for face in machine.state()["faces"] if face["name"]]:
        raise Failed(f"the empty gallery gave the names {names}")
    unknown_s, begun = time.monotonic() - begun, time.monotonic()
    machine.scp(pictures.gallery(PERSON, "obama2.jpg"), GALLERY, "pi")
    board.reload("pi")
    wait(f"the name {PERSON}", lambda: [face for face in machine.state()["faces"] if face["name"] == PERSON])
    state = machine.state()
    look_s, distance = state["recognition"]["last_ms"] / 1000, [face["distance"] for face in state["faces"]]
    named_s, (rss, most) = time.monotonic() - begun, board.memory_mb()
    return (f"a face after {unknown_s:.0f} s, unknown; scp by pi and reload: {PERSON} {named_s:.0f} s later, "
            f"distance {distance}, a look takes {look_s:.1f} s; VmRSS {rss:.0f} MB, at most {most:.0f} MB")


def quiet(board: Board) -> str:
    """During a stream with recognition nothing is written to the disk, and nothing is logged."""
    machine = board.machine
    parts, over = [0], threading.Event()

    def watch() -> None:
        with closing(machine.stream()) as stream:
            while not over.is_set() and next(stream):
                parts[0] += 1

    viewer = threading.Thread(target=watch, daemon=True)
    viewer.start()
    wait("a stream", lambda: parts[0])
    sectors = "sync; cat /sys/block/vda/stat"
    before, cursor, looks, shown = machine.sh(sectors).split()[6], board.cursor(), machine.state()["recognition"]["looks"], parts[0]
    time.sleep(QUIET_S)
    after, shown, looks = machine.sh(sectors).split()[6], parts[0] - shown, machine.state()["recognition"]["looks"] - looks
    over.set()
    viewer.join(PATIENCE_S)
    lines, written = board.journal(cursor), int(after) - int(before)
    if written or len(lines) > QUIET_LINES or not shown or not looks:
        raise Failed(f"{written} sectors written, {len(lines)} lines logged, {shown} pictures, {looks} looks: {lines[:5]}")
    return f"{QUIET_S} s of streaming with recognition ({shown} pictures, {looks} looks): no sector written, {len(lines)} lines logged"


def replugged(board: Board) -> str:
    """The camera is unplugged and plugged in repeatedly, and no resources are leaked."""
    machine, view = board.machine, MJPG
    board.write_ini(recognition__enabled="no", overlay__enabled="no")
    board.plug_in(view, each="plug")
    board.restart()
    fed = view.fed(machine.share)
    with closing(machine.stream()) as parts:
        next(parts)
        away = [outage(board, parts, fed[n % len(fed)], fed[(n + 1) % len(fed)]) for n in range(WARM_UP)]
        before, rss = board.holds(), board.memory_mb()[0]
        away += [outage(board, parts, fed[n % len(fed)], fed[(n + 1) % len(fed)]) for n in range(WARM_UP, REPLUGS)]
        after, grown = board.holds(), board.memory_mb()[0] - rss
    words = f"{REPLUGS} times unplugged and back after {statistics.median(away):.1f} s, at most {max(away):.1f} s"
    words += f"; descriptors and threads {before} and then {after}, VmRSS {rss:.1f} MB and {grown:+.1f} MB"
    if max(away) > BACK_WITHIN_S or after != before or grown > MAX_GROWTH_MB:
        raise Failed(words)
    return words


def outage(board: Board, parts: Iterator[tuple[float, bytes]], shown: bytes, next_shown: bytes) -> float:
    """Unplugs the camera; returns the time from plugging it in until a viewer gets its next picture."""
    pulled = subprocess.Popen(board.machine.ssh("systemctl kill -s USR1 camera"))
    last, until = 0.0, time.monotonic() + PATIENCE_S
    for captured_at, jpeg in parts:
        if jpeg == shown:
            last = captured_at
        if jpeg == next_shown:
            pulled.wait(PATIENCE_S)
            return captured_at - last - AWAY_S
        if time.monotonic() > until:
            break
    raise Failed(f"the camera did not come back within {PATIENCE_S:.0f} s")
