#!/usr/bin/env python3
"""Installs namecam's packages on an emulated board and tests them: make board-test

usage: board.py [--arch arm64|amd64] [--accel tcg|kvm] [--only STEP ...] [--keep] [--count] PACKAGE.deb MODELS.deb

Every step prints one line, also to target/board/ARCH/report.txt; the exit status is 1 when one failed. --only runs only the
named steps after the installation. --keep leaves the board running at the end and says how to log in. --count makes the step
`floor` compare instructions too, which makes everything slower. See tests/board/README.md.
"""

import argparse
import http.client
import signal
import subprocess
import sys
import time
from pathlib import Path

import camera_steps as camera
import floor_step as floor
import service_steps as service
import tune_step as tune
from appliance import Board
from camera_steps import Step
from machine import BOARDS, PROJECT, Failed, Machine, wait
from pictures import PEOPLE, View

STEPS: dict[str, Step] = {
    "password": service.password,
    "probe": service.probe,
    "first-frame": service.first_frame,
    "no-camera": service.without_camera,
    "capture": camera.only_capture,
    "mjpg-480": camera.passthrough(View("MJPG", 640, 480)),
    "mjpg-720": camera.passthrough(View("MJPG", 1280, 720)),
    "floor": floor.step,
    "yuyv-480": camera.raw(View("YUYV", 640, 480, PEOPLE[:1])),
    "yuyv-720": camera.raw(View("YUYV", 1280, 720, PEOPLE[:1])),
    "formats": camera.other_formats,
    "replug": camera.replugged,
    "tune": tune.step,
    "face": camera.named,
    "quiet": camera.quiet,
    "cnn": service.cnn,
    "kill": service.killed,
    "watchdog": service.stalled,
    "exposure": service.exposure,
    "journal": service.journal,
    "reboot": service.rebooted,
    "upgrade": service.upgraded,
    "journal-2": service.journal,
    "remove": service.removed,
}


class Report:
    """One line per step, on the screen and in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file.open("w", encoding="utf-8")
        self.failed = 0

    def say(self, line: str) -> None:
        """Prints a line of the report."""
        for stream in (sys.stdout, self.file):
            print(line, file=stream, flush=True)

    def take(self, name: str, step: Step, board: Board) -> bool:
        """Runs a step and reports its result."""
        begun = time.monotonic()
        try:
            verdict, words = "ok  ", step(board)
        except (Failed, OSError, http.client.HTTPException, subprocess.SubprocessError, KeyError, ValueError) as error:
            verdict, words = "FAIL", str(error) if isinstance(error, Failed) else repr(error)
            self.failed += 1
        self.say(f"{verdict} {time.monotonic() - begun:6.1f} s  {name}: {words}")
        return verdict == "ok  "


def boot(board: Board) -> str:
    """Waits until a shell is available."""
    wait("the board starts", board.machine.answers)
    return f"a shell {board.machine.uptime_s():.1f} s after the kernel's start"


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=("arm64", "amd64"), default="arm64")
    parser.add_argument("--accel", choices=("tcg", "kvm"), default="tcg")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--count", action="store_true")
    parser.add_argument("package", type=Path)
    parser.add_argument("models", type=Path)
    return parser.parse_args()


def main() -> int:
    arguments, begun = read_arguments(), time.monotonic()
    subprocess.run([PROJECT / "tests" / "board" / "image", arguments.arch], check=True)
    imaged = time.monotonic() - begun
    folder = BOARDS / arguments.arch
    (folder / "journal.txt").unlink(missing_ok=True)
    report = Report(folder / "report.txt")
    sizes = ", ".join(f"{file.name} {file.stat().st_size / 1e6:.2f} MB" for file in (arguments.package, arguments.models))
    report.say(f"board: {arguments.arch}, {arguments.accel}; {sizes}; its disk was ready after {imaged:.0f} s")

    # The end of this program ends the board too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    board = Board(Machine(arguments.arch, arguments.accel, arguments.count), arguments.package, arguments.models)
    try:
        if report.take("boot", boot, board) and report.take("install", service.install, board):
            for name in arguments.only:
                report.take(name, STEPS[name], board)
        if arguments.keep:
            input(f"The board runs: {' '.join(board.machine.ssh(''))}; its page: 127.0.0.1:{board.machine.ports[5000]}, {board.machine.login}. Enter ends it.")
    finally:
        board.machine.off()
    report.say(f"board: {report.failed or 'no'} step{'s' * (report.failed != 1)} failed, {time.monotonic() - begun:.0f} s in all")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
