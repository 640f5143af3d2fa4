// Tests whether a picture still shows the scene of the look at the place of a face, by the rule of detection/view.rs. A
// box is not drawn when its face has left, or after a cut.
const CELLS = 16, POINTS = 4, STILL_ALIKE = 0.6, OFF = 16, STEPS = 4;
const sample = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
if (sample) sample.canvas.width = sample.canvas.height = CELLS * POINTS;
// The colours of CELLS x CELLS cells of a part of the picture: red, green and blue of each.
function cellsOf(bitmap, x, y, w, h) {
  const side = CELLS * POINTS, left = Math.max(x, 0), top = Math.max(y, 0);
  const [wide, tall] = [Math.min(x + w, bitmap.width) - left, Math.min(y + h, bitmap.height) - top];
  if (wide < 1 || tall < 1) return null;
  sample.drawImage(bitmap, left, top, wide, tall, 0, 0, side, side);
  const { data } = sample.getImageData(0, 0, side, side), cells = new Float32Array(CELLS * CELLS * 3);
  for (let i = 0; i < data.length; i += 4) {
    const cell = 3 * (CELLS * Math.floor(i / 4 / side / POINTS) + Math.floor(i / 4 % side / POINTS));
    for (let color = 0; color < 3; color += 1) cells[cell + color] += data[i + color] / (POINTS * POINTS);
  }
  return cells;
}
// The similarity: 1 for equal cells, 0 when they differ by as much as the cells of the first part among each other.
function likeness(cells, others) {
  if (!others) return 0;
  const mean = [0, 0, 0];
  cells.forEach((value, i) => { mean[i % 3] += value * 3 / cells.length; });
  let among = 0, between = 0;
  cells.forEach((value, i) => { among += (value - mean[i % 3]) ** 2; between += (value - others[i]) ** 2; });
  return 1 - between / Math.max(2 * among, cells.length / 3);
}
// True when the face is at its place or near it, because the box may be slightly wrong. The search moves in steps of
// rising similarity.
function isThere(bitmap, { face, x, y, w, h }) {
  if (!sample || face.view === null) return true;
  if (typeof face.view === "string") face.view = Float32Array.from(atob(face.view), letter => letter.charCodeAt(0));
  const step = Math.max(Math.floor(w / OFF), 1);
  const alike = ([right, down, larger]) => {
    const [width, height] = [w + 2 * larger * step, h + 2 * larger * step], margin = Math.floor(width / 2);
    return likeness(face.view, cellsOf(bitmap, x + (right - larger) * step - margin, y + (down - larger) * step - margin, width + 2 * margin, height + 2 * margin));
  };
  let at = [0, 0, 0], best = alike(at);
  for (let steps = 0; best < STILL_ALIKE && steps < STEPS; steps += 1) {
    const from = best;
    for (const off of [0, 1, 2, 3, 4, 5].map(way => at.map((value, i) => value + (i === way >> 1 ? 1 - 2 * (way & 1) : 0)))) {
      const more = alike(off);
      if (more > best) [best, at] = [more, off];
    }
    if (best === from) break;
  }
  return best >= STILL_ALIKE;
}

