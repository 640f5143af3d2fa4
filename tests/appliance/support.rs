//! Starts the program in its own folder and sends it requests over HTTP.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The time limit of every wait, long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

pub fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A picture that `make setup` fetched.
pub fn picture(name: &str) -> PathBuf {
    let path = repo().join("target/pictures").join(name);
    assert!(path.exists(), "{} is missing: run make setup", path.display());
    path
}

/// The program with the models of the repository and its own caches.
pub fn namecam(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_namecam"));
    command.current_dir(folder).env("XDG_CACHE_HOME", folder.join("cache")).env_remove("STATE_DIRECTORY");
    command.env("XDG_STATE_HOME", folder.join("state"));
    command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
    command
}

/// A folder with a gallery and a config.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// An empty gallery, and a config of `lines` plus the models of the repository and a free port.
    pub fn new(lines: &str) -> Home {
        let home = Home { folder: tempfile::tempdir().expect("a temporary folder") };
        std::fs::create_dir(home.path("gallery")).expect("a gallery");
        home.write_config(lines);
        home
    }

    /// `lines` are sections without a port; `[http]` is added if missing.
    pub fn write_config(&self, lines: &str) {
        let models = repo().join("models");
        let http = if lines.contains("[http]") { "" } else { "[http]\nbind = 127.0.0.1:0\n" };
        let text = format!("{lines}\n[models]\npath = {}\n{http}", models.display());
        std::fs::write(self.path("namecam.ini"), text).expect("a config");
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Copies a picture into the gallery like scp without -p, but with an old time stamp, so that it is enrolled at
    /// once.
    pub fn enrol(&self, person: &str, picture_name: &str) {
        let file = self
            .put(format!("gallery/{person}/{picture_name}"), &std::fs::read(picture(picture_name)).expect("a picture"));
        age(&file);
    }

    /// Writes a file, and the folders above it.
    pub fn put(&self, name: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// The value of `camera.source` for a camera that shows one picture for ever, 20 times a second.
    pub fn still_camera(&self, picture_name: &str) -> String {
        let jpeg = self.path("camera.jpg");
        let size = "scale=640:480:force_original_aspect_ratio=decrease,pad=640:480:-1:-1";
        let status = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-y", "-i"])
            .arg(picture(picture_name))
            .args(["-vf", size, "-q:v", "2", "-pix_fmt", "yuvj420p"])
            .arg(&jpeg)
            .status()
            .expect("ffmpeg is there: make setup");
        assert!(status.success());
        self.looping_camera(&jpeg)
    }

    /// A camera that shows the JPEG for ever.
    pub fn looping_camera(&self, jpeg: &Path) -> String {
        format!("pipe:sh -c 'while cat {}; do sleep 0.05; done'", jpeg.display())
    }

    pub fn run(&self) -> Running {
        Running::start(namecam(self.folder.path()).arg("run"))
    }

    pub fn command(&self) -> Command {
        namecam(self.folder.path())
    }
}

/// Sets the time stamp of a file to a minute ago.
pub fn age(file: &Path) {
    let file = std::fs::File::options().append(true).open(file).expect("a file");
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).expect("a time");
}

/// The running program.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let (sender, listening) = std::sync::mpsc::channel();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("listening on http://") {
                    let _ = sender.send(address.trim_end_matches('/').parse().expect("an address"));
                }
                kept.lock().unwrap().push(line);
            }
        });
        let address = listening.recv_timeout(PATIENCE);
        let address = address.unwrap_or_else(|_| panic!("it does not listen; it said: {:#?}", log.lock().unwrap()));
        Running { child, address, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: kill accepts any numbers; the child has not been reaped, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0);
    }

    /// Sends a signal and waits for the end of the program. Returns the exit status, the time that this took, and the
    /// longest time allowed: three times what `sleep 1` takes meanwhile, which is longer on a busy machine.
    pub fn end(&mut self, signal: i32) -> (ExitStatus, Duration, Duration) {
        let begun = Instant::now();
        let sleeper = std::thread::spawn(move || {
            Command::new("sleep").arg("1").status().expect("sleep starts");
            begun.elapsed()
        });
        self.signal(signal);
        let (status, took) = self.wait(PATIENCE);
        (status, took, 3 * sleeper.join().expect("a time"))
    }

    /// Waits for the end of the program; returns the exit status and the time that the wait took.
    pub fn wait(&mut self, patience: Duration) -> (ExitStatus, Duration) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return (status, started.elapsed());
            }
            assert!(started.elapsed() < patience, "it does not end; it said:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    /// Changes keys of the config as the page does; returns the status and the answer.
    pub fn change_settings(&self, body: &str) -> (u16, Value) {
        told(&self.post("/api/settings", "application/json", body.as_bytes()))
    }

    /// Sends a change as namecam's own page does; returns the status and the answer.
    pub fn teach(&self, path: &str, body: &Value) -> (u16, Value) {
        told(&self.post(path, "application/json", body.to_string().as_bytes()))
    }

    /// A change as namecam's own page sends it.
    pub fn post(&self, path: &str, kind: &str, body: &[u8]) -> Answer {
        post(self.address, path, kind, body).expect("a request")
    }

    /// Sends `request` and reads until the connection ends.
    pub fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("a request");
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Answer::from(bytes)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream
    }

    /// A viewer of the stream that has read the head of the response.
    pub fn view(&self) -> BufReader<TcpStream> {
        let mut stream = self.connect();
        stream.write_all(b"GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
        let mut reader = BufReader::new(stream);
        let head = read_head(&mut reader);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        reader
    }

    pub fn state(&self) -> Value {
        let answer = self.get("/api/state");
        serde_json::from_slice(&answer.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&answer.body)))
    }

    /// The names in /api/state; "?" for an unknown face.
    pub fn names(&self) -> Vec<String> {
        let state = self.state();
        let faces = state["faces"].as_array().expect("faces").clone();
        faces.iter().map(|face| face["name"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// Polls until a condition is true.
    pub fn until(&self, what: &str, mut so: impl FnMut(&Running) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so(self) {
            assert!(Instant::now() < deadline, "never: {what}\nstate: {:#}\nlog:\n{}", self.state(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends SIGHUP and waits for the new gallery.
    pub fn reload(&self) {
        let before = self.generation();
        self.signal(libc::SIGHUP);
        self.until("a new generation of the gallery", |running| running.generation() > before);
    }

    pub fn generation(&self) -> u64 {
        self.state()["recognition"]["generation"].as_u64().expect("a number")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A change as namecam's own page sends it. An answer that is cut off has the status 0.
pub fn post(address: SocketAddr, path: &str, kind: &str, body: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    Ok(Answer::from(bytes))
}

/// The status, and the answer as JSON or text.
fn told(answer: &Answer) -> (u16, Value) {
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_else(|_| Value::String(answer.text())))
}

/// Reads a head up to its empty line.
pub fn read_head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a line") > 0, "closed within the head: {head}");
    }
    head
}

/// Reads the next part of a stream: its JPEG and its head.
pub fn read_part(reader: &mut impl BufRead) -> (Vec<u8>, String) {
    let head = read_head(reader);
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
    let mut jpeg = vec![0; length.parse().expect("a number")];
    reader.read_exact(&mut jpeg).expect("a picture");
    let mut end = [0; 2];
    reader.read_exact(&mut end).expect("a line end");
    assert_eq!(&end, b"\r\n");
    (jpeg, head)
}

/// A response of the server.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn from(bytes: Vec<u8>) -> Answer {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        Answer { status, head, body: bytes[end..].to_vec() }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Decodes a JPEG.
pub fn decode(jpeg: &[u8]) -> image::RgbImage {
    image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).expect("a JPEG").into_rgb8()
}
