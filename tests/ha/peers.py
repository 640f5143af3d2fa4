"""What run.py and figures.py start: a broker, a Home Assistant, and namecam with a camera that shows what it is told."""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "target/ha"
PRESENCE_S = 3


def free_port():
    """None of the ports that the system gives to connections, which may take it before the program does."""
    for port in random.sample(range(20000, 30000), 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    sys.exit("there is no free port")


def until(what, so, patience=60.0):
    deadline = time.monotonic() + patience
    while not (found := so()):
        if time.monotonic() > deadline:
            sys.exit(f"ha-test: never: {what}")
        time.sleep(0.02)
    return found


class Broker:
    def __init__(self, folder):
        self.port, self.tls_port, self.ca = free_port(), free_port(), folder / "ca.pem"
        [recipe] = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/MQTT.md").read_text(), re.S)
        recipe = recipe.replace("DNS:broker.lan", "IP:127.0.0.1")
        subprocess.run(["sh", "-ec", recipe], cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\nlistener {self.tls_port} 127.0.0.1\n"
                               f"certfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n"
                               # It keeps its rights: another user could not read the folder.
                               "user root\nallow_anonymous true\npersistence false\nmax_queued_messages 10000\n")
        self.start()

    def start(self):
        self.process = subprocess.Popen(["mosquitto", "-c", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("the broker listens", lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Listener:
    """Hears everything that a broker says."""

    def __init__(self, port):
        import paho.mqtt.client
        self.retained, self.heard = {}, []
        self.client = paho.mqtt.client.Client(paho.mqtt.client.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_message = self.take
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def take(self, _client, _data, message):
        text = message.payload.decode(errors="replace")
        self.heard.append((time.time(), message.topic, text))
        self.retained[message.topic] = text

    def close(self):
        self.client.loop_stop()
        self.client.disconnect()


class Home:
    """Home Assistant."""

    def __init__(self, folder, port):
        self.folder, self.port = folder / "home", port
        self.folder.mkdir(exist_ok=True)
        (self.folder / "configuration.yaml").touch()
        recipes = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/MQTT.md").read_text(), re.S)
        assert len(recipes) == 2, "the automations of docs/MQTT.md"
        text = "".join(recipes).replace("person_alice", "person_barack_obama")
        # So that the test need not wait for a minute.
        assert text.count('for: "00:01:00"') == 1
        text = text.replace('for: "00:01:00"', 'for: "00:00:01"')
        (self.folder / "automations.yaml").write_text(text)
        self.start()

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([PEERS / "venv/bin/python", ROOT / "tests/ha/home.py", self.folder, str(self.port)],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("ha-test: Home Assistant has ended:\n" + (self.folder / "log").read_text()[-3000:])
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def state(self, entity):
        return self.ask("states").get(entity, {}).get("state")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)


class Camera:
    """namecam, with a camera that shows one picture for ever, and Barack Obama and 민호 in the gallery."""

    def __init__(self, folder, program, port, more="", device="door"):
        self.folder, self.program, self.port = folder / device, program, free_port()
        for person, picture in [("Barack Obama", "obama.jpg"), ("민호", "astronaut.png")]:
            (self.folder / "gallery" / person).mkdir(parents=True)
            shutil.copy(ROOT / "target/pictures" / picture, self.folder / "gallery" / person)
        size = "scale=640:480:force_original_aspect_ratio=decrease,pad=640:480:-1:-1"
        for name, source in [("nobody", ["-f", "lavfi", "-i", "color=gray:s=640x480"]),
                             ("obama", ["-i", ROOT / "target/pictures/obama2.jpg"]), ("biden", ["-i", ROOT / "target/pictures/biden.jpg"])]:
            subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *source, "-frames:v", "1", "-vf", size, "-q:v", "2", "-pix_fmt", "yuvj420p",
                            self.folder / f"{name}.jpg"], check=True)
        self.show("nobody")
        picture = self.folder / "camera.jpg"
        (self.folder / "namecam.ini").write_text(f"""[camera]
source = pipe:sh -c 'while cat {picture}; do sleep 0.04; done'
[events]
pictures = yes
presence_s = {PRESENCE_S}
stranger_looks = 5
[models]
path = {ROOT / "models"}
[http]
bind = 127.0.0.1:{self.port}
[state]
path = state
[mqtt]
host = 127.0.0.1
port = {port}
client_id = {device}
control = yes
{more}
""")
        self.start()

    def start(self):
        env = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([self.program, "run", "--config", self.folder / "namecam.ini"], stderr=log, env=env)

    def state(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/state", timeout=60) as answer:
            return json.load(answer)

    def show(self, name):
        next_one = self.folder / "next.jpg"
        shutil.copy(self.folder / f"{name}.jpg", next_one)
        next_one.rename(self.folder / "camera.jpg")
        return time.time()

    def post(self, path, body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def config(self, key, value):
        """Changes a key and reloads."""
        file = self.folder / "namecam.ini"
        file.write_text(re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", file.read_text()))
        self.process.send_signal(signal.SIGHUP)

    def check(self, *sets):
        """What `namecam check` says, in one line."""
        more = [word for one in sets for word in ("--set", one)]
        said = subprocess.run([self.program, "check", "--config", self.folder / "namecam.ini", *more], capture_output=True, text=True)
        return " ".join(said.stdout.split())

    def stop(self):
        self.process.kill()
        self.process.wait()
