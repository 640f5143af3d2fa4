//! The bindings to dlib; only this file uses it. Sizes and files are checked before they reach dlib, because a C++
//! exception cannot be caught through the crate and ends the process.

use crate::image::{Rect, Rgb};
use crate::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor};
use crate::recognition::detect::tiles;
use crate::recognition::engine::Engine;
use crate::recognition::models::ModelFiles;
use crate::telemetry::health::Health;
use anyhow::{Context, anyhow};
use dlib_face_recognition::{
    FaceDetector, FaceDetectorCnn, FaceDetectorTrait, FaceEncoderNetwork, FaceEncoderTrait, FaceLandmarks,
    FaceLocations, ImageMatrix, LandmarkPredictor, LandmarkPredictorTrait, Rectangle,
};
use std::ffi::{CStr, c_char, c_int};
use std::sync::Arc;

// These functions are part of OpenBLAS, which the feature `openblas` of the crate links.
unsafe extern "C" {
    fn openblas_set_num_threads(threads: c_int);
    fn openblas_get_config() -> *const c_char;
    fn openblas_get_corename() -> *const c_char;
}

/// The shortest side in pixels of a picture that is given to dlib.
const MIN_SIDE: u32 = 24;
/// The dlib release for whose headers the crate is written; dlib's version is not available through the crate.
pub const DLIB: &str = "19.24";

/// dlib's detectors, landmark predictor and descriptor network.
pub struct Dlib {
    detector: AnyDetector,
    landmarks: LandmarkPredictor,
    network: FaceEncoderNetwork,
    /// The most pixels that the detector gets at once; see [`crate::memory::Plan::most_px`].
    most_px: u64,
    has_told_of_shrinking: bool,
    health: Option<Arc<Health>>,
}

enum AnyDetector {
    Hog(FaceDetector),
    Cnn(Box<FaceDetectorCnn>),
}

impl AnyDetector {
    /// The faces on a picture in pixels of the picture, from one call of dlib.
    fn find(&self, picture: &Rgb, scale: f64) -> Vec<Rect> {
        let width = (f64::from(picture.width) * scale).round() as u32;
        let height = (f64::from(picture.height) * scale).round() as u32;
        if width.min(height) < MIN_SIDE || picture.width.min(picture.height) < 2 {
            return Vec::new();
        }
        let found = if scale < 1.0 {
            self.locations(&matrix(&picture.shrunk(width)))
        } else if scale > 1.0 {
            self.locations(&matrix(picture).resize(width as usize, height as usize))
        } else {
            self.locations(&matrix(picture))
        };
        let faces = found.iter().map(|r| to_rect(r).scaled(1.0 / scale));
        faces.filter(|rect| rect.w > 0 && rect.h > 0).collect()
    }

    fn locations(&self, image: &ImageMatrix) -> FaceLocations {
        match self {
            AnyDetector::Hog(detector) => detector.face_locations(image),
            AnyDetector::Cnn(detector) => detector.face_locations(image),
        }
    }
}

impl Dlib {
    /// Loads the models of the config, which [`ModelFiles`] has checked. The detector gets at most `most_px` pixels at
    /// once, of the pyramid for the CNN: a larger picture is processed in tiles by the CNN, and scaled down for HOG.
    ///
    /// # Errors
    /// The file that dlib cannot read.
    pub fn open(files: &ModelFiles, most_px: u64) -> anyhow::Result<Dlib> {
        let named = |error: String| anyhow!("dlib: {error}");
        let detector = match &files.detector {
            None => AnyDetector::Hog(FaceDetector::new()),
            Some(file) => AnyDetector::Cnn(Box::new(FaceDetectorCnn::open(file).map_err(named)?)),
        };
        let landmarks = LandmarkPredictor::open(&files.landmarks).map_err(named)?;
        let network = FaceEncoderNetwork::open(&files.recognizer).map_err(named)?;
        let mut dlib = Dlib { detector, landmarks, network, most_px, has_told_of_shrinking: false, health: None };
        dlib.try_out().with_context(|| format!("{} is not a face recognition model", files.recognizer.display()))?;
        Ok(dlib)
    }

    /// `scale`, or a smaller one at which the picture has no more than the allowed pixels.
    fn affordable(&mut self, picture: &Rgb, scale: f64) -> f64 {
        let px = f64::from(picture.width) * f64::from(picture.height) * scale * scale;
        let most_px = self.most_px as f64;
        if px <= most_px {
            return scale;
        }
        if !std::mem::replace(&mut self.has_told_of_shrinking, true) {
            log::warn!(
                "a picture of {}x{} is scaled to {:.0} megapixels for detection instead of {:.0}, because memory is short; \
                 small faces on it may be missed",
                picture.width,
                picture.height,
                most_px / 1e6,
                px / 1e6
            );
        }
        scale * (most_px / px).sqrt()
    }

    fn describe_on(&mut self, picture: &Rgb, faces: &[Rect], jitters: u32) -> Vec<Descriptor> {
        let image = matrix(picture);
        let landmarks: Vec<FaceLandmarks> =
            faces.iter().map(|face| self.landmarks.face_landmarks(&image, &to_rectangle(*face))).collect();
        let encodings = self.network.get_face_encodings(&image, &landmarks, jitters);
        encodings.iter().map(|encoding| to_descriptor(encoding.as_ref())).collect()
    }

    /// Computes a descriptor of a blank picture, so that a model of another kind is detected at the start.
    fn try_out(&mut self) -> anyhow::Result<()> {
        let grey = Rgb::filled(150, 150, [128; 3]);
        let described = self.describe(&grey, &[Rect { x: 25, y: 25, w: 100, h: 100 }], 1);
        let whole = described.first().is_some_and(|d| d.iter().all(|v| v.is_finite()));
        whole.then_some(()).ok_or_else(|| anyhow!("its descriptors do not have {DESCRIPTOR_LEN} numbers"))
    }
}

impl Engine for Dlib {
    fn detect(&mut self, picture: &Rgb, scale: f64) -> Vec<Rect> {
        let mut faces = match &self.detector {
            AnyDetector::Hog(_) => {
                let scale = self.affordable(picture, scale);
                self.detector.find(picture, scale)
            }
            AnyDetector::Cnn(_) => {
                tiles::find((picture.width, picture.height), scale, self.most_px, &mut |part, scale| {
                    self.health.iter().for_each(|health| health.recognition_beat.beat());
                    if (part.w, part.h) == (picture.width, picture.height) {
                        return self.detector.find(picture, scale);
                    }
                    let faces = self.detector.find(&picture.cropped(part), scale);
                    faces.into_iter().map(|face| Rect { x: face.x + part.x, y: face.y + part.y, ..face }).collect()
                })
            }
        };
        faces.sort_by_key(|rect| rect.x);
        faces
    }

    fn describe(&mut self, picture: &Rgb, faces: &[Rect], jitters: u32) -> Vec<Descriptor> {
        if faces.is_empty() || picture.width < 2 || picture.height < 2 {
            return Vec::new();
        }
        if picture.data.len() <= COPIED_WHOLE_BYTES {
            return self.describe_on(picture, faces, jitters);
        }
        let mut descriptors = Vec::with_capacity(faces.len());
        for &face in faces {
            let around = face.grown(face.w).clipped(picture.width, picture.height);
            if around.w < 2 || around.h < 2 {
                descriptors.push([f32::NAN; DESCRIPTOR_LEN]);
                continue;
            }
            let here = Rect { x: face.x - around.x, y: face.y - around.y, ..face };
            descriptors.extend(self.describe_on(&picture.cropped(around), &[here], jitters));
        }
        descriptors
    }

    fn landmarks(&mut self, picture: &Rgb, face: Rect) -> Vec<[f32; 2]> {
        let around = face.grown(face.w / 2).clipped(picture.width, picture.height);
        if around.w < 2 || around.h < 2 {
            return Vec::new();
        }
        let here = Rect { x: face.x - around.x, y: face.y - around.y, ..face };
        let found = self.landmarks.face_landmarks(&matrix(&picture.cropped(around)), &to_rectangle(here));
        found
            .iter()
            .map(|point| [(point.x() + i64::from(around.x)) as f32, (point.y() + i64::from(around.y)) as f32])
            .collect()
    }

    fn beat(&mut self, health: &Arc<Health>) {
        self.health = Some(Arc::clone(health));
    }

    fn set_most_px(&mut self, most_px: u64) {
        self.most_px = most_px;
    }

    fn still_side(&self) -> u32 {
        match self.detector {
            AnyDetector::Hog(_) => crate::memory::STILL_SIDE,
            AnyDetector::Cnn(_) => CNN_STILL_SIDE,
        }
    }
}

/// The CNN takes seconds per megapixel.
const CNN_STILL_SIDE: u32 = 800;
/// On a larger picture, descriptors are computed from crops, because dlib needs a copy of the picture.
const COPIED_WHOLE_BYTES: usize = 12_000_000;

/// Copies a picture to dlib's type.
fn matrix(rgb: &Rgb) -> ImageMatrix {
    let (width, height) = (rgb.width as usize, rgb.height as usize);
    assert_eq!(rgb.data.len(), width * height * 3, "an Rgb has width x height pixels");
    // SAFETY: the assertion above; dlib copies the pixels before this returns.
    unsafe { ImageMatrix::new(width, height, rgb.data.as_ptr()) }
}

/// Converts a rectangle of dlib, which includes its right and bottom edges.
fn to_rect(r: &Rectangle) -> Rect {
    let side = |from: i64, to: i64| (to - from + 1).max(0) as u32;
    Rect { x: r.left as i32, y: r.top as i32, w: side(r.left, r.right), h: side(r.top, r.bottom) }
}

fn to_rectangle(r: Rect) -> Rectangle {
    let (left, top) = (i64::from(r.x), i64::from(r.y));
    Rectangle { left, top, right: left + i64::from(r.w) - 1, bottom: top + i64::from(r.h) - 1 }
}

fn to_descriptor(values: &[f64]) -> Descriptor {
    let mut descriptor = [f32::NAN; DESCRIPTOR_LEN];
    for (to, from) in descriptor.iter_mut().zip(values) {
        *to = *from as f32;
    }
    descriptor
}

/// Sets the number of threads for a descriptor.
pub fn set_blas_threads(threads: u32) {
    // SAFETY: any number is valid. Only the thread of recognition computes with OpenBLAS, and it is the caller, so no
    // computation is in progress.
    unsafe { openblas_set_num_threads(threads as c_int) };
}

/// The BLAS library in use, such as "OpenBLAS 0.3.21 Haswell".
pub fn blas() -> String {
    let text = |pointer: *const c_char| {
        if pointer.is_null() {
            return String::new();
        }
        // SAFETY: not null, and both functions return constant, zero-terminated strings.
        unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
    };
    // SAFETY: no arguments, no state.
    let (config, core) = unsafe { (text(openblas_get_config()), text(openblas_get_corename())) };
    let version: Vec<&str> = config.split_whitespace().take(2).collect();
    format!("{} {core}", version.join(" "))
}
