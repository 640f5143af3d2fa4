// The list of people. A row stays in its place while its track lasts.
const rows = new Map();
let told = null;
function people(faces, nobody, now) {
  for (const [track, row] of rows) if (!faces.some(f => f.track === track)) { row.li.remove(); rows.delete(track); }
  for (const face of faces) {
    let row = rows.get(face.track);
    if (!row) {
      row = { li: make("li", "", ""), badge: make("span", "badge", ""), name: make("span", "name", ""), more: make("span", "more", ""), since: 0 };
      row.text = make("span", "", "");
      row.ask = action(say.why, () => tapFace(face.track), "ask");
      row.badge.setAttribute("aria-hidden", "true");
      row.more.append(row.text, row.ask);
      row.li.append(row.badge, row.name, row.more);
      $("people").append(row.li);
      rows.set(face.track, row);
    }
    // When the track began, by the clock of this browser, because the server's may be wrong. The durations of responses
    // vary.
    const since = Date.now() - 1000 * (now - face.since);
    if (Math.abs(since - row.since) > 2000) row.since = since;
    card(row, face);
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

function card(row, face) {
  row.li.className = face.state;
  row.badge.textContent = face.name === null ? "?" : [...face.name][0].toUpperCase();
  write(row.name, nameOf(face));
  row.ask.setAttribute("aria-label", say.whyOf(nameOf(face)));
  write(row.text, say.since(timeOfDay(new Date(row.since))));
}
