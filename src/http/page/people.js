// The list of people. A row stays as long as its track, so that rows do not jump.
const rows = new Map();
let told = null;
function people(faces, nobody, now) {
  for (const [track, row] of rows) if (!faces.some(f => f.track === track)) { row.li.remove(); rows.delete(track); }
  for (const face of faces) {
    let row = rows.get(face.track);
    if (!row) {
      row = { li: make("li", "", ""), badge: make("span", "badge", ""), name: make("span", "name", ""), more: make("span", "more", ""), since: 0 };
      row.text = make("span", "", ""); row.ask = make("button", "ask", say.why); row.reason = make("span", "reason", "");
      row.because = make("span", "", ""); row.next = make("span", "next", ""); row.files = make("span", "", "");
      row.reason.append(row.because, row.next, row.files);
      row.ask.type = "button"; row.reason.hidden = true; row.ask.setAttribute("aria-expanded", "false");
      row.ask.onclick = () => {
        row.reason.hidden = !row.reason.hidden;
        row.ask.setAttribute("aria-expanded", String(!row.reason.hidden));
        explain(face.track, row);
      };
      row.badge.setAttribute("aria-hidden", "true");
      row.more.append(row.text, row.ask);
      row.li.append(row.badge, row.name, row.more, row.reason);
      $("people").append(row.li);
      rows.set(face.track, row);
    }
    // When the track began, by the clock of this browser: that of the server may be wrong. Answers take more or less time.
    const since = Date.now() - 1000 * (now - face.since);
    if (Math.abs(since - row.since) > 2000) row.since = since;
    // With an open explanation, both are shown from the answer that it is made of.
    if (row.reason.hidden) card(row, face); else explain(face.track, row);
  }
  $("nobody").hidden = faces.length > 0;
  put("nobody", nobody);
  const names = [...new Set(faces.filter(f => f.name !== null).map(f => f.name))];
  const others = faces.filter(f => f.name === null && f.state !== "seen").length;
  // A face that is still being identified is not announced.
  const said = !faces.length ? nobody : names.length + others ? say.said(names, others) : told;
  if (said !== told) { put("said", said); told = said; }
  document.title = names.length ? names.join(", ") + " \u00b7 namecam" : "namecam";
}

const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
function card(row, face) {
  const [distance, most] = apart(face);
  const more = [say.since(timeOfDay(new Date(row.since)))];
  if (distance) more.push(say.distance(distance, most));
  row.li.className = face.state;
  row.badge.textContent = face.name === null ? "?" : [...face.name][0].toUpperCase();
  write(row.name, face.name === null ? (face.state === "seen" ? say.seen : say.unknown) : face.name);
  write(row.text, more.join(" \u00b7 "));
}

// What to do about a face.
const BARELY = 0.85;
function nextStep(face) {
  if (face.name === null && face.flaw !== null && face.because !== "empty_gallery") return say.flaw[face.flaw](face.width_px);
  const barely = ["kept", "doubted"].includes(face.because) || (face.because === "named" && face.distance > BARELY * face.threshold);
  const what = barely ? "barely" : face.because === "withdrawn" ? "near" : face.because;
  return say.next[what](face.person, face.runner_up && face.runner_up.name);
}

// Why a face has its name or none; requested while the explanation is open.
async function explain(track, row) {
  if (row.reason.hidden) return;
  const answer = await ask("api/faces/" + track, 4000).catch(() => null);
  const face = answer && answer.json;
  if (!face) return;
  const pictures = face.nearest_pictures.filter(p => p.file !== null).map(p => `${p.file} ${p.distance.toFixed(2)}`);
  card(row, face);
  write(row.because, say.reason(face)); write(row.next, nextStep(face)); write(row.files, pictures.join(", "));
}

// What a tap on a face in the picture does: the row of the person says why.
function tapFace(track) {
  const row = rows.get(track);
  if (!row) return;
  if (document.fullscreenElement) document.exitFullscreen();
  if (row.reason.hidden) row.ask.click();
  row.ask.focus({ preventScroll: true });
  row.li.scrollIntoView({ block: "nearest" });
}

