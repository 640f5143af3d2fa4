"""namecam as installed on the emulated board, and its camera."""

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from machine import Failed, Machine, wait
from pictures import View

UNIT = "namecam"
INI = "/etc/namecam/namecam.ini"
# The rate is that of the best of this many windows, because the machine may be busy with other work at times.
WINDOWS = 4
WINDOW_S = 3.0


@dataclass
class Board:
    """The machine with its service and its camera, and the state that steps pass on."""

    machine: Machine
    package: Path
    models: Path
    ini: dict[str, dict[str, str]] = field(default_factory=dict)

    # --- the camera

    def plug_in(self, view: View, each: str = "frame") -> None:
        """Gives the board a camera that shows `view`: its next picture at each `frame`, or at each `plug`."""
        files = " ".join(map(self.machine.hand_in, view.files(self.machine.share)))
        words = f"0 {view.fourcc} {view.width} {view.height} 30 {each} {files}"
        self.machine.sh("cat >/etc/board-camera && systemctl restart camera", given=f"CAMERA={words}\n")

    def unplug(self) -> None:
        """Removes the camera, and boots without one."""
        self.machine.sh("systemctl stop camera; rm -f /etc/board-camera")

    def sees(self, view: View) -> None:
        """Waits for the pictures of `view`."""
        expected = (view.fourcc, view.width, view.height)

        def seen() -> bool:
            camera = self.machine.state()["camera"]
            return camera["online"] and (camera["format"], camera["width"], camera["height"]) == expected

        wait(f"{view} in /api/state", seen)

    def frames_per_second(self, enough: float) -> float:
        """The frames per second that namecam reads from the camera."""
        best = 0.0
        for _ in range(WINDOWS):
            first, begun = self.machine.state()["camera"]["frames"], time.monotonic()
            time.sleep(WINDOW_S)
            last, ended = self.machine.state()["camera"]["frames"], time.monotonic()
            best = max(best, (last - first) / (ended - begun))
            if best >= enough:
                break
        return best

    # --- the service

    def read_ini(self) -> None:
        """Reads the ini of the package as the base of further changes."""
        keys: dict[str, str] = {}
        for line in map(str.strip, self.machine.sh(f"cat {INI}").splitlines()):
            if line.startswith("["):
                keys = self.ini.setdefault(line.strip("[]"), {})
            elif line and line[0] not in ";#":
                name, value = line.split("=", 1)
                keys[name.strip()] = value.strip()

    def write_ini(self, **changes: str) -> None:
        """Changes keys of the ini, named section__key."""
        for name, value in changes.items():
            section, key = name.split("__")
            self.ini.setdefault(section, {})[key] = value
        lines = [line for section, keys in self.ini.items() for line in (f"[{section}]", *(f"{key} = {value}" for key, value in keys.items()))]
        self.machine.sh(f"cat >{INI}", given="\n".join(lines) + "\n")

    def reload(self, user: str = "root") -> None:
        """Runs systemctl reload and waits until the reload is complete."""
        before = self.machine.state()["recognition"]["generation"]
        self.machine.sh(f"sudo systemctl reload {UNIT}", user)
        wait("recognition.generation", lambda: self.machine.state()["recognition"]["generation"] > before)

    def restart(self) -> None:
        """Runs systemctl restart and waits for a picture."""
        self.machine.sh(f"systemctl restart {UNIT}")
        wait("a picture", self.machine.fresh_picture)

    def show(self, *names: str) -> list[str]:
        """The properties of the unit."""
        shown = self.machine.sh(f"systemctl show -p {','.join(names)} {UNIT}").splitlines()
        found = dict(line.split("=", 1) for line in shown)
        return [found[name] for name in names]

    def process(self) -> str:
        """The id of the process; the unit must be active."""
        state, process = self.show("ActiveState", "MainPID")
        if state != "active":
            raise Failed(f"the unit is {state}")
        return process

    def memory_mb(self) -> tuple[float, float]:
        """The current and the peak memory of the process in MB."""
        found = self.machine.sh(f"grep -E '^Vm(HWM|RSS)' /proc/{self.process()}/status").split()
        return int(found[4]) * 1024 / 1e6, int(found[1]) * 1024 / 1e6

    def holds(self) -> tuple[int, int]:
        """The numbers of descriptors and threads of the process."""
        fds, threads = self.machine.sh(f"cd /proc/{self.process()} && ls fd | wc -l && ls task | wc -l").split()
        return int(fds), int(threads)

    def journal(self, after: str = "") -> list[str]:
        """The log of the service since the boot, or after a cursor of the journal."""
        since = f"--after-cursor='{after}'" if after else "-b"
        return self.machine.sh(f"journalctl -q {since} -u {UNIT} -o cat").splitlines()

    def cursor(self) -> str:
        """The cursor of the current end of the journal."""
        return self.machine.sh("journalctl -q -n 0 --show-cursor").removeprefix("-- cursor: ")


def previous(package: Path, folder: Path) -> Path:
    """Makes a package of an older version, whose ini differs from the new one."""
    tree, older = folder / "previous", folder / "previous.deb"
    subprocess.run(["rm", "-rf", tree], check=True)
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text(encoding="utf-8").splitlines()
    control.write_text("\n".join("Version: 0.0.1" if line.startswith("Version:") else line for line in lines) + "\n", encoding="utf-8")
    with (tree / INI.lstrip("/")).open("a", encoding="utf-8") as ini:
        ini.write("; An older version said this.\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, older], check=True, stdout=subprocess.DEVNULL)
    return older
