"""How late messages are, and whether states are right after a broker was killed. usage: figures.py PROGRAM ROUNDS KILLS [ANOTHER PROGRAM]

The machine must be idle: what is measured is mostly recognition. With two programs, rounds alternate between them."""
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from peers import PRESENCE_S, ROOT, Broker, Camera, Listener, until

STATE = "namecam/{}/person/barack_obama"
WALK_FPS = 25
STAGES = ["shown, the face can be recognised -> captured, the first frame on which it was found", "that frame -> captured, the frame that gave the name",
          "that frame -> the name is decided", "decided -> message received", "the whole: can be recognised -> message received"]


def told(listener, since, topic, wanted):
    """When a message was heard that `wanted` is true of, after the time `since`."""
    def find():
        return next((entry for entry in listener.heard[:] if entry[0] > since and entry[1] == topic and wanted(entry[2])), None)
    return until(f"{topic} after {since}", find)


class Truth:
    """Who is there, as namecam itself says by HTTP."""

    def __init__(self, camera):
        self.is_there = False
        request = urllib.request.Request(f"http://127.0.0.1:{camera.port}/api/events?typed=1", headers={"Last-Event-ID": "0"})
        self.stream = urllib.request.urlopen(request, timeout=60)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.stream:
            if line.startswith(b"data: "):
                kind = json.loads(line[6:]).get("kind")
                self.is_there = {"named": True, "left": False}.get(kind, self.is_there)


def figures(name, values):
    if not values:
        return
    values = sorted(1000 * value for value in values)
    p95 = values[min(len(values) - 1, round(0.95 * len(values)))]
    print(f"{name}: median {statistics.median(values):.0f} ms, p95 {p95:.0f} ms, worst {values[-1]:.0f} ms, of {len(values)}", flush=True)


def walk(camera):
    """Makes the pictures of a person who comes in from the left, 300 pixels a second, and stops in the middle. From which on the face can be
    recognised is said by `namecam identify`, which looks at each alone."""
    graph = "[1]scale=-2:460[p];[0][p]overlay=x='min(-w+300*t,(W-w)/2)':y=20"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", f"color=gray:s=640x480:r={WALK_FPS}", "-loop", "1", "-framerate", str(WALK_FPS),
                    "-i", ROOT / "target/pictures/obama2.jpg", "-filter_complex", graph, "-frames:v", "40", "-q:v", "2", "-pix_fmt", "yuvj420p",
                    camera.folder / "walk%03d.jpg"], check=True)
    frames = sorted(file.stem for file in camera.folder.glob("walk*.jpg"))
    files = [camera.folder / f"{frame}.jpg" for frame in frames]
    said = subprocess.run([camera.program, "identify", "--json", "--config", camera.folder / "namecam.ini", *files], check=True,
                          env={**os.environ, "XDG_CACHE_HOME": str(camera.folder / "cache")}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    named = [any(face["name"] for face in json.loads(line)["faces"]) for line in said.stdout.splitlines()]
    print(f"walking in: of {len(frames)} frames, {WALK_FPS} a second, those from number {named.index(True) + 1} on can be recognised", flush=True)
    return frames, named.index(True)


def play(camera, frames, first):
    """Shows the frames, and says when the first one on which the face can be recognised was shown."""
    began = time.time()
    for number, frame in enumerate(frames):
        time.sleep(max(0.0, began + number / WALK_FPS - time.time()))
        shown = camera.show(frame)
        if number == first:
            recognisable = shown
    return recognisable


def visit(listener, camera, come):
    """Somebody comes and goes. Gives how long each stage took, and how much later than events.presence_s they were gone."""
    name = camera.folder.name
    state = STATE.format(name)
    # Looks go on in step with the message that the last person has gone.
    time.sleep(random.uniform(0, 0.4))
    before = time.time()
    came = come(camera)
    on = told(listener, before, state, lambda text: text == "ON")[0]
    event = json.loads(told(listener, before, f"namecam/{name}/face", lambda text: '"named"' in text)[2])
    times = [came, event["since"], event["captured_at"], event["decided_at"], on]
    time.sleep(0.5)
    hidden = camera.show("nobody")
    gone = told(listener, hidden, state, lambda text: text == "OFF")[0] - hidden - PRESENCE_S
    return [later - earlier for earlier, later in zip(times, times[1:])] + [on - came], gone


def main(programs, rounds, kills, folder):
    broker = Broker(folder)
    listener = Listener(broker.port)
    cameras = [Camera(folder, program, broker.port, device=device) for program, device in zip(programs, ["door", "another"])]
    camera = cameras[0]
    try:
        for one in cameras:
            until("namecam is there", lambda: listener.retained.get(STATE.format(one.folder.name)) == "OFF")
            # A picture that has just been copied counts seconds later.
            until("the gallery is at work", lambda: one.state()["recognition"]["pictures"] == 2)
        frames, first = walk(camera)
        for one in cameras[1:]:
            walk(one)
        ways = {"a picture of the person": lambda camera: camera.show("obama"), "a person walks in": lambda camera: play(camera, frames, first)}
        took = {(way, one): [] for way in ways for one in cameras}
        for _ in range(rounds):
            for way, come in ways.items():
                for one in cameras:
                    took[way, one].append(visit(listener, one, come))
        for (way, one), visits in took.items():
            print(f"{way}, {one.program}, load {os.getloadavg()[0]:.1f}")
            for stage, values in zip(STAGES, zip(*(stages for stages, _ in visits))):
                figures(f"  {stage}", values)
            figures("  gone -> off, beyond events.presence_s", [gone for _, gone in visits])
            print(f"  named by the first look that found the face: {sum(stages[1] < 0.001 for stages, _ in visits)} of {len(visits)}", flush=True)
        right, truth = 0, Truth(camera)
        for kill in range(kills):
            broker.kill()
            picture, state = ("obama", "ON") if kill % 2 == 0 else ("nobody", "OFF")
            camera.show(picture)
            until(f"namecam says {state}", lambda: truth.is_there == (state == "ON"))
            listener.close()
            broker.start()
            listener = Listener(broker.port)
            until("namecam is there", lambda: listener.retained.get("namecam/door/status") == "online")
            # A broker tells what it has kept in no order.
            time.sleep(0.3)
            told_state, is_there = listener.retained.get(STATE.format("door")), truth.is_there
            right += told_state == ("ON" if is_there else "OFF")
            if told_state != state:
                print(f"kill {kill}: {told_state}; namecam says {is_there}", flush=True)
            time.sleep(1.8)
        print(f"the broker was killed {kills} times; the state was right when namecam was online again: {right} times", flush=True)
    finally:
        for one in cameras:
            one.stop()
        broker.kill()


with tempfile.TemporaryDirectory() as folder:
    main([Path(program).resolve() for program in sys.argv[1:2] + sys.argv[4:]], int(sys.argv[2]), int(sys.argv[3]), Path(folder))
