use super::*;
use image::{Rgb, RgbImage};

/// A picture in which no two places look the same.
fn save(path: &Path, width: u32, height: u32, tint: u8) {
    let at = |x, y| Rgb([tint, (x * 255 / width) as u8, ((x / 8 + y / 8) % 2 * 120 + y * 100 / height) as u8]);
    RgbImage::from_fn(width, height, at).save(path).unwrap();
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["Alice", "Bob"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    save(&folder.path().join("Alice/1.png"), 400, 300, 200);
    save(&folder.path().join("Alice/2.png"), 300, 500, 200);
    save(&folder.path().join("Bob/1.png"), 300, 300, 20);
    folder
}

fn camera(format: &str, width: u32, height: u32, fps: u32) -> Camera {
    Camera { format: format.to_owned(), width, height, fps, ..Camera::default() }
}

fn captured(source: &mut dyn Source) -> Captured {
    let start = Instant::now();
    loop {
        match source.next(Duration::from_millis(200)).unwrap() {
            Shot::Picture(captured) => return captured,
            _ => assert!(start.elapsed() < Duration::from_secs(60)),
        }
    }
}

fn difference(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

#[test]
fn pictures_of_subfolders_alternate_and_other_files_are_ignored() {
    let folder = folder();
    std::fs::write(folder.path().join("notes.txt"), "none").unwrap();
    std::fs::write(folder.path().join(".hidden.png"), "none").unwrap();
    save(&folder.path().join("Carol.PNG.png"), 20, 20, 9);
    let found = pictures(folder.path()).unwrap();
    let names: Vec<_> = found.iter().map(|p| p.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["Alice/1.png", "Bob/1.png", "Carol.PNG.png", "Alice/2.png"]);
}

#[test]
fn the_same_tick_is_the_same_frame_and_every_frame_moves() {
    let folder = folder();
    for (width, height) in [(320, 240), (240, 320), (16, 16)] {
        let camera = camera("auto", width, height, 30);
        let [mut one, mut two] = [0; 2].map(|_| Stills::open(&camera, folder.path()).unwrap());
        let mut before = one.frame(0).unwrap();
        // A little more than a whole round, at 30 ticks per second.
        for tick in 1..3 * 240 + 100 {
            let frame = one.frame(tick).unwrap();
            assert_eq!((frame.width, frame.height), (width, height));
            assert!(frame != before, "frame {tick} of {width}x{height} shows no motion");
            // The camera never jumps, not even between two pictures.
            let near = (0..=2).flat_map(|x| (-1..=1).map(move |y| (x, y)));
            assert!(near.into_iter().any(|by| moved(&before, &frame, by)), "frame {tick} of {width}x{height} jumps");
            if tick.is_multiple_of(97) {
                assert!(frame == two.frame(tick).unwrap(), "frame {tick} is another one");
            }
            before = frame;
        }
    }
}

/// True when the camera has moved by (`x`, `y`) pixels from `before` to `after`.
fn moved(before: &crate::image::Rgb, after: &crate::image::Rgb, (x, y): (i32, i32)) -> bool {
    let (w, h) = (before.width - x.unsigned_abs(), before.height - y.unsigned_abs());
    let part = |rgb: &crate::image::Rgb, x: i32, y: i32| rgb.cropped(Rect { x: x.max(0), y: y.max(0), w, h });
    part(before, x, y) == part(after, -x, -y)
}

#[test]
fn each_picture_comes_to_the_middle_and_few_pictures_are_in_memory() {
    let folder = folder();
    let mut stills = Stills::open(&camera("auto", 320, 240, 30), folder.path()).unwrap();
    // Alice's pictures are red, and Bob's is not: Alice/1, Bob/1, Alice/2, and from the start.
    let mut red = |tick, x| stills.frame(tick).unwrap().pixel(x, 120)[0];
    assert_eq!([0, 240, 480, 720, 960].map(|tick| red(tick, 160)), [200, 20, 200, 200, 20]);
    // Half-way, both neighbours are in sight.
    assert_eq!((red(120, 10), red(120, 310)), (200, 20));
    // After a pause of hours, only the pictures of the current scene are read.
    assert_eq!(red(240 * 3_000_001, 160), 20);
    assert_eq!((stills.scene, stills.hung.len()), (3_000_001, HUNG));
}

#[test]
fn a_single_picture_is_never_in_sight_twice() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("a.png"), 100, 300, 200);
    let mut stills = Stills::open(&camera("auto", 320, 240, 30), folder.path()).unwrap();
    for tick in [0, 120, 240, 1000] {
        let frame = stills.frame(tick).unwrap();
        let columns: Vec<u32> = (0..320).filter(|x| frame.pixel(*x, 120) != MARGIN).collect();
        assert_eq!((columns.len() as u32, columns[0]), (221, 49), "at tick {tick}");
    }
}

#[test]
fn a_picture_of_any_shape_is_enlarged_to_little_more_than_a_frame() {
    for (width, height) in [(65_500, 1), (1, 65_500), (1, 1), (3000, 20), (20, 3000), (640, 480)] {
        let rgb = crate::image::Rgb::filled(width, height, [200; 3]);
        for (w, h) in [(1280, 720), (720, 1280), (16, 16), (161, 91)] {
            let picture = enlarged(&rgb, w, h);
            assert!(picture.width >= 1 && picture.height > h, "{width}x{height} for {w}x{h}");
            let (wide, tall) = (f64::from(picture.width), f64::from(picture.height));
            // The part of a strip is rounded to a whole number of pixels.
            let a_pixel = tall / f64::from(height.min(width * 5 / 4).max(1));
            assert!(wide <= f64::from(w) * 1.15 + a_pixel + 2.0, "{wide} for {w}x{h} of {width}x{height}");
            assert!(tall <= f64::from(h) * 1.15 + 1.0, "{tall} for {w}x{h}");
            assert!(picture.pixel(picture.width / 2, picture.height / 2) == [200; 3]);
        }
    }
}

#[test]
fn both_formats_show_the_same_picture_in_the_size_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    // A picture without edges: at edges JPEG loses much, and the two formats would differ.
    let slope = |x: u32, y: u32| Rgb([(x / 2) as u8, (y / 2) as u8, 255 - (x / 4 + y / 4) as u8]);
    RgbImage::from_fn(500, 400, slope).save(folder.path().join("a.png")).unwrap();
    for (width, height) in [(320, 240), (161, 91)] {
        let shots = ["auto", "mjpg"].map(|format| {
            let mut source = open(&camera(format, width, height, 1), folder.path()).unwrap();
            let shot = captured(&mut *source);
            assert_eq!((shot.width, shot.height), (width, height));
            let raw = crate::image::Raw { bytes: &shot.bytes[..], width, height, stride: shot.stride };
            (shot.format.name(), shot.format.to_rgb(raw).unwrap())
        });
        assert_eq!((&*shots[0].0, &*shots[1].0), ("RGB3", "MJPG"));
        let apart = difference(&shots[0].1.data, &shots[1].1.data);
        assert!(apart < 2.0, "{width}x{height}: {apart} apart");
        assert_eq!((shots[1].1.width, shots[1].1.height), (width, height));
    }
}

#[test]
fn the_rate_is_kept_and_a_late_call_skips_pictures() {
    let folder = folder();
    let opened = Instant::now();
    let mut source = open(&camera("auto", 64, 48, 50), folder.path()).unwrap();
    captured(&mut *source);
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    let late = captured(&mut *source);
    let most = opened.elapsed().as_secs_f64() * 50.0;
    assert!(late.dropped >= 13 && late.dropped as f64 <= most, "{} of {most}", late.dropped);
    let start = Instant::now();
    let mut pictures: u64 = (0..19).map(|_| 1 + captured(&mut *source).dropped).sum();
    // The last one is taken at some time after this, as the late one was at some time before `start`.
    let least = start.elapsed().as_secs_f64() * 50.0 - 2.0;
    pictures += 1 + captured(&mut *source).dropped;
    let expected = least..begun.elapsed().as_secs_f64() * 50.0 + 2.0;
    assert!(expected.contains(&(pictures as f64)), "{pictures} pictures, {expected:?} expected");
}

#[test]
fn a_bad_folder_is_reported_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let camera = camera("auto", 64, 48, 30);
    let error = |path: &Path| format!("{:#}", open(&camera, path).err().unwrap());
    assert!(error(&folder.path().join("none")).contains("none cannot be read: No such file"));
    assert!(error(folder.path()).contains("has no picture files"));
    std::fs::write(folder.path().join("a.jpg"), "no picture").unwrap();
    std::fs::write(folder.path().join("b.png"), "").unwrap();
    assert!(error(folder.path()).contains("no picture in"), "{}", error(folder.path()));
    save(&folder.path().join("c.png"), 1, 1, 3);
    assert!(open(&camera, folder.path()).is_ok());
}

#[test]
fn an_orientation_in_exif_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    // Left half white, right half black; orientation 6: turned clockwise, so that white is above.
    let pixels: Vec<u8> = (0..64 * 64).flat_map(|i| if i % 64 < 32 { [255; 3] } else { [0; 3] }).collect();
    let mut jpeg = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 90);
    encoder.add_exif_metadata(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0").unwrap();
    encoder.encode(&pixels, 64, 64, jpeg_encoder::ColorType::Rgb).unwrap();
    std::fs::write(folder.path().join("a.jpg"), jpeg).unwrap();
    let frame = Stills::open(&camera("auto", 64, 64, 30), folder.path()).unwrap().frame(0).unwrap();
    let luma = |x: u32, y: u32| frame.pixel(x, y)[0];
    assert!(luma(12, 4) > 200 && luma(52, 4) > 200 && luma(12, 60) < 60 && luma(52, 60) < 60);
}
