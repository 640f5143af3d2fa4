// The picture. The page draws each frame, boxes and names itself. Where it cannot, or when the user prefers that, an
// <img> shows the stream with namecam's overlay. For an <img>, a browser reports only the beginning of a stream. To
// learn whether the stream is still sent, the page requests the state with the key of its stream.
const picture = $("picture"), canvas = $("canvas"), context = canvas.getContext("2d");
const canDraw = Boolean(context && window.createImageBitmap && window.AbortController && window.ReadableStream);
let retry = 0, retryMs = 1000, shown = false, key = "", begunAt = 0, graceMs = 3000;
// The stream that is being read, its newest part, the frame that is shown, and the numbers of failures in a row.
let reading = null, part = null, frame = null, decoding = false, undecoded = 0, failures = 0;
const MOST_FAILURES = 3, MOST_UNDECODED = 10;
let drawn = !canDraw || storedOverlay() === "drawn";
function storedOverlay() { try { return localStorage.getItem("overlay"); } catch { return null; } }
function play() {
  clearTimeout(retry);
  if (document.hidden) return;
  shown = false;
  begunAt = Date.now();
  key = "page-" + crypto.getRandomValues(new Uint32Array(2)).join("-");
  picture.hidden = !drawn;
  canvas.hidden = drawn;
  if (drawn) picture.src = "video_feed?t=" + key; else read();
  if (!listener) listen();
}
async function read() {
  const mine = reading = new AbortController();
  const path = "video_feed?overlay=0&raw=1&t=" + key;
  const refused = await readEndless(path, mine, partReader(newest => { if (reading === mine) { part = newest; decode(); } })).catch(() => 0);
  if (reading !== mine) return;
  // When other requests succeed and this one fails, the page falls back to the <img>.
  if (!refused && !shown && !misses) failures += 1;
  if (failures >= MOST_FAILURES) return useImage();
  ended(refused);
}
// Decodes the newest part. Of the parts that arrive meanwhile, only the newest is decoded next.
async function decode() {
  if (decoding) return;
  decoding = true;
  while (part) {
    const { jpeg, at } = part, of = reading;
    part = null;
    const bitmap = await createImageBitmap(jpeg).catch(() => null);
    if (of !== reading || !bitmap) {
      if (bitmap) bitmap.close();
      else if (++undecoded >= MOST_UNDECODED) useImage();
      continue;
    }
    if (frame) frame.bitmap.close();
    frame = { bitmap, at };
    undecoded = failures = 0;
    if (!shown) began();
    fit();
    paint();
  }
  decoding = false;
}
function useImage() { drawn = true; undecoded = failures = 0; marks(); replay(); }
// Restarts a stream that has ended, after a grace period in which its request may still be on the way. The period doubles
// each time, because a proxy may remove the key.
function live(watching, ofKey) {
  if (watching) graceMs = 3000;
  if (watching !== false || ofKey !== key || !(reading || picture.hasAttribute("src")) || Date.now() - begunAt < graceMs) return;
  graceMs = Math.min(graceMs * 2, 60000);
  replay();
}
function stopPicture() {
  clearTimeout(retry);
  picture.removeAttribute("src");
  const [last, old] = [reading, frame];
  reading = part = frame = null;
  if (last) last.abort();
  if (old) old.bitmap.close();
  paint();
}
function stop() { stopPicture(); unlisten(); }
function replay() { stopPicture(); retryMs = 1000; play(); }
function began() { shown = true; retryMs = 1000; fit(); notice(); }
function ended(refused) {
  stopPicture();
  retry = setTimeout(play, retryMs);
  retryMs = Math.min(retryMs * 1.5, 8000);
  sayRefused(refused);
}
function sayRefused(status) {
  if (status === 503) notice(say.full503, say.full503More);
  else if (status === 401) notice(say.login, say.loginMore);
}
picture.addEventListener("load", () => { began(); paint(); });
picture.addEventListener("error", async () => {
  if (!picture.hasAttribute("src")) return;
  ended(0);
  const answer = await ask("video_feed", 4000, "HEAD").catch(() => null);
  if (answer) sayRefused(answer.status);
});
function size() { return drawn ? [picture.naturalWidth, picture.naturalHeight] : frame ? [frame.bitmap.width, frame.bitmap.height] : [0, 0]; }
function fit() {
  const [width, height] = size(), ratio = width + " / " + height;
  if (width && $("frame").style.aspectRatio !== ratio) $("frame").style.aspectRatio = ratio;
}
// Draws the frame and its boxes in pixels of the screen, and places the buttons over the faces.
function paint() {
  const [width, height] = size(), bounds = $("frame").getBoundingClientRect(), sharp = window.devicePixelRatio || 1;
  const faces = !width ? [] : drawn ? facesAt(width, height) : facesAt(width, height, frame.at).filter(face => isThere(frame.bitmap, face));
  const scale = width ? Math.min(bounds.width / width, bounds.height / height) : 1;
  const place = { x: (bounds.width - width * scale) / 2, y: (bounds.height - height * scale) / 2, w: width * scale, h: height * scale };
  if (!drawn) {
    const [right, down] = [Math.round(bounds.right * sharp) - Math.round(bounds.left * sharp), Math.round(bounds.bottom * sharp) - Math.round(bounds.top * sharp)];
    if (canvas.width !== right || canvas.height !== down) [canvas.width, canvas.height] = [right, down];
    else if (!frame || place.x > 0 || place.y > 0) context.clearRect(0, 0, right, down);
    if (frame) {
      const [x, y, w, h] = [place.x, place.y, place.w, place.h].map(at => Math.round(at * sharp)), times = scale * sharp;
      context.imageSmoothingQuality = "medium";
      context.drawImage(frame.bitmap, x, y, w, h);
      drawBoxes(context, faces.map(({ face, ...at }) => ({ face, x: at.x * times, y: at.y * times, w: at.w * times, h: at.h * times })), { x, y, w, h }, sharp);
    }
  }
  placeButtons(faces, place, scale);
  if (!$("zones").hidden) Object.assign($("zones").style, { left: place.x + "px", top: place.y + "px", width: place.w + "px", height: place.h + "px" });
}
if (window.ResizeObserver) new ResizeObserver(paint).observe($("frame"));
function notice(title, text) {
  $("notice").hidden = !title;
  for (const shows of [picture, canvas]) shows.classList.toggle("dim", Boolean(title));
  put("notice-title", title || "");
  put("notice-text", text || "");
}
// The switch between the two overlays.
function marks() { $("drawn").setAttribute("aria-pressed", String(drawn)); }
$("drawn").hidden = !canDraw;
$("drawn").title = say.drawnMore;
marks();
$("drawn").addEventListener("click", () => {
  drawn = !drawn;
  try { localStorage.setItem("overlay", drawn ? "drawn" : "page"); } catch { /* It counts until the page is closed. */ }
  marks();
  replay();
});

