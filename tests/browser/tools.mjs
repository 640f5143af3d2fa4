// Helpers of the browser tests: expectations, waiting, and what is visible on the page.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const OUT = join(ROOT, "target/browser");
// Loads the packages that tools/browsers fetched.
export const peer = createRequire(join(OUT, "peers/"));
// The time limit of a wait, long enough for a busy machine.
export const WAIT_MS = 60000;

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));
// Waits until `reached` returns something true, and returns it.
export async function until(what, reached, waitMs = WAIT_MS) {
  const end = Date.now() + waitMs;
  for (;;) {
    const value = await reached();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${waitMs / 1000} s: ${what}`);
    await sleep(100);
  }
}
export function expect(what, found, wanted = true) {
  const [is, should] = [found, wanted].map(value => JSON.stringify(value));
  if (is !== should) throw new Error(`${what}: expected ${should}, found ${is}`);
}

// The texts of the page, from its own source, and those of the login page.
const read = file => readFileSync(join(ROOT, file), "utf8");
const source = ["words", "verdicts", "tools", "status"].map(name => read(`src/http/page/${name}.js`));
export const WORDS = new Function("navigator", `${source[0]}; return WORDS`)({});
// The Korean words and functions of the page, outside of a page.
const functions = [source[2].match(/^function apart[^]*?^}/m), source[3].match(/^function rate[^]*?^}/m)].join("\n");
export const KOREAN = new Function("navigator", `${source[0]}; ${source[1]}; ${functions}; return { say, verdict, rate }`)({ language: "ko" });
// Texts in Rust that are a part of a sentence, with that sentence; without one when the page never shows the text.
const PARTS = {
  "the folder is empty; add pictures": "4 will not be recognised: the folder is empty; add pictures",
  "none of the pictures can be used; see the reason of each": "4 will not be recognised: none of the pictures can be used; see the reason of each",
  "4 and 4 are 4 apart4: is this one person?": "4: 4 and 4 more are 4 apart or more: is this one person?",
  "4 will not be recognised: 4": "", " or more": "", "gallery 4 cannot be read": "", "4 more": "", "system volume information": "",
};
// The sentences in Rust about pictures, people and the gallery, with 4 for each value.
export function rustSentences() {
  const enrolment = ["enrol", "enrol/draft", "curate", "curate/misplaced"].map(file => `src/recognition/gallery/${file}.rs`);
  const files = [...enrolment, "src/recognition/detect/quality.rs", "src/gallery/list.rs", "src/image/still.rs"].map(file => read(file).split("#[cfg(test)]\nmod tests")[0]);
  // Of expected.rs, these functions make warnings about a gallery.
  const expected = read("src/recognition/identify/expected.rs");
  files.push(...["doubts", "near_pairs", "near_never"].map(name => expected.match(new RegExp(`^pub fn ${name}\\b[^]*?^}`, "m"))[0]));
  return literals(files).map(text => PARTS[text] ?? text).filter(Boolean);
}
function literals(files) {
  const all = files.flatMap(text => [...text.replace(/^\s*\/\/.*$/gm, "").replaceAll("'\"'", "").matchAll(/"((?:[^"\\]|\\[^])*)"/g)]);
  const texts = all.map(([, text]) => text.replace(/\\\n\s*/g, "").replace(/\\"/g, "\"").replace(/\\n/g, "\n").replace(/\{[^}]*\}/g, "4"));
  return [...new Set(texts)].filter(text => /[a-z] |[a-z].* /.test(text));
}
// The refusals in Rust that owners meet: not those of requests that only programs send, nor lines of the log, nor RARE
// ones, which stay English so that the page stays small.
const RARE = /^(4 has|4 is in the|4 is not a folder|the gallery has|the folder has|the disk is read-only|This namecam|This needs|A change|The account|Access from)/;
const NEVER_SHOWN = /^(The body|A track|Please name|width|format|People without|There is no such|Too many pictures|An? (admin's )?token|The token|No password|There are no passwords|Please log in|The user name|The old password|The program|The pictures|A recording|camera\.source|gallery:|http:|cannot start|bearer|, or|on the board|4)/;
export function rustRefusals() {
  const files = ["http/teach", "http/tune", "gallery/edit", "http/auth/access"].map(file => read(`src/${file}.rs`).split("#[cfg(test)]\nmod tests")[0]);
  const whole = text => /^(the name|systems)/.test(text) ? text + "; choose another name" : /^(the disk|namecam may)/.test(text) ? "4: " + text : text.replace("4; 4", "4; on the board, run: 4");
  return literals(files).filter(text => !RARE.test(text) && (!NEVER_SHOWN.test(text) || /^4 is /.test(text))).map(whole);
}
export const LOGIN = {
  en: { title: "Log in", user: "User name", password: "Password", wrong: "The user name or the password is wrong." },
  ko: { title: "로그인", user: "사용자 이름", password: "비밀번호", wrong: "사용자 이름 또는 비밀번호가 올바르지 않습니다." },
};

// Wait until a text is visible, or no longer visible. Of several elements with the text, the first counts.
export const seen = (page, text, exact = true) =>
  page.getByText(text, { exact }).first().waitFor({ state: "visible", timeout: WAIT_MS });
export const unseen = (page, text, exact = true) =>
  page.getByText(text, { exact }).first().waitFor({ state: "hidden", timeout: WAIT_MS });

// Fills in the login page, which must be open.
export async function submitLogin(page, { user, password }) {
  const words = LOGIN[page.lang];
  await page.getByLabel(words.user).fill(user);
  await page.getByLabel(words.password).fill(password);
  await page.getByRole("button", { name: words.title }).click();
}
// Opens the page as a user and waits for the state.
export async function logIn(page, camera, user) {
  await page.goto(camera.address + "/");
  await submitLogin(page, user);
  await page.getByText(page.say.account(user.user)).waitFor({ state: "visible", timeout: WAIT_MS });
}
// Waits until a face has this name: the title of the page lists the names.
export const person = (page, name) => until(`${name} is in view`, async () => (await page.title()).split(" \u00b7 ")[0].split(", ").includes(name));

// The live picture, an <img> or a <canvas>, as 32 x 18 grey values; null before the first picture. Elements of the page
// over the picture do not count.
export const pixels = (page, label = page.say.picture) => page.evaluate(label => {
  const all = [...document.querySelectorAll("img, canvas")];
  const picture = all.find(e => [e.getAttribute("alt"), e.getAttribute("aria-label")].includes(label) && e.checkVisibility());
  if (!picture || !(picture.naturalWidth || picture.width)) return null;
  const small = document.createElement("canvas");
  [small.width, small.height] = [32, 18];
  const context = small.getContext("2d");
  context.drawImage(picture, 0, 0, 32, 18);
  const { data } = context.getImageData(0, 0, 32, 18);
  const grey = [];
  for (let i = 0; i < data.length; i += 4) grey.push(Math.round((data[i] + data[i + 1] + data[i + 2]) / 3));
  return grey;
}, label);
