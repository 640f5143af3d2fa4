// The visits of today: a row for each person and each stranger with a number, and one for all others. Rows stay in the
// order of arrival and at their height, so that nothing moves under a finger.
const dayRows = new Map();
let visits = null, visitsMark = null, visitsAt = 0, drawnAt = 0, visitsClock = 0;
async function day(version) {
  // The pictures of a face expire without a change of the list, so the list is requested again.
  const isOld = visits && visits.visits.some(visit => visit.chips) && Date.now() - visitsAt > 10000;
  if (version !== visitsMark || isOld) await askVisits(version);
  if (visits && Date.now() - drawnAt > 30000 && !$("day").matches(":active")) drawDay();
}
async function askVisits(version) {
  [visitsMark, visitsAt] = [version, Date.now()];
  const answer = await ask("api/visits", 4000).catch(() => null);
  if (!answer || !answer.json) { visitsMark = null; return; }
  [visits, drawnAt] = [answer.json, 0];
  // By the clock of this browser, because the server's may be wrong.
  const ahead = Date.now() - 1000 * visits.now;
  if (Math.abs(ahead - visitsClock) > 2000) visitsClock = ahead;
  alarm();
}
const visitName = visit => visit.name !== null ? visit.name : visit.stranger !== null ? say.numbered(visit.stranger) : say.unknown;
const here = seconds => 1000 * seconds + visitsClock;
const fromTo = visit => {
  const [from, until] = [visit.since, visit.until].map(at => timeOfDay(new Date(here(at))));
  return visit.still_present ? say.fromTo(from, say.now) : from === until ? from : say.fromTo(from, until);
};
function drawDay() {
  drawnAt = Date.now();
  const midnight = new Date().setHours(0, 0, 0, 0), groups = new Map(), list = $("visits");
  for (const visit of visits.visits) {
    if (!visit.still_present && here(visit.until) < midnight) continue;
    const key = visit.name !== null ? "/" + visit.name : visit.stranger !== null ? "#" + visit.stranger : "";
    groups.set(key, (groups.get(key) || []).concat(visit));
  }
  $("day").hidden = !visits.hours;
  $("day-hours").hidden = !groups.size;
  put("no-visits", groups.size ? "" : say.noVisits);
  const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
  for (const [key, row] of dayRows) if (!groups.has(key)) { row.li.remove(); dayRows.delete(key); }
  let next = list.firstChild;
  for (const [key, all] of groups) {
    const row = dayRows.get(key) || dayRow(key);
    if (row.li === next) next = next.nextSibling; else list.insertBefore(row.li, next);
    drawRow(row, all, midnight);
  }
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}
function dayRow(key) {
  const [li, details, summary] = [make("li", key[0] === "/" ? "named" : "", ""), make("details", "", ""), make("summary", "", "")];
  const row = { li, name: make("b", "", ""), count: make("span", "soft", ""), last: make("span", "last", ""), all: make("ul", "soft", ""), bar: make("div", "bar", "") };
  row.ask = action(say.whoTitle, () => tapFace(row.track), "ask");
  // Strangers without a number may be different people, so each visit has its own question.
  row.each = !key;
  row.bar.setAttribute("aria-hidden", "true");
  summary.append(row.name, " ", row.count, row.last);
  details.append(summary, row.all);
  li.append(details, row.ask, row.bar);
  dayRows.set(key, row);
  return row;
}
// By the hands of the clock: a day on which the clocks change has 23 or 25 hours.
function shareOfDay(at, midnight) {
  const time = new Date(at);
  return at <= midnight ? 0 : (time.getHours() * 60 + time.getMinutes() + time.getSeconds() / 60) / 14.4;
}
function drawRow(row, all, midnight) {
  const last = all[all.length - 1], asked = all.filter(visit => visit.chips && visit.name === null), name = visitName(last);
  write(row.name, name);
  write(row.count, all.length < 2 ? "" : say.times(all.length));
  write(row.last, fromTo(last));
  const each = row.each && all.length > 1, mark = all.map(visit => fromTo(visit) + (each && asked.includes(visit) ? visit.track : "")).join(", ");
  if (row.all.dataset.mark !== mark) row.all.replaceChildren(...all.map(visit => visitLine(visit, each && asked.includes(visit))));
  row.all.dataset.mark = mark;
  row.track = asked.length && asked[asked.length - 1].track;
  row.ask.hidden = !asked.length || each;
  row.ask.setAttribute("aria-label", `${say.whoTitle} ${name}`);
  row.bar.replaceChildren(...all.map(visit => {
    const part = make("i", "", ""), until = visit.still_present ? Date.now() : here(visit.until);
    const [from, to] = [here(visit.since), until].map(at => shareOfDay(at, midnight));
    part.style.left = from + "%";
    part.style.width = Math.max(to - from, 0) + "%";
    return part;
  }));
}
function visitLine(visit, isAsked) {
  const line = make("li", "", fromTo(visit) + " "), ask = action(say.whoTitle, () => tapFace(visit.track), "ask");
  ask.setAttribute("aria-label", `${say.whoTitle} ${fromTo(visit)}`);
  if (isAsked) line.append(ask);
  return line;
}
// The alert about an unknown person: a line, and a sound if the user has chosen it and the browser allows it, which it
// does only after a touch.
const alarmSound = $("alarm-sound");
let alarmed = null, audio = null;
function alarm() {
  const told = visits.visits.filter(visit => visit.stranger_at !== null);
  const there = told.filter(visit => visit.still_present && visit.name === null);
  put("alert", [...new Set(there.map(visit => say.strangerHere(visitName(visit), timeOfDay(new Date(here(visit.since))))))].join(" "));
  put("alarm-when", say.alarmWhen(visits.alert));
  // By the visits, because a time changes with the clock of the server.
  if (alarmed && told.some(visit => !alarmed.has(visit.visit))) beep();
  alarmed = new Set(told.map(visit => visit.visit));
}
function beep() {
  if (!alarmSound.checked || !audio || audio.state !== "running") return;
  const voice = audio.createOscillator(), volume = audio.createGain(), from = audio.currentTime;
  voice.frequency.setValueAtTime(880, from);
  voice.frequency.setValueAtTime(660, from + 0.25);
  volume.gain.value = 0.2;
  voice.connect(volume).connect(audio.destination);
  voice.start(from);
  voice.stop(from + 0.5);
}
async function allowSound() {
  if (!alarmSound.checked) return hintSound();
  if (!audio) (audio = new AudioContext()).onstatechange = hintSound;
  if (audio.state !== "running") await Promise.race([audio.resume(), new Promise(over => setTimeout(over, 500))]);
  hintSound();
}
// A browser may stop the sound again, such as a phone during a call.
function hintSound() { put("alarm-hint", alarmSound.checked && audio && audio.state !== "running" ? say.touch : ""); }
alarmSound.disabled = !window.AudioContext;
try { alarmSound.checked = !alarmSound.disabled && localStorage.getItem("alarm") === "sound"; } catch { /* It is off. */ }
alarmSound.addEventListener("change", async () => {
  try { localStorage.setItem("alarm", alarmSound.checked ? "sound" : ""); } catch { /* It counts until the page is closed. */ }
  await allowSound();
  beep();
});
for (const touch of ["pointerdown", "keydown"]) addEventListener(touch, allowSound);
allowSound();
// While the page is hidden, this is its only request.
setInterval(() => { if (document.hidden && alarmSound.checked) askVisits(null); }, 5000);
