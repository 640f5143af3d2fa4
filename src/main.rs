//! The namecam program: parses the arguments, loads the config and calls the function of the subcommand.

use namecam::app;
use namecam::cli::{self, CONFIG, Command, USAGE};
use namecam::commands::{self, completions, manual, probe};
use namecam::config::{CameraSource, Config, Origin};
use namecam::http::auth::accounts::Accounts;
use namecam::memory::{self, Machine};
use namecam::os::logging;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => return fail(&error, USAGE),
    };
    carry_out(command).unwrap_or_else(|BadConfig(problems)| {
        logging::tell(&problems);
        ExitCode::from(CONFIG)
    })
}

/// The problems of a config that cannot be used, or of what it names.
struct BadConfig(String);

/// Each subcommand checks what it needs before it begins.
fn carry_out(command: Command) -> Result<ExitCode, BadConfig> {
    Ok(match command {
        Command::Help(subcommand) => print(&cli::help(subcommand)),
        Command::Version => print(&commands::version()),
        Command::Completions => print(&completions::bash()),
        Command::Manual => print(&manual::page()),
        Command::SampleIni => print(&namecam::config::keys::sample()),
        Command::Run { origin, events } => {
            let (config, accounts) = for_viewers(&origin)?;
            end(app::run(&origin, config, accounts, events))
        }
        Command::Demo(origin) => {
            let (config, accounts) = for_viewers(&origin)?;
            end(demo(origin, config, accounts))
        }
        Command::Check { origin, json } => {
            let config = load(&origin)?;
            // A password file that only the service's user can read does not make the config bad.
            let reads = |file: &Path| !commands::is_credential(file) && !commands::is_anothers(file, File::open(file));
            accounts(&config, reads)?;
            if config.recognition.enabled {
                fits(&config)?;
            }
            ExitCode::from(commands::check(&config, json))
        }
        Command::Identify { origin, images, json } => {
            let config = load(&origin)?;
            fits(&config)?;
            ExitCode::from(commands::identify(&config, &images, json))
        }
        Command::Probe { origin, device, measure, json } => {
            print(&probe::probe(device.as_deref(), &load(&origin)?.camera, measure, json))
        }
        Command::Record { origin, device, seconds, file } => {
            end(probe::record(device.as_deref(), &load(&origin)?.camera, seconds, &file))
        }
        Command::Passwd { origin, file, action } => end(commands::passwd(&load(&origin)?, file.as_deref(), action)),
        // A report is also made when the config has errors.
        Command::Report { origin, file } => end(commands::report(&origin, file.as_deref())),
    })
}

/// Loads the config, and begins to log at its level.
fn load(origin: &Origin) -> Result<Config, BadConfig> {
    let config = origin.load().map_err(|problems| BadConfig(problems.to_string()))?;
    logging::start(config.log.level);
    Ok(config)
}

/// The accounts of the password file, if the config names one that `reads` is true for.
fn accounts(config: &Config, reads: impl Fn(&Path) -> bool) -> Result<Option<Accounts>, BadConfig> {
    let file = config.http.password_file.as_deref().filter(|file| reads(file));
    file.map(Accounts::load).transpose().map_err(|problems| BadConfig(problems.join("\n")))
}

/// Checks that recognition with this config fits into the memory of the machine.
fn fits(config: &Config) -> Result<(), BadConfig> {
    memory::plan(config, &Machine::this()).map(drop).map_err(BadConfig)
}

/// The config and the accounts of a subcommand that serves viewers.
fn for_viewers(origin: &Origin) -> Result<(Config, Option<Accounts>), BadConfig> {
    let config = load(origin)?;
    let accounts = accounts(&config, |_| true)?;
    if config.recognition.enabled {
        fits(&config)?;
    }
    Ok((config, accounts))
}

fn end(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}"), 1),
    }
}

/// Runs the program on panned still pictures: the pictures of `camera.source` when it names a folder of stills, else
/// the gallery.
fn demo(mut origin: Origin, mut config: Config, accounts: Option<Accounts>) -> anyhow::Result<()> {
    if !matches!(config.camera.source, CameraSource::Stills(_)) {
        origin.sets.push(format!("camera.source=stills:{}", config.gallery.path.display()));
        config = origin.load()?;
    }
    // `run` waits for a camera that is plugged in later; `demo` fails at once.
    if let Some(trouble) = probe::trouble(&config.camera) {
        anyhow::bail!(
            "nothing to show: {trouble}; put pictures there, or name another folder with --set camera.source=stills:FOLDER"
        );
    }
    app::run(&origin, config, accounts, false)
}

fn print(text: &str) -> ExitCode {
    commands::print(text);
    ExitCode::SUCCESS
}

fn fail(error: &str, status: u8) -> ExitCode {
    logging::tell(&format!("namecam: {error}"));
    ExitCode::from(status)
}
