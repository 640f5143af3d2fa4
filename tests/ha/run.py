"""namecam, a broker and a real Home Assistant: `make ha-test`. usage: run.py PROGRAM"""
import base64
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers import PEERS, ROOT, Broker, Camera, Home, Listener, until

OBAMA, MINHO = "binary_sensor.door_person_barack_obama", "민호"


def step(text):
    print(f"ha-test: {text}", flush=True)


def main(program, folder):
    broker = Broker(folder)
    listener = Listener(broker.port)
    home = Home(folder, broker.port)
    camera = Camera(folder, program, broker.tls_port, f"tls = yes\nca_file = {broker.ca}")
    try:
        steps(broker, listener, home, camera)
    except SystemExit:
        print((camera.folder / "log").read_text()[-3000:], home.ask("complaints"), file=sys.stderr)
        raise
    finally:
        camera.stop()
        home.process.kill()
        broker.kill()


def steps(broker, listener, home, camera):
    def becomes(entity, state, patience=60.0):
        until(f"{entity} becomes {state}; it is {home.state(entity)}", lambda: home.state(entity) == state, patience)

    step("entities, before anybody was seen")
    becomes(OBAMA, "off")
    states = home.ask("states")
    minho = next(entity for entity, state in states.items() if state.get("friendly_name") == f"door {MINHO}")
    expected = {"sensor.door_people": "0", "binary_sensor.door_stranger": "off", "event.door_face": "unknown",
                "switch.door_recognition": "on", "button.door_reload": "unknown", minho: "off",
                OBAMA.replace("binary_sensor", "sensor") + "_last_seen": "unknown"}
    assert {entity: states[entity]["state"] for entity in expected} == expected, states
    assert float(states["sensor.door_fps"]["state"]) >= 0
    [device] = home.ask("devices")
    assert device[:2] == ["door", "namecam"], device
    entities = home.ask("entities")

    step("by TLS, the broker is let in with its own CA alone")
    assert "good (the broker lets it in)" in camera.check(), camera.check()
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", camera.folder / "others.pem")
    assert "is of a CA that" in (said := camera.check(f"mqtt.ca_file={camera.folder}/others.pem")), said
    assert "is for 127.0.0.1, not for localhost" in (said := camera.check("mqtt.host=localhost")), said
    assert "does not speak TLS" in (said := camera.check(f"mqtt.port={broker.port}")) or "handshake of TLS" in said, said
    assert "does it ask for mqtt.tls = yes?" in (said := camera.check("mqtt.tls=no", "mqtt.ca_file=")), said

    step("the newest schemas take the announcement")
    announcement = listener.retained["homeassistant/device/namecam_door/config"]
    subprocess.run([PEERS / "schemas/bin/python", ROOT / "tests/ha/newest_schema.py", PEERS / "2026.11.0"], input=announcement, text=True,
                   check=True)

    step("a person comes and goes")
    camera.show("obama")
    becomes(OBAMA, "on")
    # Each is a message of its own.
    def is_told(entity, **fields):
        until(f"{entity} with {fields}; it is {home.ask('states')[entity]}", lambda: fields.items() <= home.ask("states")[entity].items())

    is_told("sensor.door_people", state="1", names=["Barack Obama"])
    is_told("event.door_face", event_type="named", name="Barack Obama")
    until("the picture", lambda: base64.b64decode(home.ask("image image.door_picture")).startswith(b"\xff\xd8\xff"))
    assert home.state("image.door_picture").startswith("20")
    camera.show("nobody")
    becomes(OBAMA, "off")
    until("the time when he was seen", lambda: home.state(OBAMA.replace("binary_sensor", "sensor") + "_last_seen").startswith("20"))
    is_told("event.door_face", event_type="left")

    step("the automations of the docs have run")
    def is_lit_and_then_dark():
        light = [action for action, _ in home.ask("called") if action.startswith("light.")]
        return light[-2:] == ["light.turn_on", "light.turn_off"]

    until(f"a light; so far {home.ask('called')}", is_lit_and_then_dark)
    messages = [called for called in home.ask("called") if called[0] == "notify.notify"]
    assert messages == [["notify.notify", "Barack Obama is at the door"]], messages

    step("a stranger comes and goes")
    camera.show("biden")
    becomes("binary_sensor.door_stranger", "on")
    becomes("sensor.door_people", "1")
    assert home.state(OBAMA) == "off"
    camera.show("nobody")
    becomes("binary_sensor.door_stranger", "off")

    step("the switch and the button")
    home.ask("press switch.door_recognition")
    becomes("switch.door_recognition", "off")
    becomes(OBAMA, "unavailable")
    home.ask("press button.door_reload")
    becomes("switch.door_recognition", "on")
    becomes(OBAMA, "off")

    step("a renamed person keeps their entity")
    camera.post("/api/gallery/rename", {"person": MINHO, "to": "김민호"})
    until("the new name", lambda: home.ask("states")[minho]["friendly_name"] == "door 김민호")
    assert home.ask("entities") == entities

    step("a person who is forgotten goes with all topics")
    assert camera.post("/api/gallery/forget", {"person": "김민호"})["told_by_mqtt"]
    until("the entity goes", lambda: minho not in home.ask("entities"))
    slug = minho.split("_person_")[1]
    until("the topics go", lambda: not any(slug in topic + text for topic, text in list(listener.retained.items()) if text))
    assert not any(MINHO in text for topic, text in list(listener.retained.items()) if text)
    until("the picture goes", lambda: listener.retained["namecam/door/picture"] == "")

    step("the broker is killed and comes back")
    camera.show("obama")
    becomes(OBAMA, "on")
    until("the light is on", lambda: not is_lit_and_then_dark())
    broker.kill()
    becomes(OBAMA, "unavailable")
    camera.show("nobody")
    broker.start()
    becomes(OBAMA, "off")
    until("the light goes out, although he left while the sensor was unavailable", is_lit_and_then_dark)

    step("Home Assistant is restarted")
    complaints = home.ask("complaints")
    home.stop()
    camera.show("obama")
    home.start()
    becomes(OBAMA, "on")
    assert home.ask("entities").items() <= entities.items(), "each has its id"
    complaints += home.ask("complaints")

    step("namecam is killed and comes back")
    camera.stop()
    becomes(OBAMA, "unavailable")
    camera.start()
    becomes(OBAMA, "on", 180)

    step("another id is another device, and the old one goes")
    camera.config("client_id", "hall")
    becomes(OBAMA.replace("door", "hall"), "on", 180)
    until("the old device goes", lambda: [device[0] for device in home.ask("devices")] == ["hall"])

    def keeps_nothing_of_it():
        late = Listener(broker.port)  # hears only what the broker keeps
        until("what it keeps", lambda: late.retained.get("namecam/hall/status") == "online")
        time.sleep(1)
        late.close()
        return not any("door" in topic for topic in list(late.retained))

    until("the broker keeps nothing of the old one", keeps_nothing_of_it)

    complaints += home.ask("complaints")
    assert not complaints, complaints
    print("ha-test: good", flush=True)


with tempfile.TemporaryDirectory() as folder:
    main(Path(sys.argv[1]).resolve(), Path(folder))
