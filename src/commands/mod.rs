//! The subcommands that end by themselves: all except `run` and `demo`.

mod check;
pub mod completions;
pub mod manual;
pub mod probe;
mod report;

pub use check::check;
pub use report::report;

use crate::cli::PasswdAction;
use crate::config::Config;
use crate::detection::Sighting;
use crate::http::api::FaceJson;
use crate::http::auth::accounts::{self, Accounts, Role};
use crate::image::jpeg::Codec;
use crate::image::still;
use crate::os::{logging, process};
use crate::recognition::gallery::enrol::Library;
use crate::recognition::{self, Opened, dlib};
use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdin, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

// Exit statuses.
const GOOD: u8 = 0;
const WARNINGS: u8 = 1;
/// No model or no gallery can be used.
const UNUSABLE: u8 = 2;
/// The output cannot be written: EX_IOERR of sysexits.h.
const NOT_WRITTEN: u8 = 74;

/// Prints to stdout. A closed pipe (`| head`) ends the process with success; any other failure is an error.
pub fn print(text: &str) {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(GOOD.into()),
        Err(error) => {
            logging::tell(&format!("namecam: cannot write the output: {error}"));
            std::process::exit(NOT_WRITTEN.into())
        }
    }
}

/// Runs `namecam identify`, and returns the exit status.
pub fn identify(config: &Config, images: &[PathBuf], json: bool) -> u8 {
    let loaded = recognition::open(config).and_then(|mut opened| {
        let library = recognition::load(config, &mut opened)?;
        Ok((opened, library))
    });
    let (mut opened, library) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            logging::tell(&format!("namecam: {error:#}"));
            return UNUSABLE;
        }
    };
    let mut status = GOOD;
    for image in images {
        let found = who_is_on(image, &mut opened, &library, config);
        if found.is_err() {
            status = WARNINGS;
        }
        let shown = image.display().to_string();
        print(&if json { json_line(&shown, &found) } else { text_line(&shown, &found) });
    }
    status
}

/// The size of a picture and its faces, in pixels of the whole picture; or why the picture cannot be read.
type Found = Result<((u32, u32), Vec<Sighting>), String>;

fn who_is_on(image: &Path, opened: &mut Opened, library: &Library, config: &Config) -> Found {
    let still = still::read(image)?;
    let (engine, jitters) = (opened.engine.as_mut(), config.recognition.num_jitters);
    let faces = recognition::detect::verify::faces_on_still(engine, &still.rgb);
    let mut faces = recognition::identify_faces(engine, &library.matcher, jitters, &still.rgb, &faces);
    for face in &mut faces {
        face.rect = still.on_whole(face.rect);
        Arc::make_mut(&mut face.evidence).width_px = face.rect.w;
    }
    Ok((still.size, faces))
}

/// A line of `identify --json`.
#[derive(Serialize)]
struct Identified<'a> {
    file: &'a str,
    faces: Vec<FaceJson>,
    error: Option<&'a str>,
}

fn json_line(file: &str, found: &Found) -> String {
    let line = match found {
        Ok((size, faces)) => {
            Identified { file, faces: faces.iter().map(|face| FaceJson::of_still(face, *size)).collect(), error: None }
        }
        Err(error) => Identified { file, faces: Vec::new(), error: Some(error) },
    };
    // The serialization cannot fail; an empty line would be a bug.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

fn text_line(image: &str, found: &Found) -> String {
    let who = match found {
        Err(error) => format!("unreadable: {}", error.trim_start_matches("unreadable: ")),
        Ok((_, faces)) if faces.is_empty() => "no face".to_owned(),
        Ok((_, faces)) => {
            let label = |face: &Sighting| {
                let name = face.name.as_deref().unwrap_or("Unknown");
                face.distance.map_or(name.to_owned(), |distance| format!("{name} {distance:.3}"))
            };
            faces.iter().map(label).collect::<Vec<_>>().join(", ")
        }
    };
    format!("{image}: {who}\n")
}

/// True for a credential. That is a copy of a file which systemd makes for the service alone and removes when the
/// service ends.
pub fn is_credential(file: &Path) -> bool {
    file.starts_with("/run/credentials")
}

/// True for a file that the current user may not read; the user of the service may be allowed to. False for a
/// credential, because running the command with more rights would not help.
pub fn is_anothers(file: &Path, opened: std::io::Result<std::fs::File>) -> bool {
    !is_credential(file) && opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Runs `namecam passwd`.
///
/// # Errors
/// No password file is named, no password is given, or the file cannot be read or written.
pub fn passwd(config: &Config, file: Option<&Path>, action: PasswdAction) -> anyhow::Result<()> {
    let file = file.or(config.http.password_file.as_deref());
    let file = file.context("no password file is set; give --file FILE, or set http.password_file in the config")?;
    if is_credential(file) {
        bail!(
            "{} is a copy that systemd makes for the service; use --file with the original, which LoadCredential of the unit \
             names",
            file.display()
        );
    }
    process::act_as_owner_of_folder(file).with_context(|| format!("cannot use the folder of {}", file.display()))?;
    let (shown, when) = (file.display(), when_it_counts(file, config));
    // A new password or token does not take the role away.
    let role =
        |name: &str, admin| if admin { Role::Admin } else { accounts::role_in(file, name).unwrap_or(Role::Viewer) };
    match action {
        PasswdAction::List => {
            let accounts = Accounts::load(file).map_err(|problems| anyhow!(problems.join("\n")))?;
            let kind = |is_token| if is_token { "token" } else { "password" };
            let line = |(name, role, is_token): (&str, Role, bool)| {
                format!("{:<8} {:<6} {name}\n", kind(is_token), role.as_str())
            };
            print(&accounts.list().map(line).collect::<String>());
        }
        PasswdAction::Remove { name } => {
            let role = accounts::role_in(file, &name);
            accounts::remove(file, &name)?;
            logging::tell(&format!("removed {name} from {shown}; {when}"));
            let is_admin = |(_, role, is_token): (&str, Role, bool)| role == Role::Admin && !is_token;
            if role == Some(Role::Admin) && !Accounts::load(file).is_ok_and(|accounts| accounts.list().any(is_admin)) {
                logging::tell("warning: no user is an admin any more; add one with namecam passwd --admin USER");
            }
        }
        PasswdAction::Token { name, admin } => {
            let role = role(&name, admin);
            let token = accounts::new_token(file, &name, role)?;
            print(&format!("{token}\n"));
            let role = role.as_str();
            logging::tell(&format!(
                "saved the {role} token {name} in {shown}, which does not hold it: keep it now; {when}"
            ));
        }
        PasswdAction::Set { user, admin } => {
            let password = if stdin().is_terminal() { ask_twice(&user)? } else { first_line()? };
            let role = role(&user, admin);
            accounts::passwd(file, &user, role, &password)?;
            if !(user.is_ascii() && password.is_ascii()) {
                logging::tell(
                    "note: only letters, digits and signs of ASCII are sent alike by all programs; namecam reads UTF-8 and Latin-1",
                );
            }
            if let Some(why) = accounts::weakness(&user, &password) {
                logging::tell(&format!("warning: this password is easy to guess: {why}"));
            }
            logging::tell(&format!("saved the {} {user} in {shown}; {when}", role.as_str()));
        }
    }
    Ok(())
}

/// The step by which a running namecam with this config uses the changed password file, as text for the user.
fn when_it_counts(file: &Path, config: &Config) -> String {
    let same = |named: &Path| std::path::absolute(file).is_ok_and(|file| file == named);
    match config.http.password_file.as_deref() {
        Some(named) if same(named) => {
            "to apply it to a running namecam, send SIGHUP (sudo systemctl reload namecam)".to_owned()
        }
        Some(named) if is_credential(named) => {
            "if it is the original of the credential, restart the service (sudo systemctl restart namecam)".to_owned()
        }
        Some(named) => format!(
            "but http.password_file is {}, and only that file counts: leave out --file, or change the key and reload",
            named.display()
        ),
        None => "to use it, set http.password_file to this file, then restart or reload namecam".to_owned(),
    }
}

fn first_line() -> anyhow::Result<String> {
    let mut line = String::new();
    stdin().read_line(&mut line).context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn ask_twice(user: &str) -> anyhow::Result<String> {
    let ask = |prompt: &str| -> anyhow::Result<String> {
        let _ = write!(stderr(), "{prompt}");
        let line = process::without_echo(first_line);
        logging::tell("");
        line
    };
    let password = ask(&format!("Password for {user}: "))?;
    if password != ask("Repeat the password: ")? {
        bail!("the passwords differ; nothing was changed");
    }
    Ok(password)
}

/// The output of `namecam --version`.
pub fn version() -> String {
    let simd = process::simd();
    let encoder = Codec::default().as_str();
    format!(
        "namecam {}\ndlib {}, {}\nJPEG: {encoder}\nSIMD: {simd}\n",
        env!("CARGO_PKG_VERSION"),
        dlib::DLIB,
        dlib::blas()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_after_passwd_depends_on_how_the_service_reads_the_file() {
        let mut config = Config::defaults(Path::new("/srv"));
        let when = |config: &Config| when_it_counts(Path::new("/srv/users"), config);
        assert!(when(&config).contains("set http.password_file to this file"));
        config.http.password_file = Some("/run/credentials/namecam.service/users".into());
        assert!(when(&config).contains("systemctl restart namecam"));
        config.http.password_file = Some("/srv/users".into());
        assert!(when(&config).contains("send SIGHUP (sudo systemctl reload namecam)"));
        config.http.password_file = Some("/var/lib/namecam/users".into());
        assert!(when(&config).contains("but http.password_file is /var/lib/namecam/users, and only that file counts"));
    }

    #[test]
    fn a_file_is_anothers_only_when_this_user_may_not_read_it() {
        let is = |file: &str, kind: ErrorKind| is_anothers(Path::new(file), Err(kind.into()));
        assert!(is("/srv/users", ErrorKind::PermissionDenied));
        assert!(!is("/srv/users", ErrorKind::NotFound) && !is("/run/credentials/users", ErrorKind::PermissionDenied));
        assert!(!is_anothers(Path::new("/dev/null"), std::fs::File::open("/dev/null")));
    }
}
