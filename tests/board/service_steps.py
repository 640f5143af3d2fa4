"""The steps for the package and the service. Each returns its measurement as text, or raises Failed with the reason."""

import re
import time

from appliance import INI, UNIT, Board, previous
from camera_steps import GALLERY, MJPG, PERSON
from machine import PROJECT, Failed, wait
from pictures import PEOPLE, View, gallery

MAX_EXPOSURE = 1.7
WATCHDOG_S = 10
# The folder that avahi-daemon reads.
ANNOUNCED = "/etc/avahi/services"
# A look of the CNN takes a minute or two on an emulated processor.
CNN_LOOKS = 2
CNN_S = 900
# The options of an unattended dpkg, which keep the administrator's ini.
KEEP = "DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold -i"


def install(board: Board) -> str:
    """Installs both packages with one dpkg -i on a board with a camera."""
    machine = board.machine
    board.plug_in(MJPG)
    package, models = machine.hand_in(board.package), machine.hand_in(board.models)
    begun = time.monotonic()
    said = machine.sh(f"dpkg -i {package} {models} 2>&1", limit_s=180)
    took = time.monotonic() - begun
    password = machine.sh("cat /etc/namecam/password")
    machine.login = (machine.sh("cut -d: -f1 /var/lib/namecam/users").split()[0], password)
    if not password or password in said + machine.sh("cat /var/log/dpkg.log; journalctl -q -b -o cat"):
        raise Failed("the password was printed or logged" if password else "there is no password")
    wait("a picture of the camera", machine.fresh_picture)
    if (found := board.show("Type", "UnitFileState", "ActiveState")) != ["notify", "enabled", "active"]:
        raise Failed(f"Type, UnitFileState and ActiveState are {found}")
    board.read_ini()
    return f"dpkg -i of both packages in {took:.0f} s: enabled, notified, active; the password is in no log"


def password(board: Board) -> str:
    """The page requires the password."""
    machine = board.machine
    asked, answered = machine.get("/", known=False), machine.get("/")
    if (asked.status, answered.status) != (401, 200):
        raise Failed(f"the page answers {asked.status} without the password and {answered.status} with it")
    if (owner := machine.sh("stat -c '%U %a' /etc/namecam/password")) != "root 600":
        raise Failed(f"/etc/namecam/password is {owner}")
    if (owner := machine.sh("stat -c '%U %a' /var/lib/namecam/users")) != "namecam 600":
        raise Failed(f"/var/lib/namecam/users is {owner}")
    return "the page answers 401 without the generated password and 200 with it; its file is root's alone"


def probe(board: Board) -> str:
    """The output of the program about itself and the unused camera."""
    board.machine.sh(f"systemctl stop {UNIT}")
    version, said = board.machine.sh("namecam -V").splitlines(), board.machine.sh("namecam probe")
    if "640x480" not in said:
        raise Failed(f"namecam probe does not name the camera's size: {said[:300]}")
    return f"{', '.join(version)}; namecam probe says:\n" + "\n".join(f"       | {line}" for line in said.splitlines())


def first_frame(board: Board) -> str:
    """The time from `systemctl start` until a viewer gets a picture."""
    board.machine.sh(f"systemctl stop {UNIT}")
    begun = time.monotonic()
    board.machine.sh(f"systemctl start {UNIT}")
    notified = time.monotonic() - begun
    wait("a picture", board.machine.fresh_picture, every_s=0.05)
    return f"systemctl start: notified after {notified:.1f} s, first frame after {time.monotonic() - begun:.1f} s"


def without_camera(board: Board) -> str:
    """A missing camera is not an error."""
    machine = board.machine
    board.unplug()
    machine.sh(f"systemctl restart {UNIT}")
    health = wait("an answer", lambda: machine.try_get("/healthz"))
    board.process()
    camera = machine.state()["camera"]
    if health.status != 200 or camera["online"]:
        raise Failed(f"/healthz answers {health.status} and camera.online is {camera['online']}")
    return f"started without a camera: active, /healthz 200, camera.error: {camera['error']}"


def back(board: Board, gone: str) -> None:
    """Waits for a process other than `gone` that is ready and has a picture."""
    wait("another process", lambda: (found := board.show("ActiveState", "MainPID"))[0] == "active" and found[1] != gone)
    wait("a picture", board.machine.fresh_picture)


def killed(board: Board) -> str:
    """A killed process is restarted."""
    begun, gone = time.monotonic(), board.process()
    board.machine.sh(f"kill -KILL {gone}")
    back(board, gone)
    return f"SIGKILL: a picture again after {time.monotonic() - begun:.1f} s"


def stalled(board: Board) -> str:
    """A process that hangs is restarted."""
    machine, drop_in = board.machine, f"/run/systemd/system/{UNIT}.service.d"
    machine.sh(f"mkdir -p {drop_in} && cat >{drop_in}/test.conf && systemctl daemon-reload && systemctl restart {UNIT}",
               given=f"[Service]\nWatchdogSec={WATCHDOG_S}\n")
    wait("a picture", machine.fresh_picture)
    begun, gone = time.monotonic(), board.process()
    machine.sh(f"kill -STOP {gone}")
    back(board, gone)
    took = time.monotonic() - begun
    if not any("watchdog" in line.lower() for line in board.journal()):
        raise Failed("it was started again, but not by the watchdog")
    machine.sh(f"rm -r {drop_in} && systemctl daemon-reload")
    return f"SIGSTOP: the watchdog (here {WATCHDOG_S} s) starts it again; a picture after {took:.1f} s"


def cnn(board: Board) -> str:
    """The CNN, with all other keys at their defaults, stays within the unit's MemoryMax."""
    machine, view = board.machine, View("MJPG", 1280, 720, PEOPLE[:1])
    board.plug_in(view)
    ini = {section: dict(keys) for section, keys in board.ini.items()}
    for key in ("detect_width", "upsample", "interval_ms"):
        board.ini.get("recognition", {}).pop(key, None)
    board.write_ini(recognition__enabled="yes", recognition__detector="cnn")
    board.restart()
    group = machine.sh(f"systemctl show -P ControlGroup {UNIT}")
    begun, gone, restarts = time.monotonic(), board.process(), board.show("NRestarts")
    wait(f"{CNN_LOOKS} looks of the CNN", lambda: machine.state()["recognition"]["looks"] >= CNN_LOOKS, limit_s=CNN_S, every_s=2)
    took = time.monotonic() - begun
    if board.process() != gone or board.show("NRestarts") != restarts:
        raise Failed(f"the process was replaced: {board.journal()[-3:]}")
    limit, most, killed = (int(machine.sh(f"{read} /sys/fs/cgroup{group}/{file}")) for read, file in (
        ("cat", "memory.max"), ("cat", "memory.peak"), ("sed -n 's/^oom_kill //p'", "memory.events")))
    rss, peak = board.memory_mb()
    board.ini = ini
    board.write_ini()
    board.restart()
    if killed or peak * 1e6 > limit * 3 / 4:
        raise Failed(f"VmHWM {peak:.0f} MB, the group {most / 1e6:.0f} MB at most, of {limit / 1e6:.0f} MB; {killed} killed")
    return (f"detector = cnn at the defaults: {CNN_LOOKS} looks in {took:.0f} s, VmHWM {peak:.0f} MB, VmRSS {rss:.0f} MB, "
            f"memory.peak {most / 1e6:.0f} of {limit / 1e6:.0f} MB")


def exposure(board: Board) -> str:
    """The exposure of the service according to systemd-analyze."""
    said = board.machine.sh(f"systemd-analyze --no-pager security {UNIT}")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    if not found:
        raise Failed(f"systemd-analyze says: {said[-300:]}")
    if float(found[1]) > MAX_EXPOSURE:
        raise Failed(f"systemd-analyze security: {found[1]}, more than {MAX_EXPOSURE}")
    return f"systemd-analyze security: {found[1]}"


def journal(board: Board) -> str:
    """The log since the boot has no unexpected lines."""
    lines = board.journal()
    (board.machine.folder / "journal.txt").open("a", encoding="utf-8").writelines(f"{line}\n" for line in lines)
    login = board.machine.login
    if found := [line for line in lines if "panic" in line or (login and login[1] in line)]:
        raise Failed(f"the journal has {found[:3]}")
    frames = board.machine.state()["camera"]["frames"]
    return f"journal since the boot: {len(lines)} lines, no panic, no password ({frames} frames of the last start)"


def rebooted(board: Board) -> str:
    """After a power cut the service starts without a login."""
    machine = board.machine
    machine.attempt("systemctl reboot")
    machine.hang_up()
    wait("the service ends", lambda: machine.try_get("/healthz") is None)
    wait("a picture after the reboot", machine.fresh_picture)
    shown = time.monotonic()
    wait("a shell", machine.answers)
    uptime = machine.uptime_s()
    return f"reboot: comes back by itself, first frame {uptime - (time.monotonic() - shown):.1f} s after the kernel's start"


def upgraded(board: Board) -> str:
    """An upgrade keeps the changes of the administrator."""
    machine = board.machine
    picture = machine.hand_in(gallery(PERSON, "obama2.jpg") / "obama2.jpg")
    machine.sh(f"install -D {picture} '{GALLERY}/{PERSON}/obama2.jpg'")
    machine.sh(f"{KEEP} {machine.hand_in(previous(board.package, machine.folder))}", limit_s=180)
    # The edited ini of version 0.1.0 names the credential of its unit, which the new unit does not have.
    machine.sh(f"sed -i 's,^password_file *=.*,password_file = /run/credentials/{UNIT}.service/users,' {INI} && "
               f"echo '; edited by hand' >>{INI} && grep -q '^password_file = /run/credentials/' {INI}")
    # The accounts, without comments, from whichever file that version uses.
    kept = f"md5sum {INI} /etc/namecam/password; cat /var/lib/namecam/users /etc/namecam/users 2>/dev/null | grep -v '^#' | sort -u; find {GALLERY} -type f -exec md5sum {{}} +; dpkg-query -W -f '${{Status}}' {UNIT}"
    before, gone, old = machine.sh(kept), board.process(), machine.sh(version := f"dpkg-query -W -f '${{Version}}' {UNIT}")
    machine.sh(f"{KEEP} {machine.hand_in(board.package)}", limit_s=180)
    back(board, gone)
    if (after := machine.sh(kept)) != before:
        raise Failed(f"before the upgrade: {before}; after it: {after}")
    if PERSON not in before or machine.get("/").status != 200:
        raise Failed("the gallery or the password does not work any more")
    return f"upgrade from {old} to {machine.sh(version)}: started again, keeps the edited ini, the password and the gallery"


def removed(board: Board) -> str:
    """Remove keeps the config, the passwords and the gallery; purge deletes everything."""
    machine = board.machine
    machine.sh(f"install -D -t {ANNOUNCED} {machine.hand_in(PROJECT / 'packaging/avahi/namecam.service')}")
    machine.sh(f"dpkg -r {UNIT}", limit_s=180)
    if (announced := machine.sh(f"ls {ANNOUNCED}")) != "namecam.service.removed":
        raise Failed(f"after dpkg -r, avahi-daemon would read {announced}")
    if board.show("ActiveState") == ["active"] or machine.attempt(f"test -e {INI} && test -d '{GALLERY}/{PERSON}'").returncode:
        raise Failed("after dpkg -r: the service still runs, or the ini or the gallery is gone")
    said = machine.sh(f"dpkg -P {UNIT} namecam-models 2>&1", limit_s=180)
    left = machine.sh(f"ls -d /etc/namecam /var/lib/namecam /usr/share/namecam /usr/bin/namecam {ANNOUNCED}/* 2>/dev/null || true")
    if left or "warning" in said:
        raise Failed(f"dpkg -P leaves {left.split()} and says {said[-300:]}")
    return "dpkg -r keeps ini and gallery and announces nothing; dpkg -P leaves nothing"
