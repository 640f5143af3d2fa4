// Starts the browsers. All have the interface of playwright-core; webkit.mjs implements the part of it that the tests
// in WebKit use.
import { peer, WAIT_MS, WORDS } from "./tools.mjs";
import { WebKit } from "./webkit.mjs";

const playwright = (type, options) => async () => {
  const browser = await peer("playwright-core")[type].launch({ timeout: 60000, ...options });
  return { version: browser.version(), close: () => browser.close(), newPage: async options => { const context = await browser.newContext(options); context.setDefaultTimeout(WAIT_MS); return context.newPage(); } };
};
// playwright-core drives Debian's Firefox by WebDriver BiDi, which this channel selects.
const LAUNCH = {
  chromium: playwright("chromium", { executablePath: "/usr/bin/chromium" }),
  firefox: playwright("firefox", { executablePath: "/usr/bin/firefox-esr", channel: "moz-firefox" }),
  webkit: () => WebKit.launch(),
};
export const BROWSERS = Object.keys(LAUNCH);
export const launch = name => LAUNCH[name]();

// Opens a page in a new browser profile. `page.complaints` collects the errors of its console.
export async function open(browser, { lang = "en", dark = false, size = [1280, 800], still = false } = {}) {
  const page = await browser.newPage({
    locale: lang === "ko" ? "ko-KR" : "en-GB", colorScheme: dark ? "dark" : "light", reducedMotion: still ? "reduce" : "no-preference",
    viewport: { width: size[0], height: size[1] },
  });
  page.lang = lang;
  page.say = WORDS[lang];
  page.complaints = [];
  page.on("console", message => { if (message.type() === "error") page.complaints.push(`${message.text()} (${message.location().url})`); });
  page.on("pageerror", error => page.complaints.push(error.stack || String(error)));
  return page;
}
