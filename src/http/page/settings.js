// The settings of an admin: the keys of settings.ini, each with its field, made from /api/config. A change takes effect
// at once.
const GROUPS = {
  names: ["recognition.enabled", "recognition.hours", "recognition.false_name_budget", "recognition.remember_strangers_h", "events.presence_s"],
  alert: ["events.stranger_looks", "events.stranger_s", "events.stranger_hours"],
  privacy: ["overlay.unknown", "overlay.blur_for_viewers", "camera.mask", "events.visits_h"],
  picture: ["stream.quality", "stream.width", "stream.max_fps", "camera.rotate", "camera.mirror"],
};
const settings = $("settings").querySelector("details"), fields = new Map();
async function loadSettings() {
  const answer = await ask("api/config", 4000).catch(() => null);
  if (!answer || !answer.json) return;
  const values = answer.json.values, isHere = value => value.kept !== null;
  if (!fields.size) for (const [group, keys] of Object.entries(GROUPS)) {
    $("settings-fields").append(make("h3", "", say.groups[group]), ...keys.map(key => settingRow(values.find(value => value.key === key))));
  }
  for (const value of values.filter(value => fields.has(value.key))) {
    const { input, source, reset, saves, wrong } = fields.get(value.key);
    // A value that is being saved is newer than the response.
    if (saves) continue;
    if (input.type === "checkbox") input.checked = ["yes", "true", "on"].includes(value.value.toLowerCase());
    else if (value.key === "camera.mask") { mask = value.value; input.value = say.zoneCount(zonesOf(mask).length); }
    else if (input !== document.activeElement && input.value !== value.value) {
      // The error about a value goes with it.
      input.value = value.value;
      input.setAttribute("aria-invalid", "false");
      write(wrong, "");
    }
    write(source, value.source === "--set" ? say.fromSet : value.source === "MQTT" ? say.fromMqtt : isHere(value) ? say.fromHere : value.source === "default" ? "" : say.fromFile);
    reset.hidden = !isHere(value);
  }
  const lines = [], ours = values.filter(isHere);
  for (const section of new Set(ours.map(({ key }) => key.split(".")[0]))) {
    lines.push(`[${section}]`, ...ours.filter(({ key }) => key.startsWith(section + ".")).map(({ key, kept }) => `${key.slice(section.length + 1)} = ${kept}`));
  }
  put("settings-lines", lines.join("\n") || "\u2014");
  put("settings-else", say.restartOnly(values.filter(value => value.restart).map(value => value.key).join(", ")));
}
function settingRow(value) {
  const { key, kind, least, most, words } = value, row = make("div", "setting", ""), label = make("label", "", "");
  const input = make(words.length ? "select" : "input", "", ""), about = make("p", "soft", ""), source = make("span", "", ""), wrong = make("p", "bad", "");
  const save = text => setKey(key, text, wrong, input, value), reset = action(say.reset, () => save(null), "ask");
  if (words.length) input.append(...words.map(word => new Option(say.options[word] || word + (key === "camera.rotate" ? "\u00b0" : ""), word)));
  else input.type = kind === "yes_no" ? "checkbox" : least === null ? "text" : "number";
  if (least !== null) [input.min, input.max, input.step] = [least, most, kind === "whole" ? 1 : "any"];
  if (kind === "hours") input.placeholder = "07:00-22:00";
  if (key === "camera.mask") input.readOnly = true;
  input.onchange = () => save(input.type !== "checkbox" ? input.value : input.checked ? "yes" : "no");
  reset.setAttribute("aria-label", `${say.reset}: ${say.settings[key]}`);
  wrong.id = "wrong-" + key;
  wrong.setAttribute("role", "alert");
  input.setAttribute("aria-describedby", wrong.id);
  label.textContent = say.settings[key];
  label.htmlFor = input.id = "set-" + key;
  about.append(source, " ", reset);
  if (input.type === "checkbox") row.className += " check";
  row.append(label, input, ...(key === "camera.mask" ? [action(say.zoneEdit, () => editZones(mask), "button")] : []), wrong, about);
  fields.set(key, { input, source, reset, wrong, saves: 0 });
  return row;
}
// Sets a key, or removes it from settings.ini. An error is shown at its field.
async function setKey(key, text, wrong, input, { kind, least, most }) {
  write(wrong, "");
  fields.get(key).saves += 1;
  const body = text === null ? { unset: [key] } : { set: { [key]: text } };
  const answer = await ask("api/settings", 20000, "POST", body).catch(() => null);
  fields.get(key).saves -= 1;
  const isDone = Boolean(answer && answer.json);
  input.setAttribute("aria-invalid", String(!isDone));
  const turnsZones = mask && ["camera.rotate", "camera.mirror"].includes(key) ? " " + say.checkZones : "";
  put("settings-done", isDone ? (answer.json.overridden.length ? say.setAnyway : say.setDone) + turnsZones : "");
  if (isDone) return loadSettings();
  if (input.type === "checkbox") loadSettings();
  let problems = [];
  try { problems = JSON.parse(answer.text).problems; } catch { /* It is text, or there is no answer. */ }
  const own = problems.some(({ place }) => place === key);
  const why = own && least !== null ? say.between(least, most) : own && kind === "hours" ? say.hoursForm : problems.map(({ what }) => what).join(" ");
  write(wrong, say.notDone(why || whyNot(answer)));
}
settings.addEventListener("toggle", () => { if (settings.open) loadSettings(); });

// The zones of camera.mask, drawn on the picture: [left, top, right, bottom] in percent.
const MOST_ZONES = 16;
let zones = [], mask = "", grip = null;
const within = (at, least, most) => Math.min(Math.max(Math.round(at * 10) / 10, least), most);
const zonesOf = text => text.split(/\s+/).filter(Boolean).map(zone => zone.split(",").map(Number)).map(([x, y, w, h]) => [x, y, within(x + w, 0, 100), within(y + h, 0, 100)]);
function editZones(text) {
  zones = zonesOf(text);
  $("zones").hidden = $("zone-tools").hidden = false;
  put("zone-done", "");
  drawZones();
  $("zone-add").focus();
  $("frame").scrollIntoView({ block: "nearest" });
}
function drawZones(focused = -1) {
  $("zones").replaceChildren(...zones.map((zone, i) => {
    const button = action("", () => {}, "zone");
    button.onkeydown = event => zoneKey(event, i);
    placeZone(button, zone, i);
    return button;
  }));
  if (focused >= 0) $("zones").children[focused].focus();
  paint();
}
function placeZone(button, [left, top, right, bottom], i) {
  Object.assign(button.style, { left: left + "%", top: top + "%", width: right - left + "%", height: bottom - top + "%" });
  button.setAttribute("aria-label", say.zone(i + 1, left, top, within(right - left, 0, 100), within(bottom - top, 0, 100)));
}
// Moves a zone, or its lower right corner.
function moveZone(i, right, down, isCorner, from = zones[i]) {
  const [l, t, r, b] = from;
  if (isCorner) zones[i] = [l, t, within(r + right, l + 1, 100), within(b + down, t + 1, 100)];
  else {
    const [x, y] = [within(l + right, 0, 100 - (r - l)), within(t + down, 0, 100 - (b - t))];
    zones[i] = [x, y, within(x + r - l, 0, 100), within(y + b - t, 0, 100)];
  }
  placeZone($("zones").children[i], zones[i], i);
}
function zoneKey(event, i) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (way) moveZone(i, ...way, event.shiftKey);
  else if (["Delete", "Backspace"].includes(event.key)) removeZone(i);
  else return;
  event.preventDefault();
}
function removeZone(i) {
  zones.splice(i, 1);
  drawZones(zones.length - 1);
  if (!zones.length) $("zone-add").focus();
}
function addZone(zone) { if (zones.length < MOST_ZONES) { zones.push(zone); drawZones(zones.length - 1); } }
$("zones").addEventListener("pointerdown", event => {
  const bounds = $("zones").getBoundingClientRect(), at = [(event.clientX - bounds.left) / bounds.width * 100, (event.clientY - bounds.top) / bounds.height * 100];
  let i = [...$("zones").children].indexOf(event.target), isCorner = true;
  if (i < 0 && zones.length >= MOST_ZONES) return;
  if (i < 0) { addZone([within(at[0], 0, 99), within(at[1], 0, 99), within(at[0] + 1, 1, 100), within(at[1] + 1, 1, 100)]); i = zones.length - 1; }
  else {
    const part = event.target.getBoundingClientRect();
    isCorner = part.right - event.clientX < 24 && part.bottom - event.clientY < 24;
    event.target.focus();
  }
  grip = { i, isCorner, from: zones[i], at, bounds };
  $("zones").setPointerCapture(event.pointerId);
  event.preventDefault();
});
$("zones").addEventListener("pointermove", event => {
  if (!grip) return;
  const { i, isCorner, from, at, bounds } = grip;
  moveZone(i, (event.clientX - bounds.left) / bounds.width * 100 - at[0], (event.clientY - bounds.top) / bounds.height * 100 - at[1], isCorner, from);
});
for (const end of ["pointerup", "pointercancel"]) $("zones").addEventListener(end, () => { grip = null; });
let lastZone = -1;
$("zones").addEventListener("focusin", event => { lastZone = [...$("zones").children].indexOf(event.target); });
$("zone-add").onclick = () => addZone([40, 40, 60, 60]);
$("zone-remove").onclick = () => { if (zones[lastZone]) removeZone(lastZone); };
$("zone-cancel").onclick = () => { $("zones").hidden = $("zone-tools").hidden = true; };
$("zone-save").onclick = async () => {
  const { input, wrong } = fields.get("camera.mask");
  const text = zones.map(([l, t, r, b]) => [l, t, within(r - l, 0, 100), within(b - t, 0, 100)].join(",")).join(" ");
  await setKey("camera.mask", text, wrong, input, { kind: "text", least: null });
  if (wrong.textContent) put("zone-done", wrong.textContent);
  else $("zone-cancel").onclick();
};
