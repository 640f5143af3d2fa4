//! Checks the rules of the source tree: which modules may import each other, which files may use a foreign library or
//! `unsafe`, and whether the docs are complete. A failure says what to do; docs/ARCHITECTURE.md gives the reasons.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot read the source tree may fail

use namecam::config::Origin;
use namecam::config::keys::KEYS;
use namecam::http::auth::access::Access;
use namecam::http::{ROUTES, Route};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The rooms: the files and folders at the top of src/. A room imports only rooms that are below it in this list, so
/// that imports have no cycle.
const ROOMS: &[&str] = &[
    "main",
    "lib",
    "fuzz",
    "app",
    "commands",
    "cli",
    "http",
    "stream",
    "recognition",
    "camera",
    "events",
    "report",
    "presence",
    "settings",
    "memory",
    "telemetry",
    "shares",
    "gallery",
    "tuning",
    "roster",
    "detection",
    "frame",
    "config",
    "image",
    "os",
    "rounding",
    "sync",
];
/// The rooms that are stages. They do not import each other; `app` passes to each what it shares.
const STAGES: &[&str] = &["camera", "recognition", "stream", "http"];
/// The exception: a response of `http` gets the pictures of a rendition from `stream`.
const EXCEPTION: (&str, &str) = ("http", "stream");

/// The foreign libraries that may be replaced or have pitfalls, and the files that use them; a name without `.rs` is a
/// file together with its folder, and at least two of these files use the library.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("ab_glyph", &["stream/overlay/fonts"]),
    ("argon2", &["http/auth"]),
    ("base64", &["http"]),
    ("dlib_face_recognition", &["recognition/dlib.rs"]),
    ("flate2", &["http/page.rs"]),
    ("ini", &["config/text.rs"]),
    ("jpeg_encoder", &["image/jpeg/portable.rs"]),
    ("lexopt", &["cli.rs"]),
    ("memmap2", &["stream/overlay/fonts.rs"]),
    ("rustls", &["os/tls.rs"]),
    ("sd_notify", &["os/systemd.rs"]),
    ("signal_hook", &["os/signals.rs"]),
    ("tiny_http", &["http/server.rs"]),
    ("turbojpeg", &["image/jpeg/turbo.rs"]),
    ("unicode_bidi", &["stream/overlay/fonts/line.rs"]),
    ("v4l", &["camera/v4l2"]),
    ("yuv", &["image/convert.rs"]),
    ("zune_jpeg", &["image/jpeg/forgiving.rs"]),
];

/// The files that wrap a foreign library or the kernel, and contain `unsafe`; written as in [`LIBRARIES`].
const UNSAFE: &[&str] = &[
    "camera/pipe.rs",
    "camera/v4l2",
    "os/board.rs",
    "os/localtime.rs",
    "memory.rs",
    "stream/overlay/fonts",
    "recognition/dlib.rs",
    "os/net.rs",
    "os/process.rs",
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

    /// True if the file is one of `places`, see [`LIBRARIES`].
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

/// Faults for the files in `using` that are not in `places`, and for the places that need not be listed.
fn misplaced(what: &str, places: &[&str], using: &[&Source]) -> Vec<String> {
    let outside = using.iter().filter(|source| !source.is_in(places));
    let outside = outside.map(|source| format!("src/{}: {what} belongs to {}", source.path, places.join(" and ")));
    let idle = places.iter().filter(|place| {
        let least = if place.ends_with(".rs") { 1 } else { 2 };
        using.iter().filter(|source| source.is_in(&[place])).count() < least
    });
    let idle = idle.map(|place| format!("tests/house.rs: {place} has no {what}, or only {place}.rs has"));
    outside.chain(idle).collect()
}

/// Fails with all faults and the remedy.
fn hold(faults: &[String], remedy: &str) {
    assert!(faults.is_empty(), "\n{}\n\n{remedy}\n", faults.join("\n"));
}

#[test]
fn a_room_imports_only_rooms_below_it_and_stages_do_not_import_each_other() {
    let place = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut faults = Vec::new();
    for source in sources("src") {
        let from = source.module();
        if place(from).is_none() {
            faults.push(format!("src/{}: ROOMS in tests/house.rs does not name the room {from}", source.path));
        }
        // The file is checked as a whole, because an import may span lines.
        let code: String = source.shipped().map(|(_, line)| line + "\n").collect();
        for to in modules_named(&code).iter().filter(|to| *to != from && place(to).is_some()) {
            let stages = STAGES.contains(&from) && STAGES.contains(&to.as_str());
            if place(to) < place(from) || (stages && (from, to.as_str()) != EXCEPTION) {
                faults.push(format!("src/{}: {from} imports {to}", source.path));
            }
        }
    }
    hold(
        &faults,
        "Move the shared code into a room below both (detection, image, os, sync, ...), or let app.rs pass it.",
    );
}

#[test]
fn foreign_libraries_are_used_only_in_the_listed_files() {
    let (all, mut faults) = (sources("src"), Vec::new());
    for (library, places) in LIBRARIES {
        let using: Vec<&Source> = all
            .iter()
            .filter(|source| source.shipped().any(|(_, code)| uses(&code, library).next().is_some()))
            .collect();
        faults.extend(misplaced(library, places, &using));
    }
    hold(
        &faults,
        "Add a function to the file that wraps the library, with types of the project, so that the library can be replaced; \
         take a place without code out of LIBRARIES.",
    );
}

#[test]
fn unsafe_is_only_in_files_that_wrap_a_library_or_the_kernel() {
    let all = sources("src");
    let has_it = |code: &str| code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
    let using: Vec<&Source> = all.iter().filter(|source| source.shipped().any(|(_, code)| has_it(&code))).collect();
    let faults = misplaced("unsafe", UNSAFE, &using);
    hold(
        &faults,
        "Use safe Rust, or a file that UNSAFE in tests/house.rs lists; a new file in that list needs a reason, and one without \
         unsafe is taken out.",
    );
}

#[test]
fn only_files_of_proc_that_the_service_can_see_are_read() {
    assert!(read("systemd/namecam.service").contains("\nProcSubset=pid\n"), "this test can go");
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| !source.path.contains("tests")) {
        let shipped = source.text.lines().take_while(|line| line.trim() != "mod tests {");
        for (number, line) in (1..).zip(shipped) {
            let mut places = line.split("\"/proc/").skip(1);
            if places.any(|place| !place.starts_with("self/") && !place.starts_with("{pid}/")) {
                faults.push(format!("src/{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    hold(&faults, "ProcSubset=pid in systemd/namecam.service hides it: ask the kernel by a system call.");
}

/// The file with a generated table, and the lines before and after the table.
const KEY_TABLE: [&str; 3] =
    ["docs/CONFIG.md", "<!-- config keys, written by `make sample-ini` -->\n", "<!-- end of config keys -->\n"];
const ROUTE_TABLE: [&str; 3] =
    ["docs/API.md", "<!-- routes, written by `make sample-ini` -->\n", "<!-- end of routes -->\n"];

fn config_table() -> String {
    let mut table = String::from("| key | default | what it is |\n| --- | --- | --- |\n");
    for key in KEYS {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let restart = if key.restart { " Needs a restart." } else { "" };
        let settings = if key.in_settings { " `settings`" } else { "" };
        let allowed = key.kind.allowed();
        let _ = writeln!(table, "| `{}` | {default} | {} ({allowed}).{restart}{settings} |", key.path(), key.help);
    }
    table
}

/// The table of routes. Routes with the same help text share a line.
fn route_table() -> String {
    let mut lines: Vec<(&Route, String)> = Vec::new();
    for route in ROUTES {
        let action = route.action.map(|action| format!("?action={action}")).unwrap_or_default();
        let (fixed, named) = route.path.split_once('{').unwrap_or((route.path, ""));
        let path = format!("`{fixed}{}{action}`", named.trim_end_matches('}').to_uppercase());
        match lines.iter_mut().find(|(first, _)| first.help == route.help) {
            Some((_, paths)) => *paths = format!("{paths}, {path}"),
            None => lines.push((route, path)),
        }
    }
    let mut table = "| method | path | what it is | for | changes |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (route, paths) in lines {
        let whom = match route.access {
            Access::Open => "anyone",
            Access::Viewer => "viewer",
            Access::Picture => "viewer, `?token=` too",
            Access::Admin => "admin",
        };
        let changes = if route.method.changes() { "yes" } else { "" };
        let _ = writeln!(table, "| {} | {paths} | {} | {whom} | {changes} |", route.method.as_str(), route.help);
    }
    table
}

#[test]
fn the_docs_list_every_config_key_and_every_route() {
    for ([file, begin, end], table) in [(KEY_TABLE, config_table()), (ROUTE_TABLE, route_table())] {
        let text = read(file);
        let (before, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{file} has lost the line {begin}"));
        let (old, after) = rest.split_once(end).unwrap_or_else(|| panic!("{file} has lost the line {end}"));
        if std::env::var_os("WRITE_DOCS").is_some() {
            std::fs::write(root().join(file), format!("{before}{begin}{table}{end}{after}")).unwrap();
        } else {
            assert_eq!(old, table, "the table of {file} is old: make sample-ini");
        }
    }
}

/// The Markdown files of the project, as paths below the root.
fn pages() -> Vec<String> {
    let folders = ["", "docs/", "gallery/", "models/", "tests/board/"];
    let mut found = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                found.push(format!("{folder}{name}"));
            }
        }
    }
    found
}

/// The lines of a page outside blocks of code, which are fenced or indented.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced && !line.starts_with("    ")
    })
}

/// The headings of a page, with their `#` marks.
fn headings(text: &str) -> Vec<&str> {
    prose(text).filter(|line| line.starts_with('#')).collect()
}

/// The targets of the links and pictures of a page.
fn links(text: &str) -> Vec<&str> {
    let targets = prose(text).flat_map(|line| line.split("](").skip(1));
    targets.filter_map(|rest| rest.split([')', ' ']).next()).collect()
}

/// The link fragment of a heading, as GitHub makes it.
fn fragment(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_of_the_docs_leads_somewhere() {
    let mut faults = Vec::new();
    let mut followed = 0;
    for page in pages() {
        let text = read(&page);
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => root().join(&page),
                file => root().join(&page).parent().unwrap().join(file),
            };
            followed += 1;
            if !target.exists() {
                faults.push(format!("{page}: there is no {link}"));
            } else if !part.is_empty() {
                let there = std::fs::read_to_string(&target).unwrap();
                if !headings(&there).iter().any(|heading| fragment(heading) == part) {
                    faults.push(format!("{page}: no heading for {link}"));
                }
            }
        }
    }
    assert!(followed > 50, "the links cannot be read: {followed}");
    hold(&faults, "Change the link, or put back what it leads to.");
}

#[test]
fn the_readme_has_at_most_8_kib_and_is_the_same_in_korean() {
    let [english, korean] = ["README.md", "README.ko.md"].map(read);
    assert!(english.len() <= 8192, "README.md has {} bytes: move something into docs/", english.len());
    assert!(english.starts_with("[한국어](README.ko.md)\n") && korean.starts_with("[English](README.md)\n"));
    let levels = |text: &str| -> Vec<usize> {
        headings(text).iter().map(|heading| heading.chars().take_while(|c| *c == '#').count()).collect()
    };
    assert_eq!(levels(&english), levels(&korean), "README.md and README.ko.md have other sections");
    let targets = |text: &str| -> BTreeSet<String> {
        let mut targets: BTreeSet<String> = links(text).into_iter().map(str::to_owned).collect();
        targets.retain(|target| !target.starts_with("README"));
        targets
    };
    assert_eq!(targets(&english), targets(&korean), "README.md and README.ko.md have other links");
    let commands = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("    "));
        // Two or more spaces separate a command from a remark.
        lines.map(|line| line.trim().split("  ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(commands(&english), commands(&korean), "README.md and README.ko.md have other commands");
}

#[test]
fn the_man_page_and_the_completions_are_what_the_program_prints() {
    use namecam::commands::{completions, manual};
    for (file, printed) in [("packaging/namecam.1", manual::page()), ("packaging/namecam.bash", completions::bash())] {
        assert_eq!(read(file), printed, "{file} is old: make sample-ini");
    }
}

#[test]
fn the_package_and_its_unit_agree() {
    let file = Some(root().join("packaging/namecam.ini"));
    let config = Origin { file, ..Origin::default() }.load().expect("the package's config is good");
    assert!(config.http.bind.ends_with(":5000") && !config.http.open, "the network, with a password");
    assert_eq!(config.http.password_file.as_deref(), Some(Path::new("/var/lib/namecam/users")));
    let places = [config.gallery.path.as_path(), config.models.path.as_path()];
    assert_eq!(places, [Path::new("/var/lib/namecam/gallery"), Path::new("/usr/share/namecam/models")]);
    let agreed = [
        ("systemd/namecam.service", "\nStateDirectory=namecam\n"),
        ("systemd/namecam.tmpfiles.conf", "f  /var/lib/namecam/users   0600 namecam namecam"),
        ("systemd/namecam.service", "--config /etc/namecam/namecam.ini"),
        ("systemd/namecam.tmpfiles.conf", "/var/lib/namecam/gallery"),
        ("packaging/namecam/postinst", "users=/var/lib/namecam/users"),
        ("packaging/build", "/usr/share/namecam/models"),
        ("packaging/avahi/namecam.service", "<port>5000</port>"),
        ("packaging/build", " $doc/examples/avahi packaging/avahi/namecam.service"),
        ("docs/INSTALL.md", "/usr/share/doc/namecam/examples/avahi/namecam.service /etc/avahi/services/`"),
        ("packaging/namecam/postrm", "/etc/avahi/services/namecam.service"),
        ("packaging/namecam/postinst", "/etc/avahi/services/namecam.service"),
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
fn the_sbom_names_each_crate_that_is_linked_into_the_binary() {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(root().join("tools/sbom")).args([&triple, env!("CARGO_BIN_EXE_namecam")]).output();
    let output = output.expect("python3 is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let parts = listed["components"].as_array().expect("it has components");
    let named = |name: &str| parts.iter().any(|part| part["name"] == name && part["licenses"][0].is_object());
    for name in ["tiny_http", "image", "dlib", "OpenBLAS", "mmod_human_face_detector.dat"] {
        assert!(named(name), "{name} is missing");
    }
    assert!(!named("tempfile") && !named("serde_derive"), "what is not linked is there");
}

#[test]
fn the_docs_list_every_make_target() {
    let (page, makefile) = (read("docs/BUILDING.md"), read("Makefile"));
    let targets = makefile.lines().filter(|line| line.contains(": ") && line.contains("## "));
    let targets: Vec<&str> = targets.filter_map(|line| line.split(':').next()).collect();
    assert!(targets.contains(&"test"), "the Makefile's targets cannot be read: {targets:?}");
    let missing = targets.iter().filter(|target| !page.contains(&format!("`make {target}`")));
    hold(
        &missing.map(|target| format!("make {target}")).collect::<Vec<_>>(),
        "docs/BUILDING.md, \"Make targets\", must name it.",
    );
}

#[test]
fn the_license_texts_are_here() {
    assert!(read("LICENSE-MIT").contains("Permission is hereby granted"));
    assert!(read("LICENSE-APACHE").contains("Version 2.0, January 2004"));
}

#[test]
fn the_checks_find_imports_unsafe_code_links_and_headings() {
    let code = "use crate::{a, b::{c, d}, e}; let x = crate::f::g(); use v4l::Device; use ini;";
    assert_eq!(modules_named(code).into_iter().collect::<Vec<_>>(), ["a", "b", "e", "f"]);
    assert!(uses(code, "v4l").next().is_some() && uses(code, "ini").next().is_some());
    assert!(uses("let mini::x = my_v4l::y; self.ini", "ini").next().is_none());
    let source = |path: &str| Source { path: path.into(), text: "a(\"// unsafe\"); // unsafe\nunsafe {}".into() };
    let code: Vec<String> = source("x.rs").code().map(|(_, code)| code).collect();
    assert_eq!(code, ["a(\"\"); ", "unsafe {}"]);
    assert_eq!((source("x.rs").shipped().count(), source("x/tests.rs").shipped().count()), (2, 0));
    assert!(source("camera/v4l2/queue.rs").is_in(&["camera/v4l2"]) && source("camera/pipe.rs").is_in(&["camera/pipe"]));
    assert!(!source("camera/v4l2x.rs").is_in(&["camera/v4l2"]) && source("a/b.rs").is_in(&["a/b.rs"]));
    let page = "# A page\n[a](b.md#c) and ![d](e.jpg \"f\")\n```\n# no [g](h)\n```\n    [i](j)\n## `/x/Y`, or so\n";
    assert_eq!((links(page), headings(page)), (vec!["b.md#c", "e.jpg"], vec!["# A page", "## `/x/Y`, or so"]));
    assert_eq!(fragment("## `/x/Y`, or so"), "xy-or-so");
}
