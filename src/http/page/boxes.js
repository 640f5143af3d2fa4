// The boxes and names over the picture, and a button over each face. The event `boxes` brings them after each look.
// Until the next one they are extrapolated, in the same way as in namecam's own overlay (detection.rs,
// stream/overlay.rs).
const LONGEST_WAY_S = 0.4, NO_BOXES = { width: null, faces: [] };
let boxes = NO_BOXES, overlay = null, newestTrack = 0, cameraOn = true, listener = null, listening = 0;
async function listen() {
  clearTimeout(listening);
  const mine = listener = new AbortController();
  const heard = eventReader((name, data) => {
    if (name === "camera") cameraOn = data.online;
    else if (name === "boxes") boxes = data;
    else return;
    // A new face is listed at once, not at the next request.
    const newest = Math.max(0, ...boxes.faces.map(face => face.track));
    if (newest > newestTrack) go();
    newestTrack = newest;
    paint();
  });
  const refused = await readEndless("api/events?boxes=1", mine, heard).catch(() => 0);
  if (listener !== mine) return;
  boxes = NO_BOXES;
  paint();
  listening = setTimeout(listen, refused ? 5000 : 1000);
}
function unlisten() {
  clearTimeout(listening);
  const last = listener;
  [listener, boxes] = [null, NO_BOXES];
  if (last) last.abort();
}
// The places of the faces on a picture of this size that was captured at `at`; by default, at the time of the look.
function facesAt(width, height, at = boxes.captured_at) {
  // Pictures have at most the size of the frame; stream.width makes them smaller. A picture of another shape is from
  // another camera.
  const scale = width / boxes.width, isSame = scale <= 1 && Math.abs(boxes.height * scale - height) < 2;
  if (!boxes.width || !isSame || !cameraOn || at > boxes.stale_at) return [];
  const way = Math.min(Math.max(at - boxes.captured_at, 0), LONGEST_WAY_S);
  return boxes.faces.map(face => {
    const [x, y, w, h] = face.box, [right, down] = face.velocity;
    return { face, x: (x + Math.round(right * way)) * scale, y: (y + Math.round(down * way)) * scale, w: w * scale, h: h * scale };
  }).filter(({ x, y, w, h }) => x < width && y < height && x + w > 0 && y + h > 0);
}
// Draws the boxes of `faces` on a picture at `place`, in pixels of the canvas. `scale` is the number of canvas pixels
// per pixel of the page. Lines and letters are readable at any size of the picture.
function drawBoxes(context, faces, place, scale) {
  const shown = overlay && overlay.enabled ? faces.filter(({ face }) => face.name !== null || overlay.unknown === "show") : [];
  if (!shown.length) return;
  const px = Math.round(Math.min(10 + place.h / scale / 72, 96) * scale), line = Math.round(Math.max(2, (place.h / scale + 180) / 360) * scale);
  const tall = Math.round(px * 4 / 3), padding = Math.round(px / 3);
  context.save();
  context.beginPath();
  context.rect(place.x, place.y, place.w, place.h);
  context.clip();
  context.translate(place.x, place.y);
  context.strokeStyle = overlay.box_color;
  context.lineWidth = line;
  for (const { x, y, w, h } of shown) context.strokeRect(x + line / 2, y + line / 2, w - line, h - line);
  context.font = `${px}px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  const wide = text => context.measureText(text).width, labels = [];
  const named = shown.filter(({ face }) => face.name !== null), others = shown.filter(({ face }) => face.name === null && face.state !== "seen");
  for (const { face, x, y, h } of named.concat(others)) {
    let name = [...nameOf(face).replace(/\p{Cc}/gu, " ")], distance = overlay.show_distance && face.distance !== null ? say.dist(face.distance.toFixed(3)) : "";
    const room = place.w - 2 * padding;
    if (wide(distance) > room / 2) distance = "";
    // An isolate, so that the name runs in the direction of its first letter.
    let text = `\u2068${name.join("")}\u2069`;
    while (name.length && wide(text) + wide(distance) > room) text = `\u2068${(name = name.slice(0, -1)).join("")}\u2026\u2069`;
    const long = wide(text) + wide(distance) + 2 * padding, left = Math.max(Math.min(x, place.w - long), 0);
    // The label is above the box, else at its top, below it or at its bottom: the first place with room and without
    // another label.
    const [top, bottom] = [Math.max(y, 0), Math.min(y + h, place.h)];
    const tops = [top - tall, top, bottom, bottom - tall].filter(at => at >= 0 && at + tall <= place.h);
    const isFree = at => labels.every(label => left >= label.left + label.long || label.left >= left + long || at >= label.top + tall || label.top >= at + tall);
    const at = tops.find(isFree), spare = tops.length ? tops[0] : top;
    labels.push({ left, long, top: at === undefined ? spare : at, text, distance });
  }
  for (const { left, long, top, text, distance } of labels.reverse()) {
    context.fillStyle = overlay.box_color;
    context.fillRect(left, top, long, tall);
    context.fillStyle = overlay.text_color;
    context.fillText(text, left + padding, top + tall / 2);
    context.fillText(distance, left + padding + wide(text), top + tall / 2);
  }
  context.restore();
}
const nameOf = face => face.name !== null ? face.name : face.state === "seen" ? say.seen : say.unknown;
// The buttons by track. `place` is the place of the picture in pixels of the page, `scale` the size of a picture pixel
// there.
const faceButtons = new Map();
function placeButtons(faces, place, scale) {
  for (const [track, button] of faceButtons) if (!faces.some(({ face }) => face.track === track)) { button.remove(); faceButtons.delete(track); }
  for (const { face, x, y, w, h } of faces) {
    let button = faceButtons.get(face.track);
    if (!button) {
      button = make("button", "", "");
      button.type = "button";
      button.onclick = () => tapFace(face.track);
      faceButtons.set(face.track, button);
      $("faces").append(button);
    }
    const label = nameOf(face), box = [place.x + x * scale, place.y + y * scale, w * scale, h * scale].map(at => at.toFixed(1) + "px");
    if (button.ariaLabel !== label) button.setAttribute("aria-label", label);
    const style = { transform: `translate(${box[0]}, ${box[1]})`, width: box[2], height: box[3] };
    for (const name in style) if (button.style[name] !== style[name]) button.style[name] = style[name];
  }
}

