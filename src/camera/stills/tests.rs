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
            _ => assert!(start.elapsed() < Duration::from_secs(5)),
        }
    }
}

fn film(folder: &Path, width: u32, height: u32) -> Film {
    Film::new(pictures(folder).unwrap(), width, height, 30, Encoding::LimitedRange)
}

fn difference(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

#[test]
fn pictures_of_sub_folders_come_in_name_order_and_other_files_do_not() {
    let folder = folder();
    std::fs::write(folder.path().join("notes.txt"), "none").unwrap();
    std::fs::write(folder.path().join(".hidden.png"), "none").unwrap();
    save(&folder.path().join("Carol.PNG.png"), 20, 20, 9);
    let found = pictures(folder.path()).unwrap();
    let names: Vec<_> = found.iter().map(|p| p.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["Alice/1.png", "Alice/2.png", "Bob/1.png", "Carol.PNG.png"]);
}

#[test]
fn the_same_tick_is_the_same_picture_and_every_frame_moves() {
    let folder = folder();
    let (mut one, mut two) = (film(folder.path(), 320, 240), film(folder.path(), 320, 240));
    let (mut a, mut b, mut before) = (Vec::new(), Vec::new(), Vec::new());
    for tick in 0..620 {
        one.draw(tick, &mut a).unwrap();
        assert!(a != before, "frame {tick} shows no motion");
        // Except between scenes, the camera moves slowly.
        let jump = if tick.is_multiple_of(150) { 255.0 } else { 8.0 };
        assert!(before.is_empty() || difference(&a, &before) < jump, "frame {tick} jumps");
        if tick.is_multiple_of(97) {
            two.draw(tick, &mut b).unwrap();
            assert!(a == b, "frame {tick} is another one");
        }
        before.clone_from(&a);
    }
}

#[test]
fn every_other_scene_shows_two_people() {
    let folder = folder();
    let mut film = film(folder.path(), 320, 240);
    let mut yuyv = Vec::new();
    film.draw(200, &mut yuyv).unwrap();
    // Alice is red and Bob is not: compares red in the middle of the two halves.
    let red = |x: usize| yuyv[120 * 640 + x * 2 + 3];
    assert!(red(80) > red(240) + 40, "{} {}", red(80), red(240));
}

#[test]
fn both_formats_show_the_same_picture_in_the_size_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    // Without edges, where the two differ by the loss of JPEG.
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
        assert_eq!((&*shots[0].0, &*shots[1].0), ("YUYV", "MJPG"));
        let apart = difference(&shots[0].1.data, &shots[1].1.data);
        assert!(apart < 2.0, "{width}x{height}: {apart} apart");
        assert_eq!((shots[1].1.width, shots[1].1.height), (width, height));
    }
}

#[test]
fn the_rate_is_kept_and_a_late_call_skips_pictures() {
    let folder = folder();
    let mut source = open(&camera("auto", 64, 48, 50), folder.path()).unwrap();
    captured(&mut *source);
    std::thread::sleep(Duration::from_millis(300));
    let late = captured(&mut *source);
    assert!((13..40).contains(&late.dropped), "{}", late.dropped);
    let start = Instant::now();
    let pictures: u64 = (0..20).map(|_| 1 + captured(&mut *source).dropped).sum();
    let expected = start.elapsed().as_secs_f64() * 50.0;
    assert!((pictures as f64 - expected).abs() < 3.0, "{pictures} pictures, {expected} expected");
}

#[test]
fn a_bad_folder_is_reported_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let camera = camera("auto", 64, 48, 30);
    let error = |path: &Path| format!("{:#}", open(&camera, path).err().unwrap());
    assert!(error(&folder.path().join("none")).contains("none cannot be read: No such file"));
    assert!(error(folder.path()).contains("has no .jpg, .jpeg or .png files"));
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
    let mut encoder = Encoder::new(&mut jpeg, 90);
    encoder.add_exif_metadata(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0").unwrap();
    encoder.encode(&pixels, 64, 64, jpeg_encoder::ColorType::Rgb).unwrap();
    std::fs::write(folder.path().join("a.jpg"), jpeg).unwrap();
    let mut yuyv = Vec::new();
    film(folder.path(), 64, 64).draw(0, &mut yuyv).unwrap();
    let luma = |x: usize, y: usize| yuyv[y * 128 + x * 2];
    assert!(luma(12, 4) > 200 && luma(52, 4) > 200 && luma(12, 60) < 60 && luma(52, 60) < 60);
}
