// The people of the gallery. A viewer sees only how many pictures are not used; an admin sees and changes each person.
const FIRST = 3;
let galleryMark = null, knownPeople = [], roster = null;
async function gallery(state) {
  const { gallery_version: version, skipped } = state.recognition, mark = state.role + version;
  sheetAdmin = state.role === "admin";
  put("sheet-rate", rate(state.recognition));
  if (mark === galleryMark) return;
  galleryMark = mark;
  const answer = sheetAdmin ? await ask("api/gallery", 20000).catch(() => null) : null;
  if (mark !== galleryMark) return;
  $("gallery-hint").hidden = $("gallery-admin").hidden = false;
  if (!sheetAdmin) {
    $("gallery").hidden = !skipped;
    $("gallery-admin").hidden = true;
    put("gallery-hint", say.skipped(skipped) + ". " + say.hint);
    return;
  }
  // After a failure the request is repeated.
  if (!answer || !answer.json) { galleryMark = null; return; }
  roster = answer.json;
  knownPeople = roster.people.map(person => person.name);
  $("gallery").hidden = false;
  const doubtful = folders().flatMap(folder => folder.pictures).filter(isDoubtful).length;
  put("gallery-hint", doubtful ? say.doubtful(doubtful) : "");
  const warnings = roster.warnings.filter(warning => warning !== state.reload_error).map(warning => make("li", "", verdict(warning)));
  $("warnings").replaceChildren(...warnings.slice(0, FIRST));
  $("more-warnings").replaceChildren(...warnings.slice(FIRST));
  const focused = document.activeElement.dataset.key;
  $("roster").replaceChildren(...folders().map(personCard));
  if (focused !== undefined) focusCard(focused);
  $("known").replaceChildren(...knownPeople.map(name => new Option(name)));
  if ($("person").open && personName !== null) drawPerson();
}
// The people, and under other titles the pictures of .not and the files of nobody. `key` identifies a folder.
function folders() {
  const others = [{ key: ".not", name: say.never, pictures: roster.never }, { key: "", name: say.nobodys, pictures: roster.ignored }];
  return roster.people.map(person => ({ key: "/" + person.name, ...person })).concat(others.filter(other => other.pictures.length));
}
function isDoubtful(picture) { return picture.skipped !== null || picture.note !== null; }
function focusCard(key) { ([...$("roster").children].find(card => card.dataset.key === key) || $("add")).focus(); }
function personCard(folder) {
  const card = action("", () => openPerson(folder.key), "card"), used = folder.pictures.filter(picture => picture.skipped === null);
  const shown = used[0] || folder.pictures.find(picture => picture.face);
  const picture = shown && folder.key ? thumbnail(shown.file, 64) : make("span", "badge", [...folder.name][0]);
  card.dataset.key = folder.key;
  if (picture.alt) picture.alt = "";
  else picture.setAttribute("aria-hidden", "true");
  card.append(picture);
  const text = make("span", "", "");
  text.append(make("b", folder.pictures.some(isDoubtful) ? "doubtful" : "", folder.name), make("span", "soft", say.ofThem(used.length, folder.pictures.length)));
  card.append(text);
  return card;
}

// The sheet of a person. `personName` is a key of `folders()`; null for a new person. `forgetting` is the name about
// which the sheet has asked. Each opening has its own `personDone`: an answer that comes when the sheet shows another
// person is written where nobody sees it, and changes nothing.
const person = $("person");
let personName = null, forgetting = null, askedAt = 0, watching = 0, personDone = make("div", "", "");
// A click soon after the question, or soon after another click, belongs to a double click and is no answer.
function isSoon() {
  const before = askedAt;
  askedAt = performance.now();
  return askedAt - before < 1000;
}
function openPerson(name) {
  [personName, forgetting, personDone] = [name, null, make("div", "", "")];
  watching++;
  person.classList.remove("low");
  $("rename").dataset.merge = "";
  $("person-done").replaceChildren(personDone);
  for (const id of ["new-name", "agrees", "files", "to-name"]) { $(id).value = ""; $(id).checked = false; }
  if (!person.open) person.showModal();
  drawPerson();
}
function drawPerson() {
  const folder = folders().find(folder => folder.key === personName), isNew = personName === null;
  if (!isNew && !folder) { $("person-pictures").replaceChildren(); put("person-more", ""); $("person-admin").hidden = $("rename").hidden = $("forget").hidden = true; return; }
  const isPerson = !isNew && personName.startsWith("/");
  put("person-title", isNew ? say.add : folder.name);
  const more = folder && [folder.spread ? say.spread(folder.spread.toFixed(2)) : "", verdict(folder.hint || "")].filter(Boolean).join(" \u00b7 ");
  put("person-more", more || (personName === ".not" ? say.neverMore : isNew ? say.addMore : ""));
  $("person-admin").hidden = !(isNew || isPerson);
  $("person-new").hidden = !isNew;
  $("rename").hidden = $("forget").hidden = !isPerson;
  write($("forget"), forgetting !== null && "/" + forgetting === personName ? say.forgetAsk(forgetting) : say.forget);
  // A deleted picture leaves the focus to the next one.
  const list = $("person-pictures"), focused = [...list.children].findIndex(item => item.contains(document.activeElement)), tag = document.activeElement.tagName;
  list.replaceChildren(...(folder ? folder.pictures.map(pictureItem) : []));
  if (focused >= 0) ((list.children[focused] || list.lastChild || person).querySelector(tag) || person.querySelector(".close")).focus();
  ready();
}
function pictureItem(picture) {
  const item = make("figure", isDoubtful(picture) ? "doubtful" : "", ""), face = picture.face, done = personDone;
  const text = make("figcaption", "", ""), seen = face && say.seenAs(face.width_px, face.sharpness.toFixed(2), Math.round(face.brightness));
  text.append(make("b", "", picture.file), make("span", "verdict", verdict(picture.skipped || picture.note || say.good)));
  if (seen) text.append(make("span", "soft", seen + (face.nearest_own === null ? "" : say.own(face.nearest_own.toFixed(2)))));
  const isOurs = personName !== "";
  if (isOurs) {
    const act = async (path, body) => {
      done.replaceChildren(make("p", "", say.working));
      const told = await change(path, body, done);
      if (told) done.replaceChildren(...(told.displaced.length ? [make("p", "soft", say.displaced(told.displaced))] : []));
      galleryMark = null;
    };
    const to = document.createElement("select");
    to.setAttribute("aria-label", say.moveOf(picture.file));
    to.append(new Option(say.move, ""), ...knownPeople.filter(name => "/" + name !== personName).map(name => new Option(name, "/" + name)));
    if (personName !== ".not") to.append(new Option(say.never, ".not"));
    to.onchange = () => to.value && act("api/gallery/move", { file: picture.file, person: to.value === ".not" ? null : to.value.slice(1) });
    const remove = action(say.remove, () => act("api/gallery/delete", { file: picture.file }));
    remove.setAttribute("aria-label", say.removeOf(picture.file));
    const tools = make("div", "tools", "");
    tools.append(to, remove);
    text.append(tools);
  }
  item.append(...(face || isOurs ? [thumbnail(picture.file, 120)] : []), text);
  for (const img of item.querySelectorAll("img")) img.addEventListener("error", () => img.remove());
  return item;
}
// The person whom new pictures show; nobody until a new person has a name and has agreed, and where the sheet shows no
// person.
function whom() {
  if ($("person-admin").hidden) return "";
  if (personName !== null) return personName.slice(1);
  return $("agrees").checked ? $("new-name").value.trim() : "";
}
function ready() { $("files").disabled = $("walk").disabled = !whom(); }
for (const id of ["new-name", "agrees"]) $(id).addEventListener("input", ready);
$("add").addEventListener("click", () => openPerson(null));

// Pictures from a phone or a computer. Formats that namecam cannot read are converted to JPEG if this browser can read
// them.
const MOST_FILE_BYTES = 20 << 20, LONGEST_SIDE = 2400;
async function asJpeg(bitmap, x = 0, y = 0, w = bitmap.width, h = bitmap.height) {
  const scale = Math.min(LONGEST_SIDE / Math.max(w, h), 1), part = document.createElement("canvas");
  [part.width, part.height] = [Math.round(w * scale), Math.round(h * scale)];
  part.getContext("2d").drawImage(bitmap, x, y, w, h, 0, 0, part.width, part.height);
  return new Promise(done => part.toBlob(done, "image/jpeg", 0.95));
}
async function sendPicture(name, file, line) {
  let blob = file;
  if (!["image/jpeg", "image/png"].includes(file.type) || file.size > MOST_FILE_BYTES) {
    const bitmap = await createImageBitmap(file).catch(() => null);
    if (!bitmap) return refuse(line, say.notRead(file.name, /hei[cf]$/i.test(file.name)));
    blob = await asJpeg(bitmap);
  }
  const answer = await send("api/gallery/picture?person=" + encodeURIComponent(name), blob).catch(() => null);
  if (!answer) return refuse(line, `${file.name}: ${say.lost}`);
  const told = answer.told, kept = told && told.files;
  if (kept) {
    const judged = told.pictures[0];
    write(line, `${file.name}: ${judged ? verdict(judged.skipped || judged.note || say.good) : say.kept}` + (told.displaced.length ? " " + say.displaced(told.displaced) : ""));
    return true;
  }
  refuse(line, `${file.name}: ${say.refusedPicture(told ? verdict(told.skipped) : whyNot(answer))}`);
  if (told && told.faces && told.faces.length) await chooseFace(name, file, told.faces, line);
  return false;
}
function refuse(line, text) {
  line.className = "bad";
  write(line, text);
  return false;
}
async function chooseFace(name, file, faces, line) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return;
  const choices = make("span", "choices", "");
  for (const [left, top, wide, high] of faces) {
    const [x, y, w, h] = [left * bitmap.width, top * bitmap.height, wide * bitmap.width, high * bitmap.height];
    const [from, above] = [Math.max(x - w / 2, 0), Math.max(y - h / 2, 0)];
    const [to, below] = [Math.min(x + w * 1.5, bitmap.width), Math.min(y + h * 1.5, bitmap.height)];
    const face = document.createElement("canvas");
    face.width = face.height = 96;
    face.getContext("2d").drawImage(bitmap, x, y, w, h, 0, 0, 96, 96);
    const choice = action("", async () => {
      const done = personDone;
      choices.remove();
      const part = await asJpeg(bitmap, from, above, to - from, below - above);
      line.className = "";
      const isKept = await sendPicture(name, new File([part], file.name, { type: "image/jpeg" }), line);
      galleryMark = null;
      if (isKept) isAdded(name, done);
    });
    choice.setAttribute("aria-label", say.choose);
    choice.append(face);
    choices.append(choice);
  }
  line.append(choices);
}
// Longer than namecam waits for the largest picture, its verdict and recognition.
const PICTURE_WITHIN_MS = 150000;
async function send(path, blob) {
  const patience = new AbortController(), timer = setTimeout(() => patience.abort(), PICTURE_WITHIN_MS);
  try {
    const headers = { "X-Namecam": "1", "Content-Type": blob.type };
    const answer = await fetch(new URL(path, location.origin + location.pathname), { method: "POST", headers, body: blob, signal: patience.signal });
    const text = await answer.text();
    let told = null;
    try { told = JSON.parse(text); } catch { /* It is a sentence. */ }
    return { status: answer.status, text, told };
  } finally {
    clearTimeout(timer);
  }
}
async function sendPictures(files) {
  const name = whom();
  if (!name || !files.length) return;
  const lines = files.map(file => make("p", "", `${file.name}: ${say.working}`)), done = personDone;
  done.replaceChildren(...lines);
  let kept = 0;
  for (let at = 0; at < files.length; at++) kept += await sendPicture(name, files[at], lines[at]);
  if (done === personDone) $("files").value = "";
  galleryMark = null;
  // When no picture is stored, no person was added. The name and the consent stay for the next attempt.
  if (kept) isAdded(name, done);
}
// A new person has a picture. The sheet shows them, unless it was opened for somebody else meanwhile.
function isAdded(name, done) { if (done === personDone && personName === null) personName = "/" + name; }
$("files").addEventListener("change", () => sendPictures([...$("files").files]));
// The browser would open files that are dropped outside the sheet in place of the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, event => event.preventDefault());
person.addEventListener("drop", event => {
  if (whom()) sendPictures([...event.dataTransfer.files]);
  else personDone.replaceChildren(make("p", "bad", personName === null ? say.whoFirst : say.noDrop));
});

// Pictures from this camera: the person turns before it until there are five that differ. TURNED and RAISED are in
// units of the distance between the eyes: the least turn to a side, and the least rise of the nose with the chin.
const ENOUGH = 5, WALK_MS = 20000, STEP_MS = 400, TURNED = 0.12, RAISED = 0.05;
// The next view that is missing, as an index of `say.turn`: the front, both sides, the chin, and something else.
function toBeSeen(chips) {
  const poses = chips.map(chip => chip.pose).filter(Boolean), front = poses.find(pose => Math.abs(pose.left) < TURNED);
  if (chips.length && !poses.length) return Math.min(chips.length, ENOUGH - 1);
  const isSeen = [front, poses.some(pose => pose.left >= TURNED), poses.some(pose => pose.left <= -TURNED), front && poses.some(pose => pose.down < front.down - RAISED)];
  return isSeen.includes(undefined) || isSeen.includes(false) ? isSeen.findIndex(seen => !seen) : ENOUGH - 1;
}
async function walkUp() {
  const name = whom(), mine = ++watching, done = personDone, begun = Date.now();
  const asks = make("p", "", ""), soFar = make("p", "soft", ""), list = make("div", "chips", "");
  done.replaceChildren(asks, soFar, list);
  // The picture stays visible above the sheet, so that the person sees where they stand.
  person.classList.add("low");
  scrollTo(0, 0);
  let track = null, chips = [], mark = "", isCrowd = false, why = "";
  // Five pictures of one side are not enough, so the whole time is used.
  const isDone = () => chips.length >= ENOUGH && toBeSeen(chips) === ENOUGH - 1;
  while (mine === watching && person.open && !isDone() && Date.now() - begun < WALK_MS) {
    const answer = await ask("api/faces/enrol", 4000, "POST", {}).catch(() => null), told = answer && answer.json;
    if (mine !== watching) return;
    isCrowd = Boolean(told) && told.faces > 1;
    // Not the person is at fault when the request is refused, or when nobody can be seen.
    why = !told ? whyNot(answer) : told.face ? "" : blind;
    if (isCrowd || (answer && !told)) break;
    // Another track may be another person, so only pictures of the first track count.
    if (told && told.face && (!chips.length || told.face.track === track)) [track, chips] = [told.face.track, told.chips];
    const flaw = told && told.face ? told.face.flaw : null;
    write(asks, why || (!told.face ? say.standThere : flaw ? say.flaw[flaw](told.face.width_px) : say.turn[toBeSeen(chips)]));
    write(soFar, say.soFar(chips.length, ENOUGH));
    const shown = track + ":" + chips.map(chip => chip.captured_at);
    if (shown !== mark) { list.replaceChildren(...chipPictures(track, chips)); mark = shown; }
    await new Promise(go => setTimeout(go, STEP_MS));
  }
  if (mine !== watching || !person.open) return;
  person.classList.remove("low");
  if (isCrowd) { done.replaceChildren(make("p", "bad", say.onlyOne)); return; }
  if (!chips.length) { done.replaceChildren(make("p", "bad", why || say.noChips)); return; }
  done.replaceChildren(make("p", "", say.working));
  const told = await change("api/faces/name", { track, name }, done);
  galleryMark = null;
  if (!told) return;
  const used = told.pictures.filter(picture => picture.skipped === null).length;
  done.replaceChildren(make("p", "", say.taught(name, used, told.files.length, told.at_work)), verdicts(told.pictures));
  isAdded(name, done);
}
$("walk").addEventListener("click", walkUp);
person.addEventListener("close", () => {
  if (person.open) return;
  // The card that had the focus may have been drawn anew.
  if (document.activeElement === document.body || person.contains(document.activeElement)) focusCard(personName);
  watching++;
  personName = null;
  person.classList.remove("low");
});
$("rename").addEventListener("submit", async event => {
  event.preventDefault();
  const to = $("to-name").value.trim(), done = personDone, from = personName.slice(1);
  if (!to || to === from) return;
  const merge = knownPeople.includes(to) && $("rename").dataset.merge === to;
  if (knownPeople.includes(to) && !merge) {
    $("rename").dataset.merge = to;
    askedAt = performance.now();
    done.replaceChildren(make("p", "", say.mergeAsk(from, to)));
    return;
  }
  if (merge && isSoon()) return;
  done.replaceChildren(make("p", "", say.working));
  if (!await change("api/gallery/rename", { person: from, to, merge }, done)) return;
  done.replaceChildren(make("p", "", say.renamed(from, to)));
  galleryMark = null;
  if (done === personDone) [personName, $("rename").dataset.merge] = ["/" + to, ""];
});
$("forget").addEventListener("click", async () => {
  const name = personName.slice(1), done = personDone;
  if (forgetting !== name) { [forgetting, askedAt] = [name, performance.now()]; write($("forget"), say.forgetAsk(name)); return; }
  if (isSoon()) return;
  forgetting = null;
  done.replaceChildren(make("p", "", say.working));
  const receipt = await change("api/gallery/forget", { person: name }, done);
  galleryMark = null;
  if (receipt) done.replaceChildren(make("p", "", say.receipt(receipt)), make("p", "soft", receipt.told_by_mqtt ? say.notReachedMqtt : say.notReached));
  else drawPerson();
});
