// Functions that all parts use: elements, requests, times and numbers.
const $ = id => document.getElementById(id);
const put = (id, text) => { const e = $(id); if (e.textContent !== text) e.textContent = text; };
const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const dot = (id, mood) => { $(id).className = "dot " + mood; };
const make = (tag, kind, text) => { const e = document.createElement(tag); e.className = kind; e.textContent = text; return e; };
// Each request has a time-out, so that a hanging request does not block the next one.
async function ask(path, patienceMs, method = "GET", body = null) {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), patienceMs);
  try {
    // fetch refuses a URL with a password, which the page's own URL may have. The browser sends the password anyway.
    const headers = body === null ? { "X-Namecam": "1" } : { "X-Namecam": "1", "Content-Type": "application/json" };
    const options = { method, headers, body: body === null ? undefined : JSON.stringify(body), cache: "no-store", signal: patience.signal };
    const answer = await fetch(new URL(path, location.origin + location.pathname), options);
    const text = await answer.text(), isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
    return { status: answer.status, text, json: answer.ok && isJson ? JSON.parse(text) : null };
  } finally {
    clearTimeout(timer);
  }
}
const hour = { hour: "numeric", minute: "2-digit" };
// On a system without a language, WebKitGTK reports "C", which Intl does not know.
const locale = (() => { try { const own = Intl.getCanonicalLocales(navigator.language)[0]; return own.startsWith(lang) ? own : lang; } catch { return lang; } })();
const [clock, calendar] = [hour, { ...hour, month: "short", day: "numeric" }].map(form => new Intl.DateTimeFormat(locale, form));
// The time of day; with the date when it is not today's.
function timeOfDay(at) { return (at.toDateString() === new Date().toDateString() ? clock : calendar).format(at); }
// The distance and the threshold of a face, with as many digits as needed to tell them apart.
function apart(face) {
  const pair = [face.distance, face.threshold].map(number => number === null ? "" : number.toFixed(2));
  return pair[0] === pair[1] && pair[0] ? [face.distance.toFixed(3), face.threshold.toFixed(3)] : pair;
}
// The Korean particle that follows a word; both forms when the word does not end in a Korean syllable.
function particle(word, closed, open) {
  const last = word.charCodeAt(word.length - 1) - 0xac00;
  return last < 0 || last > 11171 ? `${closed}(${open})` : last % 28 ? closed : open;
}

document.documentElement.lang = lang;
for (const element of document.querySelectorAll("[data-say]")) element.textContent = say[element.dataset.say];
for (const element of document.querySelectorAll("[data-hint]")) element.placeholder = say[element.dataset.hint];
for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say[element.dataset.label]);
$("picture").alt = say.picture;
$("language").onclick = () => {
  try { localStorage.setItem("language", lang === "ko" ? "en" : "ko"); } catch { return; }
  location.reload();
};
$("language").textContent = WORDS[lang === "ko" ? "en" : "ko"].language;
$("language").lang = lang === "ko" ? "en" : "ko";

