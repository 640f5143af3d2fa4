"""The step for tuning the camera from the page, with vivid, a kernel driver with many controls that can be made to fail."""

import time
from collections.abc import Iterator
from typing import Any, Protocol

from appliance import UNIT, Board
from machine import Failed, Reply, wait

# The time after which a trial is undone, and the delay that an emulated processor may add.
KEPT_S = 60
LATE_S = 15


class Site(Protocol):
    """What the checks need: requests to namecam as an admin."""

    def get(self, path: str) -> Reply:
        """The response to GET."""

    def change(self, method: str, path: str, given: Any = None) -> Reply:
        """The response to a change."""

    def state(self) -> dict[str, Any]:
        """/api/state."""


def hold(is_so: object, what: str) -> None:
    if not is_so:
        raise Failed(what)


def camera(site: Site) -> dict[str, Any]:
    """/api/camera, as soon as the camera is available."""
    reply = wait("/api/camera", lambda: (reply := site.get("/api/camera")).status == 200 and reply)
    return dict(reply.json())


def values(found: dict[str, Any]) -> dict[str, Any]:
    return {control["name"]: control["value"] for control in found["controls"]}


def tried(site: Site, **what: Any) -> Reply:
    return site.change("POST", "/api/camera/try", what)


def checks(site: Site) -> Iterator[str]:
    """Yields the results of the checks as texts."""
    first = camera(site)
    before = values(first)
    yield f"{first['camera']}: {len(first['formats'])} formats, {len(before)} controls"
    slowest = 0.0
    for _ in range(10):
        begun = time.monotonic()
        camera(site)
        slowest = max(slowest, time.monotonic() - begun)
    yield f"/api/camera answers within {slowest * 1000:.0f} ms"

    found = tried(site, controls={"brightness": 200, "contrast": 999, "nothing": 1}).json()
    hold(values(found)["brightness"] == 200, f"brightness is {values(found)['brightness']}")
    yield f"contrast = 999: {[one for one in found['refused'] + found['changed'] if one['name'] == 'contrast']}"
    hold([one["name"] for one in found["refused"]].count("nothing") == 1, f"refused: {found['refused']}")
    hold(found["trial"]["before"].get("brightness") == before["brightness"], f"before: {found['trial']['before']}")
    # vivid's automatic gain locks the gain.
    found = tried(site, controls={"gain_automatic": 0, "gain": 77}).json()
    hold(values(found)["gain"] == 77, f"gain is {values(found)['gain']}")
    locked = {one["name"]: one["locked"] for one in tried(site, controls={"gain_automatic": 1}).json()["controls"]}
    yield f"gain is locked by automatic gain: {locked['gain']}"
    back = site.change("DELETE", "/api/camera/try").json()
    hold(back["trial"] is None, "a trial is left")
    different = {name: (value, values(back)[name]) for name, value in before.items() if values(back)[name] != value}
    yield f"put back; different from before: {different or 'nothing'}"
    hold(not {"brightness", "contrast", "gain_automatic"} & set(different), f"not put back: {different}")

    tried(site, controls={"brightness": 33})
    time.sleep(KEPT_S - 5)
    hold(values(camera(site))["brightness"] == 33, "put back too early")
    begun = time.monotonic()
    wait("brightness as before", lambda: values(camera(site))["brightness"] == before["brightness"], 5 + LATE_S)
    yield f"put back by itself {KEPT_S - 5 + time.monotonic() - begun:.0f} s after the trial"

    frames = site.state()["camera"]["frames"]
    found = tried(site, controls={"brightness": 44}).json()
    saved = site.change("POST", "/api/settings", {"set": found["trial"]["settings"]})
    hold(saved.status == 200, f"/api/settings: {saved.status} {saved.body[:300]!r}")
    wait("the end of the trial", lambda: camera(site)["trial"] is None)
    hold(values(camera(site))["brightness"] == 44, "what was saved is not at work")
    yield f"saved without a new start: {site.state()['camera']['frames'] - frames} more frames"

    mode = {"format": first["format"].lower(), "width": first["width"], "height": first["height"], "fps": round(first["fps"] or 30)}
    other = next({**mode, "width": size[0], "height": size[1]} for size in ([320, 180], [640, 360]) if size[0] != first["width"])
    odd = tried(site, mode={**mode, "width": 123, "height": 99})
    hold(odd.status == 422 and b"instead" in odd.body, f"an odd size: {odd.status} {odd.body[:200]!r}")
    yield f"123x99: {odd.body.decode().strip()}"
    hold(camera(site)["width"] == first["width"], "the mode before is not put back")
    tried(site, controls={"inject_vidioc_streamon_error": 1})
    failed = tried(site, mode=other)
    hold(failed.status == 422, f"a start that fails: {failed.status} {failed.body[:200]!r}")
    yield f"a start that fails: {failed.body.decode().strip()}"
    hold(camera(site)["width"] == first["width"], "the mode before is not put back")
    # Without frames the trial of the mode fails; the control is put back with it.
    tried(site, controls={"percentage_of_dropped_buffers": 100})
    begun = time.monotonic()
    silent = tried(site, mode=other)
    hold(silent.status == 422 and b"within 5 s" in silent.body, f"a silent mode: {silent.status} {silent.body[:200]!r}")
    yield f"a silent mode, after {time.monotonic() - begun:.1f} s: {silent.body.decode().strip()}"
    begun = time.monotonic()
    wait("pictures again", lambda: site.state()["camera"]["online"] and camera(site)["width"] == first["width"], 2 * KEPT_S)
    yield f"pictures of the mode before again {time.monotonic() - begun:.0f} s later"

    good = wait("a mode", lambda: (reply := tried(site, mode=other)).status == 200 and reply).json()
    yield f"{other['width']}x{other['height']}: {good['measured']}"
    saved = site.change("POST", "/api/settings", {"set": good["trial"]["settings"]})
    hold(saved.status == 200, f"/api/settings: {saved.status} {saved.body[:300]!r}")
    wait("the end of the trial", lambda: camera(site)["trial"] is None)
    hold((camera(site)["width"], values(camera(site))["brightness"]) == (other["width"], 44), "the mode is not kept")
    yield "saved"


def step(board: Board) -> str:
    """Controls and modes are tried, undone, saved, and undone after a time limit."""
    machine = board.machine
    board.unplug()
    machine.sh("modprobe vivid")
    node = machine.sh("grep -l vivid-000-vid-cap /sys/class/video4linux/*/name").split("/")[4]
    source = board.ini.get("camera", {}).get("source", "/dev/video0")
    board.write_ini(camera__source=f"/dev/{node}", recognition__enabled="no")
    board.restart()
    try:
        return "\n".join(["vivid:", *(f"       | {line}" for line in checks(machine))])
    finally:
        machine.sh("rm -f /var/lib/namecam/settings.ini")
        board.write_ini(camera__source=source)
        machine.sh(f"systemctl restart {UNIT}; modprobe -r vivid || true")
