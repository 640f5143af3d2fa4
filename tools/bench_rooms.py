"""Rows of bench.py about rooms: the cost of an empty one, and the time until a person who enters has a name."""
import os, statistics, subprocess, time

FPS = 30
# Longer than the lifetime of a track, so that the person is new each time.
EMPTY_FRAMES, PERSON_FRAMES = 80, 30


def room(size):
    """The filter of ffmpeg for a still room with sensor noise."""
    return f"color=c=0x5a6470:s={size}:r={FPS},noise=alls=30:all_seed=7,gblur=6,noise=alls=7:allf=t"


def make_empty(path, size, frames=150):
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", room(size), "-frames:v", str(frames), "-q:v", "4",
                    "-pix_fmt", "yuvj422p", "-f", "mjpeg", path], check=True)


def make_visits(path, picture):
    """Makes a clip of an empty room and then a person, which is played in a loop."""
    graph = (f"{room('640x480')}[bg];[0]crop=iw*0.62:ih*0.62:iw*0.19:ih*0.06,scale=-1:288[a];"
             f"[bg][a]overlay=x=200+n:y=96:enable='gte(n,{EMPTY_FRAMES})'[v]")
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-loop", "1", "-framerate", str(FPS), "-i", picture, "-filter_complex", graph,
                    "-map", "[v]", "-frames:v", str(EMPTY_FRAMES + PERSON_FRAMES), "-q:v", "4", "-pix_fmt", "yuvj422p", "-f", "mjpeg", path],
                   check=True)


def time_to_name(namecam, visits):
    """The milliseconds from the frame on which a person appears to their name in /api/state, by polling."""
    cycle = EMPTY_FRAMES + PERSON_FRAMES
    namecam.until(lambda s: s["recognition"]["generation"] > 0)
    times, came_at, seen_cycle = [], None, None
    deadline = time.monotonic() + (visits + 3) * cycle / FPS
    while len(times) < visits and time.monotonic() < deadline:
        state = namecam.state()
        now, frames = time.monotonic(), state["camera"]["frames"] + state["camera"]["dropped"] + state["camera"]["corrupt"]
        number, inside = divmod(frames - 1, cycle)
        if inside >= EMPTY_FRAMES and seen_cycle != number:
            # The poll may see the frame up to one interval late.
            seen_cycle, came_at = number, now - (inside - EMPTY_FRAMES) / FPS
        if came_at and any(face["name"] for face in state["faces"]):
            times.append((now - came_at) * 1000)
            came_at = None
        time.sleep(0.004)
    times.sort()
    if not times:
        return {"visits": 0}
    return {"visits": len(times), "median_ms": round(statistics.median(times)), "p95_ms": round(times[int(len(times) * 0.95) - 1]),
            "longest_ms": round(times[-1]), "last_look_ms": state["recognition"]["last_ms"]}


def rows(measure, start, folder, pictures, seconds):
    """Yields names and figures of rows; `measure(clip, settings)` and `start(clip)` are those of bench.py."""
    for size in ("640x480", "1280x720"):
        clip = os.path.join(folder, f"empty-{size}.mjpeg")
        make_empty(clip, size)
        yield f"empty room, {size}, no viewers", measure(clip, [])
    clip = os.path.join(folder, "visits.mjpeg")
    make_visits(clip, os.path.join(pictures, "biden.jpg"))
    namecam = start(clip)
    try:
        yield "from coming to a name", time_to_name(namecam, max(8, int(seconds * 2)))
    finally:
        namecam.close()
