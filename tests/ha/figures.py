"""How late messages are, and whether states are right after a broker was killed. usage: figures.py PROGRAM ROUNDS KILLS

The machine must be idle: what is measured is mostly recognition."""
import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from peers import PRESENCE_S, Broker, Camera, Listener, until

STATE = "namecam/door/person/barack_obama"


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


def main(program, rounds, kills, folder):
    broker = Broker(folder)
    listener = Listener(broker.port)
    camera = Camera(folder, program, broker.port)
    try:
        until("namecam is there", lambda: listener.retained.get(STATE) == "OFF")
        looked, decided, sent, whole, gone = [], [], [], [], []
        for _ in range(rounds):
            shown = camera.show("obama")
            on = told(listener, shown, STATE, lambda text: text == "ON")[0]
            event = json.loads(told(listener, shown, "namecam/door/face", lambda text: '"named"' in text)[2])
            looked.append(event["since"] - shown)
            decided.append(event["decided_at"] - event["since"])
            sent.append(on - event["decided_at"])
            whole.append(on - shown)
            time.sleep(0.5)
            hidden = camera.show("nobody")
            gone.append(told(listener, hidden, STATE, lambda text: text == "OFF")[0] - hidden - PRESENCE_S)
        figures("picture shown -> first frame with the face captured", looked)
        figures("that frame -> the name is decided", decided)
        figures("decided -> message received", sent)
        figures("face in the picture -> message received", whole)
        figures("gone -> off, beyond events.presence_s", gone)
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
            told_state, is_there = listener.retained.get(STATE), truth.is_there
            right += told_state == ("ON" if is_there else "OFF")
            if told_state != state:
                print(f"kill {kill}: {told_state}; namecam says {is_there}", flush=True)
            time.sleep(1.8)
        print(f"the broker was killed {kills} times; the state was right when namecam was online again: {right} times", flush=True)
    finally:
        camera.stop()
        broker.kill()


with tempfile.TemporaryDirectory() as folder:
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]), Path(folder))
