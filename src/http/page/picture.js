// The picture. A browser reports only that a stream has begun. To learn whether it is still sent, the page asks for the
// state with the key of its stream.
const picture = $("picture");
let retry = 0, retryMs = 1000, shown = false, key = "", begunAt = 0, graceMs = 3000;
function play() {
  clearTimeout(retry);
  if (document.hidden) return;
  shown = false;
  begunAt = Date.now();
  key = crypto.getRandomValues(new Uint32Array(2)).join("-");
  picture.src = "video_feed?t=" + key;
}
// Restarts a stream that has ended, after a grace period in which its request may still be on the way. The period doubles
// each time, because a proxy may remove the key.
function live(watching, ofKey) {
  if (watching) graceMs = 3000;
  if (watching !== false || ofKey !== key || !picture.hasAttribute("src") || Date.now() - begunAt < graceMs) return;
  graceMs = Math.min(graceMs * 2, 60000);
  replay();
}
function stop() {
  clearTimeout(retry);
  picture.removeAttribute("src");
}
function replay() { stop(); retryMs = 1000; play(); }
picture.addEventListener("load", () => { shown = true; retryMs = 1000; fit(); notice(); });
picture.addEventListener("error", async () => {
  if (!picture.hasAttribute("src")) return;
  stop();
  retry = setTimeout(play, retryMs);
  retryMs = Math.min(retryMs * 1.5, 8000);
  const answer = await ask("video_feed", 4000, "HEAD").catch(() => null);
  if (answer && answer.status === 503) notice(say.full503, say.full503More);
  else if (answer && answer.status === 401) notice(say.login, say.loginMore);
});
function fit() {
  if (picture.naturalWidth) $("frame").style.aspectRatio = picture.naturalWidth + " / " + picture.naturalHeight;
}
function notice(title, text) {
  $("notice").hidden = !title;
  picture.classList.toggle("dim", Boolean(title));
  put("notice-title", title || "");
  put("notice-text", text || "");
}

