// The status section.
let trouble = null;
// How many strangers may get a name; empty where nothing is known of that.
function rate(names) {
  const strangers = names.expected && names.expected.strangers_named;
  return names.people && typeof strangers === "number" ? say.judges(Math.round(strangers * 1000), Math.round(names.expected.strangers_named_at_most * 1000)) : "";
}
function health(state) {
  const camera = state.camera, names = state.recognition;
  dot("camera-dot", camera.online ? "good" : "bad");
  // The median age of pictures when they are sent; the page cannot measure what the network adds.
  const age = state.stream.viewers ? state.stream.age_ms.total.p50 : null;
  const on = [say.cameraOn(camera.width, camera.height, Math.round(camera.fps)), age === null ? "" : say.sent(Math.ceil(age))];
  const told = [on.filter(Boolean).join(", "), camera.hint].filter(Boolean).join("; ");
  const starting = camera.error === "starting";
  put("camera", camera.online ? told : starting ? say.starting : say.cameraOff(camera.error));
  const lateS = Math.round((names.age_ms || 0) / 1000);
  const late = camera.online && names.age_ms !== null && names.age_ms > 5000 + 3 * (names.last_ms || 0) + names.interval_ms;
  const pace = !names.enabled ? say.disabled : trouble ? say.trouble(trouble) : !camera.online ? say.resting : names.age_ms === null ? say.off : late ? say.late(lateS) : "";
  dot("names-dot", trouble ? "bad" : pace || !names.people ? "" : "good");
  // A gallery that was never read is not an empty one; the reload message says why it was not read.
  const known = names.generation ? say.knows(names.people, names.pictures) : names.taking_in ? say.takingIn : say.unread;
  put("names", trouble || !names.enabled ? pace : [known, rate(names), pace].filter(Boolean).join(" "));
  const undone = state.reload_error !== trouble && state.reload_error;
  put("reload", undone ? say.reload(state.reloads, undone) : "");
  dot("live-dot", camera.online ? "good" : "bad");
  put("live-text", camera.online ? say.live + (state.stream.viewers ? " \u00b7 " + say.watching(state.stream.viewers) : "") : starting ? say.starting : say.away);
}

