//! The namecam program: parses the arguments, loads the config and calls the function of the subcommand.

use namecam::app;
use namecam::cli::{self, CONFIG, Command, USAGE};
use namecam::commands::{self, completions, manual, probe};
use namecam::config::{CameraSource, Config, Origin};
use namecam::http::auth::accounts::Accounts;
use namecam::memory::{self, Machine};
use namecam::os::logging;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => return fail(&error, USAGE),
    };
    let origin = match &command {
        Command::Help(subcommand) => return print(&cli::help(subcommand)),
        Command::Version => return print(&commands::version()),
        Command::Completions => return print(&completions::bash()),
        Command::Manual => return print(&manual::page()),
        Command::SampleIni => return print(&namecam::config::keys::sample()),
        // It is made of a config with errors, too.
        Command::Report { origin, file } => return end(commands::report(origin, file.as_deref())),
        Command::Run { origin, .. } | Command::Demo(origin) => origin.clone(),
        Command::Check { origin, .. } | Command::Probe { origin, .. } | Command::Record { origin, .. } => {
            origin.clone()
        }
        Command::Identify { origin, .. } | Command::Passwd { origin, .. } => origin.clone(),
    };
    let config = match origin.load() {
        Ok(config) => config,
        Err(problems) => {
            logging::tell(&problems.to_string());
            return ExitCode::from(CONFIG);
        }
    };
    logging::start(config.log.level);
    let reads = |file: &PathBuf| match command {
        Command::Run { .. } | Command::Demo(_) => true,
        // A file that only the service's user can read does not make the config bad.
        Command::Check { .. } => {
            !commands::is_credential(file) && !commands::is_anothers(file, std::fs::File::open(file))
        }
        // The other subcommands serve no viewers.
        _ => false,
    };
    let file = config.http.password_file.as_ref().filter(|file| reads(file));
    let accounts = match file.map(|file| Accounts::load(file)).transpose() {
        Ok(accounts) => accounts,
        Err(problems) => {
            logging::tell(&problems.join("\n"));
            return ExitCode::from(CONFIG);
        }
    };
    let looks = match command {
        Command::Run { .. } | Command::Demo(_) | Command::Check { .. } => config.recognition.enabled,
        Command::Identify { .. } => true,
        _ => false,
    };
    if looks && let Err(problem) = memory::plan(&config, &Machine::this()) {
        logging::tell(&problem);
        return ExitCode::from(CONFIG);
    }
    carry_out(command, origin, config, accounts)
}

fn carry_out(command: Command, origin: Origin, config: Config, accounts: Option<Accounts>) -> ExitCode {
    let done = match command {
        Command::Run { events, .. } => app::run(&origin, config, accounts, events),
        Command::Demo(_) => demo(origin, config, accounts),
        Command::Check { json, .. } => return ExitCode::from(commands::check(&config, json)),
        Command::Identify { images, json, .. } => return ExitCode::from(commands::identify(&config, &images, json)),
        Command::Probe { device, measure, json, .. } => {
            commands::print(&probe::probe(device.as_deref(), &config.camera, measure, json));
            Ok(())
        }
        Command::Record { device, seconds, file, .. } => {
            probe::record(device.as_deref(), &config.camera, seconds, &file)
        }
        Command::Passwd { file, action, .. } => commands::passwd(&config, file.as_deref(), action),
        Command::Help(_) | Command::Version | Command::Completions | Command::Manual | Command::SampleIni => Ok(()),
        Command::Report { .. } => Ok(()),
    };
    end(done)
}

fn end(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}"), 1),
    }
}

/// `run` on panned stills: those of the config, else the gallery.
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
