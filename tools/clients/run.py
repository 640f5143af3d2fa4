"""Tests namecam's stream and snapshots with players, libraries and servers: `make clients-test`. usage: run.py PROGRAM

Runs the recipes of docs/INTEGRATIONS.md with a running namecam, and fails when a client behaves differently from the
docs. Writes the table of clients to target/clients/table.md, and with WRITE_DOCS=1 into docs/INTEGRATIONS.md."""
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import cv2

import players
import recipes
import servers
from camera import DOCS, FPS, PEERS, WIDTH, Camera, fail, say, until

BEGIN, END = "<!-- clients, written by `WRITE_DOCS=1 make clients-test` -->\n", "<!-- end of clients -->\n"
# The time in which pictures are counted, and the time limit for a client to come back.
WINDOW_S, PATIENCE_S = 10, 40
# A box and its label have 6000 pixels of their colour. Without them, 300 pixels of the picture are similar.
BOX_PIXELS = 1500


def box_pixels(picture):
    """The number of pixels with the colour of boxes, ff00ff, which VLC saves paler."""
    blue, green, red = cv2.split(picture)
    return int(((blue > 140) & (red > 140) & (green < 140)).sum())


def stills(player):
    """Tests single pictures: with a password in the address, with a token and without boxes, and none with a wrong
    password.

    Returns whether the player reports the wrong password."""
    camera, path = player.camera, player.folder / "still.jpeg"

    def taken(url):
        if said := player.still(url, path):
            fail(f"{player.name} gets no picture from {url}:\n{said[-1500:]}")
        picture = cv2.imread(str(path))
        if picture is None or picture.shape != (player.height, WIDTH, 3):
            fail(f"{player.name} has a picture of {picture if picture is None else picture.shape}")
        return box_pixels(picture)

    until(f"{player.name} shows a box", lambda: taken(camera.with_password(players.VIDEO)) > BOX_PIXELS, 120)
    if (pixels := taken(camera.with_token(players.VIDEO + "?overlay=0"))) > BOX_PIXELS:
        fail(f"{player.name}: {pixels} pixels of boxes with overlay=0")
    said = player.still(camera.with_password(players.VIDEO, password="wrong"), path, 12)
    if said is None:
        fail(f"{player.name} gets a picture with a wrong password")
    return "401" in said


def rates(watching):
    """The pictures per second of each player while all watch at the same time, and namecam's own rate."""
    until("each has seen pictures", lambda: all([player.count() >= 5 for player in watching]))
    # Each count has its own time, because some players take a while to report it.
    begun = {player: (player.count(), time.monotonic()) for player in watching}
    own = []
    for _ in range(WINDOW_S):
        time.sleep(1)
        own.append(watching[0].camera.state()["stream"]["fps"])
    seen = {player: (player.count(), time.monotonic()) for player in watching}
    rate = {player: (seen[player][0] - count) / (seen[player][1] - since) for player, (count, since) in begun.items()}
    return rate, sum(own) / len(own)


def restarted(watching, camera):
    """The behaviour of each player when namecam stops for two seconds, with the seconds until its next picture or its
    exit status."""
    camera.stop()
    time.sleep(2)
    before = {player: player.count() for player in watching}
    camera.start()
    begun, outcome = time.monotonic(), {}
    while time.monotonic() < begun + PATIENCE_S and len(outcome) < len(watching):
        for player in watching:
            if player in outcome:
                continue
            if player.count() > before[player]:
                outcome[player] = (players.RETURNS, time.monotonic() - begun)
            elif player.process.poll() is not None:
                outcome[player] = (players.ENDS, player.process.returncode)
        time.sleep(0.2)
    return {player: outcome.get(player, (players.STAYS, None)) for player in watching}


def silent(camera, folder, chosen):
    """Tests the time-outs of the players that have one, when namecam sends nothing and keeps its connections, as after
    a power cut."""
    watching = [kind(camera, folder / "silent") for kind in chosen if kind.notices_s]
    for player in watching:
        player.watch(camera.with_password(players.VIDEO))
    try:
        until("each has seen pictures", lambda: all([player.count() >= 5 for player in watching]))
        camera.process.send_signal(signal.SIGSTOP)
        begun, noticed = time.monotonic(), {}
        while len(noticed) < len(watching) and time.monotonic() < begun + PATIENCE_S:
            for player in watching:
                if player not in noticed and (player.process.poll() is not None or player.gives_up in player.out()):
                    noticed[player] = time.monotonic() - begun
                    say(f"{player.name} gives a silent stream up after {noticed[player]:.0f} s")
            time.sleep(0.2)
        for player in watching:
            if not player.notices_s - 2 <= noticed.get(player, math.inf) <= player.notices_s + 5:
                fail(f"{player.name} gives a silent stream up after {noticed.get(player)} s, not {player.notices_s}:\n{player.out()[-1500:]}")
    finally:
        camera.process.send_signal(signal.SIGCONT)
        for player in watching:
            player.stop()


def played(camera, folder, only):
    """The rows of the table for the programs that play the stream."""
    chosen = [player(camera, folder) for player in players.ALL if not only or any(word in player.name for word in only)]
    refused = {}
    for player in chosen:
        if isinstance(player, players.Frigate):
            refused[player] = True  # the same as for ffmpeg
            continue
        refused[player] = stills(player)
        say(f"{player.name} {player.version()}: a password, a token, no boxes with overlay=0, a wrong password refused")
    if not chosen:
        return []
    for player in chosen:
        player.watch(camera.with_password(players.VIDEO))
    try:
        seen, own = rates(chosen)
        say(f"namecam sends {own:.1f} pictures a second")
        outcome = restarted(chosen, camera)
    finally:
        for player in chosen:
            player.stop()
    (folder / "silent").mkdir()
    silent(camera, folder, [type(player) for player in chosen])
    rows = []
    for player in chosen:
        word, figure = outcome[player]
        expected = 5 if isinstance(player, players.Frigate) else own
        say(f"{player.name}: {seen[player]:.1f} pictures a second; when namecam restarts it {word} ({figure})")
        if not player.least * expected <= seen[player] <= 1.3 * expected + 1:
            fail(f"{player.name} sees {seen[player]:.1f} pictures a second of {expected:.1f}; its last words:\n{player.out()[-1500:]}")
        if word != player.after_restart:
            fail(f"{player.name} {word}, and the docs say that it {player.after_restart}; its last words:\n{player.out()[-1500:]}")
        detail = {players.RETURNS: f" within {math.ceil(figure)} s" if word == players.RETURNS else "", players.ENDS: f", status {figure}" if not isinstance(player, players.Frigate) else ""}.get(word, "")
        shown = player.shown()
        note = "" if refused[player] else f"{player.silent} that a password is wrong"
        notes = ". ".join(part for part in [player.note, note] if part)
        shown = shown if shown.startswith(("the ", "`")) else f"`{shown}`"
        rows.append([player.name, player.version(), f"{seen[player]:.1f} of {expected:.1f} pictures a second", word + detail, notes, shown])
    return rows


def written(rows):
    lines = ["| client | version | what was seen | when namecam restarts | remark | what was run |", "| --- | --- | --- | --- | --- | --- |"]
    table = "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]) + "\n"
    (PEERS / "table.md").write_text(table)
    print(table)
    if os.environ.get("WRITE_DOCS"):
        before, _, rest = DOCS.read_text().partition(BEGIN)
        _, found, after = rest.partition(END)
        if not found:
            fail(f"{DOCS} has lost the line {END.strip()}")
        DOCS.write_text(before + BEGIN + table + END + after)


def main(program, only):
    folder = Path(tempfile.mkdtemp(prefix="namecam-clients-"))
    folder.chmod(0o755)
    camera = Camera(folder / "namecam", program)
    try:
        camera.start()
        until("somebody is in sight", lambda: camera.state()["faces"], 180)
        rows = played(camera, folder, only)
        rows += servers.rows(camera, folder, only)
        recipes.tried(program, camera, folder, only)
        if not only:
            written(rows)
    except BaseException:
        print((camera.folder / "log").read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        camera.process.kill()
        camera.process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    say(f"{len(rows)} clients, at {FPS} pictures a second")


main(Path(sys.argv[1]).resolve(), sys.argv[2:])
