//! [`Picture`]: the face of the newest event as a JPEG, where `events.pictures` lets it leave the machine.
//!
//! It is told once and kept by the broker, unlike states: who gets it takes it for news. It is deleted there when it must not be seen any
//! more, and when namecam starts, which does not know whose it is.

use crate::config::Config;
use crate::detection::chips::Chips;
use crate::image::Mask;
use crate::presence::event::{Event, Kind};
use std::time::{Duration, Instant};

/// The most bytes of a picture; a larger chip is not sent.
const MAX_BYTES: usize = 256 << 10;
/// So long after an event a chip of the face is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Picture {
    /// The track whose chip is waited for, and until when.
    wanted: Option<(u64, Instant)>,
    /// What the broker has yet to be told, and whether this connection has sent it; empty: what it keeps is deleted.
    to_tell: Option<(Vec<u8>, bool)>,
    /// Under which mask the one was made that the broker keeps or is to keep; `None`: there is none, or a former run has left it.
    shown: Option<Mask>,
}

impl Picture {
    pub fn new() -> Picture {
        Picture { wanted: None, to_tell: Some((Vec::new(), false)), shown: None }
    }

    /// True when pictures may be sent. Beside a person there may be another, so none is where strangers are blurred for anybody.
    pub fn is_allowed(config: &Config) -> bool {
        config.events.pictures && !config.overlay.blurs_for(false)
    }

    /// Another connection: what the last one did not get acknowledged is sent again.
    pub fn begin(&mut self) {
        if let Some((_, is_sent)) = &mut self.to_tell {
            *is_sent = false;
        }
    }

    /// Learns of an event that is told now.
    pub fn hear(&mut self, event: &Event) {
        let is_for_it = matches!(event.kind, Kind::Named | Kind::Renamed | Kind::Stranger);
        if let Some(track) = event.track.filter(|_| is_for_it && event.decided_at.instant.elapsed() < PATIENCE) {
            self.wanted = Some((track, event.decided_at.instant + PATIENCE));
        }
    }

    /// Takes a chip that is waited for, or deletes what must not be seen.
    pub fn follow(&mut self, config: &Config, chips: &Chips) {
        let mask = config.camera.mask();
        if !Picture::is_allowed(config) || self.shown.as_ref().is_some_and(|shown| *shown != mask) {
            return self.delete();
        }
        let Some((track, until)) = self.wanted else { return };
        let found = chips.of(track).iter().find(|chip| chip.jpeg.len() <= MAX_BYTES).filter(|_| chips.mask == mask);
        if let Some(chip) = found {
            (self.to_tell, self.shown) = (Some((chip.jpeg.clone(), false)), Some(mask));
        }
        if found.is_some() || Instant::now() > until {
            self.wanted = None;
        }
    }

    /// The broker is to keep none.
    pub fn delete(&mut self) {
        self.wanted = None;
        if self.shown.take().is_some() {
            self.to_tell = Some((Vec::new(), false));
        }
    }

    /// What is to be sent now.
    pub fn next(&mut self) -> Option<&[u8]> {
        let (bytes, is_sent) = self.to_tell.as_mut()?;
        (!std::mem::replace(is_sent, true)).then_some(bytes)
    }

    /// The broker has acknowledged everything that was sent.
    pub fn is_acknowledged(&mut self) {
        self.to_tell.take_if(|(_, is_sent)| *is_sent);
    }
}
