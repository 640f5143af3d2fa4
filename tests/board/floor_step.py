"""The cost of passing JPEGs of a camera through, compared with the lower bound of floor.c."""

import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing

from appliance import UNIT, Board
from camera_steps import rate_of
from machine import PATIENCE_S, Failed, wait
from pictures import View

VIEWS = (View("MJPG", 640, 480), View("MJPG", 1280, 720))
SECONDS = 8
PAIRS = 3
# The limit on instructions of the whole machine, including the kernel, which vary little.
MOST_TIMES = 1.5
# The limit on time, used when instructions are not counted. namecam wakes two more threads per frame, which is expensive on
# an emulated processor, especially when the host is busy.
MOST_TIMES_TIME = 2.5
# mawk's %d is limited to 2^31.
CPU_NS = "cat /proc/$(systemctl show -P MainPID namecam)/task/*/schedstat | awk '{ns += $1} END {printf \"%.0f\", ns}'"
MARK = b"Content-Length"
# The margins around the time in which instructions are counted, which lies within that of the process.
MARGIN_S = 2.0

# Per frame: microseconds of the process, and million instructions of the whole machine, or 0 when they are not counted.
Cost = tuple[float, float]


class Viewer(threading.Thread):
    """Reads the stream until it ends, and counts the pictures."""

    def __init__(self, board: Board) -> None:
        super().__init__(daemon=True)
        self.board, self.shown = board, 0
        self.start()

    def run(self) -> None:
        """Runs the thread."""
        last = b""
        with closing(self.board.machine.open("/video_feed")) as stream:
            while chunk := stream.read1(1 << 16):
                seen = last + chunk
                self.shown += seen.count(MARK)
                last = seen[1 - len(MARK):]


def counted(board: Board, pictures: Callable[[], float], idle: float = 0.0) -> float:
    """The million instructions per picture, beyond the `idle` ones per second; the board gets no other requests meanwhile."""
    if not board.machine.counts:
        return 0.0
    time.sleep(MARGIN_S)
    before, shown, begun = board.machine.instructions(), pictures(), time.monotonic()
    time.sleep(SECONDS - 2 * MARGIN_S)
    executed, shown, took = board.machine.instructions() - before, pictures() - shown, time.monotonic() - begun
    return (executed / 1e6 - idle * took) / shown


def of_namecam(board: Board, idle: float) -> Cost:
    """The cost of namecam with one viewer."""
    board.restart()
    viewer = Viewer(board)
    wait("the viewer", lambda: viewer.shown > 0)
    # The second number is read when `counted` has ended.
    script = f"a=$({CPU_NS}); sleep {SECONDS}; b=$({CPU_NS}); echo $a $b"
    shown, begun = viewer.shown, time.monotonic()
    with subprocess.Popen(board.machine.ssh(script), stdout=subprocess.PIPE, text=True) as watch:
        executed = counted(board, lambda: viewer.shown, idle)
        said = watch.communicate(timeout=PATIENCE_S)[0]
    before, after = map(int, said.split())
    taken = (viewer.shown - shown) * SECONDS / (time.monotonic() - begun)
    board.machine.sh(f"systemctl stop {UNIT}")
    return (after - before) / taken / 1000, executed


def of_floor(board: Board, idle: float) -> Cost:
    """The cost of floor.c in place of namecam."""
    board.machine.sh("nohup floor /dev/video0 5000 %d >/tmp/floor 2>&1 </dev/null & sleep 1" % SECONDS)
    viewer = Viewer(board)
    wait("the viewer", lambda: viewer.shown > 0)
    executed = counted(board, lambda: viewer.shown, idle)
    viewer.join(PATIENCE_S)
    words = board.machine.sh("cat /tmp/floor").split()
    if len(words) != 2:
        raise Failed(f"floor: {' '.join(words)}")
    return int(words[0]) / int(words[1]) / 1000, executed


def median_times(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    """The medians of namecam's costs, of the lower bound's, and of their ratios."""
    own, least = (statistics.median(column) for column in zip(*pairs))
    return own, least, statistics.median(own / least for own, least in pairs)


def compared(board: Board, view: View) -> tuple[str, bool]:
    """The result for a view as text, and whether namecam is within the limit."""
    board.plug_in(view)
    board.restart()
    rate_of(board, view)
    board.machine.sh(f"systemctl stop {UNIT}")
    begun = time.monotonic()
    idle = counted(board, lambda: time.monotonic() - begun)
    pairs = [(of_namecam(board, idle), of_floor(board, idle)) for _ in range(PAIRS)]
    own, least, times = median_times([(own[0], least[0]) for own, least in pairs])
    said, good = f"{view}: {own:.0f} us a frame, floor.c {least:.0f}, {times:.2f} times", times <= MOST_TIMES_TIME
    if board.machine.counts:
        own, least, times = median_times([(own[1], least[1]) for own, least in pairs])
        said += f"; {own:.3f} million instructions of the machine, {least:.3f}, {times:.2f} times"
        good = times <= MOST_TIMES
    return said, good


def step(board: Board) -> str:
    """The cost of passing a frame through, relative to reading and writing it. The goal is 1.5 times; more than 2.5 fails."""
    board.write_ini(recognition__enabled="no", overlay__enabled="no")
    found = [compared(board, view) for view in VIEWS]
    said = "; ".join(words for words, _ in found)
    if not all(good for _, good in found):
        raise Failed(f"{said}: more than {MOST_TIMES_TIME} times the time, or {MOST_TIMES} times the instructions")
    board.restart()
    return said
