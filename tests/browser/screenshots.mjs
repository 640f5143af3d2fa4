// node tests/browser/screenshots.mjs NAMECAM: writes pictures of the page to target/browser/screenshots, to be checked
// by eye: on a phone and a desktop, light and dark, English and Korean. `make screenshots` runs this program.
import { mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { ADMIN, Camera, KNOWN, makeScene } from "./camera.mjs";
import { launch, open } from "./browsers.mjs";
import { logIn, OUT, person, pixels, seen, until } from "./tools.mjs";
import { close, openAccount, openPerson, openSettings, openWhy } from "./tests.mjs";

const SIZES = [[390, 844], [1440, 900]];
const FOLDER = join(OUT, "screenshots");

// Each view begins where the view before it ends. With `all`, the picture has the whole page and not only the visible
// part.
const VIEWS = [
  { name: "login", show: (page, camera) => page.goto(camera.address + "/") },
  {
    name: "page", async show(page, camera) {
      await logIn(page, camera, ADMIN);
      await person(page, KNOWN);
      await seen(page, page.say.unknown);
      await until("there is a picture", () => pixels(page));
      await page.waitForTimeout(400); // until the picture is no longer dimmed
    },
  },
  { name: "why", show: page => openWhy(page) },
  { name: "person", async show(page) { await close(page); await openPerson(page); } },
  { name: "all", all: true, async show(page) { await close(page); await openAccount(page, ADMIN); await openSettings(page); } },
  {
    name: "zones", async show(page) {
      await page.getByRole("button", { name: page.say.zoneEdit }).click();
      await page.getByRole("button", { name: page.say.zoneAdd }).click();
    },
  },
];

rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER, { recursive: true });
makeScene();
const camera = await Camera.start(resolve(process.argv[2]));
const browser = await launch("chromium");
try {
  for (const size of SIZES) for (const dark of [false, true]) for (const lang of ["en", "ko"]) {
    const page = await open(browser, { size, dark, lang });
    for (const { name, show, all = false } of VIEWS) {
      await show(page, camera);
      const file = `${name}-${size[0]}-${dark ? "dark" : "light"}-${lang}.png`;
      await page.screenshot({ path: join(FOLDER, file), fullPage: all });
      console.log(`target/browser/screenshots/${file}`);
    }
    await page.context().close();
  }
} finally {
  await browser.close();
  await camera.stop();
}
process.exit(0);
