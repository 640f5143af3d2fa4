// The tests. Each test gets its own namecam as `camera`, and `open`, which opens a page in a new browser profile. The
// tests find elements by their visible texts and labels in the language of the page. An error in the console fails a
// test, except the errors in `allows`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ADMIN, KNOWN, VIEWER } from "./camera.mjs";
import { BROWSERS } from "./browsers.mjs";
import { KOREAN, WORDS, expect, logIn, LOGIN, OUT, peer, person, pixels, rustRefusals, rustSentences, seen, sleep, submitLogin, unseen, until, WAIT_MS } from "./tools.mjs";

const SMALL = [360, 740];
// The page takes clicks that follow each other faster for a double click.
const NO_DOUBLE_MS = 1100;
// The error of a browser about a refused request that a test makes on purpose.
const REFUSED = /status of 40[13]/;
// The list of the page may still have a picture that was deleted a moment ago.
const GONE = /status of 404.*picture\.jpg/;

const wrongThenRight = async (page, camera) => {
  const words = LOGIN[page.lang];
  await page.goto(camera.address + "/");
  expect("the address asks for a login", new URL(await page.url()).pathname, "/login");
  await submitLogin(page, { user: ADMIN.user, password: "not the password" });
  await seen(page, words.wrong);
  await submitLogin(page, ADMIN);
  await seen(page, page.say.here);
  expect("the login leads back to the page", new URL(await page.url()).pathname, "/");
};

export const openAccount = async (page, { user }) => {
  await page.getByText(page.say.account(user)).click();
  await seen(page, page.say.change);
};
export const openSettings = async page => {
  await page.getByText(page.say.settingsTitle, { exact: true }).click();
  await seen(page, page.say.settings["overlay.unknown"]);
  await page.getByText(page.say.healthTitle, { exact: true }).click();
  await page.locator("#health-list li").first().waitFor({ timeout: WAIT_MS });
};
// Open the sheet of a person in the gallery or of a face, and close it again.
const card = (page, name, used, all) => page.getByRole("button", { name: new RegExp(`^${name}\\s*${page.say.ofThem(used, all)}`) });
export const openPerson = async (page, name = KNOWN, used = 1, all = 1) => {
  await card(page, name, used, all).click();
  await seen(page, page.say.forget);
};
export const openWhy = async page => {
  await person(page, KNOWN);
  await page.getByRole("button", { name: page.say.whyOf(KNOWN), exact: true }).click();
  await page.getByRole("heading", { name: KNOWN, exact: true }).waitFor({ timeout: WAIT_MS });
};
export const close = async page => {
  await page.getByRole("button", { name: page.say.close, exact: true }).click();
  await until("the sheet is closed", async () => await page.getByRole("dialog").count() === 0);
};

// Fails on violations that axe-core finds. The page's content security policy forbids an added script, but not one that
// the debugger runs.
const hasNoViolations = async (page, what) => {
  const AXE = readFileSync(peer.resolve("axe-core/axe.min.js"), "utf8");
  await page.evaluate(AXE);
  // By default, axe-core does not check the size of touch targets.
  const { violations, passes } = await page.evaluate(() => axe.run({ rules: { "target-size": { enabled: true } } }));
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}\n` + nodes.map(node => `    ${node.html}\n    ${node.failureSummary}`).join("\n"));
  if (told.length) throw new Error(`axe-core, ${what}:\n  ${told.join("\n  ")}`);
  expect(`axe-core has checked something, ${what}`, passes.length > 10);
};

// The focusable elements in the order of the page, as [number, text]. An element keeps its number.
const FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]:not([tabindex='-1'])";
const focusable = page => page.evaluate(css => {
  const all = [...document.querySelectorAll(css)].filter(e => !e.disabled && !e.closest("[aria-hidden=true]") && e.checkVisibility({ visibilityProperty: true }));
  for (const e of all) e.numberOfTest ||= window.numbersOfTest = (window.numbersOfTest || 0) + 1;
  return all.map(e => [e.numberOfTest, `${e.tagName} ${e.getAttribute("aria-label") || e.textContent || e.name}`]);
}, FOCUSABLE);
const tabReachesAll = async (page, what) => {
  const before = await focusable(page);
  const reached = [];
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press("Tab");
    const now = await page.evaluate(() => {
      const e = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(e);
      return e === document.body ? null : { number: e.numberOfTest, text: e.outerHTML.slice(0, 120), marked: outlineStyle !== "none" && parseFloat(outlineWidth) >= 1 };
    });
    if (!now) continue;
    if (reached.includes(now.number)) break;
    expect(`${what}: the focus shows on ${now.text}`, now.marked);
    reached.push(now.number);
  }
  // Elements that appear or disappear meanwhile, because people come and go, do not count.
  const after = await focusable(page);
  const stayed = before.filter(([number]) => after.some(([other]) => other === number));
  expect(`${what}: Tab misses`, stayed.filter(([number]) => !reached.includes(number)).map(([, text]) => text), []);
  const order = reached.filter(number => stayed.some(([other]) => other === number));
  const first = order.indexOf(stayed[0][0]);
  expect(`${what}: the order of Tab`, order.slice(first).concat(order.slice(0, first)), stayed.map(([number]) => number));
};

// Taps the largest face with this label in the picture, because the detector sometimes takes the patch on the
// astronaut's suit for a face. The click is made by a script, because the faces move.
const tap = (page, label) => until(`a face of ${label} is tapped`, () => page.evaluate(label => {
  const faces = [...document.querySelectorAll("#faces button")].filter(button => button.getAttribute("aria-label") === label);
  const [face] = faces.sort((a, b) => b.offsetWidth - a.offsetWidth);
  if (face) face.click();
  return Boolean(face);
}, label));
// Taps a stranger, and gives the stranger a name.
const nameStranger = async (page, name) => {
  await person(page, KNOWN);
  await tap(page, page.say.unknown);
  const save = page.getByRole("button", { name: page.say.saveName, exact: true });
  await until("there are pictures of the face", async () => await save.isEnabled());
  await page.getByLabel(page.say.whoName).fill(name);
  await save.click();
  await seen(page, page.say.undo);
  // The sheet is no proof: on a busy machine the person may have another track by then.
  await person(page, name);
  await close(page);
};
// The number of used pictures of a person, and the number of all pictures.
const usedOf = (page, name) => until(`${name} is in the gallery`, () => page.evaluate(name => fetch("api/gallery").then(answer => answer.json()).then(({ people }) => {
  const person = people.find(person => person.name === name);
  return person && [person.pictures.filter(picture => picture.skipped === null).length, person.pictures.length];
}), name));
const forget = async (page, camera, name) => {
  await page.getByRole("button", { name: page.say.forget, exact: true }).click();
  await sleep(NO_DOUBLE_MS);
  await page.getByRole("button", { name: page.say.forgetAsk(name), exact: true }).click();
  await seen(page, page.say.notReached);
  expect("the folder is gone", camera.people(), [KNOWN]);
  const left = await page.evaluate(name => Promise.all(["api/gallery", "api/state"].map(path => fetch(path).then(answer => answer.text()))).then(texts => texts.map(text => { const at = text.indexOf(name); return at < 0 ? "" : text.slice(Math.max(at - 200, 0), at + 50); }).join("")), name);
  expect("what the API has of them", left, "");
};

// Answers the page's requests for the camera like a webcam with automatic exposure.
async function fakeWebcam(page) {
  const webcam = { values: { brightness: 50, auto_exposure: 3, exposure_time_absolute: 156 }, tried: {}, mode: null, saved: null, measured: { fps: 29.8, first_ms: 812, cpu_ms: 4.2 } };
  const before = { ...webcam.values };
  const describe = (name, type, min, max, more = {}) => ({ name, type, min, max, step: 1, default: 0, value: webcam.values[name], menu: [], locked: false, read_only: false, ...more });
  const answer = measured => ({
    source: "/dev/video0", kind: "device", why: null, camera: "HD Pro Webcam C920", format: "MJPG", width: 640, height: 480, fps: 30,
    formats: [
      { format: "MJPG", read: true, modes: [{ size: [640, 480], fps: [30, 15] }, { size: [1280, 720], fps: [30] }] },
      { format: "H264", read: false, modes: [{ size: [1920, 1080], fps: [30] }] },
      { format: "YUYV", read: true, modes: [{ size: { min: [160, 120], max: [640, 480], step: [2, 2] }, fps: [{ min: 50, max: 60 }] }] },
    ],
    controls: [
      describe("brightness", "integer", 0, 100), describe("auto_exposure", "menu", 0, 3, { menu: [[1, "Manual Mode"], [3, "Aperture Priority Mode"]] }),
      describe("exposure_time_absolute", "integer", 3, 2047, { locked: webcam.values.auto_exposure === 3 }),
    ],
    trial: Object.keys(webcam.tried).length || webcam.mode ? {
      controls: webcam.tried, before, mode: webcam.mode, ends_in_s: 60,
      settings: { "camera.controls": Object.entries(webcam.tried).map(pair => pair.join("=")).join(", ") },
    } : null,
    refused: [], changed: [], measured,
  });
  await page.route("**/api/camera", route => route.fulfill({ json: answer(null) }));
  await page.route("**/api/camera/try", route => {
    const sent = route.request().method() === "POST" ? route.request().postDataJSON() : null;
    if (!sent) { Object.assign(webcam.values, before); webcam.tried = {}; }
    else if (sent.mode) webcam.mode = sent.mode;
    else { Object.assign(webcam.values, sent.controls); Object.assign(webcam.tried, sent.controls); }
    return route.fulfill({ json: answer(sent && sent.mode ? webcam.measured : null) });
  });
  await page.route("**/api/settings", route => {
    webcam.saved = route.request().postDataJSON().set;
    webcam.tried = {};
    return route.fulfill({ json: { applied: Object.keys(webcam.saved), overridden: [], restart: [] } });
  });
  return webcam;
}

export const TESTS = [
  { name: "login", in: BROWSERS, allows: [REFUSED], async run({ open, camera }) { await wrongThenRight(await open(), camera); } },
  { name: "login in Korean", in: ["chromium"], allows: [REFUSED], async run({ open, camera }) { await wrongThenRight(await open({ lang: "ko" }), camera); } },
  {
    name: "live picture", in: BROWSERS, async run({ open, camera }) {
      const page = await open();
      await logIn(page, camera, VIEWER);
      const first = await until("there is a picture", () => pixels(page).then(grey => grey && Math.max(...grey) - Math.min(...grey) > 50 && grey));
      await until("the picture moves", async () => (await pixels(page)).filter((value, i) => Math.abs(value - first[i]) > 20).length > 30);
    },
  },
  {
    name: "a known person has a name", in: BROWSERS, async run({ open, camera }) {
      const page = await open();
      await logIn(page, camera, VIEWER);
      await person(page, KNOWN);
      await seen(page, KNOWN);
      await seen(page, page.say.unknown);
    },
  },
  {
    name: "the status tells slow and late looks", in: ["chromium"], async run({ open, camera }) {
      const page = await open();
      await logIn(page, camera, ADMIN);
      const told = await page.evaluate(() => {
        const state = (age_ms, last_ms, unknown = "show") => ({ camera: { online: true }, overlay: { unknown }, recognition: { age_ms, last_ms, interval_ms: 300 } });
        return [state(200, 90), state(2000, 2400), state(20000, 2400), state(null, null, "blur"), state(20000, 90, "blur")].map(state => noResult(state) || slowness(state.recognition));
      });
      const { slow, late, off, allBlurred } = page.say;
      expect("what the status says", told, ["", slow("2.4"), late(20), `${off} ${allBlurred}`, `${late(20)} ${allBlurred}`]);
    },
  },
  {
    name: "the language is changed on the page", in: ["chromium"], async run({ open, camera }) {
      const page = await open();
      await logIn(page, camera, ADMIN);
      await page.getByRole("button", { name: WORDS.ko.language }).click();
      await page.getByRole("heading", { name: WORDS.ko.status, exact: true }).waitFor();
      await page.reload();
      await page.getByRole("button", { name: WORDS.en.language }).click();
      await page.getByRole("heading", { name: WORDS.en.status, exact: true }).waitFor();
      expect("the language for a screen reader", await page.evaluate(() => document.documentElement.lang), "en");
    },
  },
  ...["en", "ko"].map(lang => ({
    name: `why, ${lang}`, in: ["chromium"], async run({ open, camera }) {
      const page = await open({ lang });
      await logIn(page, camera, ADMIN);
      await openWhy(page);
      await seen(page, `${KNOWN}/obama.jpg`, false);
      const told = await page.getByRole("dialog").innerText();
      for (const part of [lang === "ko" ? `일치: ${KNOWN}, 거리 0` : `${KNOWN} 0`, `${KNOWN}/obama.jpg`])
        expect(`the explanation has "${part}": ${told}`, told.includes(part));
    },
  })),
  {
    name: "password", in: ["chromium"], allows: [REFUSED], async run({ open, camera }) {
      const [page, other, fresh] = [await open(), await open(), await open()];
      await logIn(page, camera, VIEWER);
      await logIn(other, camera, VIEWER);
      await openAccount(page, VIEWER);
      const change = async (old, new_) => {
        await page.getByLabel(page.say.old).fill(old);
        await page.getByLabel(page.say.new).fill(new_);
        await page.getByRole("button", { name: page.say.change }).click();
      };
      const changed = { user: VIEWER.user, password: "eleven grey geese over the sea" };
      await change("not the old one", changed.password);
      await seen(page, page.say.wrongOld);
      await change(VIEWER.password, changed.password);
      await seen(page, page.say.changed(null));
      await seen(other, other.say.login);
      await fresh.goto(camera.address + "/");
      await submitLogin(fresh, VIEWER);
      await seen(fresh, LOGIN.en.wrong);
      await logIn(fresh, camera, changed);
    },
  },
  {
    name: "sessions", in: ["chromium"], allows: [REFUSED], async run({ open, camera }) {
      const [page, other] = [await open(), await open()];
      await logIn(other, camera, VIEWER);
      await logIn(page, camera, VIEWER);
      await openAccount(page, VIEWER);
      await seen(page, `${VIEWER.user} \u00b7 ${page.say.here2}`);
      const ends = page.getByRole("button", { name: page.say.end, exact: true });
      await until("the other session is listed", async () => await ends.count() === 1);
      await ends.click();
      await until("it is gone from the list", async () => await ends.count() === 0);
      await seen(other, other.say.login);
      await page.getByRole("button", { name: page.say.logout }).click();
      await page.getByLabel(LOGIN.en.user).waitFor({ timeout: WAIT_MS });
      await page.goto(camera.address + "/");
      expect("the session is over", new URL(page.url()).pathname, "/login");
    },
  },
  {
    name: "a viewer sees nothing of the gallery", in: ["chromium"], allows: [REFUSED], async run({ open, camera }) {
      const [admin, viewer] = [await open(), await open()];
      for (const [page, user] of [[admin, ADMIN], [viewer, VIEWER]]) { await logIn(page, camera, user); await person(page, KNOWN); }
      await openPerson(admin);
      await seen(admin, `${KNOWN}/obama.jpg`);
      await unseen(viewer, viewer.say.add);
      await openWhy(viewer);
      await seen(viewer, `${KNOWN} 0`, false);
      for (const word of [viewer.say.whoTitle, viewer.say.saveName, viewer.say.notThis(KNOWN)]) await unseen(viewer, word);
      expect("no file is named to a viewer", (await viewer.evaluate(() => document.body.textContent)).includes("obama.jpg"), false);
      expect("a viewer is refused the gallery", await viewer.evaluate(() => fetch("api/gallery").then(answer => answer.status)), 403);
    },
  },
  ...[["light", "en"], ["dark", "ko"]].map(([scheme, lang]) => ({
    name: `accessibility, ${scheme}, ${lang}`, in: ["chromium"], async run({ open, camera }) {
      const page = await open({ lang, dark: scheme === "dark" });
      await page.goto(camera.address + "/");
      await hasNoViolations(page, "login page");
      await logIn(page, camera, ADMIN);
      await hasNoViolations(page, "page");
      await openWhy(page);
      await page.getByRole("img", { name: page.say.chip(1, 0).split("0")[0], exact: false }).first().waitFor();
      await hasNoViolations(page, "sheet of a face");
      await close(page);
      await openPerson(page);
      await hasNoViolations(page, "sheet of a person");
      await close(page);
      await page.getByRole("button", { name: page.say.add }).click();
      await hasNoViolations(page, "sheet of a new person");
      await close(page);
      await openAccount(page, ADMIN);
      await openSettings(page);
      await hasNoViolations(page, "page with account, settings and health open");
      await page.getByRole("button", { name: page.say.zoneEdit }).click();
      await page.getByRole("button", { name: page.say.zoneAdd }).click();
      await hasNoViolations(page, "page with a zone");
    },
  })),
  {
    name: "keyboard", in: ["chromium"], async run({ open, camera }) {
      const page = await open();
      await page.goto(camera.address + "/");
      await tabReachesAll(page, "login page");
      await logIn(page, camera, ADMIN);
      await person(page, KNOWN);
      await openAccount(page, ADMIN);
      await openSettings(page);
      await tabReachesAll(page, "page");
    },
  },
  {
    name: "reduced motion", in: ["chromium"], async run({ open, camera }) {
      const moves = page => page.evaluate(() => [...document.querySelectorAll("body, body *")].filter(e =>
        ["transitionDuration", "animationDuration"].some(key => getComputedStyle(e)[key].split(", ").some(time => parseFloat(time) > 0)))
        .map(e => e.outerHTML.slice(0, 80)));
      const page = await open({ still: true });
      await logIn(page, camera, ADMIN);
      await person(page, KNOWN);
      expect("what moves where reduced motion is asked for", await moves(page), []);
    },
  },
  ...["en", "ko"].map(lang => ({
    name: `360 pixels, ${lang}`, in: ["chromium"], async run({ open, camera }) {
      const page = await open({ lang, size: SMALL });
      const width = () => page.evaluate(() => document.documentElement.scrollWidth);
      await page.goto(camera.address + "/");
      expect("the width of the login page", await width(), SMALL[0]);
      await logIn(page, camera, ADMIN);
      await openWhy(page);
      expect("the width of the page with the sheet of a face", await width(), SMALL[0]);
      await close(page);
      await openPerson(page);
      expect("the width of the page with the sheet of a person", await width(), SMALL[0]);
      await close(page);
      await openAccount(page, ADMIN);
      await openSettings(page);
      await page.getByRole("button", { name: page.say.zoneEdit }).click();
      expect("the width of the page", await width(), SMALL[0]);
    },
  })),
  {
    name: "namecam stops and starts again", in: ["chromium"], allows: [/ERR_/], async run({ open, camera }) {
      const page = await open();
      await logIn(page, camera, VIEWER);
      await person(page, KNOWN);
      await camera.end();
      await seen(page, page.say.lost);
      await camera.run(camera.host);
      await unseen(page, page.say.lost);
      await person(page, KNOWN);
      const first = await until("there is a picture", () => pixels(page));
      await until("the picture moves", async () => (await pixels(page)).filter((value, i) => Math.abs(value - first[i]) > 20).length > 30);
    },
  },
  {
    name: "the visits of today", in: ["chromium"], settings: { recognition: "remember_strangers_h = 1", events: "stranger_looks = 5" }, async run({ open, camera }) {
      const [page, viewer] = [await open({ lang: "ko", size: SMALL }), await open()];
      for (const [one, user] of [[viewer, VIEWER], [page, ADMIN]]) await logIn(one, camera, user);
      const list = one => one.locator("#visits"), row = (one, name) => list(one).getByRole("listitem").filter({ hasText: name });
      for (const one of [page, viewer]) {
        await row(one, KNOWN).getByText(one.say.now, { exact: false }).first().waitFor({ timeout: WAIT_MS });
        await until("both strangers have a number", async () => await row(one, /\d/).filter({ hasNotText: KNOWN }).count() >= 2);
        await until("strangers are told", async () => new RegExp(one.say.numbered("\\d")).test(await one.locator("#alert").innerText()));
      }
      expect("a viewer names nobody", await list(viewer).getByRole("button").count(), 0);
      // The keyboard opens the list of the person's visits.
      await row(page, KNOWN).locator("summary").press("Enter");
      await row(page, KNOWN).locator("details[open] li").first().waitFor({ timeout: WAIT_MS });
      // A stranger is named from the list. The rows keep their height.
      const names = () => list(page).locator("b").allInnerTexts();
      const heights = () => list(page).locator("summary").evaluateAll(all => [...new Set(all.map(e => e.offsetHeight))].length);
      expect("all rows have one height", await heights(), 1);
      const unnamed = await names();
      await list(page).getByRole("button").first().click();
      await until("there are pictures of the face", () => page.getByRole("button", { name: page.say.saveName, exact: true }).isEnabled());
      await page.getByLabel(page.say.whoName).fill("민호");
      await page.getByRole("button", { name: page.say.saveName, exact: true }).click();
      await seen(page, page.say.undo);
      await close(page);
      await until(`the name is in the list of ${unnamed}`, async () => (await names()).includes("민호"));
      expect("all rows still have one height", await heights(), 1);
      await hasNoViolations(page, "page with the visits of today");
      expect("the width of the page", await page.evaluate(() => document.documentElement.scrollWidth), SMALL[0]);
      // The choice of the sound is kept in this browser.
      await page.getByText(page.say.alarms, { exact: true }).click();
      await seen(page, page.say.alarmWhen({ looks: 5, after_s: 0, hours: null }));
      await page.getByLabel(page.say.alarmSound).check();
      await page.reload();
      await until("the sound is still chosen", () => page.evaluate(() => document.getElementById("alarm-sound").checked));
    },
  },
  {
    name: "a stranger is named and forgotten", in: BROWSERS, allows: [GONE], async run({ open, camera }) {
      const page = await open();
      await logIn(page, camera, ADMIN);
      await nameStranger(page, "민호");
      await openPerson(page, "민호", ...await usedOf(page, "민호"));
      await forget(page, camera, "민호");
    },
  },
  {
    name: "a face is named and corrected, and a person is renamed and forgotten", in: ["chromium"], allows: [/status of 422/, GONE], async run({ open, camera }) {
      const page = await open();
      await logIn(page, camera, ADMIN);
      await nameStranger(page, "Minho");
      // "Not this person", and undo.
      await tap(page, "Minho");
      await page.getByRole("button", { name: page.say.notThis("Minho"), exact: true }).click();
      await seen(page, page.say.undo);
      await until("the name is gone", async () => !(await page.title()).includes("Minho"));
      await page.getByRole("button", { name: page.say.undo }).click();
      await seen(page, page.say.undone);
      await person(page, "Minho");
      await close(page);
      // A bad, a group and a good picture.
      await openPerson(page);
      const send = files => page.getByLabel(page.say.files, { exact: true }).setInputFiles(files);
      await send([{ name: "notes.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no picture") }]);
      await seen(page, "notes.jpg: " + page.say.refusedPicture(""), false);
      await send([camera.group()]);
      await page.getByRole("button", { name: page.say.choose }).first().click();
      await seen(page, `group.png: ${page.say.good}`, false);
      await send([camera.picture("obama3.jpg")]);
      await seen(page, "obama3.jpg: " + page.say.good, false);
      await close(page);
      // The person is renamed, and then forgotten.
      await openPerson(page, "Minho", ...await usedOf(page, "Minho"));
      await page.getByLabel(page.say.toName, { exact: true }).fill("지우");
      await page.getByRole("button", { name: page.say.rename, exact: true }).click();
      await seen(page, page.say.renamed("Minho", "지우"));
      await close(page);
      await person(page, "지우");
      await openPerson(page, "지우", ...await usedOf(page, "지우"));
      await forget(page, camera, "지우");
      // With several people in the picture, no person can be enrolled from the camera.
      await close(page);
      await page.getByRole("button", { name: page.say.add }).click();
      const walk = page.getByRole("button", { name: page.say.walk });
      await page.getByLabel(page.say.newName, { exact: true }).fill("Somebody");
      expect("without consent no pictures are taken", await walk.isDisabled());
      await page.getByLabel(page.say.agrees, { exact: true }).check();
      await walk.click();
      await seen(page, page.say.onlyOne);
      expect("nobody was added", camera.people(), [KNOWN]);
    },
  },
  {
    name: "a late answer changes nothing about another person", in: ["chromium"], async run({ open, camera }) {
      const page = await open(), sent = [];
      // The answers about Anna come when the test says so.
      let release = null;
      const held = new Promise(done => { release = done; });
      const people = ["Anna", "Ben", "Carl"].map(name => ({ name, pictures: [], spread: null, hint: null }));
      await page.route("**/api/gallery", route => route.fulfill({ json: { generation: 1, people, never: [], ignored: [], warnings: [], threshold: null } }));
      for (const what of ["rename", "forget", "picture*"]) await page.route(`**/api/gallery/${what}`, async route => {
        const url = new URL(route.request().url()), person = url.searchParams.get("person") || route.request().postDataJSON().person;
        sent.push(`${url.pathname.split("/").pop()} ${person}`);
        if (["Anna", "Dora"].includes(person)) await held;
        await route.fulfill({ json: { person, files: ["a.jpg"], descriptors: 1, chips: 1, displaced: [], pictures: [], at_work: true, face: null, told_by_mqtt: false } });
      });
      await logIn(page, camera, ADMIN);
      const button = name => page.getByRole("button", { name, exact: true });
      const rename = async to => { await page.getByLabel(page.say.toName, { exact: true }).fill(to); await button(page.say.rename).click(); };
      const add = async name => {
        await button(page.say.add).click();
        await page.getByLabel(page.say.newName, { exact: true }).fill(name);
        await page.getByLabel(page.say.agrees, { exact: true }).check();
      };
      const send = () => page.getByLabel(page.say.files, { exact: true }).setInputFiles([camera.picture("obama3.jpg")]);
      await openPerson(page, "Anna", 0, 0);
      await rename("Anne");
      await close(page);
      await add("Dora");
      await send();
      await close(page);
      await openPerson(page, "Ben", 0, 0);
      await button(page.say.forget).click();
      const answered = ["rename", "picture"].map(what => page.waitForResponse(response => response.url().includes(`api/gallery/${what}`)));
      release();
      await Promise.all(answered);
      await page.evaluate(() => new Promise(go => setTimeout(go, 300)));
      await unseen(page, page.say.renamed("Anna", "Anne"));
      await sleep(NO_DOUBLE_MS);
      await button(page.say.forgetAsk("Ben")).click();
      await seen(page, page.say.notReached);
      await close(page);
      // A question about one person is no answer about another.
      await openPerson(page, "Anna", 0, 0);
      await rename("Ben");
      await seen(page, page.say.mergeAsk("Anna", "Ben"));
      await close(page);
      await openPerson(page, "Carl", 0, 0);
      await rename("Ben");
      await seen(page, page.say.mergeAsk("Carl", "Ben"));
      await close(page);
      await add("Emil");
      await send();
      await seen(page, "obama3.jpg: " + page.say.kept);
      expect("the changes", sent, ["rename Anna", "picture Dora", "forget Ben", "picture Emil"]);
    },
  },
  {
    name: "the sheet of a person takes no drop for another, no double click and no click inside for a close", in: ["chromium"], allows: [GONE], async run({ open, camera }) {
      const page = await open(), sent = [], picture = file => ({ file, skipped: null, note: null, face: null });
      const people = ["Anna", "Ben"].map(name => ({ name, pictures: [1, 2].map(n => picture(`${name}/${n}.jpg`)), spread: null, hint: null }));
      await page.route("**/api/gallery", route => route.fulfill({ json: { generation: 1, people, never: [picture(".not/1.jpg")], ignored: [], warnings: [], threshold: null } }));
      await page.route("**/api/gallery/*", route => {
        const url = new URL(route.request().url()), told = url.pathname.includes("picture") ? {} : route.request().postDataJSON();
        sent.push(`${url.pathname.split("/").pop()} ${told.person || told.file || url.search}`);
        if (told.file) people[0].pictures.shift();
        return route.fulfill({ json: { person: told.person, files: [], descriptors: 1, chips: 1, displaced: [], pictures: [], at_work: true, face: null, told_by_mqtt: false } });
      });
      await logIn(page, camera, ADMIN);
      const button = name => page.getByRole("button", { name, exact: true });
      const focused = () => page.evaluate(() => document.activeElement.dataset.key || document.activeElement.getAttribute("aria-label"));
      // The gallery is drawn again, as after a change.
      const redraw = async () => {
        await page.evaluate(() => { $("roster").firstChild.isOld = true; galleryMark = null; });
        await until("the gallery is drawn again", () => page.evaluate(() => !$("roster").firstChild.isOld));
      };
      await card(page, page.say.never, 1, 1).click();
      await page.evaluate(() => {
        const dropped = new DataTransfer();
        dropped.items.add(new File(["a picture"], "a.jpg", { type: "image/jpeg" }));
        $("person").dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
      });
      await seen(page, page.say.noDrop);
      await redraw();
      await close(page);
      await until("the card has the focus", async () => await focused() === ".not");
      await redraw();
      expect("the new card has the focus", await focused(), ".not");
      expect("what a drop on .not sends", sent, []);
      await openPerson(page, "Anna", 2, 2);
      await button(page.say.removeOf("Anna/1.jpg")).click();
      await until("the picture is gone", async () => await button(page.say.removeOf("Anna/1.jpg")).count() === 0);
      expect("the next picture has the focus", await focused(), page.say.removeOf("Anna/2.jpg"));
      await close(page);
      // A double click asks, and is no answer.
      await openPerson(page, "Ben", 2, 2);
      await page.getByLabel(page.say.toName, { exact: true }).fill("Anna");
      await button(page.say.rename).dblclick();
      await button(page.say.forget).dblclick();
      await seen(page, page.say.mergeAsk("Ben", "Anna"));
      expect("what double clicks send", sent, ["delete Anna/1.jpg"]);
      // The padding is inside the sheet, and so is a selection that ends outside.
      const { x, y, height } = await page.getByRole("dialog").boundingBox(), middle = y + height / 2;
      await page.mouse.click(x + 5, middle);
      await page.mouse.move(x + 60, middle);
      await page.mouse.down();
      await page.mouse.move(x - 60, middle);
      await page.mouse.up();
      expect("the sheet is open", await page.getByRole("dialog").count(), 1);
      await sleep(NO_DOUBLE_MS);
      await button(page.say.forgetAsk("Ben")).click();
      await seen(page, page.say.notReached);
      expect("what the later click sends", sent, ["delete Anna/1.jpg", "forget Ben"]);
      await page.mouse.click(x - 60, middle);
      await until("a click outside closes the sheet", async () => await page.getByRole("dialog").count() === 0);
    },
  },
  {
    name: "a new run of namecam closes the sheet of a face", in: ["chromium"], async run({ open, camera }) {
      const page = await open();
      let earlier = 1000;
      await page.route("**/api/state?*", async route => {
        const answer = await route.fetch(), state = await answer.json();
        await route.fulfill({ json: { ...state, uptime_s: state.uptime_s + earlier } });
      });
      await logIn(page, camera, ADMIN);
      await openWhy(page);
      await sleep(1500);
      expect("the sheet is open", await page.getByRole("dialog").count(), 1);
      // While the page did not ask, namecam was started again, and has run for longer than before.
      await page.evaluate(() => { uptime = 0; });
      earlier = 900;
      await until("the sheet is closed", async () => await page.getByRole("dialog").count() === 0);
    },
  },
  {
    name: "the reason why no pictures are taken before the camera", in: ["chromium"], allows: [/status of 40[19]/], async run({ open, camera }) {
      const page = await open({ lang: "ko" }), sheet = page.getByRole("dialog");
      let enabled = true, refusal = { status: 401, body: "Please log in with a user name and a password." };
      await page.route("**/api/faces/enrol", route => route.fulfill(refusal || { json: { faces: 0, face: null, chips: [] } }));
      await page.route("**/api/state?*", async route => {
        const answer = await route.fetch(), state = await answer.json();
        await route.fulfill({ json: { ...state, recognition: { ...state.recognition, enabled } } });
      });
      await logIn(page, camera, ADMIN);
      await openPerson(page);
      const walk = async reason => {
        await page.getByRole("button", { name: page.say.walk }).click();
        await sheet.getByText(reason, { exact: true }).waitFor({ timeout: WAIT_MS });
      };
      await walk(page.say.loginMore);
      refusal = { status: 409, body: "Recognition is turned off, so no one can say whether the picture is good." };
      await walk("얼굴 인식이 꺼져 있어 사진을 확인할 수 없습니다");
      [refusal, enabled] = [null, false];
      await until("the page knows", () => page.evaluate(() => blind));
      await walk(page.say.disabled);
    },
  },
  {
    name: "the sound of the alert comes once for each stranger", in: ["chromium"], async run({ open, camera }) {
      const page = await open();
      let answer = null;
      await page.route("**/api/visits", route => route.fulfill({ json: answer }));
      // `told` has the visit of each stranger and the time of the alert.
      const next = async (now, ...told) => {
        const visits = told.map(([visit, at]) => ({ visit, track: visit, name: null, stranger: visit, since: at - 9, until: at, still_present: true, distance: null, looks: 9, stranger_at: at, chips: 0 }));
        answer = { version: 1, now, hours: 24, alert: { looks: 5, after_s: 0, hours: null }, visits };
        return page.evaluate(async () => { await askVisits(null); return window.beeps; }).catch(() => null);
      };
      await next(1e9, [1, 1e9]);
      await logIn(page, camera, VIEWER);
      await page.evaluate(() => { window.beeps = 0; beep = () => { window.beeps += 1; }; });
      expect("what is listed", await next(1e9, [1, 1e9]), 0);
      expect("a rounded time", await next(1e9 + 1, [1, 1e9 + 0.001]), 0);
      expect("a clock that was set", await next(1e9 + 3602, [1, 1e9 + 3600]), 0);
      expect("another stranger", await next(1e9 + 3603, [1, 1e9 + 3600], [2, 1e9 + 3603]), 1);
      expect("the same two", await next(1e9 + 3604, [1, 1e9 + 3600], [2, 1e9 + 3603]), 1);
    },
  },
  ...["en", "ko"].map(lang => ({
    name: `report, ${lang}`, in: ["chromium"], async run({ open, camera }) {
      const page = await open({ lang });
      await logIn(page, camera, ADMIN);
      await person(page, KNOWN);
      await page.getByText(page.say.healthTitle, { exact: true }).click();
      await seen(page, page.say.reportHow);
      const link = page.getByRole("link", { name: page.say.report, exact: true });
      const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
      expect("the name of the file", download.suggestedFilename(), "namecam-report.txt");
      const text = readFileSync(await download.path(), "utf8");
      for (const word of ["== config ==", "== state ==", "\nnamecam_uptime_seconds "]) expect(`the report has ${word}`, text.includes(word));
      for (const word of [KNOWN, ADMIN.user, VIEWER.user, ADMIN.password]) expect(`the report has ${word}`, text.includes(word), false);
    },
  })),
  ...["en", "ko"].map(lang => ({
    name: `settings, ${lang}`, in: ["chromium"], allows: [/status of 400/], async run({ open, camera }) {
      const [page, viewer] = [await open({ lang }), await open()];
      await logIn(viewer, camera, VIEWER);
      for (const word of [viewer.say.settingsTitle, viewer.say.healthTitle]) await unseen(viewer, word);
      await logIn(page, camera, ADMIN);
      await openSettings(page);
      const field = key => page.getByLabel(page.say.settings[key], { exact: true }), kept = () => readFileSync(join(camera.folder, "state/settings.ini"), "utf8");
      await field("overlay.unknown").selectOption("hide");
      await seen(page, page.say.setDone);
      await field("recognition.false_name_budget").fill("0.01");
      await field("overlay.blur_for_viewers").check();
      await until("all is in the file", () => ["unknown = hide", "false_name_budget = 0.01", "blur_for_viewers = yes"].every(line => kept().includes(line)));
      await page.locator("#settings-lines", { hasText: "blur_for_viewers" }).waitFor({ timeout: WAIT_MS });
      // A wrong value changes nothing, and the error is shown at its field.
      await field("recognition.hours").fill("7 to 22");
      await field("stream.quality").fill("400");
      await field("stream.width").focus();
      await seen(page, page.say.notDone(page.say.hoursForm));
      await seen(page, page.say.notDone(page.say.between(1, 100)));
      expect("what is in the file", /hours|quality/.test(kept()), false);
      // The next change brings back the values that count, and their errors go.
      await field("stream.max_fps").fill("20");
      await field("stream.width").focus();
      await unseen(page, page.say.notDone(page.say.between(1, 100)));
      expect("the field shows the value that counts", [await field("stream.quality").inputValue() !== "400", await field("stream.quality").getAttribute("aria-invalid")], [true, "false"]);
      await page.getByRole("button", { name: `${page.say.reset}: ${page.say.settings["overlay.unknown"]}`, exact: true }).click();
      await until("the line is gone", () => !kept().includes("unknown"));
      await until("the field shows the default", async () => await field("overlay.unknown").inputValue() === "show");
      // Recognition is off at this hour, and the page says until when.
      const clock = at => String(at % 24).padStart(2, "0") + ":00", hour = new Date().getHours();
      await field("recognition.hours").fill(`${clock(hour + 3)}-${clock(hour + 5)}`);
      await field("stream.width").focus();
      await seen(page, page.say.offUntil(clock(hour + 3)), false);
    },
  })),
  {
    name: "privacy zones", in: ["chromium"], async run({ open, camera }) {
      const page = await open();
      await logIn(page, camera, ADMIN);
      await openSettings(page);
      await until("there is a picture", () => pixels(page).then(grey => grey && Math.max(...grey) > 50));
      await page.getByRole("button", { name: page.say.zoneEdit }).click();
      // With a picture of 4:3 on a low screen, the buttons are in sight.
      await page.setViewportSize({ width: 1280, height: 720 });
      await page.evaluate(() => { window.fitOfPage = fit; fit = () => {}; $("frame").style.aspectRatio = "4 / 3"; });
      const end = await page.evaluate(() => $("zone-save").getBoundingClientRect().bottom);
      expect(`the buttons end at ${end} of 720`, end <= 720);
      await page.screenshot({ path: `${OUT}/zones.png` });
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.evaluate(() => { fit = window.fitOfPage; });
      // By keyboard: adds a zone in the middle, moves it to the left edge, and makes it as high as the picture.
      await page.keyboard.press("Enter");
      for (let i = 0; i < 40; i += 1) for (const key of ["ArrowLeft", "ArrowUp"]) await page.keyboard.press(key);
      for (let i = 0; i < 80; i += 1) await page.keyboard.press("Shift+ArrowDown");
      await page.getByRole("button", { name: page.say.zone(1, 0, 0, 20, 100), exact: true }).waitFor();
      // By pointer: adds a zone at the lower right, and a third one, which is removed.
      const { x, y, width, height } = await page.getByRole("group", { name: page.say.zones }).boundingBox();
      const drag = async (from, to) => {
        await page.mouse.move(x + width * from[0], y + height * from[1]);
        await page.mouse.down();
        await page.mouse.move(x + width * to[0], y + height * to[1], { steps: 5 });
        await page.mouse.up();
      };
      await drag([0.75, 0.5], [0.99, 0.98]);
      await drag([0.4, 0.2], [0.6, 0.4]);
      await page.keyboard.press("Delete");
      await page.getByRole("button", { name: page.say.zoneSave }).click();
      await unseen(page, page.say.zoneHow);
      const mask = /mask = (.*)/.exec(readFileSync(join(camera.folder, "state/settings.ini"), "utf8"))[1].split(" ");
      expect("the first zone", [mask.length, mask[0]], [2, "0,0,20,100"]);
      const [left, top, right, bottom] = mask[1].split(",").map(Number);
      expect(`the second zone ${mask[1]}`, Math.abs(left - 75) < 2 && Math.abs(top - 50) < 2 && Math.abs(right - 24) < 2 && Math.abs(bottom - 48) < 2);
      const at = (grey, column, row) => grey[row * 32 + column];
      await until("the zones are black", async () => { const grey = await pixels(page); return [[2, 2], [4, 15], [27, 13], [29, 16]].every(place => at(grey, ...place) < 12); });
      const beside = (await pixels(page)).filter((_, i) => i % 32 > 8 && i % 32 < 22);
      await page.getByRole("checkbox", { name: page.say.settings["camera.mirror"] }).check();
      await seen(page, page.say.checkZones, false);
      expect("the settings show the number of zones", await page.getByRole("textbox", { name: page.say.settings["camera.mask"] }).inputValue(), page.say.zoneCount(2));
      // Beyond the most zones, dragging changes none of them.
      await page.evaluate(() => editZones(Array.from({ length: 16 }, (_, i) => `${i * 6},0,5,5`).join(" ")));
      const drawn = () => page.evaluate(() => JSON.stringify(zones)), before = await drawn();
      await drag([0.3, 0.5], [0.6, 0.8]);
      expect("the zones", await drawn(), before);
      expect("the picture beside the zones is not black", beside.filter(value => value > 25).length > beside.length / 2);
    },
  },
  {
    name: "a camera of a program has no controls", in: ["chromium"], async run({ open, camera }) {
      const page = await open({ lang: "ko" });
      await logIn(page, camera, ADMIN);
      await page.getByText(page.say.tune).click();
      await seen(page, page.say.noControls.pipe);
    },
  },
  ...["en", "ko"].map(lang => ({
    name: `camera, ${lang}`, in: ["chromium"], async run({ open, camera }) {
      const page = await open({ lang, size: SMALL }), webcam = await fakeWebcam(page);
      await logIn(page, camera, ADMIN);
      await page.getByText(page.say.tune).click();
      const titleOf = name => page.say.controls[name] || name[0].toUpperCase() + name.slice(1).replace(/_/g, " ");
      const named = (role, name) => page.getByRole(role, { name: titleOf(name), exact: true });
      await named("slider", "brightness").focus();
      await page.keyboard.press("ArrowRight");
      await until("the slider has set the control", () => webcam.values.brightness === 51);
      await seen(page, "controls = brightness=51", false);
      expect("the slider keeps the focus", await named("slider", "brightness").evaluate(e => e === document.activeElement));
      expect("the exposure time is locked", await named("slider", "exposure_time_absolute").isDisabled());
      await named("combobox", "auto_exposure").selectOption("1");
      await until("it is no longer locked", () => named("slider", "exposure_time_absolute").isEnabled());
      await page.evaluate(() => { document.querySelector("#controls").lastChild.scrollIntoView({ block: "end" }); });
      expect("the picture is in sight", await page.evaluate(() => document.querySelector("#frame").getBoundingClientRect().top < innerHeight / 2 && document.querySelector("#frame").getBoundingClientRect().bottom > 40));
      expect("nothing is wider than the screen", await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      await hasNoViolations(page, "camera");
      await page.screenshot({ path: `${OUT}/camera-${lang}.png` });
      await page.getByRole("button", { name: page.say.putBack, exact: true }).click();
      await seen(page, page.say.backNow);
      expect("it is put back", webcam.values, { brightness: 50, auto_exposure: 3, exposure_time_absolute: 156 });
      await named("slider", "brightness").fill("90");
      await until("the slider has set the control", () => webcam.values.brightness === 90);
      await page.getByRole("button", { name: page.say.saveCamera, exact: true }).click();
      await seen(page, page.say.savedCamera);
      expect("what is saved", webcam.saved, { "camera.controls": "brightness=90" });
      expect("the modes", await page.locator("#modes option").allTextContents(), ["MJPG 640 \u00d7 480, 30 fps", "MJPG 640 \u00d7 480, 15 fps", "MJPG 1280 \u00d7 720, 30 fps", "YUYV 320 \u00d7 240, 60 fps", "YUYV 640 \u00d7 480, 60 fps"]);
      expect("the mode that it has", await page.locator("#modes option:checked").textContent(), "MJPG 640 \u00d7 480, 30 fps");
      await page.locator("#modes").selectOption({ index: 2 });
      await page.getByRole("button", { name: page.say.tryMode, exact: true }).click();
      await seen(page, page.say.measured(webcam.measured));
      expect("the mode that is tried", webcam.mode, { format: "mjpg", width: 1280, height: 720, fps: 30 });
    },
  })),
  {
    name: "a person enrols before the camera", in: ["chromium"], alone: true, async run({ open, camera }) {
      const page = await open({ lang: "ko" });
      await logIn(page, camera, ADMIN);
      await page.getByRole("button", { name: page.say.add }).click();
      await page.getByLabel(page.say.newName, { exact: true }).fill("서연");
      await page.getByLabel(page.say.agrees, { exact: true }).check();
      const begun = Date.now();
      await page.getByRole("button", { name: page.say.walk }).click();
      await page.getByRole("img", { name: page.say.chip(1, 0).split(",")[0], exact: false }).first().waitFor();
      await seen(page, page.say.taught("서연", "", "", true).split("의")[0] + "의 새 사진", false);
      expect("the pictures are in the folder", camera.people(), [KNOWN, "서연"]);
      await close(page);
      await person(page, "서연");
      console.log(`    enrolled after ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    },
  },
  {
    name: "each sentence of Rust about a gallery and each refusal is in Korean", in: ["chromium"], async run() {
      const all = rustSentences();
      expect("the sentences are found in Rust", all.length > 45 && all.includes("not a regular file"));
      expect("sentences without Korean words", all.filter(text => !/[가-힣]/.test(KOREAN.verdict(text))), []);
      const refusals = rustRefusals();
      expect("the refusals are found in Rust", refusals.length > 15 && refusals.includes("4 is not in the gallery"));
      expect("refusals without Korean words", refusals.filter(text => !/[가-힣]/.test(KOREAN.verdict(text))), []);
    },
  },
  {
    name: "a small share of strangers is not stated as none", in: ["chromium"], async run() {
      const told = [0.0001, 0.005, 0.2096].map(named => KOREAN.rate({ people: 3, expected: { strangers_named: named, strangers_named_at_most: 3 * named } }));
      expect("of 1000 strangers", told, [KOREAN.say.judges(0.1, 0.3), KOREAN.say.judges(5, 15), KOREAN.say.judges(210, 630)]);
      // From fewer than five people, namecam cannot tell whether the measured shares hold for them.
      const unsure = [3, 5].map(people => KOREAN.rate({ people, expected: { strangers_named: 0.005, strangers_named_at_most: 0.015, denser_than_cohort: null } }));
      expect("of three people and of five", unsure, [`${KOREAN.say.judges(5, 15)} ${KOREAN.say.tooFew}`, KOREAN.say.judges(5, 15)]);
    },
  },
  {
    name: "a name that something else than the distance denies", in: ["chromium"], async run() {
      const near = { person: "Alice", distance: 0.4, threshold: 0.55, looks: 3, runner_up: null }, far = { ...near, distance: 0.61 };
      expect("within the threshold", [WORDS.en.nowUnknown(near), KOREAN.say.nowUnknown(near)], ["Now without a name.", "이제 이름이 표시되지 않습니다."]);
      expect("beyond it", [WORDS.en.nowUnknown(far), KOREAN.say.nowUnknown(far)].map(text => /0\.61.*0\.55.*0\.06/.test(text)), [true, true]);
      for (const because of ["doubted", "withdrawn"]) {
        const [alike, apart] = [near, far].map(face => KOREAN.say.reason({ ...face, because }));
        expect(because, [/더 비슷합니다/.test(alike), /0\.55/.test(alike), /0\.61.*0\.55/.test(apart)], [true, false, true]);
      }
    },
  },
  {
    name: "the reasons against pictures, in Korean", in: ["chromium"], allows: [/status of 422/, GONE], async run({ open, camera }) {
      camera.unusable("Minho");
      const page = await open({ lang: "ko" });
      await logIn(page, camera, ADMIN);
      camera.process.kill("SIGHUP");
      const told = await until("the pictures are judged", () => page.evaluate(async () => {
        const { people, ignored, warnings } = (await ask("api/gallery", 9000)).json, minho = people.find(person => person.name === "Minho");
        const all = people.concat({ pictures: ignored }).flatMap(({ pictures, hint }) => [hint, ...pictures.flatMap(picture => [picture.skipped, picture.note])]);
        const told = all.concat(warnings).filter(Boolean), kinds = new Set(told.map(text => text.replace(/[\d.]+/g, "")));
        return minho && minho.pictures.length > 6 && kinds.size >= 8 && told.map(text => [text, verdict(text)]);
      }));
      expect("reasons that are not in Korean", told.filter(([text, shown]) => text === shown || !/[가-힣]/.test(shown)), []);
      // Files that are dropped on the sheet are checked like files that are chosen.
      await openPerson(page);
      await page.evaluate(() => {
        const dropped = new DataTransfer();
        dropped.items.add(new File(["no picture"], "notes.jpg", { type: "image/jpeg" }));
        $("person").dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
      });
      await seen(page, "notes.jpg: 저장하지 않음: JPEG나 PNG 사진이 아님", false);
    },
  },
];
