//! [`Picture`]: the face of the newest event as a JPEG, where `events.pictures` allows it to leave the machine.
//!
//! Unlike a state, the picture is sent once and not again to the same broker, because a client takes a repeated picture
//! for a new one. The retained picture is deleted when it must no longer be seen, and when namecam starts, which does
//! not know what it shows.

use crate::config::Config;
use crate::detection::chips::Chips;
use crate::image::Mask;
use crate::presence::event::{Event, Kind};
use std::time::{Duration, Instant};

/// The most bytes of a picture; a larger chip is not sent.
const MAX_BYTES: usize = 256 << 10;
/// How long after an event a chip of its face is awaited.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Picture {
    /// The track whose chip is awaited, and until when.
    wanted: Option<(u64, Instant)>,
    /// The payload that the broker has not acknowledged, and whether this connection has sent it. An empty payload
    /// deletes the retained picture.
    to_tell: Option<(Vec<u8>, bool)>,
    /// The mask of the picture that the broker has retained or will retain; `None` when there is none, or only one of a
    /// former run.
    shown: Option<Mask>,
}

impl Picture {
    pub fn new() -> Picture {
        Picture { wanted: None, to_tell: Some((Vec::new(), false)), shown: None }
    }

    /// True when pictures may be sent. A chip may show a second person beside the first, so no picture is sent when
    /// strangers are blurred for any client.
    pub fn is_allowed(config: &Config) -> bool {
        config.events.pictures && !config.overlay.blurs_for(false)
    }

    /// Starts another connection: what the last one did not get acknowledged is sent again.
    pub fn begin(&mut self) {
        if let Some((_, is_sent)) = &mut self.to_tell {
            *is_sent = false;
        }
    }

    /// Processes an event that is being sent.
    pub fn hear(&mut self, event: &Event) {
        let is_for_it = matches!(event.kind, Kind::Named | Kind::Renamed | Kind::Stranger);
        if let Some(track) = event.track.filter(|_| is_for_it && event.decided_at.instant.elapsed() < PATIENCE) {
            self.wanted = Some((track, event.decided_at.instant + PATIENCE));
        }
    }

    /// Takes the awaited chip, or deletes a picture that must not be seen.
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

    /// Deletes the retained picture.
    pub fn delete(&mut self) {
        self.wanted = None;
        if self.shown.take().is_some() {
            self.to_tell = Some((Vec::new(), false));
        }
    }

    /// The payload to send now.
    pub fn next(&mut self) -> Option<&[u8]> {
        let (bytes, is_sent) = self.to_tell.as_mut()?;
        (!std::mem::replace(is_sent, true)).then_some(bytes)
    }

    /// Records that the broker has acknowledged everything that was sent.
    pub fn is_acknowledged(&mut self) {
        self.to_tell.take_if(|(_, is_sent)| *is_sent);
    }
}
