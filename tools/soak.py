#!/usr/bin/env python3
"""Runs namecam for hours with viewers that come and go, and reports whether its resources grow: make soak HOURS=1

usage: soak.py NAMECAM HOURS FOLDER

The camera is a clip of two faces, 640x480 at 30 frames a second. One viewer stays connected. Meanwhile other viewers
come and go, a client of the events reconnects, an admin logs in and out, saves a setting, adds and forgets a person,
and pictures are copied, renamed and removed with a SIGHUP after each. Every ten seconds, the program writes a line to
FOLDER/soak.csv. In the last tenth of the time these activities stop, and the bytes are counted that namecam writes to
disk. At the end, the program prints the slope of each number over the second half of the time before that, with its
95 % interval, and writes FOLDER/soak.svg. The exit status is 1 when a number grows, a client fails, the viewer is
disconnected, or namecam writes to disk in the last tenth. Only the standard library and ffmpeg are needed.
"""
import contextlib, csv, http.client, json, math, os, random, re, shutil, signal, subprocess, sys, tempfile, threading, time, traceback
from urllib.parse import quote

import bench
from bench_stream import Viewer

EVERY_S = 10
PASSWORD = "correct horse battery"
# The numbers that must not grow, with their units and the growth per hour that is tolerated, which is less than the 2 %
# that the mission allows.
GROWS = {"private_mb": ("MB", 1.0), "descriptors": ("", 1.0), "threads": ("", 1.0), "age_p95_ms": ("ms", 5.0)}


class Staying(Viewer):
    """The viewer that stays connected, with the times at which its pictures arrived."""

    def gap_s(self):
        return max((after - before for before, after in zip(self.at, self.at[1:])), default=0.0)

    def __init__(self, address):
        self.at = []
        super().__init__(address, wish=f"?token={EYES}")

    def take(self, size, flags=0):
        got = super().take(size, flags)
        # One entry per picture: `ages_ms` has one more entry after each picture.
        if len(self.ages_ms) > len(self.at):
            self.at.append(time.monotonic())
        return got


class Life(threading.Thread):
    """Repeats an activity until `end` is called, and collects failures."""
    failures = []

    def __init__(self, act, pause):
        super().__init__(daemon=True)
        self.act, self.pause, self.rounds, self.ended = act, pause, 0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(random.uniform(0.5, 1.5) * self.pause):
            try:
                self.act(self)
                self.rounds += 1
            except Exception as error:
                Life.failures.append(f"{self.act.__name__}: {error!r} {traceback.format_exc().splitlines()[-2].strip()}")

    def end(self):
        self.ended.set()
        self.join(60)


def request(method, path, body=None, more={}):
    host, port = ADDRESS.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": f"http://{ADDRESS}", "X-Namecam": "1", **more}
    if isinstance(body, dict):
        body, headers["Content-Type"] = json.dumps(body), "application/json"
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


def expect(status, answer):
    if answer[0] != status:
        raise ValueError(f"{answer[0]} {answer[1][:200]}")
    return answer


def coming_and_going(life):
    wish = random.choice(["", "overlay=0&", "width=320&", "fps=5&", "width=320&fps=10&"])
    viewer = Viewer(ADDRESS, wish=f"?{wish}token={EYES}")
    life.ended.wait(random.uniform(0.2, 20))
    viewer.close()


def listening(life):
    """Reads events, beginning after the last id of the previous connection."""
    host, port = ADDRESS.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    headers = {"Authorization": f"Bearer {TOKEN}", "Last-Event-ID": str(getattr(life, "last", 0))}
    with contextlib.closing(connection):
        connection.request("GET", "/api/events?typed=1", headers=headers)
        answer = connection.getresponse()
        until = time.monotonic() + random.uniform(1, 15)
        while time.monotonic() < until and not life.ended.is_set():
            line = answer.readline()
            if line.startswith(b"id: "):
                life.last = int(line[4:])


def logging_in(life):
    form = f"user=anna&password={quote(PASSWORD)}"
    answer = expect(303, request("POST", "/login", form, {"Authorization": "", "Content-Type": "application/x-www-form-urlencoded"}))
    cookie = answer[2]["Set-Cookie"].split(";")[0]
    expect(200, request("GET", "/api/state", more={"Authorization": "", "Cookie": cookie}))
    expect(303, request("POST", "/logout", "", {"Authorization": "", "Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}))


def settings(life):
    expect(200, request("POST", "/api/settings", {"set": {"stream.quality": str(random.randint(70, 90))}}))


def teaching(life):
    picture = open(os.path.join(bench.PICTURES, "obama3.jpg"), "rb").read()
    answer = request("POST", f"/api/gallery/picture?person={quote('하늘')}", picture, {"Content-Type": "image/jpeg"})
    expect(200, answer)
    expect(200, request("POST", "/api/gallery/forget", {"person": "하늘"}))


def editing(life):
    """Copies a picture into the gallery, as scp does, renames it, and removes it."""
    folder = os.path.join(GALLERY, "Joe Biden")
    names = [os.path.join(folder, name) for name in ("new.jpg", "newer.jpg")]
    shutil.copy2(os.path.join(bench.PICTURES, "biden.jpg"), names[0])
    reload(life)
    os.rename(*names)
    reload(life)
    os.remove(names[1])
    reload(life)


def reload(life):
    os.kill(NAMECAM.process.pid, signal.SIGHUP)
    life.ended.wait(2)


LIVES = [(coming_and_going, 1), (coming_and_going, 3), (coming_and_going, 5), (listening, 1), (logging_in, 20), (settings, 30), (teaching, 40), (editing, 15)]


def sample(begun):
    pid = NAMECAM.process.pid
    read = lambda file: open(f"/proc/{pid}/{file}").read()
    number = lambda text, key: int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))
    rollup, state = read("smaps_rollup"), json.loads(expect(200, request("GET", "/api/state"))[1])
    return {
        "s": round(time.monotonic() - begun), "private_mb": round((number(rollup, "Private_Dirty") + number(rollup, "Private_Clean")) * 1024 / 1e6, 2),
        "rss_mb": round(number(rollup, "Rss") * 1024 / 1e6, 1), "descriptors": len(os.listdir(f"/proc/{pid}/fd")), "threads": number(read("status"), "Threads"),
        "age_p95_ms": round(state["stream"]["age_ms"]["total"]["p95"] or 0, 1), "cpu_s": round(NAMECAM.cpu(), 2), "written_bytes": number(read("io"), "write_bytes"),
        "frames": state["camera"]["frames"], "dropped": state["camera"]["dropped"], "looks": state["recognition"]["looks"], "viewers": state["stream"]["viewers"],
        "faults": sum(fault["count"] for fault in state["faults"]), "load": round(os.getloadavg()[0], 1),
    }


def slope(rows, key):
    """The slope per hour by least squares, with half of its 95 % interval (for normal, independent residuals of
    ten-second samples)."""
    points = [(row["s"] / 3600, row[key]) for row in rows]
    count = len(points)
    if count < 3:
        return 0.0, math.inf
    mean_x, mean_y = (sum(values) / count for values in zip(*points))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    rise = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    residual = sum((y - mean_y - rise * (x - mean_x)) ** 2 for x, y in points) / (count - 2)
    return rise, 1.96 * math.sqrt(residual / spread)


def plot(rows, file):
    """Draws small diagrams of columns of the CSV, one above the other."""
    keys, wide, tall = ["private_mb", "descriptors", "threads", "age_p95_ms", "written_bytes", "viewers"], 720, 110
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide + 140} {tall * len(keys) + 30}" font-family="sans-serif" font-size="12">',
           f'<rect width="{wide + 140}" height="{tall * len(keys) + 30}" fill="#fff"/>']
    last = max(rows[-1]["s"], 1)
    for place, key in enumerate(keys):
        values, top = [row[key] for row in rows], place * tall + 14
        low, high = min(values), max(max(values), min(values) + 1)
        at = lambda row: f'{120 + wide * row["s"] / last:.1f},{top + (tall - 30) * (1 - (row[key] - low) / (high - low)):.1f}'
        out += [f'<text x="4" y="{top + 12}">{key}</text><text x="4" y="{top + 28}" fill="#666">{low:g} to {high:g}</text>',
                f'<polyline fill="none" stroke="#1f7a5a" points="{" ".join(map(at, rows))}"/>']
    out.append(f'<text x="120" y="{tall * len(keys) + 20}" fill="#666">{last / 3600:.2f} hours</text></svg>')
    with open(file, "w") as to:
        to.write("\n".join(out))


def main(program, hours, folder):
    global NAMECAM, ADDRESS, GALLERY, TOKEN, EYES
    os.makedirs(folder, exist_ok=True)
    place = tempfile.mkdtemp(prefix="namecam-soak-")
    GALLERY, users, clip = os.path.join(place, "gallery"), os.path.join(place, "users"), os.path.join(place, "clip.mjpeg")
    bench.make_clip(clip)
    bench.make_gallery(GALLERY)
    passwd = [program, "passwd", "--config", "/dev/null", "--file", users]
    subprocess.run([*passwd, "--admin", "anna"], input=PASSWORD, text=True, check=True, capture_output=True)
    token = lambda *words: subprocess.run([*passwd, *words], text=True, check=True, capture_output=True).stdout.strip()
    # The token in addresses is a viewer's, because namecam does not accept an admin's token there.
    TOKEN, EYES = token("--admin", "--token", "soak"), token("--token", "eyes")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    NAMECAM = bench.Namecam(program, place, clip, [f"http.password_file={users}", f"state.path={place}/state"])
    ADDRESS = NAMECAM.address
    rows, lives, end = [], [], 0
    try:
        while json.loads(expect(200, request("GET", "/api/state"))[1])["recognition"]["looks"] < 10:
            time.sleep(0.5)
        staying = Staying(ADDRESS)
        lives = [Life(act, pause) for act, pause in LIVES]
        begun = time.monotonic()
        changing = begun + 0.9 * hours * 3600
        with open(os.path.join(folder, "soak.csv"), "w", newline="") as file:
            out = None
            while time.monotonic() < begun + hours * 3600:
                if lives and time.monotonic() > changing:
                    for life in lives:
                        life.end()
                    rounds = {f"{life.act.__name__} {number + 1}": life.rounds for number, life in enumerate(lives)}
                    lives = []
                    time.sleep(EVERY_S)
                    still = sample(begun)
                row = sample(begun)
                out = out or csv.DictWriter(file, row)
                if not rows:
                    out.writeheader()
                out.writerow(row)
                file.flush()
                rows.append({**row, "changing": bool(lives)})
                plot(rows, os.path.join(folder, "soak.svg"))
                time.sleep(EVERY_S)
        end = report(rows, rounds, still, staying)
    finally:
        for life in lives:
            life.ended.set()
        NAMECAM.close()
        shutil.rmtree(place, ignore_errors=True)
    return end


def report(rows, rounds, still, staying):
    changing, last = [row for row in rows if row["changing"]], rows[-1]
    half, bad = changing[len(changing) // 2:], []
    print(f"{last['s'] / 3600:.2f} hours, {last['frames']} frames, {last['looks']} looks, {last['cpu_s'] / last['s']:.2f} processors; load {min(r['load'] for r in rows)} to {max(r['load'] for r in rows)}")
    print("rounds:", ", ".join(f"{name} {count}" for name, count in rounds.items()))
    for key, (unit, most) in GROWS.items():
        rise, error = slope(half, key)
        grows = rise - error > 0 and rise > most
        bad += [key] if grows else []
        print(f"{key}: {changing[len(changing) // 10][key]} after a tenth, {changing[-1][key]} at the end; slope {rise:+.2f} +- {error:.2f} {unit} an hour{'  GROWS' if grows else ''}")
    written = last["written_bytes"] - still["written_bytes"]
    print(f"written to disk in the last {last['s'] - still['s']} s, in which nothing changed: {written} bytes; before: {still['written_bytes']}")
    print(f"faults: {last['faults']}; failures of the clients: {len(Life.failures)}; pictures of the viewer who stayed: {len(staying.ages_ms)}, longest gap {staying.gap_s():.2f} s")
    for failure in Life.failures[:10]:
        print("  " + failure)
    bad += (["writes"] if written else []) + (["a client failed"] if Life.failures else []) + ([] if staying.is_alive() else ["the viewer who stayed was disconnected"])
    print("not good: " + ", ".join(bad) if bad else "good")
    return int(bool(bad))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
