// Runs a separate namecam for each test. Its camera shows one known person and two strangers; it has the accounts of an
// admin and a viewer.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OUT, ROOT, until } from "./tools.mjs";

const PICTURES = join(ROOT, "target/pictures");
export const KNOWN = "Barack Obama";
export const ADMIN = { user: "anna", password: "seven green bottles on a wall" };
export const VIEWER = { user: "bert", password: "nine small boats at the quay" };

// Four seconds of three people side by side. The picture sways, so that recognition keeps running; no person leaves the
// picture.
const SCENE = join(OUT, "scene.avi");
export function makeScene() {
  const cut = ["crop=iw:iw*1.5:0:0", "crop=ih/1.5:ih:60:0", "crop=800:1200:120:60"].map((crop, i) => `[${i}]${crop},scale=440:660[p${i}];`).join("");
  const sway = "loop=40:1:0,setpts=N/10/TB,crop=1280:640:20+20*sin(2*PI*n/40):10+10*cos(2*PI*n/40)";
  const inputs = ["obama2.jpg", "astronaut.png", "biden.jpg"].flatMap(picture => ["-framerate", "10", "-i", join(PICTURES, picture)]);
  const words = ["-v", "error", "-y", ...inputs, "-filter_complex", `${cut}[p0][p1][p2]hstack=3,${sway}`, "-r", "10", "-frames:v", "40"];
  const { status, stderr } = spawnSync("ffmpeg", [...words, "-c:v", "mjpeg", "-q:v", "3", SCENE], { encoding: "utf8", timeout: 60000 });
  if (status !== 0) throw new Error(`ffmpeg makes no ${SCENE}: ${stderr}`);
}

// Six seconds of one stranger, whose head sways and tilts.
const ALONE = join(OUT, "alone.avi");
export function makeAlone() {
  const sway = "rotate=0.2*sin(2*PI*n/60):c=gray,crop=1280:720:60+50*sin(2*PI*n/60):40+40*cos(2*PI*n/30)";
  const zoom = `crop=800:1200:120:60,scale=560:840,pad=1400:840:420:0:gray,loop=60:1:0,setpts=N/10/TB,${sway}`;
  const words = ["-v", "error", "-y", "-framerate", "10", "-i", join(PICTURES, "biden.jpg"), "-vf", zoom, "-r", "10", "-frames:v", "60", "-c:v", "mjpeg", "-q:v", "3", ALONE];
  const { status, stderr } = spawnSync("ffmpeg", words, { encoding: "utf8", timeout: 60000 });
  if (status !== 0) throw new Error(`ffmpeg makes no ${ALONE}: ${stderr}`);
}

const running = new Set();
process.on("exit", () => { for (const camera of running) camera.kill(); });

export class Camera {
  // `settings` has more lines of the config by section, such as { http: "hosts = cam.lan" }.
  static async start(namecam, settings = {}, alone = false) {
    const camera = new Camera();
    camera.namecam = namecam;
    camera.folder = mkdtempSync(join(tmpdir(), "namecam-browser-"));
    camera.gallery = join(camera.folder, "gallery");
    camera.log = "";
    running.add(camera);
    camera.put("obama.jpg", "gallery", KNOWN, "obama.jpg");
    camera.addUser(ADMIN, "--admin");
    camera.addUser(VIEWER);
    const sections = {
      camera: `source = pipe:ffmpeg -v error -re -stream_loop -1 -i ${alone ? ALONE : SCENE} -c copy -f mjpeg -`, gallery: `path = ${camera.gallery}`, models: `path = ${ROOT}/models`,
      http: `password_file = ${camera.folder}/users`, state: `path = ${camera.folder}/state`,
    };
    for (const [section, lines] of Object.entries(settings)) sections[section] = [sections[section] || "", lines].join("\n");
    writeFileSync(join(camera.folder, "namecam.ini"), Object.entries(sections).map(([name, lines]) => `[${name}]\n${lines}\n`).join(""));
    await camera.run("127.0.0.1:0");
    return camera;
  }
  put(picture, ...path) {
    const to = join(this.folder, ...path);
    mkdirSync(join(to, ".."), { recursive: true });
    cpSync(join(PICTURES, picture), to);
  }
  picture(name) { return join(PICTURES, name); }
  // Makes a picture of two people. A test chooses the one on the left.
  group() {
    const file = join(this.folder, "group.png");
    const words = ["-v", "error", "-y", ...["obama2.jpg", "biden.jpg"].flatMap(name => ["-i", join(PICTURES, name)]), "-filter_complex", "[0]scale=-2:800[a];[1]scale=-2:800[b];[a][b]hstack", file];
    const { status, stderr } = spawnSync("ffmpeg", words, { encoding: "utf8", timeout: 60000 });
    if (status !== 0) throw new Error(`ffmpeg makes no ${file}: ${stderr}`);
    return file;
  }
  // Makes a folder with pictures that are unusable or poor for different reasons, and an empty folder.
  unusable(name) {
    const folder = join(this.gallery, name), from = join(PICTURES, "biden.jpg");
    mkdirSync(join(folder, "more"), { recursive: true });
    mkdirSync(join(this.gallery, "Nobody"));
    cpSync(from, join(folder, "1.jpg"));
    cpSync(this.group(), join(folder, "group.png"));
    cpSync(join(PICTURES, "obama2.jpg"), join(folder, "other.jpg"));
    writeFileSync(join(folder, "notes.jpg"), "no picture");
    writeFileSync(join(folder, "half.jpg"), readFileSync(from).subarray(0, 9000));
    writeFileSync(join(this.gallery, "stray.jpg"), readFileSync(from));
    const made = { "dark.jpg": "lutyuv=y=val/8", "small.jpg": "scale=iw/8:-1", "blurred.jpg": "gblur=25", "wall.jpg": "crop=40:40:0:0", "copy.jpg": "scale=iw*0.9:-1" };
    for (const [file, filter] of Object.entries(made)) {
      const { status, stderr } = spawnSync("ffmpeg", ["-v", "error", "-y", "-i", from, "-vf", filter, "-q:v", "2", join(folder, file)], { encoding: "utf8", timeout: 60000 });
      if (status !== 0) throw new Error(`ffmpeg makes no ${file}: ${stderr}`);
    }
  }
  // The entries of the gallery folder: the names of the people.
  people() { return readdirSync(this.gallery).sort(); }
  addUser({ user, password }, ...more) {
    const words = ["passwd", "--config", "/dev/null", "--file", join(this.folder, "users"), ...more, user];
    const { status, stderr } = spawnSync(this.namecam, words, { input: password, encoding: "utf8", timeout: 30000 });
    if (status !== 0) throw new Error(`namecam ${words.join(" ")}: ${stderr}`);
  }
  // Runs namecam and waits until it listens.
  async run(bind) {
    const words = ["run", "--config", join(this.folder, "namecam.ini"), "--set", `http.bind=${bind}`];
    const folders = { XDG_CACHE_HOME: join(this.folder, "cache"), XDG_STATE_HOME: join(this.folder, "state"), XDG_DATA_HOME: join(this.folder, "data") };
    const process_ = spawn(this.namecam, words, { cwd: this.folder, env: { ...process.env, ...folders }, stdio: ["ignore", "ignore", "pipe"] });
    this.process = process_;
    this.ended = new Promise(resolve => process_.once("exit", resolve));
    const from = this.log.length;
    process_.stderr.on("data", data => { this.log += data; });
    const found = await until("namecam listens", () => {
      if (process_.exitCode !== null) throw new Error(`namecam has ended:\n${this.log}`);
      return this.log.slice(from).match(/listening on (http:\/\/(\S+?))\/\s/);
    });
    [, this.address, this.host] = found;
  }
  // Ends namecam; `run(camera.host)` starts it again at the same address.
  async end() {
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 15000);
    await this.ended;
    clearTimeout(timer);
  }
  async stop() {
    if (this.process) await this.end();
    this.kill();
  }
  // Synchronous, so that it also works while this program exits.
  kill() {
    if (this.process) this.process.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
    running.delete(this);
  }
}
