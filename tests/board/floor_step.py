"""What passing a camera's JPEGs on costs, beside the least that it can cost: floor.c."""

import statistics
import threading
import time
from contextlib import closing

from appliance import UNIT, Board
from camera_steps import rate_of
from machine import PATIENCE_S, Failed, wait
from pictures import View

VIEWS = (View("MJPG", 640, 480), View("MJPG", 1280, 720))
SECONDS = 8
PAIRS = 3
# The wake-ups of two more threads a frame are what namecam adds, and on an emulated processor they are dear.
MOST_TIMES = 2.5
CPU_NS = "cat /proc/$(systemctl show -P MainPID namecam)/task/*/schedstat | awk '{ns += $1} END {printf \"%d\", ns}'"


def drain(board: Board) -> threading.Thread:
    """A viewer, until the stream ends."""

    def read() -> None:
        with closing(board.machine.open("/video_feed")) as stream:
            while stream.read1(1 << 16):
                pass

    viewer = threading.Thread(target=read, daemon=True)
    viewer.start()
    return viewer


def of_namecam(board: Board) -> float:
    """Microseconds of processor time a frame, with one viewer."""
    board.restart()
    drain(board)
    wait("the viewer", lambda: board.machine.state()["stream"]["viewers"] == 1)
    # From here on nobody asks for anything else.
    script = f"a=$({CPU_NS}); sleep {SECONDS}; b=$({CPU_NS}); echo $a $b"
    frames = board.machine.state()["camera"]["frames"]
    begun = time.monotonic()
    before, after = map(int, board.machine.sh(script).split())
    taken = (board.machine.state()["camera"]["frames"] - frames) * SECONDS / (time.monotonic() - begun)
    board.machine.sh(f"systemctl stop {UNIT}")
    return (after - before) / taken / 1000


def of_floor(board: Board) -> float:
    """The same of floor.c, which takes namecam's place."""
    board.machine.sh("nohup floor /dev/video0 5000 %d >/tmp/floor 2>&1 </dev/null & sleep 1" % SECONDS)
    viewer = drain(board)
    viewer.join(PATIENCE_S)
    words = board.machine.sh("cat /tmp/floor").split()
    if len(words) != 2:
        raise Failed(f"floor: {' '.join(words)}")
    return int(words[0]) / int(words[1]) / 1000


def step(board: Board) -> str:
    """What passing a frame on costs beside taking it and writing it. Wanted: 1.5 times; a step back from 2.5 fails."""
    board.write_ini(recognition__enabled="no", overlay__enabled="no")
    said = []
    for view in VIEWS:
        board.plug_in(view)
        board.restart()
        rate_of(board, view)
        pairs = [(of_namecam(board), of_floor(board)) for _ in range(PAIRS)]
        times = statistics.median(own / least for own, least in pairs)
        own, least = (statistics.median(column) for column in zip(*pairs))
        said.append(f"{view}: {own:.0f} us a frame, floor.c {least:.0f}, {times:.2f} times")
        if times > MOST_TIMES:
            raise Failed("; ".join(said) + f", more than {MOST_TIMES}")
    board.restart()
    return "; ".join(said)
