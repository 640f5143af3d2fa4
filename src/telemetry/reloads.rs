//! [`Reloads`]: the reloads that have ended, so that a script can wait for its reload and learn the result.

use crate::sync::lock;
use std::sync::Mutex;

/// The number of ended reloads, and the result of the last one.
#[derive(Debug, Default)]
pub struct Reloads(Mutex<ReloadEnd>);

#[derive(Debug, Default)]
struct ReloadEnd {
    /// The number of reloads whose config was refused.
    refused: u64,
    /// The newest version of the config whose gallery was enrolled or has failed. The first version is no reload.
    config: u64,
    /// Why the config of a later reload was refused.
    refusal: Option<String>,
    /// What of that version could not be used.
    undone: Option<String>,
}

impl Reloads {
    /// Records a refused config, which changes nothing.
    pub fn refused(&self, error: String) {
        let mut ended = lock(&self.0);
        (ended.refused, ended.refusal) = (ended.refused + 1, Some(error));
    }

    /// Records that the config of this version is in use, with the `error` of its parts or its gallery. Earlier reloads
    /// that have not ended yet end with this one. A repeated call for the same version does not count, and replaces its
    /// `error`: models or a gallery may be usable later.
    pub fn at_work(&self, config: u64, error: Option<String>) {
        let mut ended = lock(&self.0);
        if config > ended.config {
            (ended.config, ended.refusal) = (config, None);
        }
        if config == ended.config {
            ended.undone = error;
        }
    }

    /// The number of reloads that ended since the start.
    pub fn ended(&self) -> u64 {
        let ended = lock(&self.0);
        ended.refused + ended.config.saturating_sub(1)
    }

    /// The error of the last reload, or of the start before the first reload; `None` when there is no error, or no more.
    pub fn error(&self) -> Option<String> {
        let ended = lock(&self.0);
        ended.refusal.clone().or_else(|| ended.undone.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn so_far(reloads: &Reloads) -> (u64, Option<String>) {
        (reloads.ended(), reloads.error())
    }

    #[test]
    fn every_reload_counts_once_whether_used_refused_or_overtaken_and_the_start_does_not_count() {
        let reloads = Reloads::default();
        let bad = || Some("bad".to_owned());
        reloads.at_work(1, bad());
        assert_eq!(so_far(&reloads), (0, bad()));
        reloads.at_work(1, None);
        assert_eq!(so_far(&reloads), (0, None), "the disk was mounted later");
        reloads.at_work(2, None);
        assert_eq!(so_far(&reloads), (1, None));
        reloads.refused("bad".to_owned());
        assert_eq!(so_far(&reloads), (2, bad()));
        reloads.at_work(2, None);
        assert_eq!(so_far(&reloads), (2, bad()), "a late picture is no reload");
        reloads.at_work(4, None);
        assert_eq!(so_far(&reloads), (4, None));
    }
}
