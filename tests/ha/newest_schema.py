"""Whether the schemas of a Home Assistant that is unpacked, not installed, take an announcement. usage: newest_schema.py FOLDER <PAYLOAD

That version runs on no Python that is here; its schemas do, with stubs for what they import. A payload that they must reject is tried too, so
that the stubs do not accept everything."""
import enum
import importlib
import json
import re
import sys
import types

import probatio

ROOT = sys.argv[1] + "/homeassistant/components/mqtt"


class Stub(types.ModuleType):
    """A module that has every name: a constant is its own word, a class is an empty one."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        is_class = name[0].isupper() and not name.isupper()
        return type(name, (), {}) if is_class else name.lower().replace("conf_", "", 1)


for name in ["", ".const", ".helpers", ".helpers.config_validation", ".helpers.entity", ".helpers.typing", ".exceptions", ".components",
             ".components.alarm_control_panel", ".components.mqtt", ".components.mqtt.util"]:
    module = Stub("homeassistant" + name)
    module.__path__ = [ROOT] if name == ".components.mqtt" else []
    sys.modules["homeassistant" + name] = module


def string(value):
    if value is None or isinstance(value, (list, dict)):
        raise probatio.Invalid("not a string")
    return str(value)


def boolean(value):
    if not isinstance(value, bool):
        raise probatio.Invalid("not yes or no")
    return value


def url(value):
    if not re.match(r"^(https?|homeassistant)://", value):
        raise probatio.Invalid("not a URL")
    return value


cv = sys.modules["homeassistant.helpers.config_validation"]
cv.string = cv.template = cv.icon = cv.url = string
cv.boolean, cv.configuration_url = boolean, url
cv.positive_int = probatio.All(int, probatio.Range(min=0))
cv.positive_time_period_dict = lambda value: value
cv.removed = lambda key, **_: (lambda value: value)
sys.modules["homeassistant.helpers"].config_validation = cv
sys.modules["homeassistant.helpers.entity"].ENTITY_CATEGORIES_SCHEMA = probatio.In(["config", "diagnostic"])
sys.modules["homeassistant.helpers.typing"].ConfigType = dict
sys.modules["homeassistant.exceptions"].TemplateError = Exception
features = {name: 1 << at for at, name in enumerate("ARM_HOME ARM_AWAY ARM_NIGHT TRIGGER ARM_CUSTOM_BYPASS ARM_VACATION".split())}
sys.modules["homeassistant.components.alarm_control_panel"].AlarmControlPanelEntityFeature = enum.IntFlag("Features", features)
sys.modules["homeassistant.const"].Platform = type("Platform", (), {"__getattr__": lambda _, name: name.lower()})()
util = sys.modules["homeassistant.components.mqtt.util"]
util.valid_subscribe_topic = util.valid_publish_topic = string
util.valid_qos_schema = probatio.All(probatio.Coerce(int), probatio.In([0, 1, 2]))
schemas = importlib.import_module("homeassistant.components.mqtt.schemas")
abbreviations = importlib.import_module("homeassistant.components.mqtt.abbreviations")


def expand(part, words):
    for key in [key for key in part if key in words]:
        part[words[key]] = part.pop(key)
    for one in part.get("availability", []):
        expand(one, words)


def check(text):
    payload = json.loads(text)
    expand(payload, abbreviations.ABBREVIATIONS)
    expand(payload["device"], abbreviations.DEVICE_ABBREVIATIONS)
    expand(payload["origin"], abbreviations.ORIGIN_ABBREVIATIONS)
    for part in payload["components"].values():
        expand(part, abbreviations.ABBREVIATIONS)
    schemas.validate_device_discovery_components(schemas.DEVICE_DISCOVERY_SCHEMA(payload))


given = sys.stdin.read()
check(given)
for wrong in [given.replace('"qos":1', '"qos":3'), given.replace('"qos":1', '"qos":1,"retain":true'), given.replace('"uniq_id"', '"uniq"')]:
    assert wrong != given
    try:
        check(wrong)
    except probatio.Invalid:
        continue
    sys.exit("the schemas accept what they must reject")
