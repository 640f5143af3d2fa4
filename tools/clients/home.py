"""Runs a real Home Assistant for servers.py: home.py FOLDER. Reads the task as JSON from stdin, and prints a line of
JSON."""
import asyncio
import base64
import json
import logging
import socket
import sys
import time

import aiohttp
import yaml
from homeassistant import bootstrap, config_entries, const, core, loader
from homeassistant.auth import auth_manager_from_config
from homeassistant.setup import async_setup_component


async def until(what, reached, patience=30):
    end = time.monotonic() + patience
    while not (found := reached()):
        if time.monotonic() > end:
            sys.exit(f"never: {what}")
        await asyncio.sleep(0.1)
    return found


async def streamed(url, seconds):
    """The number of pictures that arrive within `seconds`."""
    count, end = 0, time.monotonic() + seconds
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url) as answer:
        parts = aiohttp.MultipartReader.from_response(answer)
        while time.monotonic() < end and (part := await asyncio.wait_for(parts.next(), 10)):
            await part.read()
            count += 1
    return count


async def main(folder, todo):
    from homeassistant.components.camera import async_get_image
    hass = core.HomeAssistant(folder)
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    hass.auth = await auth_manager_from_config(hass, [], [])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert await async_setup_component(hass, "http", {"http": {"server_host": "127.0.0.1", "server_port": port}})
    assert await async_setup_component(hass, "camera", {})
    await hass.async_start()

    urls = {"name": "door", "mjpeg_url": f"{todo['url']}/video_feed", "still_image_url": f"{todo['url']}/snapshot.jpg", "username": todo["user"],
            "verify_ssl": True}
    begin = hass.config_entries.flow.async_init
    wrong = await begin("mjpeg", context={"source": "user"}, data={**urls, "password": "wrong"})
    right = await begin("mjpeg", context={"source": "user"}, data={**urls, "password": todo["password"]})
    state = await until("the camera", lambda: hass.states.get("camera.door"))
    still = await async_get_image(hass, "camera.door")
    pictures = await streamed(f"http://127.0.0.1:{port}/api/camera_proxy_stream/camera.door?token={state.attributes['access_token']}", 5)

    yaml.SafeLoader.add_constructor("!secret", lambda _loader, _node: todo["password"])
    config = yaml.safe_load(todo["yaml"].replace("http://board:5000", todo["url"]).replace("anna", todo["user"]).replace("Alice", "Barack Obama"))
    assert await async_setup_component(hass, "rest", config)
    await until("the sensor", lambda: hass.states.get("sensor.who_is_there"))
    await until("a name", lambda: hass.states.get("sensor.who_is_there").state == "Barack Obama")
    there = hass.states.get("binary_sensor.barack_obama_is_there")
    answer = {"version": const.__version__, "wrong": wrong.get("errors"), "right": right["type"], "still": base64.b64encode(still.content).decode(),
              "pictures": pictures, "who": hass.states.get("sensor.who_is_there").state, "there": there and there.state}
    await hass.async_stop(force=True)
    print(json.dumps(answer), flush=True)


logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
asyncio.run(main(sys.argv[1], json.load(sys.stdin)))
