//! [`Reloads`]: how far reloads have come, so that a script can wait for its own and learn what became of it.

use super::lock;
use std::sync::Mutex;

/// Reloads that have ended, and how the last one did.
#[derive(Debug, Default)]
pub struct Reloads(Mutex<Ended>);

#[derive(Debug, Default)]
struct Ended {
    /// Reloads whose config was refused.
    refused: u64,
    /// The counter of the config that is at work, with its gallery or with a reason why not. The first is no reload.
    config: u64,
    /// What did not go well with the last one.
    error: Option<String>,
}

impl Reloads {
    /// The config was refused: nothing changes.
    pub fn refused(&self, error: String) {
        let mut ended = lock(&self.0);
        (ended.refused, ended.error) = (ended.refused + 1, Some(error));
    }

    /// The config with this counter is at work; `error` says what of it, or of the gallery, is not. Those that a newer one
    /// overtook have ended with it. The same one again says nothing new.
    pub fn at_work(&self, config: u64, error: Option<String>) {
        let mut ended = lock(&self.0);
        if config > ended.config {
            (ended.config, ended.error) = (config, error);
        }
    }

    /// How many have ended since the start.
    pub fn ended(&self) -> u64 {
        let ended = lock(&self.0);
        ended.refused + ended.config.saturating_sub(1)
    }

    /// What did not go well with the last one, or with the start when there was none; `None`: all of it is at work.
    pub fn error(&self) -> Option<String> {
        lock(&self.0).error.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn so_far(reloads: &Reloads) -> (u64, Option<String>) {
        (reloads.ended(), reloads.error())
    }

    #[test]
    fn every_reload_counts_once_whether_it_was_taken_refused_or_overtaken_and_the_start_does_not() {
        let reloads = Reloads::default();
        let bad = || Some("bad".to_owned());
        reloads.at_work(1, bad());
        assert_eq!(so_far(&reloads), (0, bad()));
        reloads.at_work(2, None);
        assert_eq!(so_far(&reloads), (1, None));
        reloads.refused("bad".to_owned());
        assert_eq!(so_far(&reloads), (2, bad()));
        reloads.at_work(2, None);
        assert_eq!(so_far(&reloads), (2, bad()), "a picture that was looked at again is no reload");
        reloads.at_work(4, None);
        assert_eq!(so_far(&reloads), (4, None));
    }
}
