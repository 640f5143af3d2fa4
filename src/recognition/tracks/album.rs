//! [`Album`]: the chips of the tracks. For each track it keeps the five best ones that differ.

use crate::detection::chips::{Chip, Chips, Pose, TrackChips};
use crate::frame::Moment;
use crate::image::jpeg::{Codec, Compressor};
use crate::image::{Rect, Rgb};
use crate::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor, euclidean};
use crate::recognition::detect::pose;
use crate::recognition::detect::quality::Quality;
use crate::recognition::detect::verify::is_surely_a_face;
use crate::recognition::engine::Engine;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most chips per track.
const CHIPS: usize = 5;
/// The most tracks with chips.
const TRACKS: usize = 16;
/// How long the chips of a track that has ended are kept.
const KEPT: Duration = Duration::from_secs(60);
/// The smallest distance between the descriptors of two chips of a track; of nearer ones only the better chip is kept.
/// The median distance of a look from the mean of the earlier looks at the same person in one video is 0.24.
const ALIKE: f32 = 0.15;
/// The JPEG quality of a chip.
const QUALITY: u32 = 95;
/// The longest side of a chip in pixels. dlib's network sees 150 pixels, and a gallery picture needs twice the width of
/// the face.
const SIDE: u32 = 640;

/// The chips of the tracks.
#[derive(Debug, Default)]
pub struct Album {
    pages: Vec<Page>,
    compressor: Compressor,
    is_changed: bool,
    /// The track of a person who is enrolling before the camera. Its pose is determined at every description.
    pub posing: Option<u64>,
}

#[derive(Debug)]
struct Page {
    track: u64,
    ended_at: Option<Instant>,
    looks: Vec<Look>,
    pose: Option<Pose>,
}

#[derive(Debug)]
struct Look {
    chip: Arc<Chip>,
    descriptor: Descriptor,
    rank: (bool, u32, f32),
}

/// The rank of a face: first without flaws, then by size up to that of the network's input, then by sharpness.
fn rank(quality: Quality) -> (bool, u32, f32) {
    (quality.flaw().is_none(), quality.width_px.min(150), quality.sharpness)
}

impl Album {
    /// Adds the face of a track on a frame, if it is better than the chips of the track or differs from them. A
    /// detection that is not surely a face is not added.
    pub fn take(
        &mut self,
        engine: &mut dyn Engine,
        track: u64,
        rgb: &Rgb,
        face: Rect,
        description: (Descriptor, Quality),
        at: Instant,
    ) {
        let (descriptor, quality) = description;
        let at_end = self.pages.len();
        let place = self.pages.iter().position(|page| page.track == track).unwrap_or(at_end);
        let looks = self.pages.get(place).map(|page| page.looks.as_slice()).unwrap_or_default();
        let loser = loser(looks, &descriptor, rank(quality));
        // The landmarks are needed only for a face that is kept, or that poses.
        if loser.is_none() && self.posing != Some(track) {
            return;
        }
        let pose = pose::of(&engine.landmarks(rgb, face));
        if let Some(page) = self.pages.get_mut(place).filter(|page| page.pose != pose) {
            page.pose = pose;
            self.is_changed = true;
        }
        let Some(out) = loser else { return };
        if !is_surely_a_face(engine, rgb, face) {
            return;
        }
        let Some(chip) = self.chip(rgb, face, quality, pose, at) else { return };
        if place == at_end {
            self.make_room();
            self.pages.push(Page { track, ended_at: None, looks: Vec::new(), pose });
        }
        let Some(page) = self.pages.iter_mut().find(|page| page.track == track) else { return };
        if let Some(out) = out {
            page.looks.remove(out);
        }
        page.looks.push(Look { chip: Arc::new(chip), descriptor, rank: rank(quality) });
        page.looks.sort_by(|a, b| b.rank.partial_cmp(&a.rank).unwrap_or(std::cmp::Ordering::Equal));
        self.is_changed = true;
    }

    fn chip(&mut self, rgb: &Rgb, face: Rect, quality: Quality, pose: Option<Pose>, at: Instant) -> Option<Chip> {
        let part = rgb.cropped(face.grown(face.w / 2));
        let longest = part.width.max(part.height);
        let part = if longest > SIDE { part.shrunk((part.width * SIDE / longest).max(1)) } else { part };
        let mut jpeg = Vec::new();
        self.compressor.set(Codec::default(), QUALITY);
        self.compressor.compress(&part, &mut jpeg).ok()?;
        let Quality { width_px, sharpness, brightness } = quality;
        let captured_at = Moment::ago(at.elapsed());
        Some(Chip { jpeg, captured_at, width_px, sharpness, brightness, flaw: quality.flaw(), pose })
    }

    /// Makes room for a page: removes the one that ended first, or else the oldest one.
    fn make_room(&mut self) {
        while self.pages.len() >= TRACKS {
            let age = |page: &Page| (page.ended_at.is_none(), page.ended_at, page.track);
            let Some(oldest) = (0..self.pages.len()).min_by_key(|&at| age(&self.pages[at])) else { return };
            self.pages.remove(oldest);
        }
    }

    /// Notes which tracks have ended, and forgets their descriptors, which only another look at the track needs, and the
    /// chips of those that ended long ago.
    pub fn keep(&mut self, lives: impl Fn(u64) -> bool, now: Instant) {
        for page in self.pages.iter_mut().filter(|page| page.ended_at.is_none() && !lives(page.track)) {
            page.ended_at = Some(now);
            page.looks.iter_mut().for_each(|look| look.descriptor = [0.0; DESCRIPTOR_LEN]);
        }
        let before = self.pages.len();
        self.pages.retain(|page| page.ended_at.is_none_or(|ended| now.saturating_duration_since(ended) < KEPT));
        self.is_changed |= self.pages.len() != before;
    }

    /// Forgets all chips.
    pub fn clear(&mut self) {
        self.is_changed |= !self.pages.is_empty();
        self.pages.clear();
    }

    /// The chips, when they have changed since the last call.
    pub fn changed(&mut self) -> Option<Chips> {
        std::mem::take(&mut self.is_changed).then(|| {
            let chips = |page: &Page| page.looks.iter().map(|look| Arc::clone(&look.chip)).collect();
            let of = |page: &Page| TrackChips { track: page.track, chips: chips(page), pose: page.pose };
            Chips { tracks: self.pages.iter().map(of).collect(), ..Chips::default() }
        })
    }
}

/// The look that a new one replaces: `Some(None)` when there is room for it, `None` when it is not kept.
fn loser(looks: &[Look], descriptor: &Descriptor, rank: (bool, u32, f32)) -> Option<Option<usize>> {
    let distance = |look: &Look| euclidean(&look.descriptor, descriptor);
    let nearest = (0..looks.len()).min_by(|&a, &b| distance(&looks[a]).total_cmp(&distance(&looks[b])));
    let Some(nearest) = nearest else { return Some(None) };
    // A face without flaws replaces a flawed one.
    if let Some(flawed) = looks.iter().position(|look| rank.0 && !look.rank.0) {
        return Some(Some(flawed));
    }
    if !rank.0 && looks.iter().any(|look| look.rank.0) {
        return None;
    }
    if distance(&looks[nearest]) < ALIKE {
        return (rank > looks[nearest].rank).then_some(Some(nearest));
    }
    if looks.len() < CHIPS {
        return Some(None);
    }
    // Of the two most similar looks the worse one is replaced, if the new one differs more from all looks than these
    // two do.
    let pairs = (0..looks.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
    let between = |(one, other): (usize, usize)| euclidean(&looks[one].descriptor, &looks[other].descriptor);
    let closest = pairs.min_by(|&a, &b| between(a).total_cmp(&between(b)))?;
    let worse = if looks[closest.0].rank < looks[closest.1].rank { closest.0 } else { closest.1 };
    (between(closest) < distance(&looks[nearest])).then_some(Some(worse))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(x: f32) -> Descriptor {
        let mut descriptor = [0.0; 128];
        descriptor[0] = x;
        descriptor
    }

    fn good(width_px: u32) -> Quality {
        Quality { width_px, sharpness: 1.0, brightness: 120.0 }
    }

    /// Finds a face in the middle of each crop, or none. The landmarks are those of a face turned by a quarter.
    struct Sure(bool);

    impl Engine for Sure {
        fn detect(&mut self, rgb: &Rgb, _: f64) -> Vec<Rect> {
            let (w, h) = (rgb.width / 2, rgb.height / 2);
            let face = Rect { x: (w / 2) as i32, y: (h / 2) as i32, w, h };
            self.0.then_some(face).into_iter().collect()
        }

        fn describe(&mut self, _: &Rgb, _: &[Rect], _: u32) -> Vec<Descriptor> {
            Vec::new()
        }

        fn landmarks(&mut self, _: &Rgb, _: Rect) -> Vec<[f32; 2]> {
            vec![[14.0, 10.0], [12.0, 10.0], [6.0, 10.0], [8.0, 10.0], [12.0, 14.0]]
        }
    }

    const FACE: Rect = Rect { x: 20, y: 20, w: 40, h: 40 };

    #[test]
    fn a_track_keeps_five_good_chips_that_differ() {
        let (mut album, rgb, now) = (Album::default(), Rgb::filled(100, 90, [120; 3]), Instant::now());
        let mut take = |x: f32, quality| {
            album.take(&mut Sure(true), 7, &rgb, FACE, (descriptor(x), quality), now);
            let chips = album.changed();
            chips.map(|chips| chips.of(7).iter().map(|chip| chip.width_px).collect::<Vec<_>>())
        };
        let dark = Quality { brightness: 5.0, ..good(100) };
        assert_eq!(take(0.0, dark), Some(vec![100]), "a bad one is better than none");
        assert_eq!(take(0.5, good(90)), Some(vec![90]), "a good one takes its place");
        assert_eq!(take(0.2, dark), None);
        assert_eq!(take(0.55, good(80)), None, "it shows the same and is smaller");
        assert_eq!(take(0.55, good(91)), Some(vec![91]));
        for (x, width) in [(1.0, 95), (1.5, 92), (2.0, 93), (2.2, 60)] {
            assert!(take(x, good(width)).unwrap().contains(&width));
        }
        assert_eq!(take(2.4, good(61)), None, "it is no less alike than the pair that is most alike");
        assert_eq!(take(3.0, good(61)), Some(vec![95, 93, 92, 91, 61]), "60 was the worse of that pair");
    }

    #[test]
    fn an_unsure_detection_has_no_chip_and_a_face_has_its_pose() {
        let (mut album, rgb, now) = (Album::default(), Rgb::filled(100, 90, [120; 3]), Instant::now());
        let mut take = |sure, x, quality| {
            album.take(&mut Sure(sure), 7, &rgb, FACE, (descriptor(x), quality), now);
            let chips = album.changed();
            chips
                .map(|chips| (chips.of(7).iter().map(|chip| (chip.pose, chip.flaw)).collect::<Vec<_>>(), chips.pose(7)))
        };
        let (turned, dark) = (Some(Pose { turn: 0.25, nod: 0.5 }), Quality { brightness: 5.0, ..good(100) });
        assert_eq!(take(false, 0.0, good(90)), None);
        assert_eq!(take(true, 0.0, dark), Some((vec![(turned, Some(crate::detection::Flaw::Dark))], turned)));
        assert_eq!(take(true, 0.0, good(90)), Some((vec![(turned, None)], turned)));
        assert_eq!(take(false, 0.5, good(90)), None);
    }

    #[test]
    fn a_chip_is_the_face_with_half_its_width_around_it_within_the_frame_and_a_bound() {
        let (mut album, now) = (Album::default(), Instant::now());
        album.take(&mut Sure(true), 1, &Rgb::filled(100, 90, [120; 3]), FACE, (descriptor(0.0), good(40)), now);
        let large = (Rgb::filled(2000, 1500, [120; 3]), Rect { x: 500, y: 300, w: 800, h: 800 });
        album.take(&mut Sure(true), 2, &large.0, large.1, (descriptor(0.0), good(800)), now);
        let chips = album.changed().unwrap();
        let size = |track| crate::image::jpeg::size(&chips.of(track)[0].jpeg);
        assert_eq!(size(1), Some((80, 80)));
        assert_eq!(size(2).unwrap().0.max(size(2).unwrap().1), 640);
        assert!(chips.of(3).is_empty());
    }

    #[test]
    fn chips_are_dropped_a_minute_after_their_track_and_the_oldest_ones_when_there_are_too_many() {
        let (mut album, rgb, now) = (Album::default(), Rgb::filled(100, 90, [120; 3]), Instant::now());
        for track in 0..20 {
            album.take(&mut Sure(true), track, &rgb, FACE, (descriptor(0.5), good(40)), now);
        }
        let tracks =
            |album: &mut Album| album.changed().map(|chips| chips.tracks.iter().map(|of| of.track).collect::<Vec<_>>());
        assert_eq!(tracks(&mut album), Some((4..20).collect()));
        album.keep(|track| track != 10, now);
        for page in &album.pages {
            let descriptors: Vec<_> = page.looks.iter().map(|look| look.descriptor).collect();
            assert_eq!(descriptors, [descriptor(if page.track == 10 { 0.0 } else { 0.5 })], "{}", page.track);
        }
        album.take(&mut Sure(true), 20, &rgb, FACE, (descriptor(0.0), good(40)), now);
        let all = tracks(&mut album).unwrap();
        assert!(all.contains(&4) && !all.contains(&10), "{all:?}");
        album.keep(|track| track == 20, now);
        assert_eq!(tracks(&mut album), None);
        album.keep(|track| track == 20, now + KEPT);
        assert_eq!(tracks(&mut album), Some(vec![20]));
        album.clear();
        assert_eq!((tracks(&mut album), tracks(&mut album)), (Some(vec![]), None));
    }
}
