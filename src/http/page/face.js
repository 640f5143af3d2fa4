// The sheet of a face: why it has its name or none. An admin can also name it, or say who it is not.
const sheet = $("sheet");
let sheetTrack = null, sheetFace = null, sheetDone = null, sheetAdmin = false, sheetBusy = false, sheetLeft = false;
// Advice on a face.
const BARELY = 0.85;
function nextStep(face) {
  if (face.name === null && face.flaw !== null && face.because !== "empty_gallery") return say.flaw[face.flaw](face.width_px);
  const barely = ["kept", "doubted"].includes(face.because) || (face.because === "named" && face.distance > BARELY * face.threshold);
  const what = barely ? "barely" : face.because === "withdrawn" ? "near" : face.because;
  // An admin can follow the advice here; a viewer is told to ask an admin.
  return ((sheetAdmin && say.nextHere[what]) || say.next[what])(face.person, face.runner_up && face.runner_up.name);
}
// Called for a tap on a face in the picture, or on its row.
function tapFace(track) {
  if (document.fullscreenElement) document.exitFullscreen();
  // Each opening has its own `sheetDone`, so that a late answer about another face is written where nobody sees it.
  [sheetTrack, sheetFace, sheetLeft, sheetDone] = [track, null, false, make("div", "", "")];
  for (const id of ["sheet-chips", "sheet-likely", "sheet-nearest"]) $(id).replaceChildren();
  $("sheet-done").replaceChildren(sheetDone);
  for (const id of ["sheet-why", "sheet-next"]) put(id, "");
  put("sheet-title", say.seen);
  $("who").name.value = "";
  $("sheet-admin").hidden = !sheetAdmin;
  if (!sheet.open) sheet.showModal();
  showFace();
}
// Requests the face while the sheet is open. For a face that has left, the last data stay; its pictures stay for a
// minute.
async function showFace() {
  const track = sheetTrack;
  if (!sheet.open || track === null) return;
  // A track that has ended does not return.
  const answer = sheetLeft ? null : await ask("api/faces/" + track, 4000).catch(() => null);
  if (track !== sheetTrack || !sheet.open) return;
  if (answer && answer.json) drawFace(answer.json);
  else if (answer && answer.status === 404) {
    sheetLeft = true;
    // For a face that had left before the sheet was opened, an admin still gets the pictures.
    if (!sheetFace) { put("sheet-title", say.unknown); if (sheetAdmin && !$("sheet-likely").childElementCount) choices([], null); }
    put("sheet-next", sheetAdmin ? say.hasLeft : say.leftUnseen);
  }
  if (sheetAdmin) showChips(track);
}
function drawFace(face) {
  const isAnother = !sheetFace || sheetFace.name !== face.name;
  sheetFace = face;
  put("sheet-title", nameOf(face));
  put("sheet-why", say.reason(face));
  put("sheet-next", nextStep(face));
  showNearest(face);
  if (!sheetAdmin || !isAnother) return;
  choices([face.person, face.runner_up && face.runner_up.name].filter(Boolean), face.name);
}
// The buttons for people whom the face may show, other than the person whose name it has.
function choices(likely, own) {
  const all = [...new Set(likely.concat(knownPeople))].filter(name => name !== own).slice(0, 8);
  $("sheet-likely").replaceChildren(...all.map(name => action(say.is(name), () => teach(name))));
  setBusy(sheetBusy);
  write($("sheet-not"), own === null ? say.never1 : say.notThis(own));
}
function showNearest(face) {
  const files = face.nearest_pictures.filter(picture => picture.file !== null);
  const mark = files.map(picture => picture.file).join("\n");
  if ($("sheet-nearest").dataset.mark === mark && $("sheet-nearest").childElementCount) return;
  $("sheet-nearest").dataset.mark = mark;
  $("sheet-nearest").replaceChildren(...files.map(picture => {
    const item = make("figure", "", "");
    item.append(thumbnail(picture.file, 96), make("figcaption", "", `${picture.distance.toFixed(2)} ${picture.file}`));
    return item;
  }));
}
// Shows the pictures of the face that would be stored. They are loaded again only when they differ.
async function showChips(track) {
  const answer = await ask("api/chips/" + track, 4000).catch(() => null);
  if (track !== sheetTrack || !answer || !answer.json) return;
  const chips = answer.json.chips, mark = track + ":" + chips.map(chip => chip.captured_at).join(",");
  $("sheet-save").disabled = $("sheet-not").disabled = !chips.length || sheetBusy;
  put("sheet-none", chips.length ? "" : say.noChips);
  if ($("sheet-chips").dataset.mark === mark && $("sheet-chips").childElementCount) return;
  $("sheet-chips").dataset.mark = mark;
  $("sheet-chips").replaceChildren(...chipPictures(track, chips));
}
function chipPictures(track, chips) {
  return chips.map((chip, number) => {
    const item = make("figure", chip.flaw ? "doubtful" : "", ""), img = document.createElement("img");
    img.src = `chip.jpg?track=${track}&number=${number}&at=${chip.captured_at}`;
    img.alt = say.chip(number + 1, chip.width_px);
    img.addEventListener("error", () => img.remove());
    item.append(img, make("figcaption", "verdict", chip.flaw ? say.flaw[chip.flaw](chip.width_px) : say.good));
    return item;
  });
}
// Shows the results of pictures that were written.
function verdicts(pictures) {
  const list = make("div", "chips", "");
  list.append(...pictures.map(picture => {
    const item = make("figure", isDoubtful(picture) ? "doubtful" : "", "");
    item.append(thumbnail(picture.file, 104), make("figcaption", "verdict", verdict(picture.skipped || picture.note || say.good)));
    return item;
  }));
  return list;
}
function thumbnail(file, width) {
  const img = document.createElement("img");
  img.loading = "lazy";
  img.alt = file;
  img.src = `picture.jpg?file=${encodeURIComponent(file)}&width=${width * 2}`;
  return img;
}
function action(text, act, kind = "") {
  const button = make("button", kind, text);
  button.type = "button";
  button.onclick = act;
  return button;
}
// Sends a change. Returns the JSON of the response, or shows why the change was refused.
async function change(path, body, where) {
  const answer = await ask(path, 60000, "POST", body).catch(() => null);
  if (answer && answer.json) return answer.json;
  where.replaceChildren(make("p", "bad", say.notDone(whyNot(answer))));
  return null;
}
// While a face is being taught, no other button of the sheet is accepted.
function setBusy(isBusy) {
  sheetBusy = isBusy;
  for (const button of $("sheet-likely").children) button.disabled = isBusy;
  if (isBusy) $("sheet-save").disabled = $("sheet-not").disabled = true;
}
async function teach(name) {
  const track = sheetTrack, done = sheetDone;
  if (sheetBusy) return;
  setBusy(true);
  done.replaceChildren(make("p", "", say.working));
  const told = name === null ? await change("api/faces/not", { track }, done) : await change("api/faces/name", { track, name }, done);
  setBusy(false);
  galleryMark = null;
  if (!told || done !== sheetDone || track !== sheetTrack) return;
  $("who").name.value = "";
  if (told.face) drawFace(told.face);
  else if (name !== null) put("sheet-title", name);
  const used = told.pictures.filter(picture => picture.skipped === null).length;
  const lines = [make("p", "", name === null ? say.barredNow(told.files.length) : say.taught(name, used, told.files.length, told.at_work))];
  if (name === null && told.face && told.face.name === null) lines.push(make("p", "", say.nowUnknown(told.face)));
  if (name !== null) lines.push(verdicts(told.pictures));
  if (told.displaced.length) lines.push(make("p", "soft", say.displaced(told.displaced)));
  lines.push(action(say.undo, async () => {
    done.replaceChildren(make("p", "", say.working));
    for (const file of told.files) if (!await change("api/gallery/delete", { file }, done)) return;
    done.replaceChildren(make("p", "", say.undone));
    galleryMark = null;
    showFace();
  }));
  done.replaceChildren(...lines);
}
$("who").addEventListener("submit", event => {
  event.preventDefault();
  if ($("who").name.value.trim()) teach($("who").name.value.trim());
});
$("sheet-not").addEventListener("click", () => teach(null));
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  // A click outside the sheet closes it. The padding of the sheet is inside, and so is a selection that ends outside.
  let isFromOutside = false;
  const isOutside = ({ target, clientX: x, clientY: y }) => { const at = dialog.getBoundingClientRect(); return target === dialog && (x < at.left || x > at.right || y < at.top || y > at.bottom); };
  dialog.addEventListener("pointerdown", event => { isFromOutside = isOutside(event); });
  dialog.addEventListener("click", event => { if (isFromOutside && isOutside(event)) dialog.close(); });
}
// The event comes later than the close. Another face may have been tapped in between.
sheet.addEventListener("close", () => { if (!sheet.open) sheetTrack = null; });
