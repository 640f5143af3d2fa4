// node tests/browser/run.mjs NAMECAM [BROWSER] [WORD...]: runs the tests whose names contain all words, in all browsers
// or in one. A failed test leaves a picture of each of its pages in target/browser. `make browser-test` runs this
// program.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Camera, makeAlone, makeScene } from "./camera.mjs";
import { BROWSERS, launch, open } from "./browsers.mjs";
import { TESTS } from "./tests.mjs";
import { OUT } from "./tools.mjs";

const TEST_MS = 180000;
const ALL_MS = 900000;

// Rejects when `promise` takes too long. The work behind `promise` goes on until the caller ends it.
function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`not done within ${ms / 1000} s`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function tried(browser, name, test, namecam) {
  const pages = [];
  let camera = null;
  try {
    await within(TEST_MS, (async () => {
      camera = await Camera.start(namecam, test.settings, test.alone);
      await test.run({ camera, open: async options => { const page = await open(browser, options); pages.push(page); return page; } });
    })());
    const complaints = pages.flatMap(page => page.complaints).filter(told => !(test.allows || []).some(allowed => allowed.test(told)));
    if (complaints.length) throw new Error(`the console has errors:\n  ${complaints.join("\n  ")}`);
    return null;
  } catch (error) {
    const files = join(OUT, `failed-${name}-${test.name.replace(/\W+/g, "-")}`);
    for (const [i, page] of pages.entries()) await within(10000, page.screenshot({ path: `${files}-${i + 1}.png` })).catch(() => {});
    if (camera) writeFileSync(`${files}.log`, camera.log);
    const complaints = pages.flatMap(page => page.complaints.map(told => `\n  console: ${told}`));
    return `${error.stack || error}${complaints.join("")}\n  see ${files}*`;
  } finally {
    for (const page of pages) await within(10000, page.context ? page.context().close() : page.close()).catch(() => {});
    if (camera) await camera.stop();
  }
}

const [namecam, ...words] = process.argv.slice(2);
if (!namecam) { console.error("usage: run.mjs NAMECAM [BROWSER] [WORD...]"); process.exit(64); }
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));
setTimeout(() => { console.error(`browser-test: not done within ${ALL_MS / 1000} s`); process.exit(1); }, ALL_MS).unref();
mkdirSync(OUT, { recursive: true });
for (const file of readdirSync(OUT)) if (file.startsWith("failed-")) rmSync(join(OUT, file));
makeScene();
makeAlone();

const browsers = BROWSERS.includes(words[0]) ? [words.shift()] : BROWSERS;
const [begun, failures] = [Date.now(), []];
let done = 0;
for (const name of browsers) {
  const tests = TESTS.filter(test => test.in.includes(name) && words.every(word => test.name.includes(word)));
  if (!tests.length) continue;
  const browser = await within(90000, launch(name));
  console.log(`${name} ${browser.version}:`);
  for (const test of tests) {
    const from = Date.now();
    const failure = await tried(browser, name, test, resolve(namecam));
    done += 1;
    console.log(`  ${failure ? "FAILED  " : ""}${test.name} (${((Date.now() - from) / 1000).toFixed(1)} s)`);
    if (failure) { failures.push(test.name); console.log(failure.replace(/^/gm, "    ")); }
  }
  await within(20000, browser.close()).catch(() => {});
}
console.log(`${done} tests in ${Math.round((Date.now() - begun) / 1000)} s, ${failures.length} failed`);
process.exit(failures.length || !done ? 1 : 0);
