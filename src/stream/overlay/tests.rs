use super::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const GREY: [u8; 3] = [90, 90, 90];
const GREEN: [u8; 3] = [0, 255, 0];

fn painter(change: impl FnOnce(&mut config::Overlay)) -> Painter {
    let mut overlay = config::Config::defaults(Path::new("/")).overlay;
    change(&mut overlay);
    Painter::new(&overlay)
}

fn without_fonts() -> Painter {
    let config = config::Config::defaults(Path::new("/")).overlay;
    Painter { config, fonts: Fonts::in_folders(None, &[]) }
}

fn face(name: Option<&str>, rect: [i32; 4]) -> Sighting {
    let [x, y, w, h] = rect;
    Sighting {
        track: 1,
        since: Instant::now(),
        name: name.map(Arc::from),
        distance: Some(0.412),
        runner_up: None,
        nearest: None,
        rect: Rect { x, y, w: w as u32, h: h as u32 },
        velocity: [0.0; 2],
        state: if name.is_some() { State::Named } else { State::Unknown },
        evidence: Default::default(),
        view: None,
    }
}

fn grey() -> Rgb {
    Rgb::filled(640, 480, GREY)
}

/// The bounds of the pixels that are not plain grey: left, top, right, bottom, the last two excluded.
fn changed(rgb: &Rgb) -> Option<(u32, u32, u32, u32)> {
    let mut bounds: Option<(u32, u32, u32, u32)> = None;
    for y in 0..rgb.height {
        for x in (0..rgb.width).filter(|x| rgb.pixel(*x, y) != GREY) {
            let (l, t, r, b) = bounds.unwrap_or((x, y, x + 1, y + 1));
            bounds = Some((l.min(x), t.min(y), r.max(x + 1), b.max(y + 1)));
        }
    }
    bounds
}

/// A picture with detail everywhere.
fn noisy(width: u32, height: u32) -> Rgb {
    let data = (0..width * height * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    Rgb { width, height, data }
}

#[test]
fn the_box_is_two_pixels_wide_and_at_the_face() {
    let mut rgb = grey();
    painter(|_| ()).draw(&mut rgb, &[face(Some("Alice"), [200, 150, 100, 120])], 1.0);
    for (x, y) in [(200, 150), (201, 269), (299, 151), (298, 268), (250, 150), (250, 268), (201, 200), (298, 200)] {
        assert_eq!(rgb.pixel(x, y), GREEN, "at {x},{y}");
    }
    for (x, y) in [(199, 200), (202, 200), (297, 200), (300, 200), (250, 270), (250, 267), (250, 152)] {
        assert_eq!(rgb.pixel(x, y), GREY, "at {x},{y}");
    }
}

#[test]
fn on_a_smaller_picture_the_box_is_scaled() {
    let mut rgb = Rgb::filled(320, 240, GREY);
    painter(|_| ()).draw(&mut rgb, &[face(Some("A"), [200, 150, 100, 120])], 0.5);
    assert_eq!((rgb.pixel(100, 100), rgb.pixel(149, 100)), (GREEN, GREEN));
    assert_eq!((rgb.pixel(99, 100), rgb.pixel(150, 100)), (GREY, GREY));
}

#[test]
fn the_line_grows_with_the_picture() {
    let line = |height| LabelStyle::for_height(height).line;
    assert_eq!([240, 480, 720, 1080, 2160].map(line), [2, 2, 2, 3, 6]);
}

#[test]
fn the_label_is_above_the_box_or_inside_at_its_top_when_there_is_no_room() {
    let label = LabelStyle::for_height(480).label as u32;
    let mut rgb = grey();
    painter(|_| ()).draw(&mut rgb, &[face(Some("Alice"), [200, 150, 200, 200])], 1.0);
    assert_eq!(changed(&rgb).unwrap().1, 150 - label);
    for top in [3, 0, -40] {
        let mut rgb = grey();
        painter(|_| ()).draw(&mut rgb, &[face(Some("Alice"), [200, top, 200, 200])], 1.0);
        let y = top.max(0) as u32;
        assert_eq!(changed(&rgb).unwrap().1, y, "nothing above the box");
        assert_eq!(rgb.pixel(202, y + label - 1), GREEN);
        assert_eq!(rgb.pixel(250, y + label), GREY);
    }
}

#[test]
fn the_label_is_moved_so_that_it_stays_in_the_picture() {
    for x in [600, -50] {
        let mut rgb = grey();
        let mut painter = painter(|_| ());
        let face = face(Some("Margarethe"), [x, 100, 80, 80]);
        painter.draw(&mut rgb, std::slice::from_ref(&face), 1.0);
        let style = LabelStyle::for_height(480);
        let text = painter.caption(&face, style.px, 600);
        let width = (painter.text_width(style.px, &text) + 2 * style.padding) as u32;
        let line: Vec<bool> = (0..640).map(|x| rgb.pixel(x, 100 - style.label as u32) == GREEN).collect();
        assert_eq!(line.iter().filter(|green| **green).count(), width as usize);
        assert!(line[if x > 0 { 639 } else { 0 }]);
    }
}

#[test]
fn labels_of_neighbouring_faces_do_not_overlap_and_a_name_gets_the_better_place() {
    let faces =
        [face(None, [40, 60, 40, 40]), face(Some("Barack Obama"), [70, 62, 40, 40]), face(None, [100, 58, 40, 40])];
    let drawn = |order: [usize; 3]| {
        let mut rgb = Rgb::filled(320, 180, GREY);
        painter(|overlay| overlay.box_color = [0, 0, 255]).draw(&mut rgb, &order.map(|at| faces[at].clone()), 1.0);
        rgb
    };
    let (mut p, style, rgb) = (painter(|_| ()), LabelStyle::for_height(180), Rgb::filled(320, 180, GREY));
    let mut labels = Vec::new();
    for at in [1, 0, 2] {
        let label = p.label(&rgb, &faces[at], faces[at].rect, &style, &labels);
        assert!(labels.iter().all(|(other, _)| !label.0.meets(*other)), "{labels:?} {label:?}");
        labels.push(label);
    }
    assert_eq!(labels[0].0.bottom, 62, "above its box");
    assert!(drawn([0, 1, 2]) == drawn([1, 0, 2]), "the order of detection does not matter");
    // Without room for all, the name is on top.
    let crowd: Vec<_> =
        (0..9).map(|i| face(None, [i % 3, 40 + i / 3, 30, 30])).chain([face(Some("Alice"), [1, 41, 30, 30])]).collect();
    let mut rgb = Rgb::filled(160, 90, GREY);
    p.draw(&mut rgb, &crowd, 1.0);
    let mut alone = Rgb::filled(160, 90, GREY);
    p.draw(&mut alone, &crowd[9..], 1.0);
    let label = p.label(&alone, &crowd[9], crowd[9].rect, &LabelStyle::for_height(90), &[]).0;
    let pixels = |rgb: &Rgb| {
        (label.left..label.right.min(160)).map(|x| rgb.pixel(x as u32, label.top as u32 + 5)).collect::<Vec<_>>()
    };
    assert_eq!(pixels(&rgb), pixels(&alone));
}

#[test]
fn labels_have_the_text_of_the_seed() {
    let mut p = painter(|_| ());
    assert_eq!(p.caption(&face(Some("Alice"), [0; 4]), 16, 600), "Alice dist:0.412");
    assert_eq!(p.caption(&face(None, [0; 4]), 16, 600), "Unknown dist:0.412");
    assert_eq!(p.caption(&Sighting { distance: None, ..face(None, [0; 4]) }, 16, 600), "Unknown");
    let mut p = painter(|overlay| overlay.show_distance = false);
    assert_eq!(p.caption(&face(Some("Alice"), [0; 4]), 16, 600), "Alice");
}

#[test]
fn a_glyph_covers_each_pixel_by_its_share_from_none_to_all() {
    let glyph = Glyph { width: 16, coverage: (0..=255).collect(), ..Glyph::default() };
    let (before, over) = (noisy(20, 20), [255, 100, 0]);
    let mut rgb = before.clone();
    Area::of(&before).blend(&mut rgb, 2, 2, &glyph, over);
    for (share, x, y) in (0..=255_u32).map(|share| (share, 2 + share % 16, 2 + share / 16)) {
        let parts = |i: usize| u32::from(over[i]) * share + u32::from(before.pixel(x, y)[i]) * (255 - share);
        assert_eq!(rgb.pixel(x, y), [0, 1, 2].map(|i| ((parts(i) + 127) / 255) as u8), "{share} of 255");
    }
}

#[test]
fn a_face_that_is_not_yet_identified_has_a_box_and_no_label() {
    let mut rgb = grey();
    let seen = Sighting { state: State::Seen, ..face(None, [200, 150, 100, 120]) };
    painter(|_| ()).draw(&mut rgb, &[seen], 1.0);
    assert_eq!(changed(&rgb), Some((200, 150, 300, 270)));
}

#[test]
fn names_in_every_script_have_all_their_glyphs_in_the_fonts_of_the_system() {
    let mut painter = painter(|_| ());
    for name in ["민호", "たなか", "田中", "Иван", "Ωμ", "Zoë Łukasz dist:0.412…"] {
        assert!(
            !painter.lacks(20, name),
            "{name} has a glyph that no font has; install fonts-nanum and fonts-dejavu-core"
        );
        let mut rgb = grey();
        let width = painter.text(&mut rgb, 10, 10, 40, [255; 3], name);
        let (left, top, right, bottom) = changed(&rgb).expect("something is drawn");
        assert!(left >= 8 && right <= 12 + width as u32 && top >= 8 && bottom <= 56, "{name}");
    }
    assert!(painter.lacks(20, "\u{5ffff}"), "a character that no font has is detected");
}

#[test]
fn without_fonts_ascii_is_legible_and_other_characters_are_boxes() {
    let mut painter = without_fonts();
    assert!(!painter.lacks(16, "Alice dist:0.412…~!"));
    assert!(painter.lacks(16, "민"));
    let shapes: std::collections::HashSet<Vec<u8>> =
        (' '..='~').map(|c| painter.fonts.glyph(c, 18).coverage.clone()).collect();
    assert_eq!(shapes.len(), 95, "every character has a shape of its own");
    let mut rgb = grey();
    painter.draw(&mut rgb, &[face(Some("Alice"), [200, 150, 100, 120])], 1.0);
    assert!(changed(&rgb).unwrap().1 < 150);
}

#[test]
fn an_invalid_or_truncated_font_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").unwrap();
    for (i, keep) in [0, 3, 11, 12, 200, 4096, whole.len() / 2, whole.len() - 1].into_iter().enumerate() {
        std::fs::write(folder.path().join(format!("a{i}.ttf")), &whole[..keep]).unwrap();
    }
    let noise: Vec<u8> = noisy(64, 64).data;
    std::fs::write(folder.path().join("b.otf"), [b"ttcf\0\x01\0\0\xff\xff\xff\xff", &noise[..]].concat()).unwrap();
    for seed in 0..40_usize {
        // Changed bytes all over the tables.
        let mut bytes = whole.clone();
        (0..400).for_each(|i| bytes[(seed * 7919 + i * i * 131 + i * 4099) % whole.len()] ^= 0xff);
        std::fs::write(folder.path().join(format!("c{seed}.ttf")), bytes).unwrap();
    }
    let mut fonts = Fonts::in_folders(Some(Path::new("/nowhere.ttf")), &[folder.path().to_owned()]);
    ('!'..'\u{500}').for_each(|c| drop(fonts.glyph(c, 33)));
    std::fs::write(folder.path().join("z.ttf"), &whole).unwrap();
    let mut fonts = Fonts::in_folders(None, &[folder.path().to_owned()]);
    assert!(!fonts.glyph('Ж', 20).missing);
}

#[test]
fn a_configured_font_is_used_first() {
    let mono = PathBuf::from("/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf");
    let mut painter = painter(|overlay| overlay.font = Some(mono));
    assert_eq!(painter.text_width(20, "iiii"), painter.text_width(20, "WWWW"));
    assert!(!painter.lacks(20, "민호"), "the system's fonts are used after it");
}

#[test]
fn hostile_names_stay_in_the_picture_and_are_never_reordered() {
    let hostile = [
        "W".repeat(5000),
        "\u{202e}ecilA".to_owned(),
        "\u{200b}\u{2066}\u{feff}\u{ad}".to_owned(),
        "a\n\r\t\0\u{1b}[31mb".to_owned(),
        format!("Z{}", "\u{301}\u{489}".repeat(500)),
        "\u{fdfd}".repeat(200),
        "\u{1f9d1}\u{200d}\u{1f692}\u{10ffff}\u{e000}".to_owned(),
        " ".repeat(300),
        String::new(),
    ];
    for mut painter in [painter(|_| ()), without_fonts()] {
        for name in &hostile {
            for (width, height) in [(640, 480), (40, 30), (1, 1)] {
                let mut rgb = Rgb::filled(width, height, GREY);
                let face = face(Some(name), [(width / 4) as i32, (height / 2) as i32, 10, 10]);
                painter.draw(&mut rgb, std::slice::from_ref(&face), 1.0);
                let style = LabelStyle::for_height(height);
                let text = painter.caption(&face, style.px, i64::from(width));
                assert!(!text.trim().is_empty());
                assert!(!text.chars().any(|c| c.is_control() || ('\u{200b}'..='\u{206f}').contains(&c) && c != '…'));
                if width == 640 {
                    assert!(painter.text_width(style.px, &text) <= 640, "{name:?} is too wide");
                }
            }
        }
    }
    assert_eq!(painter(|_| ()).caption(&face(Some("\u{202e}ecilA"), [0; 4]), 16, 600), "ecilA dist:0.412");
}

#[test]
fn a_long_name_is_cut_and_keeps_its_distance() {
    let text = painter(|_| ()).caption(&face(Some(&"Wolfeschlegel".repeat(9)), [0; 4]), 16, 620);
    assert!(text.starts_with("Wolfeschlegel") && text.ends_with("… dist:0.412"), "{text}");
}

#[test]
fn faces_without_a_name_can_be_hidden() {
    let mut rgb = grey();
    let mut painter = painter(|overlay| overlay.unknown = UnknownFaces::Hide);
    let (stranger, alice) = (face(None, [50, 100, 90, 90]), face(Some("Alice"), [400, 100, 90, 90]));
    assert!(!painter.draws(&stranger) && painter.draws(&alice));
    painter.draw(&mut rgb, &[stranger, alice], 1.0);
    assert!(changed(&rgb).unwrap().0 >= 400);
}

#[test]
fn a_blurred_face_and_its_surroundings_lose_their_detail_for_good() {
    let before = noisy(640, 480);
    let mut rgb = before.clone();
    pixelate(&mut rgb, Rect { x: 200, y: 150, w: 160, h: 160 });
    let mut colors = std::collections::HashSet::new();
    for y in 118..342 {
        colors.extend((168..392).map(|x| rgb.pixel(x, y)));
    }
    assert!(colors.len() <= 81, "{} colours are left of 50176 pixels", colors.len());
    assert_eq!(rgb.pixel(160, 200), before.pixel(160, 200));
}

#[test]
fn boxes_far_out_of_the_picture_do_no_harm() {
    let extremes = [i32::MIN, -1_000_000, -5, 0, 635, 640, 1_000_000, i32::MAX];
    let mut painter = painter(|_| ());
    let mut rgb = Rgb::filled(64, 48, GREY);
    for x in extremes {
        for y in extremes {
            let mut face = face(None, [x, y, 10, 10]);
            for (size, scale) in [(10, 1.0), (u32::MAX, 3.7)] {
                (face.rect.w, face.rect.h) = (size, size);
                painter.draw(&mut rgb, std::slice::from_ref(&face), scale);
                pixelate(&mut rgb, face.rect.scaled(scale));
            }
        }
    }
}

#[test]
fn the_away_picture_fits_every_size_and_a_long_reason_is_wrapped() {
    let mut painter = painter(|_| ());
    let why =
        "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_0123456789-video-index0: No such file or directory ".repeat(6);
    let away = Away { starting: false, why, since: "14:05".into() };
    for (width, height) in [(640, 480), (1280, 720), (160, 120), (16, 16), (1, 1), (3000, 20)] {
        painter.away(&mut Rgb::filled(width, height, GREY), &away);
    }
    let lines = painter.wrapped(&away.why, 16, 500);
    assert!(lines.len() == 3 && lines[2].ends_with('…'));
    assert!(lines.iter().all(|line| painter.text_width(16, line) <= 516));
    assert_eq!(painter.wrapped("a b", 16, 500), ["a b"]);
}
