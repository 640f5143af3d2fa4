// WebKitGTK, driven by WebDriver on an Xvfb screen, with the part of playwright-core's interface that the tests in all
// browsers use.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { sleep, until, WAIT_MS } from "./tools.mjs";

const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";
// The CSS selectors of the elements that may have a role.
const OF_ROLE = {
  button: "button, input[type=submit], [role=button]", link: "a[href]", textbox: "input, textarea", listitem: "li",
  heading: "h1, h2, h3", img: "img, canvas, [role=img]", dialog: "dialog, [role=dialog]",
};

// None of the ports that the system gives to connections, which may take it before the driver does.
const freePort = (port = 20000 + Math.floor(Math.random() * 10000)) => new Promise(resolve => {
  const server = createServer().once("error", () => resolve(freePort())).listen(port, "127.0.0.1", () => server.close(() => resolve(port)));
});

export class WebKit {
  static async launch() {
    const webkit = new WebKit();
    const screen = spawn("Xvfb", ["-displayfd", "1", "-screen", "0", "1440x1000x24", "-nolisten", "tcp"], { stdio: ["ignore", "pipe", "ignore"] });
    webkit.processes = [screen];
    process.on("exit", () => webkit.kill());
    let display = "";
    screen.stdout.on("data", data => { display += data; });
    await until("Xvfb has a display", () => display.endsWith("\n"));
    const port = await freePort();
    webkit.address = `http://127.0.0.1:${port}`;
    // Without a language, navigator.language is "C", as on a board that shows the page on its own screen.
    const env = { ...process.env, DISPLAY: `:${display.trim()}`, LANG: "C.UTF-8", LC_ALL: "C.UTF-8", LIBGL_ALWAYS_SOFTWARE: "1" };
    webkit.processes.push(spawn("WebKitWebDriver", [`--port=${port}`, "--host=127.0.0.1"], { env, stdio: "ignore" }));
    await until("WebKitWebDriver answers", () => webkit.ask("GET", "/status").catch(() => null));
    // The driver has only one session at a time, and so only one page.
    const session = await webkit.begin();
    webkit.version = session.capabilities.browserVersion;
    return webkit;
  }
  async begin() {
    const session = await this.ask("POST", "/session", { capabilities: { alwaysMatch: {} } });
    this.session = `/session/${session.sessionId}`;
    return session;
  }
  async newPage({ viewport }) {
    if (!this.session) await this.begin();
    await this.ask("POST", `${this.session}/window/rect`, { x: 0, y: 0, ...viewport });
    return new Page(this);
  }
  async ask(method, path, body) {
    const answer = await fetch(this.address + path, { method, body: body && JSON.stringify(body), signal: AbortSignal.timeout(WAIT_MS) });
    const { value } = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(`WebKit: ${value.error}: ${value.message}`), { kind: value.error });
    return value;
  }
  async end() {
    const { session } = this;
    this.session = null;
    if (session) await this.ask("DELETE", session);
  }
  async close() {
    await this.end().catch(() => {});
    this.kill();
  }
  kill() {
    for (const child of this.processes) child.kill();
  }
}

class Page {
  constructor(webkit) {
    this.webkit = webkit;
  }
  ask(method, path, body) {
    return this.webkit.ask(method, this.webkit.session + path, body);
  }
  // WebDriver reports no errors of the console.
  on() {}
  goto(url) { return this.ask("POST", "/url", { url }); }
  reload() { return this.ask("POST", "/refresh", {}); }
  url() { return this.ask("GET", "/url"); }
  title() { return this.ask("GET", "/title"); }
  close() { return this.webkit.end(); }
  async screenshot({ path }) { writeFileSync(path, Buffer.from(await this.ask("GET", "/screenshot"), "base64")); }
  evaluate(run, argument) {
    return this.ask("POST", "/execute/sync", { script: `return (${run})(...arguments)`, args: argument === undefined ? [] : [argument] });
  }
  getByText(text, { exact = false } = {}) {
    // The innermost elements with the text.
    const find = ([text, exact]) => [...document.body.querySelectorAll("*")].filter(element => {
      const has = e => { const own = e.textContent.trim(); return exact ? own === text : own.toLowerCase().includes(text.toLowerCase()); };
      return !["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName) && has(element) && ![...element.children].some(has);
    });
    return new Locator(this, `the text ${text}`, () => this.evaluate(find, [text, exact]));
  }
  getByLabel(text) {
    const find = text => [...document.querySelectorAll("input, textarea, select, [aria-label]")].filter(element =>
      [element.getAttribute("aria-label"), ...[...(element.labels || [])].map(label => label.textContent)].some(label => label && label.includes(text)));
    return new Locator(this, `the label ${text}`, () => this.evaluate(find, text));
  }
  getByRole(role, { name = "", exact = false } = {}) {
    const find = async () => {
      const found = await this.evaluate(css => [...document.querySelectorAll(css)].filter(e => e.checkVisibility()), OF_ROLE[role]);
      const labels = await Promise.all(found.map(element => this.ask("GET", `/element/${element[ELEMENT]}/computedlabel`)));
      const fits = label => name instanceof RegExp ? name.test(label) : exact ? label === name : label.toLowerCase().includes(name.toLowerCase());
      return found.filter((_, i) => fits(labels[i]));
    };
    return new Locator(this, `the ${role} ${name}`, find);
  }
}

class Locator {
  constructor(page, what, find) {
    Object.assign(this, { page, what, find });
  }
  first() {
    return new Locator(this.page, this.what, async () => (await this.find()).slice(0, 1));
  }
  async count() { return (await this.find()).length; }
  isShown(element) { return this.page.evaluate(element => element.checkVisibility({ visibilityProperty: true }), element); }
  async isVisible() {
    const [element] = await this.find();
    return element !== undefined && this.isShown(element);
  }
  // Ignores errors, because an element may disappear during the request.
  waitFor({ state = "visible", timeout = WAIT_MS } = {}) {
    const reached = () => this.isVisible().then(visible => visible === (state === "visible"), () => false);
    return until(`${this.what} is ${state}`, reached, timeout);
  }
  async act(method, path, body) {
    const end = Date.now() + WAIT_MS;
    for (;;) {
      try {
        const [element] = await this.find();
        if (element && await this.isShown(element)) return await this.page.ask(method, `/element/${element[ELEMENT]}${path}`, body);
      } catch (error) {
        if (!["stale element reference", "element click intercepted", "element not interactable"].includes(error.kind)) throw error;
      }
      if (Date.now() > end) throw new Error(`not within ${WAIT_MS / 1000} s: ${this.what}`);
      await sleep(100);
    }
  }
  click() { return this.act("POST", "/click", {}); }
  innerText() { return this.act("GET", "/text"); }
  getAttribute(name) { return this.act("GET", `/attribute/${name}`); }
  async isEnabled() {
    const [element] = await this.find();
    return Boolean(element) && this.page.ask("GET", `/element/${element[ELEMENT]}/enabled`);
  }
  async fill(text) {
    await this.act("POST", "/clear", {});
    await this.act("POST", "/value", { text });
  }
}
