"""A row of bench.py about an attack: ten addresses hold 1,000 connections with incomplete requests and open each again when
it is closed. The row shows the effect on a viewer, other clients and the watchdog. It only uses this machine, 127.0.0.0/8.
"""
import hashlib, multiprocessing, os, socket, threading, time

ATTACKERS = [f"127.0.0.{host}" for host in range(2, 12)]
CONNECTIONS = 1000
OTHER = "127.0.0.12"
WATCHDOG_S = 2


def split(clip):
    """The numbers of the pictures of an MJPEG clip by their digests."""
    with open(clip, "rb") as f:
        pictures = f.read().split(b"\xff\xd8\xff")[1:]
    numbers = {hashlib.md5(b"\xff\xd8\xff" + picture).digest(): number for number, picture in enumerate(pictures)}
    assert len(numbers) == len(pictures), "two pictures of the clip are the same"
    return numbers


def attack(address, until, opened):
    """The attack. It runs in a separate process, because it uses a whole core."""
    def connect(source):
        connection = socket.socket()
        connection.setblocking(False)
        connection.bind((source, 0))
        connection.connect_ex(address)
        opened.value += 1
        return connection

    held = [connect(ATTACKERS[number % len(ATTACKERS)]) for number in range(CONNECTIONS)]
    begun = [False] * CONNECTIONS
    while time.time() < until:
        for number, connection in enumerate(held):
            try:
                if not begun[number] and number % 2:
                    connection.send(b"GET / HTTP/1.1\r\nX: ")
                elif begun[number] and number % 4 == 1:
                    connection.send(b"x")
                begun[number] = True
                if connection.recv(1000):
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            connection.close()
            held[number], begun[number] = connect(ATTACKERS[number % len(ATTACKERS)]), False
        time.sleep(0.05)


def watch(address, numbers, until, results):
    """Counts the pictures of the clip that arrive, and the missing ones between them."""
    connection = socket.create_connection(address)
    connection.sendall(b"GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stream = connection.makefile("rb")
    last, at, came, missed, longest = None, None, 0, 0, 0
    while time.time() < until:
        line = stream.readline()
        if not line.startswith(b"Content-Length:"):
            assert line, "the viewer was cut off"
            continue
        while stream.readline().strip():
            pass
        number = numbers[hashlib.md5(stream.read(int(line.split()[1]))).digest()]
        now = time.time()
        if last is not None and number != last:
            missed += (number - last - 1) % len(numbers)
            longest = max(longest, now - at)
        if number != last:
            came, last, at = came + 1, number, now
    results.put({"frames": came, "missed": missed, "longest_gap_ms": round(1000 * longest)})


def ask(address, path):
    """The seconds until the whole response has arrived; None without a good one."""
    started = time.monotonic()
    try:
        with socket.create_connection(address, 10, (OTHER, 0)) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            text = connection.makefile("rb").read()
    except OSError:
        return None
    return time.monotonic() - started if text.startswith(b"HTTP/1.1 200 ") else None


def quiet_or_attacked(namecam, told, numbers, seconds, attacked):
    host, port = namecam.address.rsplit(":", 1)
    address, until = (host, int(port)), time.time() + seconds
    results, opened = multiprocessing.Queue(), multiprocessing.Value("i", 0)
    processes = [multiprocessing.Process(target=watch, args=(address, numbers, until, results))]
    if attacked:
        processes.append(multiprocessing.Process(target=attack, args=(address, until, opened)))
    before, fed, lines = namecam.state(), len(told), len(namecam.log)
    cpu = namecam.cpu()
    for process in processes:
        process.start()
    took = []
    while time.time() < until:
        took.append(ask(address, ("/healthz", "/snapshot.jpg", "/metrics")[len(took) % 3]))
        time.sleep(0.2)
    cpu = namecam.cpu() - cpu
    watched = results.get(timeout=30)
    for process in processes:
        process.join(30)
    after = namecam.state()
    unfed = sum("does not answer" in line for line in namecam.log[lines:])
    # Viewers could not get the frames that the camera thread dropped for newer ones. The counter covers slightly more time
    # than the viewer.
    row = {"seconds": seconds, **watched, "dropped_by_camera": after["camera"]["dropped"] - before["camera"]["dropped"],
           "asked": len(took), "not_answered": took.count(None), "slowest_answer_ms": round(1000 * max((t for t in took if t is not None), default=0)),
           "watchdog_fed": len(told) - fed, "watchdog_not_fed": unfed, "cpu": round(cpu / seconds, 3)}
    if attacked:
        counts = lambda state, key: state.get("connections", {}).get(key, 0)
        row.update(opened=opened.value, **{key: counts(after, key) - counts(before, key) for key in ("refused", "closed_early")})
    return row


def rows(start, folder, clip, seconds):
    """Yields names and figures of rows without and during an attack. `start(clip, settings)` starts namecam."""
    path = os.path.join(folder, "notify")
    notify, told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), []
    notify.bind(path)

    def listen():
        while True:
            told.extend(line for line in notify.recv(4096).split(b"\n") if line == b"WATCHDOG=1")

    threading.Thread(target=listen, daemon=True).start()
    os.environ.update(NOTIFY_SOCKET=path, WATCHDOG_USEC=str(WATCHDOG_S * 1_000_000))
    try:
        namecam = start(clip, ["recognition.enabled=no"])
    finally:
        del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
    try:
        namecam.until(lambda state: state["camera"]["frames"] > 30)
        numbers = split(clip)
        yield "no attack, 1 viewer (passthrough)", quiet_or_attacked(namecam, told, numbers, seconds, False)
        what = f"{CONNECTIONS} connections of {len(ATTACKERS)} addresses, 1 viewer"
        yield what, quiet_or_attacked(namecam, told, numbers, seconds, True)
    finally:
        namecam.close()
