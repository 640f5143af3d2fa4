//! The rules of the source tree: which modules may import which, which files use each library, which files may contain
//! `unsafe`, and which tables the README must have. A failure says what to do. docs/ARCHITECTURE.md gives the reasons.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test may panic

use namecam::config::Origin;
use namecam::config::keys::KEYS;
use namecam::http::ROUTES;
use namecam::http::access::Access;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The stages. Each is a thread or a part of one; they import the vocabulary modules, and not each other.
const STAGES: &[&str] = &["camera", "recognition", "tiers", "encoder", "overlay", "http", "service"];
/// The modules that connect the stages and may import all of them.
const WIRING: &[&str] = &["lib", "main", "app", "cli", "commands", "manual"];
/// The exceptions to "stages never import each other": the modules of the stream.
const EXCEPTIONS: &[(&str, &str)] = &[("http", "tiers"), ("tiers", "encoder"), ("encoder", "overlay")];

/// The foreign libraries and the files that use them; a name without `.rs` is a file together with its folder.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("ab_glyph", &["overlay"]),
    ("argon2", &["http"]),
    ("base64", &["http"]),
    ("dlib_face_recognition", &["recognition/engine.rs"]),
    ("ini", &["config/text.rs"]),
    ("jpeg_encoder", &["jpeg/portable.rs", "camera/stills"]),
    ("lexopt", &["main.rs", "cli.rs"]),
    ("memmap2", &["overlay"]),
    ("sd_notify", &["service"]),
    ("signal_hook", &["service"]),
    ("tiny_http", &["http/server"]),
    ("turbojpeg", &["jpeg/turbo.rs"]),
    ("v4l", &["camera/v4l2"]),
    ("yuv", &["pixels", "camera/scene.rs"]),
    ("zune_jpeg", &["jpeg/forgiving.rs"]),
];

/// The files that wrap a foreign library or the kernel, and may contain `unsafe`.
const UNSAFE: &[&str] = &[
    "camera/pipe",
    "camera/v4l2",
    "http/listener",
    "localtime.rs",
    "logging.rs",
    "memory.rs",
    "overlay/fonts",
    "recognition/engine",
    "service",
];

/// A Rust file of the project.
struct Source {
    /// The path below its root, such as `camera/v4l2.rs`.
    path: String,
    text: String,
}

impl Source {
    /// The first part of its module path: `camera` for `camera/v4l2.rs`.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The lines with their numbers, without comments and string literals.
    fn code(&self) -> impl Iterator<Item = (usize, String)> {
        (1..).zip(self.text.lines()).map(|(number, line)| {
            let mut code = String::new();
            for (at, part) in line.split('"').enumerate() {
                match (at % 2, part.split_once("//")) {
                    (1, _) => code.push_str("\"\""),
                    (_, None) => code.push_str(part),
                    (_, Some((before, _))) => {
                        code.push_str(before);
                        break;
                    }
                }
            }
            (number, code)
        })
    }

    /// The code outside tests.
    fn shipped(&self) -> impl Iterator<Item = (usize, String)> {
        let tests = self.path.ends_with("tests.rs") || self.path.contains("tests/");
        self.code().take_while(move |(_, line)| !tests && line.trim() != "mod tests {")
    }

    /// True when it is one of `places`, see [`LIBRARIES`].
    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| match self.path.strip_prefix(place) {
            Some(rest) => rest.is_empty() || (!place.ends_with(".rs") && (rest == ".rs" || rest.starts_with('/'))),
            None => false,
        })
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn sources(folder: &str) -> Vec<Source> {
    let (mut found, mut folders): (Vec<Source>, Vec<PathBuf>) = (Vec::new(), vec![root().join(folder)]);
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let short = path.strip_prefix(root().join(folder)).unwrap().to_str().unwrap().to_owned();
                found.push(Source { path: short, text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(!found.is_empty(), "no Rust file in {folder}");
    found
}

/// The word at the beginning of `text`.
fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The text after each path `name::` or import `use name` in `code`.
fn uses<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(name).filter_map(move |(at, _)| {
        let before = code[..at].chars().next_back();
        let rest = &code[at + name.len()..];
        let begins = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.');
        let imported = code[..at].trim_end().ends_with("use") && rest.starts_with([';', ' ']);
        (begins && (rest.starts_with("::") || imported)).then(|| rest.trim_start_matches(':'))
    })
}

/// The top-level modules of the crate that `code` names, as in `crate::a` and `crate::{a, b::c}`.
fn modules_named(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for rest in uses(code, "crate") {
        let Some(group) = rest.strip_prefix('{') else {
            named.insert(word(rest).to_owned());
            continue;
        };
        let (mut depth, mut fresh) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => fresh = true,
                c if fresh && !c.is_whitespace() => {
                    named.insert(word(&group[at..]).to_owned());
                    fresh = false;
                }
                _ => {}
            }
        }
    }
    named
}

/// Fails with all faults and the remedy.
fn hold(faults: &[String], remedy: &str) {
    assert!(faults.is_empty(), "\n{}\n\n{remedy}\n", faults.join("\n"));
}

#[test]
fn stages_import_the_vocabulary_and_never_each_other() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let from = source.module();
        // Checked as a whole, because an import may span lines.
        let code: String = source.shipped().map(|(_, line)| line + "\n").collect();
        for to in modules_named(&code) {
            let to = to.as_str();
            let free = WIRING.contains(&from) || from == to || EXCEPTIONS.contains(&(from, to));
            if !free && (STAGES.contains(&to) || WIRING.contains(&to)) {
                faults.push(format!("src/{}: {from} imports {to}", source.path));
            }
        }
    }
    hold(
        &faults,
        "Move the shared code into a vocabulary module (latest, frame, sighting, health, ...), or let app.rs pass it.",
    );
}

#[test]
fn one_file_uses_each_foreign_library() {
    let mut faults = Vec::new();
    for source in sources("src") {
        for (number, code) in source.shipped() {
            for (library, places) in LIBRARIES {
                if uses(&code, library).next().is_some() && !source.is_in(places) {
                    faults.push(format!("src/{}:{number}: {library} belongs to {}", source.path, places.join(" and ")));
                }
            }
        }
    }
    hold(
        &faults,
        "Add a function to the file that wraps the library, with types of the project, so that the library can be replaced.",
    );
}

#[test]
fn unsafe_is_only_in_files_that_wrap_a_library_or_the_kernel() {
    let mut faults = Vec::new();
    for source in sources("src") {
        for (number, code) in source.shipped() {
            let found = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
            if found && !source.is_in(UNSAFE) {
                faults.push(format!("src/{}:{number}: unsafe", source.path));
            }
        }
    }
    hold(
        &faults,
        "Use safe Rust, or a file that UNSAFE in tests/house.rs lists; a new file in that list needs a reason.",
    );
}

#[test]
fn of_proc_only_what_the_service_can_see_is_read() {
    assert!(read("systemd/namecam.service").contains("\nProcSubset=pid\n"), "this test can go");
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| !source.path.contains("tests")) {
        for (number, line) in (1..).zip(source.text.lines()) {
            let mut places = line.split("\"/proc/").skip(1);
            if places.any(|place| !place.starts_with("self/") && !place.starts_with("{pid}/")) {
                faults.push(format!("src/{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    hold(&faults, "ProcSubset=pid in systemd/namecam.service hides it: ask the kernel by a system call.");
}

const ROUTE_TABLE: [&str; 2] = ["| path | what it is | for |\n| --- | --- | --- |\n", "\nA viewer that is slow"];
const TABLE: [&str; 2] = ["<!-- config keys, written by `make sample-ini` -->\n", "<!-- end of config keys -->\n"];

fn config_table() -> String {
    let mut table = String::from("| key | default | what it is |\n| --- | --- | --- |\n");
    for key in KEYS {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let restart = if key.restart { " Needs a restart." } else { "" };
        let allowed = key.kind.allowed();
        let _ = writeln!(table, "| `{}` | {default} | {} ({allowed}).{restart} |", key.path(), key.help);
    }
    table
}

/// The README's table of routes; routes with the same help share a line.
fn route_table() -> String {
    let mut lines: Vec<(&str, String, &str)> = Vec::new();
    for route in ROUTES {
        let action = route.action.map(|action| format!("?action={action}")).unwrap_or_default();
        let path = format!("`{}{action}`", route.path.replace('*', "TRACK"));
        let whom = match route.access {
            Access::Open => "anyone",
            Access::Viewer => "viewer",
            Access::Admin => "admin",
        };
        match lines.iter_mut().find(|(help, _, _)| *help == route.help) {
            Some((_, paths, _)) => *paths = format!("{paths}, {path}"),
            None => lines.push((route.help, path, whom)),
        }
    }
    lines.iter().map(|(help, paths, whom)| format!("| {paths} | {help} | {whom} |\n")).collect()
}

#[test]
fn the_readme_lists_every_config_key_and_every_route() {
    for ([begin, end], table) in [(TABLE, config_table()), (ROUTE_TABLE, route_table())] {
        let readme = read("README.md");
        let (before, rest) = readme.split_once(begin).expect("README.md has lost the line that begins a table");
        let (old, after) = rest.split_once(end).expect("README.md has lost the line that ends a table");
        if std::env::var_os("WRITE_README").is_some() {
            std::fs::write(root().join("README.md"), format!("{before}{begin}{table}{end}{after}")).unwrap();
        } else {
            assert_eq!(old, table, "a table of README.md is old: make sample-ini");
        }
    }
    let api = read("docs/API.md");
    let missing: Vec<&str> =
        ROUTES.iter().map(|route| route.path).filter(|path| !api.contains(path.trim_end_matches('*'))).collect();
    assert!(missing.is_empty(), "docs/API.md says nothing of {missing:?}");
}

#[test]
fn the_man_page_is_what_the_program_prints() {
    assert_eq!(read("packaging/namecam.1"), namecam::manual::page(), "packaging/namecam.1 is old: make sample-ini");
}

#[test]
fn the_package_and_its_unit_agree() {
    let file = Some(root().join("packaging/namecam.ini"));
    let config = Origin { file, ..Origin::default() }.load().expect("the package's config is good");
    assert!(config.http.bind.ends_with(":5000") && !config.http.open, "the network, with a password");
    assert_eq!(config.http.password_file.as_deref(), Some(Path::new("/run/credentials/namecam.service/users")));
    let places = [config.gallery.path.as_path(), config.models.path.as_path()];
    assert_eq!(places, [Path::new("/var/lib/namecam/gallery"), Path::new("/usr/share/namecam/models")]);
    let agreed = [
        ("systemd/namecam.service", "LoadCredential=users:/etc/namecam/users"),
        ("systemd/namecam.service", "--config /etc/namecam/namecam.ini"),
        ("systemd/namecam.tmpfiles.conf", "/var/lib/namecam/gallery"),
        ("packaging/namecam/postinst", "users=/etc/namecam/users"),
        ("packaging/build", "/usr/share/namecam/models"),
    ];
    let missing = agreed.iter().filter(|(file, words)| !read(file).contains(words));
    hold(
        &missing.map(|(file, words)| format!("{file}: {words} is gone")).collect::<Vec<_>>(),
        "Config, unit and package must use the same paths; change all of them.",
    );
}

#[test]
fn every_linked_crate_has_a_licence_that_a_package_can_name() {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(root().join("tools/copyright")).arg(triple).output().expect("python3 is there");
    let (copyright, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{error}");
    let listed = |part: &str| copyright.contains(&format!("\nFiles: {part}"));
    assert!(listed("crates/tiny_http-") && listed("libraries/dlib/*"), "what is linked is missing:\n{copyright}");
    assert!(
        !listed("crates/tempfile-") && !listed("crates/serde_derive-"),
        "what is not linked is there:\n{copyright}"
    );
}

#[test]
fn the_readme_names_everything_that_make_can_do() {
    let (readme, makefile) = (read("README.md"), read("Makefile"));
    let targets = makefile.lines().filter(|line| line.contains(": ") && line.contains("## "));
    let targets: Vec<&str> = targets.filter_map(|line| line.split(':').next()).collect();
    assert!(targets.contains(&"test"), "the Makefile's targets cannot be read: {targets:?}");
    let missing = targets.iter().filter(|target| !readme.contains(&format!("`make {target}`")));
    hold(
        &missing.map(|target| format!("make {target}")).collect::<Vec<_>>(),
        "README.md, \"What make can do\", must name it.",
    );
}

#[test]
fn the_license_texts_are_here() {
    assert!(read("LICENSE-MIT").contains("Permission is hereby granted"));
    assert!(read("LICENSE-APACHE").contains("Version 2.0, January 2004"));
}

#[test]
fn the_rules_are_able_to_see_what_they_forbid() {
    let code = "use crate::{a, b::{c, d}, e}; let x = crate::f::g(); use v4l::Device; use ini;";
    assert_eq!(modules_named(code).into_iter().collect::<Vec<_>>(), ["a", "b", "e", "f"]);
    assert!(uses(code, "v4l").next().is_some() && uses(code, "ini").next().is_some());
    assert!(uses("let mini::x = my_v4l::y; self.ini", "ini").next().is_none());
    let source = |path: &str| Source { path: path.into(), text: "a(\"// unsafe\"); // unsafe\nunsafe {}".into() };
    let code: Vec<String> = source("x.rs").code().map(|(_, code)| code).collect();
    assert_eq!(code, ["a(\"\"); ", "unsafe {}"]);
    assert_eq!((source("x.rs").shipped().count(), source("x/tests.rs").shipped().count()), (2, 0));
    assert!(source("camera/v4l2/queue.rs").is_in(&["camera/v4l2"]) && source("service.rs").is_in(&["service"]));
    assert!(!source("camera/v4l2x.rs").is_in(&["camera/v4l2"]) && source("a/b.rs").is_in(&["a/b.rs"]));
}
