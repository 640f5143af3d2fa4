//! Compares the tracks and names on screen with the ground truth of a scene.

use namecam::image::Rect;
use std::collections::{BTreeMap, BTreeSet};

/// A box belongs to the face with the largest overlap, if the overlap is at least this. Boxes of two neighbours hardly
/// touch.
const SAME_PLACE_IOU: f32 = 0.3;
/// The least visible share of a face that counts as present.
const VISIBLE: f32 = 0.5;
/// The least visible share of a face that counts as complete.
const WHOLE: f32 = 0.95;
/// The least width of a face that recognition has to name, in pixels.
const LEAST_WIDTH_PX: u32 = 60;

/// A person in a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    pub name: String,
    /// True when the person is in the gallery.
    pub known: bool,
}

/// The true position of a person on a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Present {
    /// The index into [`Scene::roles`].
    pub role: usize,
    /// The number of the visit of this person.
    pub visit: usize,
    /// The face.
    pub face: Rect,
    /// The share of the face that is in the picture and not hidden by another person.
    pub visible: f32,
}

/// A box on screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub track: u64,
    /// The name on the box.
    pub name: Option<String>,
    /// False as long as the box has no label, not even "unknown".
    pub labelled: bool,
    pub rect: Rect,
}

/// The ground truth of a scene, and the results of recognition.
pub struct Scene<'a> {
    /// The people of the scene.
    pub roles: &'a [Role],
    /// The people who truly are on each frame.
    pub truth: &'a [Vec<Present>],
    /// The boxes on each frame of the stream.
    pub shown: &'a [Vec<Shown>],
    /// The number of the frame of each look, and the faces that the look found.
    pub looks: &'a [(usize, Vec<Shown>)],
    /// Frames per second.
    pub fps: f64,
}

/// Counts over scenes.
#[derive(Debug, Default)]
pub struct Score {
    pub looks: usize,
    pub frames: usize,
    /// Tracks that were ever on a face.
    pub tracks: usize,
    /// The number of times that a track moved to another face.
    pub switches: usize,
    /// Looks and frames with a wrong name: the box has the name of another person than the face under it.
    pub wrong: (usize, usize),
    /// Looks and frames with one name on two boxes.
    pub doubled: (usize, usize),
    /// Tracks that ever had a name.
    pub named_tracks: usize,
    /// Changes of the labels of these tracks after the first name.
    pub changes: usize,
    /// Tracks with more than one such change.
    pub restless: usize,
    /// Seconds from the first frame with the complete face to the first frame with the name, per visit of a known
    /// person.
    pub waits: Vec<f64>,
    /// Visits of known people that ended without the name.
    pub never: usize,
    /// Names, right or wrong, on visits of known people.
    pub names: usize,
    /// Tracks on visits of known people.
    pub visit_tracks: usize,
    /// Frames with the complete face on visits of known people, after the first frame with the name: all, and with the
    /// name.
    pub kept: (usize, usize),
    /// Visits of strangers: visits with a name, and all visits.
    pub strangers: (usize, usize),
}

impl Score {
    /// Adds a scene.
    pub fn add(&mut self, scene: &Scene) {
        self.looks += scene.looks.len();
        self.frames += scene.shown.len();
        self.follow(scene);
        self.read_labels(scene);
        for faces in scene.looks.iter().map(|(_, faces)| faces) {
            self.doubled.0 += usize::from(has_name_twice(faces));
        }
        for faces in scene.shown {
            self.doubled.1 += usize::from(has_name_twice(faces));
        }
        let is_wrong = |frame: usize, faces: &[Shown]| {
            faces.iter().any(|face| {
                let who = under(face.rect, &scene.truth[frame]).map(|present| &scene.roles[present.role]);
                face.name.as_ref().is_some_and(|name| who.is_some_and(|who| who.name != *name))
            })
        };
        self.wrong.0 += scene.looks.iter().filter(|(frame, faces)| is_wrong(*frame, faces)).count();
        self.wrong.1 += scene.shown.iter().enumerate().filter(|(frame, faces)| is_wrong(*frame, faces)).count();
        let visits: BTreeSet<(usize, usize)> = scene.truth.iter().flatten().map(|p| (p.role, p.visit)).collect();
        visits.into_iter().for_each(|(role, visit)| self.visit(scene, role, visit));
    }

    /// Counts the tracks, and the moves of a track from one face to another between looks.
    fn follow(&mut self, scene: &Scene) {
        let mut on: BTreeMap<u64, usize> = BTreeMap::new();
        for (frame, faces) in scene.looks {
            for face in faces {
                let Some(present) = under(face.rect, &scene.truth[*frame]) else { continue };
                let before = on.insert(face.track, present.role);
                self.switches += usize::from(before.is_some_and(|before| before != present.role));
            }
        }
        self.tracks += on.len();
    }

    /// Counts the changes of the label of each track on screen.
    fn read_labels(&mut self, scene: &Scene) {
        let mut labels: BTreeMap<u64, Vec<&Option<String>>> = BTreeMap::new();
        for face in scene.shown.iter().flatten().filter(|face| face.labelled) {
            let known = labels.entry(face.track).or_default();
            if known.last() != Some(&&face.name) {
                known.push(&face.name);
            }
        }
        for labels in labels.values() {
            let Some(first) = labels.iter().position(|label| label.is_some()) else { continue };
            let changes = labels.len() - 1 - first;
            self.named_tracks += 1;
            self.changes += changes;
            self.restless += usize::from(changes > 1);
        }
    }

    fn visit(&mut self, scene: &Scene, role: usize, visit: usize) {
        let Role { name, known } = &scene.roles[role];
        let is_hers = |present: &Present| (present.role, present.visit) == (role, visit);
        // The results of the looks at this person. Boxes on screen may still be at the former place of another person.
        let looks = scene.looks.iter().flat_map(|(frame, faces)| faces.iter().map(|face| (*frame, face)));
        let said: Vec<&Shown> = looks
            .filter(|(frame, face)| under(face.rect, &scene.truth[*frame]).is_some_and(is_hers))
            .map(|(_, face)| face)
            .collect();
        let names: BTreeSet<&String> = said.iter().filter_map(|face| face.name.as_ref()).collect();
        let tracks: BTreeSet<u64> = said.iter().map(|face| face.track).collect();
        let (mut whole_since, mut named_at, mut kept) = (None, None, (0, 0));
        for (frame, (truth, shown)) in scene.truth.iter().zip(scene.shown).enumerate() {
            let Some(present) = truth.iter().find(|present| is_hers(present)) else { continue };
            let mut own = shown.iter().filter(|face| under(face.rect, truth).is_some_and(is_hers));
            let has_name = own.any(|face| face.name.as_ref() == Some(name));
            let whole = present.visible >= WHOLE && present.face.w >= LEAST_WIDTH_PX;
            if whole && whole_since.is_none() {
                whole_since = Some(frame);
            }
            if whole && named_at.is_some() {
                kept = (kept.0 + 1, kept.1 + usize::from(has_name));
            }
            if has_name && named_at.is_none() {
                named_at = Some(frame);
            }
        }
        if !known {
            self.strangers = (self.strangers.0 + usize::from(!names.is_empty()), self.strangers.1 + 1);
            return;
        }
        self.names += names.len();
        self.visit_tracks += tracks.len();
        self.kept = (self.kept.0 + kept.0, self.kept.1 + kept.1);
        match (whole_since, named_at) {
            // The wait is zero if the name is shown before the face is complete.
            (Some(since), Some(at)) => self.waits.push(at.saturating_sub(since) as f64 / scene.fps),
            (None, Some(_)) => self.waits.push(0.0),
            (Some(_), None) => self.never += 1,
            // The face was never complete and large enough.
            (None, None) => {}
        }
    }

    /// Visits of known people.
    pub fn known_visits(&self) -> usize {
        self.waits.len() + self.never
    }

    /// The time in seconds within which this share of the visits had the right name; `None` if fewer visits had it at
    /// all.
    pub fn wait(&self, share: f64) -> Option<f64> {
        let mut waits = self.waits.clone();
        waits.sort_by(f64::total_cmp);
        let at = (share * self.known_visits() as f64).ceil() as usize;
        waits.get(at.saturating_sub(1)).copied()
    }
}

/// The person whose face is under a box.
pub fn under(rect: Rect, truth: &[Present]) -> Option<&Present> {
    let visible = truth.iter().filter(|present| present.visible >= VISIBLE);
    let best = visible.map(|present| (present.face.iou(rect), present)).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(iou, _)| *iou >= SAME_PLACE_IOU).map(|(_, present)| present)
}

fn has_name_twice(faces: &[Shown]) -> bool {
    let mut names = BTreeSet::new();
    faces.iter().filter_map(|face| face.name.as_ref()).any(|name| !names.insert(name))
}
