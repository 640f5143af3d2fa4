// The account of the user who logged in. The sessions are requested when the section is opened.
const ago = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
function since(seconds) {
  const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"]].find(([size]) => seconds >= size) || [1, "second"];
  return ago.format(-Math.floor(seconds / size), unit);
}
const accountDetails = $("account").querySelector("details");
async function sessions() {
  const answer = await ask("api/sessions", 4000).catch(() => null);
  if (!answer || !answer.json) return;
  $("sessions").replaceChildren(...answer.json.sessions.map(session => {
    const li = make("li", "", ""), text = make("div", "", ""), end = make("button", "", say.end);
    const marks = [session.own ? say.here2 : "", session.stays ? say.stays : ""].filter(Boolean).map(mark => " \u00b7 " + mark).join("");
    text.append(make("b", "", session.user + marks), make("span", "", say.session(session.from, since(session.begun_s), since(session.used_s))));
    end.type = "button";
    end.onclick = async () => { await ask("api/sessions/" + session.id, 4000, "DELETE").catch(() => null); sessions(); };
    li.append(text, ...(session.own ? [] : [end]));
    return li;
  }));
}
function account(state) {
  $("account").hidden = state.user === null;
  if (state.user === null) return;
  put("account-title", say.account(state.user));
  $("password").user.value = state.user;
}
accountDetails.addEventListener("toggle", () => { if (accountDetails.open) sessions(); });
$("plain").hidden = location.protocol === "https:" || ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
$("password").addEventListener("submit", async event => {
  event.preventDefault();
  const form = event.target;
  $("change").disabled = true;
  put("changed", say.changing);
  const answer = await ask("api/password", 60000, "POST", { old: form.old.value, new: form.new.value }).catch(() => null);
  $("change").disabled = false;
  if (answer && answer.json) { form.old.value = form.new.value = ""; put("changed", say.changed(answer.json.weak)); sessions(); }
  else if (answer && answer.status === 403 && answer.text.startsWith("The old password")) put("changed", say.wrongOld);
  else put("changed", say.notChanged(whyNot(answer).replace("The password was not changed: ", "")));
});

