// The status section.
let trouble = null;
// With looks that take longer, a name may be too late for a person who walks by.
const SLOW_MS = 1500;
// The share of strangers who may get a name, to two digits; empty when it is not known. namecam cannot tell from fewer
// than five people whether the shares that were measured hold for them.
function rate(names) {
  const strangers = names.expected && names.expected.strangers_named, of1000 = share => Number((share * 1000).toPrecision(2));
  if (!names.people || typeof strangers !== "number") return "";
  const isUnsure = names.expected.denser_than_cohort === null && names.people < 5;
  return say.judges(of1000(strangers), of1000(names.expected.strangers_named_at_most)) + (isUnsure ? " " + say.tooFew : "");
}
// The health of the board for an admin, with remedies. Unknown values are not shown.
const healthDetails = $("health").querySelector("details");
let healthBusy = false;
async function boardHealth(state) {
  $("health").hidden = state.role !== "admin";
  if ($("health").hidden || !healthDetails.open || healthBusy) return;
  healthBusy = true;
  const answer = await ask("api/health", 4000).catch(() => null);
  healthBusy = false;
  if (!answer || !answer.json) return;
  const { temperature_c: celsius, throttled, disk, memory } = answer.json, { camera, recognition } = state, h = say.health, lines = [];
  // Adds a line, with a remedy when the value is bad.
  const line = (text, remedy) => { const li = make("li", remedy ? "bad" : "", text); if (remedy) li.append(make("div", "soft", remedy)); lines.push(li); };
  const isHot = /\u00b0C/.test(recognition.pace_why || "");
  if (celsius !== null) line(h.temperature(Math.round(celsius)), isHot ? h.cool : "");
  if (throttled) line(throttled.length ? h.throttled : h.unthrottled, throttled.map(why => why === "power" ? h.power : h.cool).join(" "));
  const all = camera.frames + camera.dropped, share = all ? camera.dropped / all * 100 : 0;
  if (all) line(h.dropped(camera.dropped, share.toFixed(1)), share > 1 ? h.smaller : "");
  if (recognition.last_ms !== null && !isOff(recognition)) line(h.looks(Math.round(recognition.last_ms), recognition.pace_ms), recognition.pace_why && !isHot ? h.late : "");
  if (disk) line(h.disk((disk.free_bytes / 1e9).toFixed(1), (disk.total_bytes / 1e9).toFixed(1)), disk.free_bytes < 2e8 ? h.full : "");
  if (memory) line(h.memory(Math.round(memory.used_bytes / 1e6), memory.usable_bytes && Math.round(memory.usable_bytes / 1e6)), memory.usable_bytes && memory.used_bytes > 0.9 * memory.usable_bytes ? h.smaller : "");
  for (const fault of state.faults) line(h.fault(causeOf(fault.cause), fault.count, since(fault.last_s)) + (fault.detail ? ": " + fault.detail : ""));
  if (!state.faults.length) line(h.noFaults);
  $("health-list").replaceChildren(...lines);
}
// Why recognition is off; empty while it is on.
const isOff = names => !names.enabled ? say.disabled : names.off_until ? say.offUntil(names.off_until) : "";
// Why there are no new results; empty while there are.
function noResult({ camera, recognition: names, overlay }) {
  if (!camera.online) return say.resting;
  const blurred = overlay.unknown === "blur" ? " " + say.allBlurred : "";
  if (names.age_ms === null) return say.off + blurred;
  if (names.age_ms > 5000 + 3 * (names.last_ms || 0) + names.interval_ms) return say.late(Math.round(names.age_ms / 1000)) + blurred;
  return "";
}
// Why a face cannot be seen, as of the last state.
let blind = "";
const slowness = names => names.last_ms > SLOW_MS ? say.slow((names.last_ms / 1000).toFixed(1)) : "";
function health(state) {
  const camera = state.camera, names = state.recognition;
  dot("camera-dot", camera.online ? "good" : "bad");
  // The median age of pictures when they are sent; the page cannot measure what the network adds.
  const age = state.stream.viewers ? state.stream.age_ms.total.p50 : null;
  const on = [say.cameraOn(camera.width, camera.height, Math.round(camera.fps)), age === null ? "" : say.sent(Math.ceil(age))];
  const told = [on.filter(Boolean).join(", "), camera.hint].filter(Boolean).join("; ");
  const starting = camera.error === "starting";
  put("camera", camera.online ? told : starting ? say.starting : say.cameraOff(verdict(camera.error)));
  const pace = isOff(names) ? isOff(names) : trouble ? say.trouble(verdict(trouble)) : noResult(state) || slowness(names);
  dot("names-dot", trouble ? "bad" : pace || !names.people ? "" : "good");
  // A gallery that was never read is not shown as empty; the message about the reload gives the reason.
  const known = names.generation ? say.knows(names.people, names.pictures) : names.taking_in ? say.takingIn : say.unread;
  put("names", trouble || isOff(names) ? pace : [known, rate(names), pace].filter(Boolean).join(" "));
  const undone = state.reload_error !== trouble && state.reload_error;
  put("reload", undone ? say.reload(state.reloads, verdict(undone)) : "");
  dot("live-dot", camera.online ? "good" : "bad");
  put("live-text", camera.online ? say.live + (state.stream.viewers ? " \u00b7 " + say.watching(state.stream.viewers) : "") : starting ? say.starting : say.away);
}

