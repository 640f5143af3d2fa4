"""A real Home Assistant without a frontend, for run.py: takes a command a line, answers a line of JSON. usage: home.py FOLDER PORT_OF_BROKER"""
import asyncio
import base64
import json
import logging
import sys

from homeassistant import bootstrap, config_entries, core, loader
from homeassistant.auth import auth_manager_from_config
from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import device_registry, entity_registry
from homeassistant.setup import async_setup_component
from peers import free_port

COMPLAINTS = []


class Complaints(logging.Handler):
    """What the component MQTT warns of, except that the broker is away."""

    def emit(self, record):
        text = record.getMessage()
        if "MQTT server" not in text and "MQTT broker" not in text:
            COMPLAINTS.append(f"{record.levelname} {text}")


async def start(folder, port):
    hass = core.HomeAssistant(folder)
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    hass.auth = await auth_manager_from_config(hass, [], [])
    mqtt = dict(domain="mqtt", title="broker", data={"broker": "127.0.0.1", "port": port, "discovery": True}, options={}, source="user",
                unique_id=None, version=1, minor_version=2, discovery_keys={}, subentries_data=None)
    assert await async_setup_component(hass, "http", {"http": {"server_host": "127.0.0.1", "server_port": free_port()}})
    entries = hass.config_entries.async_entries("mqtt")
    if entries:
        assert await async_setup_component(hass, "mqtt", {})
    else:
        await hass.config_entries.async_add(ConfigEntry(**mqtt))
    assert await async_setup_component(hass, "automation", {"automation": automations(folder)})
    await hass.async_start()
    return hass


def automations(folder):
    """The recipes of docs/MQTT.md, and a light and a messenger that take what they say."""
    import yaml
    with open(f"{folder}/automations.yaml", encoding="utf-8") as file:
        return yaml.safe_load(file)


async def main():
    folder, port = sys.argv[1], int(sys.argv[2])
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    handler = Complaints(level=logging.WARNING)
    logging.getLogger("homeassistant.components.mqtt").addHandler(handler)
    hass = await start(folder, port)
    called = []
    for domain, service in [("light", "turn_on"), ("light", "turn_off"), ("notify", "notify")]:
        hass.services.async_register(
            domain, service, lambda call: called.append([f"{call.domain}.{call.service}", call.data.get("message", "")]))
    print(json.dumps("ready"), flush=True)
    while command := (await asyncio.to_thread(sys.stdin.readline)).split():
        match command:
            case ["states"]:
                answer = {s.entity_id: {"state": s.state, **json.loads(json.dumps(dict(s.attributes), default=str))}
                          for s in hass.states.async_all()}
            case ["devices"]:
                answer = [[d.name, d.manufacturer, d.sw_version, d.configuration_url]
                          for d in device_registry.async_get(hass).devices.values()]
            case ["entities"]:
                answer = {e.entity_id: e.unique_id for e in entity_registry.async_get(hass).entities.values()}
            case ["complaints"]:
                answer = COMPLAINTS
            case ["image", entity]:
                found = hass.data["image"].get_entity(entity)
                answer = base64.b64encode(await found.async_image() or b"").decode()
            case ["called"]:
                answer = called
            case ["press", entity]:
                domain = entity.split(".")[0]
                service = {"button": "press", "switch": "toggle"}[domain]
                await hass.services.async_call(domain, service, {"entity_id": entity}, blocking=True)
                answer = "done"
        print(json.dumps(answer), flush=True)
    await hass.async_stop(force=True)


asyncio.run(main())
