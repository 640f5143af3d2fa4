// The camera's modes and controls, for an admin. A trial takes effect at once, and is undone unless it is saved.
const tuner = $("tuning").querySelector("details"), controlRows = new Map();
let wanted = {}, isSetting = false, trialEnds = 0, toSave = null;
function tuning(state) { $("tuning").hidden = state.role !== "admin"; }
const titleOf = name => say.controls[name] || name[0].toUpperCase() + name.slice(1).replace(/_/g, " ");
const failed = answer => put("tuning-done", say.notDone(whyNot(answer)));
async function askCamera(method = "GET", body = null) {
  const answer = await ask(method === "GET" ? "api/camera" : "api/camera/try", 20000, method, body).catch(() => null);
  if (!answer || !answer.json) return failed(answer);
  drawCamera(answer.json);
  return answer.json;
}
function drawCamera(camera) {
  const { trial, controls = [] } = camera;
  put("tuning-why", camera.why ? say.noControls[camera.kind] || verdict(camera.why) : camera.camera);
  $("tuning-form").hidden = Boolean(camera.why);
  if (camera.why) return;
  for (const control of controls) if (control.value !== null && !control.read_only && ["integer", "boolean", "menu"].includes(control.type)) drawControl(control);
  for (const [name, row] of controlRows) row.hidden = !controls.some(control => control.name === name);
  if (document.activeElement !== $("modes")) $("modes").replaceChildren(...camera.formats.filter(format => format.read).flatMap(format => modesOf(format, camera)));
  // A button that changed other controls leaves nothing to save, and something to put back.
  toSave = trial && Object.keys(trial.settings).length ? trial.settings : null;
  $("tuning-kept").hidden = !trial;
  $("tuning-save").hidden = !toSave;
  put("tuning-ini", toSave ? "[camera]\n" + Object.entries(toSave).map(([key, value]) => key.slice(7) + " = " + value).join("\n") : "");
  const unset = camera.refused.map(({ name }) => say.unset(titleOf(name))).concat(camera.changed.map(({ name, value }) => say.clamped(titleOf(name), value)));
  put("tuning-done", unset.join(" ") || (camera.measured ? say.measured(camera.measured) : ""));
  clearTimeout(trialEnds);
  if (trial) trialEnds = setTimeout(async () => { const now = tuner.open && await askCamera(); if (now && !now.trial) put("tuning-done", say.timeOver); }, 2000 + 1000 * trial.ends_in_s);
}
function drawControl({ name, type, menu, min, max, step, locked, value }) {
  let row = controlRows.get(name);
  if (!row) {
    row = make("label", "control", "");
    const input = document.createElement(type === "menu" ? "select" : "input");
    if (type === "menu") input.append(...menu.map(([value, meaning]) => new Option(meaning, value)));
    else Object.assign(input, type === "boolean" ? { type: "checkbox" } : { type: "range", min, max, step });
    input.oninput = () => { wanted[name] = Number(type === "boolean" ? input.checked : input.value); setControls(); };
    row.append(make("span", "", titleOf(name)), input, make("output", "", ""));
    // A screen reader reads the value of the slider itself, so the text must not be part of the name.
    row.lastChild.setAttribute("aria-hidden", "true");
    controlRows.set(name, row);
    $("controls").append(row);
  }
  const [, input, output] = row.children;
  input.disabled = locked;
  row.title = locked ? say.locked : name;
  // A value that the user has changed meanwhile is not overwritten.
  if (name in wanted) return;
  if (type === "boolean") input.checked = value; else input.value = value;
  if (type === "integer") write(output, String(value));
}
// One request at a time, with the newest values.
async function setControls() {
  if (isSetting) return;
  isSetting = true;
  while (Object.keys(wanted).length) {
    const controls = wanted;
    wanted = {};
    await askCamera("POST", { controls });
  }
  isSetting = false;
}
// For a range of sizes or rates, the usual ones within the range are offered.
const SIZES = [[320, 240], [640, 480], [1280, 720], [1920, 1080], [3840, 2160]], RATES = [5, 10, 15, 30, 60];
function modesOf({ format, modes }, now) {
  const sizesOf = size => size.min ? SIZES.filter(at => at.every((side, i) => side >= size.min[i] && side <= size.max[i])) : [size];
  const ratesOf = fps => fps && fps.min !== undefined ? RATES.filter(rate => rate >= fps.min && rate <= fps.max + 1) : [Math.round(fps) || 1];
  return modes.flatMap(({ size, fps }) => sizesOf(size).flatMap(([width, height]) => [...new Set((fps.length ? fps : [30]).flatMap(ratesOf))].map(rate => {
    const isNow = [format, width, height, rate].join() === [now.format, now.width, now.height, Math.round(now.fps)].join();
    return new Option(`${format} ${width} \u00d7 ${height}, ${rate} fps`, JSON.stringify({ format: format.toLowerCase(), width, height, fps: rate }), false, isNow);
  })));
}
$("tuning-mode").addEventListener("submit", async event => {
  event.preventDefault();
  put("tuning-done", say.measuring);
  $("try-mode").disabled = true;
  await askCamera("POST", { mode: JSON.parse($("modes").value) });
  $("try-mode").disabled = false;
});
$("tuning-back").addEventListener("click", async () => { if (await askCamera("DELETE")) put("tuning-done", say.backNow); });
$("tuning-save").addEventListener("click", async () => {
  const answer = toSave && await ask("api/settings", 20000, "POST", { set: toSave }).catch(() => null);
  if (!answer || !answer.json) return failed(answer);
  const over = answer.json.overridden;
  setTimeout(async () => { await askCamera(); put("tuning-done", over.length ? say.overridden(over.join(", ")) : say.savedCamera); }, 700);
});
tuner.addEventListener("toggle", () => { if (tuner.open) askCamera(); });
