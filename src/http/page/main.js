// The state is requested once a second. The stream restarts after missed answers or a restart of namecam.
let misses = 0, lastAnswer = 0, uptime = 0, begun = 0, round = 0, pauseMs = 1000, version = null;
// The title and text for a refused request; null for any other answer.
function refusal(answer) {
  if (answer.status === 401) return [say.login, say.loginMore];
  if ([403, 421, 429].includes(answer.status)) return [say.refused, whyNot(answer)];
  return null;
}
async function beat() {
  if (document.hidden) return;
  const ofKey = key;
  let refused = null;
  try {
    const answer = await ask("api/state?t=" + ofKey, 4000);
    refused = refusal(answer);
    const state = answer.json;
    if (!state) throw new Error(String(answer.status));
    // A new run of namecam counts its tracks from 1 again, so the open sheet may be about another face.
    const start = Date.now() / 1000 - state.uptime_s, isNewRun = begun && (state.uptime_s < uptime || Math.abs(start - begun) > 10);
    begun = start;
    if (isNewRun) { sheet.close(); if (person.classList.contains("low")) person.close(); }
    if (isNewRun || misses > 1 || (lastAnswer && Date.now() - lastAnswer > 15000)) { galleryMark = visitsMark = null; replay(); }
    if (misses && shown) notice();
    // After an upgrade, an unattended screen gets the new page.
    if (version && state.version !== version && !document.querySelector("dialog[open], details[open]")) return location.reload();
    version = version || state.version;
    misses = 0; pauseMs = 1000; uptime = state.uptime_s; lastAnswer = Date.now();
    live(state.stream.watching, ofKey);
    if (round++ % 5 === 0) {
      const sick = await ask("healthz", 4000).catch(() => null);
      trouble = sick && sick.status === 503 ? sick.text.trim() : null;
    }
    const names = state.recognition;
    overlay = state.overlay;
    blind = isOff(names) || noResult(state);
    people(state.faces, blind || say.nobody, state.now);
    health(state);
    gallery(state);
    showFace();
    tuning(state);
    account(state);
    day(state.visits_version);
    boardHealth(state);
    $("settings").hidden = state.role !== "admin";
  } catch {
    misses += 1;
    if (misses < 2 && !refused) return;
    const words = refused || [say.lost, say.lostMore];
    // After a refusal the requests are less frequent, because frequent requests with an old password would lock the
    // client out.
    pauseMs = refused ? 5000 : 1000;
    notice(...words);
    people([], "\u2014");
    // What only this user may see does not stay after the session.
    if (refused && refused[0] === say.login) { galleryMark = visitsMark = null; for (const id of ["day", "gallery", "tuning", "health", "settings", "account"]) $(id).hidden = true; for (const open of document.querySelectorAll("dialog")) open.close(); }
    put("said", told = refused ? words.join(": ") : say.lost);
    for (const id of ["live-dot", "camera-dot", "names-dot"]) dot(id, "bad");
    put("live-text", say.away); put("camera", "\u2014"); put("names", "\u2014"); put("reload", "");
  }
}
let pulse = 0;
async function go() {
  clearTimeout(pulse);
  await beat();
  clearTimeout(pulse);
  if (!document.hidden) pulse = setTimeout(go, pauseMs);
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { stop(); clearTimeout(pulse); put("live-text", say.paused); dot("live-dot", ""); }
  else { lastAnswer = 0; galleryMark = visitsMark = null; play(); go(); }
});
$("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else if ($("frame").requestFullscreen) $("frame").requestFullscreen().catch(() => {});
});
$("full").hidden = !document.fullscreenEnabled;
notice(say.wait);
play();
go();
