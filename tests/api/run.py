"""run.py NAMECAM: tests that the answers of a running namecam are as docs/API.md says. `make api-test` runs it.

The test runs the demo with a copy of its gallery, an admin and a viewer."""
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import jsonschema_rs

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "target/api"
WAIT_S = 60
PASSWORD = "a password of the test"
ENDLESS = {"multipart/x-mixed-replace", "text/event-stream"}
# The checks of each request. Pictures and settings have more rules than a schema can say, so a 400 for data that fit
# the schema is no fault.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"
CHECKS += ",negative_data_rejection,unsupported_method,allow_header_conformance,missing_required_header"


def fail(what):
    sys.exit(f"api-test: {what}")


def free_port():
    """None of the ports that the system gives to connections, which may take it before the program does."""
    for port in random.sample(range(20000, 30000), 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    sys.exit("there is no free port")


class Stay(urllib.request.HTTPRedirectHandler):
    """Returns redirects as answers and does not follow them."""

    def redirect_request(self, *_):
        return None


class Namecam:
    """The demo, with copies of its gallery and state that a test may destroy."""

    def __init__(self, program, folder):
        self.folder = folder
        self.base = f"http://127.0.0.1:{free_port()}"
        shutil.copytree(ROOT / "demo/gallery", folder / "gallery")
        users = folder / "users"
        anna = [program, "passwd", "--config", "/dev/null", "--file", users, "anna"]
        subprocess.run(anna, input=PASSWORD, text=True, check=True, capture_output=True)
        self.tokens = {}
        for role in ["admin", "viewer"]:
            command = [program, "passwd", "--config", "/dev/null", "--file", users, "--token", role]
            told = subprocess.run(command + ["--admin"] * (role == "admin"), check=True, capture_output=True, text=True)
            self.tokens[role] = told.stdout.split()[-1]
        sets = [f"http.bind={self.base[7:]}", f"http.password_file={users}", f"gallery.path={folder}/gallery", f"state.path={folder}/state"]
        command = [program, "demo", "--config", ROOT / "demo/namecam.ini", *(word for key in sets for word in ("--set", key))]
        self.log = folder / "namecam.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")})

    def ask(self, path, role="admin", method="GET", body=None, **headers):
        """The status, the headers and the body of an answer; only the beginning of an endless body."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if role:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        request = urllib.request.Request(self.base + path, body, headers, method=method)
        try:
            with urllib.request.build_opener(Stay).open(request, timeout=40) as answer:
                return answer.status, answer.headers, self.beginning(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.headers, refusal.read()

    @staticmethod
    def beginning(answer):
        if answer.headers["Content-Length"]:
            return answer.read()
        begun, text = time.monotonic(), b""
        few = answer.headers["Content-Type"].startswith("multipart/")
        while time.monotonic() < begun + 3 or (few and text.count(b"\xff\xd8\xff") < 3 and time.monotonic() < begun + WAIT_S):
            text += answer.read1()
        return text

    def until(self, what, reached):
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                fail(f"namecam has ended, status {self.process.returncode}")
            try:
                if value := reached():
                    return value
            except OSError:
                pass
            time.sleep(0.1)
        fail(f"not within {WAIT_S} s: {what}")

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=20)


def metrics(namecam):
    """Tests that promtool has no remarks on the metrics, and that the standard metrics of a process are there."""
    status, headers, text = namecam.ask("/metrics", "viewer")
    if (status, headers["Content-Type"]) != (200, "text/plain; version=0.0.4; charset=utf-8"):
        fail(f"/metrics: {status} {headers['Content-Type']}")
    checked = subprocess.run([PEERS / "promtool", "check", "metrics"], input=text, capture_output=True)
    if checked.returncode != 0 or checked.stdout or checked.stderr:
        fail(f"promtool check metrics: {checked.stdout.decode()}{checked.stderr.decode()}")
    names = {line.split()[2] for line in text.decode().splitlines() if line.startswith("# TYPE ")}
    ours = [f"process_{name}" for name in ("cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds", "start_time_seconds")]
    if missing := {"namecam_build_info", *ours} - names:
        fail(f"/metrics lacks {', '.join(sorted(missing))}")
    print(f"  promtool check metrics: {len(names)} metrics, nothing to say")


class Contract:
    """The OpenAPI document of a running namecam."""

    def __init__(self, namecam):
        self.namecam = namecam
        self.document = json.loads(namecam.ask("/api/openapi.json", "viewer")[2])
        # Clients ignore unknown fields, but here an answer with a field that is not in the document is a fault.
        for shape in self.document["components"]["schemas"].values():
            if "properties" in shape:
                shape.setdefault("additionalProperties", False)
        self.tried = set()

    def operations(self):
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield path, method.upper(), operation

    def fits(self, value, schema, what):
        whole = {**schema, "components": self.document["components"]}
        errors = [f"{error.message} at {error.instance_path}" for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]
        if errors:
            fail(f"{what}: {'; '.join(errors[:3])}: {json.dumps(value)[:2000]}")

    def ask(self, wanted, method, path, body=None, query=None, role="admin", **values_and_headers):
        """Makes a request, and compares the status, the content type and the JSON of the answer with the document.

        `wanted` is the expected status, or several."""
        headers = {name: value for name, value in values_and_headers.items() if name[0].isupper()}
        operation = self.document["paths"][path][method.lower()]
        target = path.format(**values_and_headers) + ("?" + urllib.parse.urlencode(query) if query else "")
        if isinstance(body, dict):
            kind, = operation["requestBody"]["content"]
            form = kind == "application/x-www-form-urlencoded"
            if not form:
                self.fits(body, operation["requestBody"]["content"][kind]["schema"], f"the body for {method} {target}")
            body = (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
            headers["Content_Type"] = kind
        status, got, text = self.namecam.ask(target, role, method, body, **headers)
        what = f"{method} {target} as {role}: {status} {got['Content-Type']}"
        if status not in (wanted if isinstance(wanted, tuple) else (wanted,)):
            fail(f"{what} in place of {wanted}: {text[:300]}")
        content = operation["responses"].get(str(status), {}).get("content")
        kind = got["Content-Type"].split(";")[0]
        if content is None or kind not in content:
            fail(f"{what} is not in the document")
        self.tried.add((method, path, status))
        if kind == "application/json":
            text = json.loads(text)
            self.fits(text, content[kind].get("schema", {}), what)
        return text if status != 303 else got["Location"]


def roles(contract):
    """Tests that each operation requires the role that the document says."""
    count = 0
    for path, method, operation in contract.operations():
        needs = {role for one in operation["security"] for names in one.values() for role in names}
        endless = ENDLESS & operation["responses"].get("200", {}).get("content", {}).keys()
        values = {"track": 1, "id": "none"}
        if needs:
            contract.ask(401, method, path, role=None, **values)
            count += 1
        if needs == {"admin"}:
            contract.ask(403, method, path, role="viewer", **values)
            count += 1
        elif needs and method == "GET" and not endless and "{" not in path:
            contract.ask(200, method, path, role="viewer")
            count += 1
    print(f"  {count} answers to nobody and to a viewer")


def events(contract):
    """Tests that each event fits the schema for its name."""
    seen = set()
    for query in [{}, {"boxes": 1}, {"typed": 1}]:
        text = contract.ask(200, "GET", "/api/events", query=query, Last_Event_ID="0").decode()
        for event in text.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
            if name := fields.get("event"):
                shape = f"Event{name.title()}"
                known = shape in contract.document["components"]["schemas"]
                reference = f"#/components/schemas/{shape if known and not fields.get('id') else 'EventTyped'}"
                contract.fits(json.loads(fields["data"]), {"$ref": reference}, f"event {name}")
                seen.add(name)
    if missing := {"camera", "faces", "boxes", "present", "appeared", "named"} - seen:
        fail(f"no event {', '.join(missing)}, only {', '.join(seen)}")
    print(f"  events: {', '.join(sorted(seen))}")


def walk(contract):
    """Makes the requests of the page and of other programs, with real values."""
    ask = contract.ask
    for path, query in [("/", {"action": "stream"}), ("/stream.mjpg", {"raw": 1, "t": "me"}), ("/video_feed", {"overlay": 0, "width": 64, "fps": 240})]:
        if ask(200, "GET", path, query=query, role="viewer").count(b"\xff\xd8\xff") < 3:
            fail(f"{path} sends no pictures")
    ask(200, "GET", "/snapshot.jpg", query={"strict": 1, "width": 8192})
    ask(200, "GET", "/", query={"action": "snapshot"}, role="viewer")
    ask(400, "GET", "/snapshot.jpg", query={"width": 63})
    ask(400, "GET", "/video_feed", query={"fps": 241})
    ask(400, "GET", "/api/events", query={"typed": 2})
    ask(200, "GET", "/api/state", query={"t": "me"}, role="viewer")
    for role in ["viewer", "admin"]:
        contract.namecam.until("a face with its reason", lambda: named_face(contract, role))
    ask(404, "GET", "/api/faces/{track}", track=10**12)
    for path in ["/api/visits", "/api/gallery", "/api/config", "/api/camera", "/api/health", "/api/sessions", "/healthz"]:
        ask(200, "GET", path)
    ask(409, "POST", "/api/camera/try", {"controls": {"gain": 1}})
    ask(409, "DELETE", "/api/camera/try")

    def of_somebody(what, asked):
        """The demo's people come and go, perhaps before they are asked for."""

        def answered():
            answer = asked(*chips_of_somebody(contract))
            # Who is gone is told as text.
            return answer if isinstance(answer, dict) or answer.startswith(b"\xff\xd8") else None

        return contract.namecam.until(what, answered)

    of_somebody("a chip", lambda track, chips: ask((200, 404), "GET", "/chip.jpg", query={"track": track, "number": len(chips) - 1}))
    track, _ = chips_of_somebody(contract)
    ask(404, "GET", "/chip.jpg", query={"track": track, "number": 99})
    ask(200, "POST", "/api/faces/enrol", {})
    file = of_somebody("a face with another name", lambda track, _: ask((200, 404), "POST", "/api/faces/name", {"track": track, "name": "Zoe"}))["files"][0]
    ask(200, "GET", "/picture.jpg", query={"file": file, "width": 32})
    ask(404, "GET", "/picture.jpg", query={"file": "Zoe/none.jpg"})
    ask(200, "POST", "/api/gallery/rename", {"person": "Zoe", "to": "\ubbfc\ud638"})
    ask(400, "POST", "/api/gallery/rename", {"person": "\ubbfc\ud638", "to": "a/b"})
    ask(404, "POST", "/api/gallery/forget", {"person": "Zoe"})
    ask(200, "POST", "/api/gallery/forget", {"person": "\ubbfc\ud638"})
    picture = next((contract.namecam.folder / "gallery").glob("*/*.jp*g")).read_bytes()
    file = ask(200, "POST", "/api/gallery/picture", picture, {"person": "Mo"}, Content_Type="image/jpeg")["files"][0]
    ask(422, "POST", "/api/gallery/picture", b"\x89PNG", {"person": "Mo"}, Content_Type="image/png")
    ask(200, "GET", "/api/gallery")
    moved = ask(200, "POST", "/api/gallery/move", {"file": file, "person": None})["files"][0]
    ask(404, "POST", "/api/gallery/move", {"file": file, "person": "Zoe"})
    ask(200, "POST", "/api/gallery/delete", {"file": moved})
    ask(404, "POST", "/api/faces/not", {"track": 10**12})
    of_somebody("a face of nobody", lambda track, _: ask((200, 404), "POST", "/api/faces/not", {"track": track}))

    ask(200, "POST", "/api/settings", {"set": {"stream.quality": "70"}, "unset": ["overlay.unknown"]})
    ask(400, "POST", "/api/settings", {"set": {"stream.quality": "101"}})
    ask(415, "POST", "/api/settings", b"{}", Content_Type="text/plain")

    ask(401, "POST", "/login", {"user": "anna", "password": "wrong"}, role=None)
    own = logged_in(contract)
    session = next(one for one in ask(200, "GET", "/api/sessions", **own)["sessions"] if one["own"])
    ask(303, "GET", "/login", query={"next": "/?a=1"}, **own)
    ask(404, "DELETE", "/api/sessions/{id}", id="none")
    ask(200, "DELETE", "/api/sessions/{id}", id=session["id"])
    ask(401, "GET", "/api/state", **own)
    own = logged_in(contract)
    ask(403, "POST", "/api/password", {"old": "wrong", "new": PASSWORD}, **own)
    ask(200, "POST", "/api/password", {"old": PASSWORD, "new": "12345678"}, **own)
    ask(303, "POST", "/logout", **own)
    if (lead := ask(303, "GET", "/api/state", role=None, Accept="text/html,application/xhtml+xml")) != "/login?next=/api/state":
        fail(f"a browser is sent to {lead}")
    print(f"  {len(contract.tried)} answers to what the page and programs ask")


def logged_in(contract):
    """Logs in; returns the arguments for `ask` that make a request one of a browser with this session."""
    form = urllib.parse.urlencode({"user": "anna", "password": PASSWORD}).encode()
    status, headers, _ = contract.namecam.ask("/login", None, "POST", form, Content_Type="application/x-www-form-urlencoded")
    cookie = (headers["Set-Cookie"] or "").split(";")[0]
    name = contract.document["components"]["securitySchemes"]["session"]["name"]
    if status != 303 or not cookie.startswith(f"{name}="):
        fail(f"the login: {status}, the cookie {cookie.split('=')[0]} in place of {name}")
    return {"role": None, "Cookie": cookie, "Origin": contract.namecam.base}


def named_face(contract, role):
    """A face with a name, or None: the demo's people come and go."""
    tracks = [face["track"] for face in contract.ask(200, "GET", "/api/state", role=role)["faces"] if face["name"]]
    faces = (contract.ask((200, 404), "GET", "/api/faces/{track}", track=track, role=role) for track in tracks)
    return next((face for face in faces if isinstance(face, dict)), None)


def chips_of_somebody(contract):
    """Waits for a track with chips; returns both."""

    def found():
        for face in contract.ask(200, "GET", "/api/state")["faces"]:
            if chips := contract.ask(200, "GET", "/api/chips/{track}", track=face["track"])["chips"]:
                return face["track"], chips

    return contract.namecam.until("chips of a face", found)


def generated(contract, role, phases):
    """Runs schemathesis, which makes requests with valid and invalid values."""
    folder = contract.namecam.folder
    (folder / "openapi.json").write_text(json.dumps(contract.document))
    command = [PEERS / "venv/bin/schemathesis", "--config-file", ROOT / "tests/api/schemathesis.toml", "--no-color", "run", folder / "openapi.json"]
    command += ["--url", contract.namecam.base, "--checks", CHECKS, "--phases", phases]
    command += ["--max-examples", "10", "--seed", "20", "--continue-on-failure", "--warnings", "off", "--request-timeout", "30"]
    for path, _, operation in contract.operations():
        if ENDLESS & operation["responses"].get("200", {}).get("content", {}).keys():
            command += ["--exclude-path", path]
    if role:
        command += ["-H", f"Authorization: Bearer {contract.namecam.tokens[role]}"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    tested, cases = re.search(r"Tested: (\d+)", ran.stdout), re.search(r"(\d+) generated", ran.stdout)
    tested, cases = int(tested[1]) if tested else 0, int(cases[1]) if cases else 0
    wanted = sum(1 for _ in contract.operations()) - command.count("--exclude-path")
    # The counts are checked, because a run that was cut short finds no faults either.
    if ran.returncode != 0 or tested != wanted or cases < 10 * wanted:
        fail(f"schemathesis as {role or 'nobody'}: {tested} of {wanted} operations, {cases} requests\n{ran.stdout[-12000:]}{ran.stderr[-2000:]}")
    print(f"  schemathesis as {role or 'nobody'}: {cases} requests of {tested} operations, each answered as the document says")


def main():
    folder = Path(tempfile.mkdtemp(prefix="namecam-api-"))
    namecam = Namecam(Path(sys.argv[1]).resolve(), folder)
    try:
        namecam.until("a face with a name", lambda: b'"state":"named"' in namecam.ask("/api/state")[2])
        metrics(namecam)
        contract = Contract(namecam)
        roles(contract)
        events(contract)
        walk(contract)
        generated(contract, None, "coverage")
        generated(contract, "admin", "coverage,fuzzing")
        # The same process still answers.
        contract.ask(200, "GET", "/api/state")
    except BaseException:
        print(namecam.log.read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        namecam.end()
        shutil.rmtree(folder)
    print("api-test: all is as docs/API.md says")


main()
