"""Rows of bench.py about the page: the cost of a browser that draws the boxes itself, compared with a client of the
stream without overlay and a client of the overlay that namecam draws.

CPU is milliseconds of processor time per frame of all threads except recognition, which runs at its default interval
for all of them. The kinds of client take turns in one run of namecam, ROUNDS times, so that other load of the machine
affects all of them. A client makes the requests of the page (src/http/page) instead of a browser: the stream, the
events with boxes, the state once a second and the health every fifth time. tools/page_figures.mjs measures with a
browser.
"""
import http.client, socket, statistics, threading, time

import bench_stream
from bench_stream import SIZES, Viewer, settle

ROUNDS = 3
KINDS = ("nobody", "plain", "page", "drawn")


class Page:
    """A client that makes the requests of the page."""

    def __init__(self, address):
        self.address, self.ended, self.events = address, threading.Event(), 0
        self.viewer = Viewer(address, wish="?overlay=0&raw=1&t=bench")
        host, port = address.rsplit(":", 1)
        self.listener = socket.create_connection((host, int(port)))
        self.listener.sendall(b"GET /api/events?boxes=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.listen, self.poll)]
        for thread in self.threads:
            thread.start()

    def listen(self):
        while text := self.listener.recv(1 << 16):
            self.events += text.count(b"event: boxes")

    def poll(self):
        connection, number = http.client.HTTPConnection(self.address, timeout=10), 0
        while not self.ended.wait(1):
            for path in ["/api/state?t=bench"] + ["/healthz"] * (number % 5 == 0):
                connection.request("GET", path)
                connection.getresponse().read()
            number += 1
        connection.close()

    def close(self):
        self.ended.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.listener.close()
        self.viewer.close()


class Nobody:
    def close(self):
        pass


CLIENTS = {"nobody": lambda address: Nobody(), "plain": lambda address: Viewer(address, wish="?overlay=0"), "page": Page, "drawn": Viewer}


def spent_ms(namecam):
    """The processor time of all threads except recognition, including threads that have ended."""
    return namecam.cpu() * 1000 - bench_stream.cpu_ms(namecam).get("recognition", 0)


def of_size(start, clip, seconds):
    namecam = start(clip, [])
    try:
        settle(namecam, True)
        spent, events = {kind: [] for kind in KINDS}, 0
        for kind in [*KINDS] * ROUNDS:
            client = CLIENTS[kind](namecam.address)
            time.sleep(1.5)
            heard = client.events if kind == "page" else 0
            frames, before, begun = namecam.state()["camera"]["frames"], spent_ms(namecam), time.monotonic()
            time.sleep(seconds)
            taken, dt = spent_ms(namecam) - before, time.monotonic() - begun
            spent[kind].append(taken / (namecam.state()["camera"]["frames"] - frames))
            events += (client.events - heard) / dt / ROUNDS if kind == "page" else 0
            client.close()
        middle = {kind: statistics.median(costs) for kind, costs in spent.items()}
        return {**{f"{kind}_ms_a_frame": round(cost, 3) for kind, cost in middle.items()}, "boxes_per_s": round(events, 1),
                "page_to_plain": round(middle["page"] / middle["plain"], 2), "drawn_to_plain": round(middle["drawn"] / middle["plain"], 2),
                "rounds": {kind: [round(cost, 3) for cost in costs] for kind, costs in spent.items()}}
    finally:
        namecam.close()


def rows(start, clips, seconds):
    """Yields names and figures of rows; `start(clip, settings)` starts namecam, `clips` has one for each of SIZES."""
    for size in SIZES:
        yield f"{size}, a page that draws boxes", of_size(start, clips[size], seconds)
