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
        stranger: None,
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
        let width = (painter.caption_width(style.px, &text) + 2 * style.padding) as u32;
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
    // Without room for all labels, the name is on top.
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
    assert_eq!(p.caption(&face(Some("Alice"), [0; 4]), 16, 600).concat(), "Alice dist:0.412");
    assert_eq!(p.caption(&face(None, [0; 4]), 16, 600).concat(), "Unknown dist:0.412");
    assert_eq!(p.caption(&Sighting { distance: None, ..face(None, [0; 4]) }, 16, 600).concat(), "Unknown");
    let mut p = painter(|overlay| overlay.show_distance = false);
    assert_eq!(p.caption(&face(Some("Alice"), [0; 4]), 16, 600).concat(), "Alice");
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
    for name in ["민호", "たなか", "田中", "Иван", "Ωμ", "Zoë Łukasz dist:0.412…"].into_iter().chain(NAMES)
    {
        assert!(!painter.lacks(20, name), "{name} has a glyph that no font has; {TESTED}");
        let mut rgb = grey();
        let width = painter.text(&mut rgb, 10, 10, 40, [255; 3], name);
        let (left, top, right, bottom) = changed(&rgb).expect("something is drawn");
        assert!(
            // Two marks above a letter of Thai stand a pixel higher with HarfBuzz than without.
            left >= 8 && right <= 12 + width as u32 && top >= 3 && bottom <= 56,
            "{name}: {left} {top} {right} {bottom}"
        );
    }
    assert!(painter.lacks(20, "\u{5ffff}"), "a character that no font has is detected");
}

#[test]
fn without_fonts_ascii_is_legible_and_other_characters_are_boxes() {
    let mut painter = without_fonts();
    assert!(!painter.lacks(16, "Alice dist:0.412…~!"));
    assert!(painter.lacks(16, "민"));
    let shapes: std::collections::HashSet<Vec<u8>> =
        (' '..='~').map(|c| painter.fonts.line(&c.to_string(), 18).glyphs[0].2.coverage.clone()).collect();
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
    ('!'..'\u{e80}').for_each(|c| drop(fonts.line(&c.to_string(), 33)));
    std::fs::write(folder.path().join("z.ttf"), &whole).unwrap();
    let mut fonts = Fonts::in_folders(None, &[folder.path().to_owned()]);
    assert!(!fonts.line("Ж", 20).lacks);
}

#[test]
fn a_configured_font_is_used_first() {
    let mono = PathBuf::from("/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf");
    let mut painter = painter(|overlay| overlay.font = Some(mono));
    assert_eq!(painter.text_width(20, "iiii"), painter.text_width(20, "WWWW"));
    assert!(!painter.lacks(20, "민호"), "the system's fonts are used after it");
}

#[test]
fn hostile_names_stay_in_the_picture() {
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
                let text = painter.caption(&face, style.px, i64::from(width)).concat();
                assert!(!text.trim().is_empty());
                let hidden = |c| ('\u{200b}'..='\u{206f}').contains(&c) && c != '…' && !joiner(c);
                assert!(!text.chars().any(|c| c.is_control() || hidden(c)));
                if width == 640 {
                    assert!(painter.text_width(style.px, &text) <= 640, "{name:?} is too wide");
                }
            }
        }
    }
    assert_eq!(painter(|_| ()).caption(&face(Some("\u{202e}ecilA"), [0; 4]), 16, 600).concat(), "ecilA dist:0.412");
}

#[test]
fn a_long_name_is_cut_and_keeps_its_distance() {
    let text = painter(|_| ()).caption(&face(Some(&"Wolfeschlegel".repeat(9)), [0; 4]), 16, 620).concat();
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

const TESTED: &str =
    "install fonts-nanum, fonts-dejavu-core, fonts-lohit-deva, fonts-tlwg-loma-ttf and libharfbuzz0b (make setup does)";
/// Names in scripts that are shaped, and in scripts that are not.
const NAMES: [&str; 12] = [
    "אליס",
    "שָׁלוֹם",
    "محمد",
    "عبد الله",
    "علی\u{200c}رضا",
    "สมชาย",
    "กิ่งแก้ว",
    "प्रिया",
    "शर्मा",
    "민호",
    "Zoe\u{308}",
    "Alice אליס (2)",
];

/// A painter that prefers this font of the system.
fn with_font(path: &str) -> Painter {
    painter(|overlay| overlay.font = Some(Path::new("/usr/share/fonts/truetype").join(path)))
}

/// The line of `text`, and the position of each glyph's pen.
fn line(painter: &mut Painter, text: &str) -> (Arc<Line>, Vec<i64>) {
    let line = painter.fonts.line(&shown(text, MAX_LINE), 40);
    assert!(!line.lacks, "{text}: {TESTED}");
    let pens = line.glyphs.iter().map(|(x, ..)| *x).collect();
    (line, pens)
}

/// The position of `letter` in the line of `text`. The letter must have the same glyph as when it stands alone.
fn place(painter: &mut Painter, text: &str, letter: &str) -> i64 {
    let alone = Arc::clone(&line(painter, letter).0.glyphs[0].2);
    let whole = line(painter, text).0;
    let found: Vec<i64> =
        whole.glyphs.iter().filter(|(.., glyph)| Arc::ptr_eq(glyph, &alone)).map(|(x, ..)| *x).collect();
    assert_eq!(found.len(), 1, "{letter} in {text}");
    found[0]
}

/// Checks that the letters of `order` stand in this order from left to right in the line of `text`.
#[track_caller]
fn assert_order(painter: &mut Painter, text: &str, order: &[&str]) {
    let places: Vec<i64> = order.iter().map(|letter| place(painter, text, letter)).collect();
    assert!(places.is_sorted_by(|a, b| a < b), "{text}: {places:?}");
}

#[test]
fn hebrew_is_drawn_from_right_to_left() {
    let mut p = with_font("dejavu/DejaVuSans.ttf");
    assert_order(&mut p, "אבג", &["ג", "ב", "א"]);
    assert_order(&mut p, "ABג", &["A", "B", "ג"]);
    // The first letter decides the direction, brackets are mirrored, and the digits of a number keep their order.
    assert_order(&mut p, "אבC", &["C", "ב", "א"]);
    assert_order(&mut p, "Aבג 12D", &["A", "1", "2", "ג", "ב", "D"]);
    assert_order(&mut p, "אב (12)", &["(", "1", "2", ")", "ב", "א"]);
    assert_order(&mut p, "…ABג", &["…", "A", "B", "ג"]);
}

#[test]
fn arabic_letters_are_joined() {
    let mut p = painter(|_| ());
    let alone = line(&mut p, "ب").0;
    let (joined, pens) = line(&mut p, "ببب");
    assert_eq!(pens.len(), 3);
    for (.., glyph) in &joined.glyphs {
        assert!(!Arc::ptr_eq(glyph, &alone.glyphs[0].2), "a form for the beginning, the middle and the end");
    }
    assert!(joined.width < 3 * alone.width);
    // There is no empty column between joined letters.
    let mut rgb = grey();
    p.text(&mut rgb, 10, 10, 40, [255; 3], "ببب");
    let (left, _, right, _) = changed(&rgb).unwrap();
    assert!((left..right).all(|x| (0..480).any(|y| rgb.pixel(x, y) != GREY)));
    // Persian separates two letters of a name by a character without a shape.
    assert!(line(&mut p, "علی\u{200c}رضا").1 != line(&mut p, "علیرضا").1);
}

#[test]
fn marks_are_placed_at_their_letter() {
    let mut p = with_font("tlwg/Loma.ttf");
    // Thai: the vowel and the tone are above the letter, and above each other, and take no room.
    let (letter, whole) = (line(&mut p, "ท").0, line(&mut p, "ที่").0);
    assert_eq!((whole.width, whole.glyphs.len()), (letter.width, 3));
    let bounds = |at: usize| {
        let (_, down, glyph) = &whole.glyphs[at];
        let top = down + i64::from(glyph.top);
        (top, top + (glyph.coverage.len() / glyph.width) as i64)
    };
    assert!(bounds(1).1 <= bounds(0).0 && bounds(2).1 <= bounds(1).0 + 1, "{:?}", [0, 1, 2].map(bounds));
    // Devanagari: the vowel i is before its letter, and the r of a conjunct is above the letter after it.
    let mut p = with_font("lohit-devanagari/Lohit-Devanagari.ttf");
    assert!(place(&mut p, "कि", "क") > 0);
    assert_eq!(line(&mut p, "र्म").0.width, line(&mut p, "म").0.width);
    // Hebrew points are within the letter.
    assert_eq!(line(&mut p, "שָׁ").0.width, line(&mut p, "ש").0.width);
}

#[test]
fn decomposed_letters_are_drawn_as_composed_ones() {
    let mut p = painter(|_| ());
    let pairs = [
        ("Zoe\u{308}", "Zoë"),
        ("и\u{306}", "й"),
        ("\u{1106}\u{1175}\u{11ab}\u{1112}\u{1169}", "민호"),
        ("か\u{3099}", "が"),
    ];
    for (decomposed, composed) in pairs {
        assert!(Arc::ptr_eq(&line(&mut p, decomposed).0, &line(&mut p, composed).0), "{composed}");
    }
}

#[test]
fn the_distance_stays_on_the_right_of_a_name_in_any_script() {
    for name in NAMES.into_iter().chain(["אב 12", "123", "(א", "א\u{202e}", "\u{2067}א", "א -"]) {
        let mut p = painter(|_| ());
        let caption = p.caption(&face(Some(name), [0; 4]), 16, 600);
        assert_eq!(caption[1], " dist:0.412", "{name}");
        let (mut whole, mut apart) = (grey(), grey());
        p.draw(&mut whole, &[face(Some(name), [20, 100, 200, 200])], 1.0);
        let style = LabelStyle::for_height(480);
        let area = Area { left: 20, top: 100 - style.label, right: 20, bottom: 100 };
        let width = p.caption_width(style.px, &caption) + 2 * style.padding;
        Area { right: 20 + width, ..area }.fill(&mut apart, GREEN);
        let x = 20 + style.padding as i32;
        let y = (area.top + (style.label - i64::from(style.px)) / 2) as i32;
        let color = p.config.text_color;
        let end = p.text(&mut apart, x, y, style.px, color, &caption[0]);
        p.text(&mut apart, x + end as i32, y, style.px, color, " dist:0.412");
        for y in area.top as u32..100 {
            assert!((0..640).all(|x| whole.pixel(x, y) == apart.pixel(x, y)), "{name}");
        }
    }
}

#[test]
fn the_label_is_as_wide_as_its_text() {
    let mut p = painter(|_| ());
    for name in NAMES {
        line(&mut p, name);
        let mut rgb = grey();
        let width = p.text(&mut rgb, 100, 100, 40, [255; 3], name);
        assert_eq!(width, p.text_width(40, name));
        let (left, _, right, _) = changed(&rgb).unwrap();
        let (left, right) = (i64::from(left) - 100, i64::from(right) - 100);
        assert!(left >= -4 && right <= width + 4 && right - left >= width - 12, "{name}: {left} to {right} of {width}");
    }
}

#[test]
fn a_name_is_cut_between_letters_and_its_end_is_shaped_anew() {
    let mut p = painter(|_| ());
    let long = NAMES.map(|name| format!("{name} ").repeat(40));
    for name in long.iter().map(String::as_str).chain([&*"x\u{301}\u{302}".repeat(300), &*"ب".repeat(600)]) {
        for room in [0, 1, 20, 60, 150, 333, 600] {
            p.fonts.lines.clear();
            let [cut, _] = p.caption(&Sighting { distance: None, ..face(Some(name), [0; 4]) }, 16, room);
            let start = cut.strip_suffix('…').expect("an ellipsis");
            let whole = shown(name, MAX_LINE);
            let rest = whole.strip_prefix(start).expect("the beginning of the name");
            assert!(!rest.starts_with(|c| unicode_normalization::char::is_combining_mark(c) || joiner(c)), "{cut}");
            let width = p.text_width(16, &cut);
            assert!(width <= room || start.is_empty(), "{cut}: {width} of {room}");
            assert!(room < 150 || width > room - 60, "{cut} leaves too much room: {width} of {room}");
            assert!(p.fonts.lines.values().map(|lines| lines.len()).sum::<usize>() <= 16, "few lines are laid out");
        }
    }
    // The last letter before the ellipsis has the form of the end of a word.
    let (cut, word) = (line(&mut p, "ببب…").0, line(&mut p, "ببب").0);
    assert!(word.glyphs.iter().all(|(.., form)| cut.glyphs.iter().any(|(.., glyph)| Arc::ptr_eq(form, glyph))));
    assert!(cut.glyphs[0].0 < cut.glyphs[1].0, "the ellipsis is on the left, where the name ends");
}

#[test]
fn characters_that_reorder_or_hide_do_not_change_the_picture() {
    let mut p = painter(|_| ());
    for hidden in
        ["\u{202e}", "\u{202d}", "\u{2067}", "\u{2068}", "\u{2069}", "\u{200f}", "\u{200e}", "\u{61c}", "\u{202c}"]
    {
        for name in ["Alice", "אב", "محمد"] {
            let line = line(&mut p, name).0;
            let mut chars = name.chars();
            let within = format!("{}{hidden}{}{hidden}", chars.next().unwrap(), chars.as_str());
            for name in [format!("{hidden}{name}"), format!("{name}{hidden}"), within] {
                assert!(Arc::ptr_eq(&line, &p.fonts.line(&shown(&name, MAX_LINE), 40)), "{name:?}");
            }
        }
    }
    for name in ["\u{200c}", "\u{200d}\u{200d}", " \u{200c}\u{202e}"] {
        assert_eq!(p.caption(&face(Some(name), [0; 4]), 16, 600)[0], "\u{fffd}");
    }
}
