// The gallery, requested when it has changed. A viewer sees only how many pictures are not used.
const FIRST = 3;
let galleryMark = null;
async function gallery(state) {
  const { gallery_version: mark, skipped } = state.recognition;
  if (mark === galleryMark) return;
  galleryMark = mark;
  const denied = state.role !== "admin";
  const answer = denied ? null : await ask("api/gallery", 20000).catch(() => null);
  if (mark !== galleryMark) return;
  // After a failure the request is repeated.
  const roster = answer && answer.json;
  if (!denied && !roster) { galleryMark = null; return; }
  $("gallery-hint").hidden = !denied;
  if (denied) {
    $("gallery").hidden = !skipped;
    $("folders").hidden = true;
    put("gallery-hint", say.skipped(skipped) + ". " + say.hint);
    for (const id of ["warnings", "more-warnings", "roster"]) $(id).replaceChildren();
    return;
  }
  const warnings = roster.warnings.filter(warning => warning !== state.reload_error).map(warning => make("li", "", warning));
  const others = [{ name: say.never, pictures: roster.never }, { name: say.nobodys, pictures: roster.ignored }];
  const folders = roster.people.concat(others.filter(other => other.pictures.length));
  $("gallery").hidden = !(folders.length || warnings.length);
  $("folders").hidden = !(folders.length || warnings.length > FIRST);
  put("gallery-title", say.gallery(folders.flatMap(folder => folder.pictures).filter(isDoubtful).length));
  $("warnings").replaceChildren(...warnings.slice(0, FIRST));
  $("more-warnings").replaceChildren(...warnings.slice(FIRST));
  $("roster").replaceChildren(...folders.map(folderDetails));
}
function isDoubtful(picture) { return picture.skipped !== null || picture.note !== null; }
function folderDetails(folder) {
  const details = document.createElement("details"), summary = make("summary", "", folder.name + " "), list = make("ul", "", "");
  const used = [say.ofThem(folder.pictures.filter(p => p.skipped === null).length, folder.pictures.length)];
  if (folder.spread) used.push(say.spread(folder.spread.toFixed(2)));
  summary.append(make("span", "", used.join(" \u00b7 ")));
  details.open = folder.pictures.some(isDoubtful);
  list.append(...folder.pictures.map(picture => {
    const li = make("li", "", ""), face = picture.face;
    li.append(make("b", isDoubtful(picture) ? "doubtful" : "", picture.file), make("span", "", picture.skipped || picture.note || say.good));
    if (face) {
      const seen = say.seenAs(face.width_px, face.sharpness.toFixed(3), Math.round(face.brightness));
      li.append(" \u00b7 ", make("span", "", seen + (face.nearest_own === null ? "" : say.own(face.nearest_own.toFixed(2)))));
    }
    return li;
  }));
  details.append(summary, list);
  if (folder.hint) details.append(make("p", "hint", folder.hint));
  return details;
}

