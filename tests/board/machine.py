"""The emulated board as seen from outside: power, shell, files and the web page."""

import base64
import http.client
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
BOARDS = PROJECT / "target" / "board"

EMULATORS = {
    "arm64": ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72"],
    # With the random seed that newer machine types pass to the kernel, qemu 7.2 hangs after the first boot. AVX is slow to emulate.
    "amd64": ["qemu-system-x86_64", "-M", "pc-q35-7.1", "-cpu", "Nehalem"],
}
CONSOLES = {"arm64": "ttyAMA0", "amd64": "ttyS0"}
# A long time limit, because the board is emulated and the host may be busy. Steps that test a time use their own limits.
PATIENCE_S = 90.0


class Failed(Exception):
    """The reason why a step failed."""


def wait(what: str, ready: Callable[[], Any], limit_s: float = PATIENCE_S, every_s: float = 0.1) -> Any:
    """The first true result of `ready`."""
    until = time.monotonic() + limit_s
    while True:
        if answer := ready():
            return answer
        if time.monotonic() > until:
            raise Failed(f"{what}: not within {limit_s:.0f} s")
        time.sleep(every_s)


@dataclass
class Reply:
    """An HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Machine:
    """A qemu with the disk of target/board/ARCH. Changes of the disk are discarded at the end."""

    def __init__(self, arch: str, acceleration: str, counts: bool = False) -> None:
        self.arch = arch
        self.counts = counts
        self.folder = BOARDS / arch
        # The board mounts it at /mnt.
        self.share = BOARDS / "share"
        self.share.mkdir(parents=True, exist_ok=True)
        # The path of a socket has at most 108 characters, so it is not in target/.
        self.run_folder = Path(tempfile.mkdtemp(prefix="board-"))
        self.ports = {guest: free_port() for guest in (22, 5000)}
        self.login: tuple[str, str] | None = None
        self.console = (self.folder / "console.log").open("wb")
        environment = {**os.environ, "TMPDIR": str(self.folder)}
        self.qemu = subprocess.Popen(self.command(acceleration), stdin=subprocess.DEVNULL, stdout=self.console,
                                     stderr=subprocess.STDOUT, env=environment)

    def command(self, acceleration: str) -> list[str]:
        """The command line of qemu."""
        name, *machine = EMULATORS[self.arch]
        emulator = shutil.which(name) or str(BOARDS / "qemu" / "root" / "usr" / "bin" / name)
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for guest, host in self.ports.items())
        kernel = f"console={CONSOLES[self.arch]} root=/dev/vda quiet systemd.show_status=0 panic=-1 mitigations=off audit=0"
        return [
            emulator, *machine, *self.processors(), "-accel", acceleration, "-m", "1024", "-nographic", "-nodefaults", "-serial", "stdio",
            "-kernel", str(self.folder / "vmlinuz"), "-initrd", str(self.folder / "initrd.gz"), "-append", kernel,
            "-drive", f"file={self.folder / 'disk.img'},format=raw,if=none,id=disk,snapshot=on", "-device", "virtio-blk-pci,drive=disk",
            # The board has no outgoing network, only incoming connections.
            "-netdev", f"user,id=net,restrict=on{forwards}", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-virtfs", f"local,path={self.share},mount_tag=host,security_model=none,readonly=on", "-device", "virtio-rng-pci",
        ]

    # --- its processors

    def processors(self) -> list[str]:
        """The options for the processors and the counter of instructions. With the counter there is only one processor, because
        the busy waiting of two processors for each other would be counted."""
        if not self.counts:
            return ["-smp", "2"]
        plugin = self.run_folder / "instructions.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", plugin, PROJECT / "tools" / "instructions.c"], check=True)
        return ["-smp", "1", "-plugin", f"{plugin},into={self.run_folder / 'instructions'}"]

    def instructions(self) -> int:
        """The instructions that the machine has executed since it was started, including the kernel's."""
        return sum(number for (number,) in struct.iter_unpack("Q", (self.run_folder / "instructions").read_bytes()))

    # --- its shell

    def ssh_options(self) -> list[str]:
        """The options of ssh and scp for the board, without the user's settings."""
        options = {
            "IdentityFile": self.folder / "key", "IdentitiesOnly": "yes", "StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR", "BatchMode": "yes", "ConnectTimeout": 30, "ServerAliveInterval": 15,
            "ControlMaster": "auto", "ControlPersist": "yes", "ControlPath": self.run_folder / "%r",
        }
        return ["-F", "none", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]

    def ssh(self, command: str, user: str = "root") -> list[str]:
        """The ssh command that runs `command` on the board."""
        return ["ssh", *self.ssh_options(), "-p", str(self.ports[22]), f"{user}@127.0.0.1", command]

    def attempt(self, command: str, user: str = "root", given: str = "", limit_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """Runs a command on the board; it may fail."""
        try:
            return subprocess.run(self.ssh(command, user), input=given, capture_output=True, text=True, errors="replace", timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise Failed(f"`{command}` did not end within {limit_s:.0f} s") from None

    def sh(self, command: str, user: str = "root", given: str = "", limit_s: float = PATIENCE_S) -> str:
        """The output of a command on the board; it must succeed."""
        done = self.attempt(command, user, given, limit_s)
        if done.returncode:
            raise Failed(f"`{command}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}")
        return done.stdout.strip()

    def hand_in(self, file: Path) -> str:
        """The path on the board of a file of this machine."""
        if file.parent != self.share:
            shutil.copy2(file, self.share)
        return f"/mnt/{file.name}"

    def scp(self, folder: Path, to: str, user: str) -> None:
        """Copies a folder with scp."""
        words = ["scp", "-q", "-r", *self.ssh_options(), "-P", str(self.ports[22]), str(folder), f"{user}@127.0.0.1:{to}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode:
            raise Failed(f"scp to {to} as {user}: {done.stderr.strip()}")

    def hang_up(self) -> None:
        """Closes the connections that ssh keeps open."""
        for user in ("root", "pi"):
            subprocess.run(["ssh", *self.ssh_options(), "-O", "exit", f"{user}@127.0.0.1"], capture_output=True, check=False)

    def answers(self) -> bool:
        """True when a shell is available."""
        if self.qemu.poll() is not None:
            raise Failed(f"the emulator ended with {self.qemu.returncode}, see {self.folder / 'console.log'}")
        return self.attempt("true").returncode == 0

    def uptime_s(self) -> float:
        """Seconds since the kernel started."""
        return float(self.sh("cut -d' ' -f1 /proc/uptime"))

    # --- its page

    def open(self, path: str, known: bool = True) -> http.client.HTTPResponse:
        """Requests a path from namecam, with the password unless it must be left out."""
        headers = {}
        if known and self.login:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[5000], timeout=20)
        connection.request("GET", path, headers=headers)
        return connection.getresponse()

    def get(self, path: str, known: bool = True) -> Reply:
        """The whole response to a request."""
        with self.open(path, known) as response:
            return Reply(response.status, response.headers, response.read())

    def change(self, method: str, path: str, given: Any = None) -> Reply:
        """The response to a request that changes something, as the page sends it."""
        headers = {"X-Namecam": "1", "Content-Type": "application/json"}
        if self.login:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[5000], timeout=30)
        connection.request(method, path, None if given is None else json.dumps(given), headers)
        with connection.getresponse() as response:
            return Reply(response.status, response.headers, response.read())

    def try_get(self, path: str) -> Reply | None:
        """The same, or None without a response."""
        try:
            return self.get(path)
        except (OSError, http.client.HTTPException):
            return None

    def state(self) -> dict[str, Any]:
        """/api/state."""
        state: dict[str, Any] = self.get("/api/state").json()
        return state

    def fresh_picture(self) -> bool:
        """True when a new frame of the camera is available."""
        reply = self.try_get("/snapshot.jpg?strict=1")
        return reply is not None and reply.status == 200 and reply.body.startswith(b"\xff\xd8")

    def stream(self) -> Generator[tuple[float, bytes], None, None]:
        """The parts of /video_feed: the time of capture and the JPEG."""
        with self.open("/video_feed") as response:
            while line := response.readline():
                if line.strip() != b"--frame":
                    raise Failed(f"/video_feed: a part begins with {line[:60]!r}")
                head = http.client.parse_headers(response)
                jpeg = response.read(int(head["Content-Length"]))
                response.readline()
                yield float(head["X-Timestamp"]), jpeg

    def off(self) -> None:
        """Turns the board off."""
        self.hang_up()
        self.qemu.terminate()
        self.qemu.wait()
        self.console.close()
        shutil.rmtree(self.run_folder)


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
