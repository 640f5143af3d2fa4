// Measures the page in Chromium: node tools/page_figures.mjs NAMECAM [SECONDS] [MINUTES]
// Prints one JSON line: the time to the first picture (median of five loads), the distance between the boxes that the
// page draws and those that namecam draws into the picture of the same X-Timestamp, and the memory of the tab. The
// camera is a clip of one face that moves to and fro, 640x480 at 30 frames a second. Needs ffmpeg, Debian's chromium
// and playwright-core. NODE_MODULES names the folder with playwright-core; without it, Node.js searches its usual
// folders.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
const { chromium } = createRequire(process.env.NODE_MODULES ? `${process.env.NODE_MODULES}/` : import.meta.url)("playwright-core");
const [namecam, seconds = "20", minutes = "0"] = process.argv.slice(2);
const root = dirname(dirname(fileURLToPath(import.meta.url))), pictures = join(root, "target/pictures"), folder = mkdtempSync(join(tmpdir(), "namecam-page-"));
const ended = [];
process.on("exit", () => { for (const end of ended) end(); rmSync(folder, { recursive: true, force: true }); });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

// Six seconds. The face moves at up to 190 pixels a second.
const clip = join(folder, "clip.mjpeg"), graph = "color=c=gray:s=640x480:r=30,noise=alls=40:all_seed=7,gblur=3[bg];"
  + "[0]crop=iw*0.62:ih*0.62:iw*0.19:ih*0.06,scale=-1:260[a];[bg][a]overlay=x='320-w/2+180*sin(2*PI*n/180)':y=110[v]";
const made = spawnSync("ffmpeg", ["-v", "error", "-loop", "1", "-framerate", "30", "-i", join(pictures, "obama2.jpg"), "-filter_complex", graph, "-map", "[v]",
  "-frames:v", "180", "-q:v", "4", "-pix_fmt", "yuvj422p", "-f", "mjpeg", clip], { stdio: "inherit" });
if (made.status !== 0) throw new Error("ffmpeg makes no clip");
mkdirSync(join(folder, "gallery/Barack Obama"), { recursive: true });
cpSync(join(pictures, "obama.jpg"), join(folder, "gallery/Barack Obama/1.jpg"));
writeFileSync(join(folder, "namecam.ini"), `[camera]\nsource = pipe:ffmpeg -loglevel error -re -stream_loop -1 -f mjpeg -framerate 30 -i ${clip} -c copy -f mjpeg -
[gallery]\npath = gallery\n[models]\npath = ${root}/models\n[http]\nbind = 127.0.0.1:${0}\n[overlay]\nbox_color = ff00ff\nshow_distance = no\n[state]\npath = state\n`);
const camera = spawn(namecam, ["run", "--config", join(folder, "namecam.ini")], { env: { ...process.env, XDG_CACHE_HOME: folder } });
ended.push(() => camera.kill());
const address = await new Promise((found, failed) => {
  let log = "";
  camera.stderr.on("data", text => { log += text; const at = /listening on (http:\S+)/.exec(log); if (at) found(at[1]); });
  camera.on("exit", () => failed(new Error(`namecam ends: ${log}`)));
});
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--enable-precise-memory-info"] });
const at = (numbers, share) => [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * share))];

async function firstPicture() {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(address);
  // `shown` is a variable of the page, which is set once the first picture is on the canvas.
  const ms = await page.evaluate(async () => { while (!shown) await new Promise(requestAnimationFrame); return performance.now(); });
  await page.close();
  return Math.round(ms);
}
const firsts = [];
for (let i = 0; i < 5; i += 1) firsts.push(await firstPicture());

const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
const complaints = [];
page.on("console", told => { if (["error", "warning"].includes(told.type())) complaints.push(told.text()); });
page.on("pageerror", error => complaints.push(String(error)));
await page.goto(address);
await page.evaluate(async () => { while (!boxes.faces.some(face => face.name !== null)) await new Promise(requestAnimationFrame); });
const memory = () => page.evaluate(() => Math.round(performance.memory.usedJSHeapSize / 1e4) / 100);
const before = await memory();
const pairs = await page.evaluate(async ms => {
  // The boxes of the page by the time stamp of the picture, in pixels of the picture.
  const own = new Map(), theirs = new Map(), place = placeButtons;
  placeButtons = (faces, ...rest) => {
    if (frame && !own.has(frame.at)) own.set(frame.at, faces.length === 1 ? { x: faces[0].x, w: faces[0].w, v: faces[0].face.velocity[0] } : null);
    place(faces, ...rest);
  };
  // The boxes of namecam: the columns of the left and the right side.
  const sheet = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const control = new AbortController();
  setTimeout(() => control.abort(), ms);
  let next = Promise.resolve();
  const measure = async ({ jpeg, at }) => {
    const bitmap = await createImageBitmap(jpeg), [width, height] = [bitmap.width, bitmap.height];
    [sheet.canvas.width, sheet.canvas.height] = [width, height];
    sheet.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data } = sheet.getImageData(0, 0, width, height), columns = [];
    for (let x = 0; x < width; x += 1) {
      let count = 0;
      for (let y = 0; y < height; y += 2) { const i = 4 * (y * width + x); if ((data[i] + data[i + 2]) / 2 - data[i + 1] > 50) count += 1; }
      columns.push(count);
    }
    const most = Math.max(...columns), sides = columns.flatMap((count, x) => count > 16 && count > most * 0.7 ? [x] : []);
    theirs.set(at, sides.length ? { left: sides[0], right: sides[sides.length - 1] + 1 } : null);
  };
  await readEndless("video_feed?raw=1", control, partReader(part => { next = next.then(() => measure(part)); })).catch(() => 0);
  await next;
  placeButtons = place;
  return [...own].filter(([at]) => theirs.has(at)).map(([at, box]) => ({ at, own: box, theirs: theirs.get(at) }));
}, Number(seconds) * 1000);
const both = pairs.filter(({ own, theirs }) => own && theirs);
// The distances between the middles of the boxes, because JPEG blurs both sides alike.
const apart = both.map(({ own, theirs }) => Math.abs(own.x + own.w / 2 - (theirs.left + theirs.right) / 2));
// The time difference between the page's box of a look and namecam's box of the same look: the time to the nearest
// picture on which namecam's box is where the velocity takes the page's box.
const drawnBoxes = pairs.filter(({ theirs }) => theirs).map(({ at, theirs }) => ({ at, middle: (theirs.left + theirs.right) / 2 }));
const early = both.map(({ at: time, own }) => {
  const same = drawnBoxes.filter(box => Math.abs(box.middle - own.v * (box.at - time) - own.x - own.w / 2) <= 2);
  return Math.min(...same.map(box => 1000 * Math.abs(box.at - time)));
});
console.log(JSON.stringify({
  first_picture_ms: { median: at(firsts, 0.5), all: firsts }, frames_compared: both.length, only_page: pairs.filter(({ own, theirs }) => own && !theirs).length,
  only_drawn: pairs.filter(({ own, theirs }) => !own && theirs).length,
  apart_px: { p50: at(apart, 0.5), p95: at(apart, 0.95), max: at(apart, 1) }, same_look_within_ms: { p50: Math.round(at(early, 0.5)), p95: Math.round(at(early, 0.95)), p99: Math.round(at(early, 0.99)) },
  share_within_40_ms: early.filter(ms => ms <= 40).length / early.length,
  heap_mb: [before, await memory()], complaints,
}));
// The memory of the tab's process each minute: its Pss, its Pss after a simulated shortage of memory has emptied the
// caches of the browser, and the heap of its scripts after a collection.
if (Number(minutes)) {
  const session = await browser.newBrowserCDPSession(), { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const tab = processInfo.filter(({ type }) => type === "renderer").sort((a, b) => b.cpuTime - a.cpuTime)[0].id;
  const own = await page.context().newCDPSession(page), samples = [];
  for (let minute = 0; minute <= Number(minutes); minute += 1) {
    if (minute) await new Promise(go => setTimeout(go, 60000));
    await own.send("HeapProfiler.collectGarbage");
    const mb = () => Math.round(Number(/Pss:\s+(\d+)/.exec(readFileSync(`/proc/${tab}/smaps_rollup`, "utf8"))[1]) / 102.4) / 10;
    const usual = mb();
    await own.send("Memory.simulatePressureNotification", { level: "critical" });
    await new Promise(go => setTimeout(go, 2000));
    samples.push([usual, mb(), await memory(), await page.evaluate(() => shown)]);
  }
  console.log(JSON.stringify({ tab_mb_without_caches_mb_heap_mb_each_minute: samples }));
}
await browser.close();
process.exit(0);
