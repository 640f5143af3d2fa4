//! A frame of the camera ([`Frame`]), and an encoded picture for viewers ([`Jpeg`]).

use crate::image::{Format, Luma, Mask, Raw, Rgb, Turn};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time on two clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Monotonic, for ages.
    pub instant: Instant,
    /// The time of day, for display.
    pub wall: SystemTime,
}

impl Moment {
    /// The current time.
    pub fn now() -> Moment {
        Moment { instant: Instant::now(), wall: SystemTime::now() }
    }

    /// The time `later` than this one.
    pub fn after(self, later: Duration) -> Moment {
        Moment { instant: self.instant + later, wall: self.wall + later }
    }

    /// The time `age` ago.
    pub fn ago(age: Duration) -> Moment {
        let now = Moment::now();
        Moment {
            instant: now.instant.checked_sub(age).unwrap_or(now.instant),
            wall: now.wall.checked_sub(age).unwrap_or(now.wall),
        }
    }
}

/// A picture of the camera in the camera's format. It never changes.
#[derive(Debug)]
pub struct Frame {
    /// The number of the frame since the start.
    pub seq: u64,
    /// The time of capture.
    pub captured_at: Moment,
    /// When it was created, just before it was published.
    pub published_at: Instant,
    /// Its pixel format.
    pub format: &'static Format,
    /// Width in pixels, before `turn`.
    pub width: u32,
    /// Height in pixels, before `turn`.
    pub height: u32,
    /// Bytes from one line of the first plane to the next; 0 for JPEG.
    pub stride: u32,
    /// Exactly the bytes of the camera, without padding. Shared with viewers that get them unchanged.
    pub bytes: Arc<Vec<u8>>,
    /// The rotation that makes it upright.
    pub turn: Turn,
    /// What of the upright picture nobody sees. The bytes still show it.
    pub mask: Mask,
    rgb: OnceLock<Result<Arc<Rgb>, String>>,
}

impl Frame {
    /// A frame of `format` with `width` x `height` pixels.
    pub fn new(seq: u64, captured_at: Moment, format: &'static Format, picture: Raw<Vec<u8>>, turn: Turn) -> Frame {
        let Raw { bytes, width, height, stride } = picture;
        let (published_at, bytes, rgb) = (Instant::now(), Arc::new(bytes), OnceLock::new());
        let mask = Mask::default();
        Frame { seq, captured_at, published_at, format, width, height, stride, bytes, turn, mask, rgb }
    }

    /// The same frame, of which nobody sees what the mask hides.
    pub fn masked(self, mask: Mask) -> Frame {
        Frame { mask, ..self }
    }

    /// The picture as upright RGB. It is decoded at most once, by the first thread that needs it; other threads wait
    /// for that. All share the same immutable picture.
    ///
    /// # Errors
    /// Why the frame cannot be decoded.
    pub fn rgb(&self) -> Result<Arc<Rgb>, String> {
        self.rgb.get_or_init(|| self.decode()).clone()
    }

    /// The same frame without the decoded picture, which is kept for comparison and needs only the memory of its bytes.
    pub fn undecoded(&self) -> Frame {
        Frame { bytes: Arc::clone(&self.bytes), mask: self.mask.clone(), rgb: OnceLock::new(), ..*self }
    }

    fn decode(&self) -> Result<Arc<Rgb>, String> {
        let raw = Raw { bytes: &self.bytes[..], width: self.width, height: self.height, stride: self.stride };
        let rgb = self.format.to_rgb(raw)?;
        let mut rgb = self.turn.apply(rgb);
        self.mask.apply(&mut rgb);
        Ok(Arc::new(rgb))
    }

    /// A small plane of the upright picture's luma, which detects motion without decoding the picture.
    ///
    /// # Errors
    /// As [`Frame::rgb`].
    pub fn luma(&self) -> Result<Luma, String> {
        let raw = Raw { bytes: &self.bytes[..], width: self.width, height: self.height, stride: self.stride };
        let Ok(mut luma) = self.format.to_luma(raw) else {
            // The JPEGs of some cameras need the more tolerant decoder.
            return Ok(self.rgb()?.luma_as_of(self.width));
        };
        if !self.turn.is_none() {
            let data = luma.data.iter().flat_map(|&v| [v; 3]).collect();
            let Rgb { width, height, data } = self.turn.apply(Rgb { width: luma.width, height: luma.height, data });
            luma = Luma { width, height, data: data.into_iter().step_by(3).collect() };
        }
        self.mask.apply_to_luma(&mut luma);
        Ok(luma)
    }

    /// True when both have the same bytes: some cameras repeat a frame.
    pub fn shows_the_same(&self, other: &Frame) -> bool {
        let form = |frame: &Frame| {
            (frame.format.fourcc, frame.width, frame.height, frame.stride, frame.turn, frame.mask.clone())
        };
        std::ptr::eq(self, other) || (form(self) == form(other) && self.bytes == other.bytes)
    }

    /// Width and height in pixels of the upright picture.
    pub fn upright_size(&self) -> (u32, u32) {
        self.turn.size(self.width, self.height)
    }
}

/// The end of a part of the stream, with the boundary of the next one.
const END: &[u8] = b"\r\n--frame\r\n";

/// An encoded picture, stored as a part of the MJPEG stream.
#[derive(Debug)]
pub struct Jpeg {
    head: String,
    picture: Arc<Vec<u8>>,
    /// When the picture was captured; for a notice, when it was made.
    pub captured_at: Moment,
    /// When it was ready for viewers.
    pub made_at: Instant,
    /// When its frame was published, if this is the first picture of that frame; `None` for other pictures, whose ages
    /// are not counted.
    pub frame_published_at: Option<Instant>,
    /// True for a picture of the camera, false for a notice that it is unavailable.
    pub live: bool,
    /// True when it shows no face without a name: they are blurred, or it is a notice.
    pub hides_strangers: bool,
    /// What of the camera's picture it hides.
    pub mask: Mask,
}

impl Jpeg {
    /// A picture for viewers.
    pub fn new(picture: Arc<Vec<u8>>, captured_at: Moment, live: bool) -> Jpeg {
        let since = captured_at.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let head = format!(
            "Content-Type: image/jpeg\r\nContent-Length: {}\r\nX-Timestamp: {}.{:06}\r\n\r\n",
            picture.len(),
            since.as_secs(),
            since.subsec_micros()
        );
        let (made_at, frame_published_at, mask) = (Instant::now(), None, Mask::default());
        Jpeg { head, picture, captured_at, made_at, frame_published_at, live, hides_strangers: !live, mask }
    }

    /// The same for a picture of `frame`; its age counts when it `is_first`, that is, the first picture of the frame.
    pub fn of_frame(picture: Arc<Vec<u8>>, frame: &Frame, is_first: bool, hides_strangers: bool) -> Jpeg {
        let frame_published_at = is_first.then_some(frame.published_at);
        let mask = frame.mask.clone();
        Jpeg { frame_published_at, hides_strangers, mask, ..Jpeg::new(picture, frame.captured_at, true) }
    }

    /// The bytes that are written to a viewer in one write: the header, the picture and the boundary of the next part,
    /// so that a client knows the end of the picture before the next one arrives.
    pub fn part(&self) -> [&[u8]; 3] {
        [self.head.as_bytes(), &self.picture, END]
    }

    /// The JPEG alone.
    pub fn picture(&self) -> &Arc<Vec<u8>> {
        &self.picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On each picture the left side is bright, in a JPEG, in raw formats and after each rotation.
    #[test]
    fn the_luma_is_that_of_the_upright_picture_in_each_format() {
        let mut rgb = Rgb::filled(640, 480, [20; 3]);
        for (x, y) in (0..320).flat_map(|x| (0..480).map(move |y| (x, y))) {
            let at = rgb.offset(x, y);
            rgb.data[at..at + 3].fill(200);
        }
        let mut jpeg = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
        image::ImageEncoder::write_image(encoder, &rgb.data, 640, 480, image::ExtendedColorType::Rgb8).unwrap();
        let grey: Vec<u8> = rgb.data.iter().copied().step_by(3).collect();
        let yuyv: Vec<u8> = grey.iter().flat_map(|&luma| [luma, 128]).collect();
        // Stray bytes before the end: libjpeg-turbo warns about them, and the other decoder skips them.
        let stray = [&jpeg[..jpeg.len() - 2], &[7; 200], &jpeg[jpeg.len() - 2..]].concat();
        assert!(!cfg!(feature = "turbojpeg") || crate::image::jpeg::luma(&stray, 8).is_err());
        let formats = [(b"MJPG", jpeg, 0), (b"GREY", grey, 640), (b"YUYV", yuyv, 1280), (b"RGB3", rgb.data, 1920)];
        let turns = [(0, false, (10, 30)), (0, true, (70, 30)), (180, false, (70, 30)), (90, false, (30, 10))];
        for (fourcc, bytes, stride) in formats.into_iter().chain([(b"MJPG", stray, 0)]) {
            for (degrees, mirror, light) in turns {
                let raw = Raw { bytes: bytes.clone(), width: 640, height: 480, stride };
                let frame =
                    Frame::new(1, Moment::now(), Format::by_fourcc(fourcc).unwrap(), raw, Turn { degrees, mirror });
                let luma = frame.luma().unwrap();
                let (width, height) = frame.upright_size();
                assert_eq!((luma.width, luma.height), (width / 8, height / 8));
                let at = |x: u32, y: u32| luma.data[(y * luma.width + x) as usize];
                let dark = (luma.width - 1 - light.0, luma.height - 1 - light.1);
                assert!(at(light.0, light.1) > 180 && at(dark.0, dark.1) < 40, "{fourcc:?} {degrees} {mirror}");
            }
        }
    }

    #[test]
    fn what_the_mask_hides_is_black_in_the_picture_and_in_the_luma_after_the_turn() {
        let grey = vec![200; 640 * 480];
        for turn in [Turn::default(), Turn { degrees: 90, mirror: true }] {
            let raw = Raw { bytes: grey.clone(), width: 640, height: 480, stride: 640 };
            let zone = crate::image::Zone::of_percent([0.0, 0.0, 50.0, 25.0]).unwrap();
            let open = Frame::new(1, Moment::now(), Format::by_fourcc(b"GREY").unwrap(), raw, turn);
            let frame = open.undecoded().masked(Mask::new(&[zone], turn));
            assert!(!frame.shows_the_same(&open) && frame.undecoded().shows_the_same(&frame));
            let (rgb, luma) = (frame.rgb().unwrap(), frame.luma().unwrap());
            assert_eq!((rgb.width, rgb.height), frame.upright_size());
            for (x, y) in (0..luma.width).flat_map(|x| (0..luma.height).map(move |y| (x, y))) {
                let is_hidden = x < luma.width / 2 && y < luma.height.div_ceil(4);
                assert_eq!(luma.data[(y * luma.width + x) as usize] == 0, is_hidden, "{x} {y} {turn:?}");
                assert_eq!(rgb.pixel(x * 8, y * 8) == [0; 3], x < luma.width / 2 && y < luma.height / 4, "{x} {y}");
            }
        }
    }

    #[test]
    fn a_frame_is_decoded_once_for_all_threads_and_each_gets_its_error() {
        let grey = |bytes| {
            let raw = Raw { bytes, width: 4, height: 2, stride: 4 };
            Frame::new(1, Moment::now(), Format::by_fourcc(b"GREY").unwrap(), raw, Turn::default())
        };
        let frame = grey((1..=8).collect());
        let pictures: Vec<Arc<Rgb>> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..4).map(|_| scope.spawn(|| frame.rgb().unwrap())).collect();
            asked.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(pictures.iter().all(|picture| Arc::ptr_eq(picture, &pictures[0])));
        assert_eq!(pictures[0].pixel(3, 1), [8; 3]);
        let kept = frame.undecoded();
        assert!(kept.shows_the_same(&frame) && Arc::ptr_eq(&kept.bytes, &frame.bytes));
        assert!(!Arc::ptr_eq(&kept.rgb().unwrap(), &pictures[0]), "it holds no decoded picture of the frame");
        let short = grey(vec![0; 3]);
        for _ in 0..2 {
            let why = short.rgb().unwrap_err();
            assert!(why.contains("needs 8 bytes"), "{why}");
        }
    }

    #[test]
    fn a_part_is_header_picture_and_the_next_boundary() {
        let at = Moment { instant: Instant::now(), wall: UNIX_EPOCH + Duration::new(12, 345_678_000) };
        let jpeg = Jpeg::new(Arc::new(b"JPEG".to_vec()), at, true);
        let expected =
            "Content-Type: image/jpeg\r\nContent-Length: 4\r\nX-Timestamp: 12.345678\r\n\r\nJPEG\r\n--frame\r\n";
        assert_eq!(String::from_utf8_lossy(&jpeg.part().concat()), expected);
        assert_eq!(**jpeg.picture(), b"JPEG");
    }
}
