"""A row of bench.py about wrong passwords: a hundred addresses, given by X-Forwarded-For, send a hundred wrong
passwords each. The row shows the time of a first login by other users meanwhile, and the effect on an existing session
and its stream.
"""
import collections, http.client, multiprocessing, os, subprocess, threading, time
from urllib.parse import urlencode

ADDRESSES, EACH = 100, 100
OWNERS = ["boris", "carla", "dora", "emil", "fiona"]
PASSWORD = "correct horse battery"


def log_in(address, user, password, forwarded):
    """Logs in; returns the seconds until the answer, and the answer."""
    begun = time.monotonic()
    host, port = address
    connection = http.client.HTTPConnection(host, port, timeout=60)
    headers = {"Origin": f"http://{host}:{port}", "Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": forwarded}
    connection.request("POST", "/login", urlencode({"user": user, "password": password}), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return time.monotonic() - begun, answer


def attack(address, results):
    """The attack. It runs in a separate process, because it uses a core."""
    statuses = collections.Counter()

    def attacker(number):
        for attempt in range(EACH):
            try:
                _, answer = log_in(address, OWNERS[number % len(OWNERS)], f"wrong {number} {attempt}", f"10.0.0.{number}")
                statuses[answer.status] += 1
            except OSError as error:
                statuses[type(error).__name__] += 1

    threads = [threading.Thread(target=attacker, args=(number,)) for number in range(ADDRESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(dict(statuses))


def row(program, start, folder, clip):
    """The figures of the row. `start(clip, settings)` starts namecam."""
    users = os.path.join(folder, "users")
    for user in ["anna", *OWNERS]:
        subprocess.run([program, "passwd", "--config", "/dev/null", "--file", users, user], input=PASSWORD, text=True, check=True, capture_output=True)
    os.environ["XDG_STATE_HOME"] = os.path.join(folder, "state")
    namecam = start(clip, ["recognition.enabled=no", f"http.password_file={users}"])
    host, port = namecam.address.rsplit(":", 1)
    address, over, results = (host, int(port)), threading.Event(), multiprocessing.Queue()
    try:
        time.sleep(2)
        _, answer = log_in(address, "anna", PASSWORD, "192.0.2.1")
        cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
        frames, asked = [0], []

        def watch():
            connection = http.client.HTTPConnection(*address)
            connection.request("GET", "/video_feed", headers=cookie)
            stream = connection.getresponse()
            while not over.is_set():
                frames[0] += stream.read1(1 << 20).count(b"--frame")

        def poll():
            while not over.is_set():
                begun = time.monotonic()
                connection = http.client.HTTPConnection(*address)
                connection.request("GET", "/api/sessions", headers=cookie)
                assert connection.getresponse().status == 200
                connection.close()
                asked.append(time.monotonic() - begun)
                time.sleep(0.05)

        threads = [threading.Thread(target=work, daemon=True) for work in (watch, poll)]
        for thread in threads:
            thread.start()
        time.sleep(3)
        before, slowest, quiet = frames[0], max(asked), time.monotonic()
        time.sleep(5)
        quiet_fps = (frames[0] - before) / (time.monotonic() - quiet)
        attacker = multiprocessing.Process(target=attack, args=(address, results))
        begun, before, first = time.monotonic(), frames[0], len(asked)
        attacker.start()
        took = []
        for number, owner in enumerate(OWNERS):
            time.sleep(3)
            seconds, answer = log_in(address, owner, PASSWORD, f"192.0.2.{number + 10}")
            assert answer.status == 303, answer.status
            took.append(round(1000 * seconds))
        statuses = results.get(timeout=600)
        attacker.join()
        seconds = time.monotonic() - begun
        return {"seconds": round(seconds), "answers": statuses, "owners_log_in_ms": took,
                "slowest_of_session_ms": round(1000 * max(asked[first:])), "slowest_before_ms": round(1000 * slowest),
                "requests_of_session": len(asked) - first, "fps": round((frames[0] - before) / seconds, 1), "fps_before": round(quiet_fps, 1)}
    finally:
        over.set()
        namecam.close()
