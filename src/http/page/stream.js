// Endless responses, the stream and the events, read by fetch. namecam sends data at least once a second; a response
// that is silent for SILENT_MS has ended.
const SILENT_MS = 10000;
// Reads a response until it ends or `control` is aborted. `take` gets its bytes. Returns the status of a refusal, or 0.
async function readEndless(path, control, take) {
  let timer = 0;
  const wait = () => { clearTimeout(timer); timer = setTimeout(() => control.abort(), SILENT_MS); };
  wait();
  try {
    const options = { headers: { "X-Namecam": "1" }, cache: "no-store", signal: control.signal };
    const answer = await fetch(new URL(path, location.origin + location.pathname), options);
    if (!answer.ok) return answer.status;
    const reader = answer.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return 0;
      wait();
      take(value);
    }
  } finally {
    clearTimeout(timer);
    control.abort();
  }
}
// Takes the bytes of a stream and calls `take` with the JPEG and the X-Timestamp of its newest part.
const MOST_HEAD = 1024, MOST_BYTES = 1 << 26;
function partReader(take) {
  let held = new Uint8Array(1 << 18), end = 0, body = 0, next = 0, at = 0;
  return bytes => {
    if (end + bytes.length > held.length) {
      const larger = new Uint8Array(2 * (end + bytes.length));
      larger.set(held.subarray(0, end));
      held = larger;
    }
    held.set(bytes, end);
    end += bytes.length;
    let newest = null;
    for (;;) {
      if (!next) {
        // The head of a part: the boundary and its headers.
        const text = String.fromCharCode(...held.subarray(0, Math.min(end, MOST_HEAD))), blank = text.indexOf("\r\n\r\n");
        if (blank < 0 && end < MOST_HEAD) break;
        const [length, time] = ["Content-Length", "X-Timestamp"].map(name => Number((text.split(name + ": ")[1] || "").split("\r\n")[0]));
        if (blank < 0 || !(length > 0 && length < MOST_BYTES)) throw new Error("not a part of a stream");
        [body, next, at] = [blank + 4, blank + 4 + length, time];
      }
      if (end < next) break;
      newest = { jpeg: new Blob([held.subarray(body, next)], { type: "image/jpeg" }), at };
      held.copyWithin(0, next, end);
      [end, next] = [end - next, 0];
    }
    if (newest) take(newest);
  };
}
// Takes the bytes of server-sent events and calls `take` with the name and the data of each.
function eventReader(take) {
  const utf8 = new TextDecoder();
  let text = "";
  return bytes => {
    const blocks = (text + utf8.decode(bytes, { stream: true })).split("\n\n");
    text = blocks.pop();
    if (text.length > MOST_BYTES) throw new Error("an event without an end");
    for (const block of blocks) {
      const [name, data] = ["event", "data"].map(field => (new RegExp(`^${field}: (.*)$`, "m").exec(block) || [])[1]);
      if (name && data) take(name, JSON.parse(data));
    }
  };
}

