//! Tests of snapshots: the age of the picture, and the response when there is none; and of the first picture of a
//! stream.

use super::*;
use crate::frame::Moment;

fn picture(jpeg: &[u8], captured_at: Moment, live: bool) -> Arc<Jpeg> {
    Arc::new(Jpeg::new(Arc::new(jpeg.to_vec()), captured_at, live))
}

#[test]
fn while_the_camera_is_unavailable_a_strict_snapshot_is_503_and_another_one_is_the_notice() {
    let site = site(|_| {});
    site.stage.health.camera_is_away("/dev/video0", "unplugged");
    site.stage.renditions.usual().publish(&picture(b"AWAY", Moment::now(), false));
    let strict = whole(&site, &request("GET", "/snapshot.jpg?strict=1", "127.0.0.1"));
    assert_eq!((strict.status, header(&strict, "Retry-After")), (503, Some("3")));
    assert!(body(&strict).contains("unplugged"));
    let unclear = whole(&site, &request("GET", "/snapshot.jpg?strict=yes", "127.0.0.1"));
    assert!(unclear.status == 400 && body(&unclear).contains("strict must be 0 or 1"));
    let shown = whole(&site, &request("GET", "/?action=snapshot&strict=0", "127.0.0.1"));
    assert_eq!((shown.status, shown.content_type, shown.body.bytes()), (200, "image/jpeg", &b"AWAY"[..]));
}

#[test]
fn a_snapshot_waits_for_a_new_picture_and_then_ends_its_subscription() {
    let site = site(|_| {});
    site.stage.health.camera_is_online("test", "MJPG", 4, 4);
    gets_the_new_picture(site, true);
}

#[test]
fn a_snapshot_while_the_camera_is_unavailable_waits_for_a_notice_of_now() {
    let site = site(|_| {});
    site.stage.health.camera_is_away("/dev/video0", "unplugged");
    gets_the_new_picture(site, false);
}

fn gets_the_new_picture(site: Site, live: bool) {
    let site = Arc::new(site);
    let old = Moment::ago(Duration::from_secs(60));
    site.stage.renditions.usual().publish(&picture(b"OLD", old, live));
    let encoder = {
        let site = Arc::clone(&site);
        std::thread::spawn(move || {
            let begun = Instant::now();
            while site.stage.renditions.wanted().is_empty() {
                assert!(begun.elapsed() < Duration::from_secs(60), "no rendition was requested");
            }
            site.stage.renditions.usual().publish(&picture(b"NEW", Moment::now(), live));
        })
    };
    assert_eq!(whole(&site, &request("GET", "/snapshot.jpg", "127.0.0.1")).body.bytes(), b"NEW");
    encoder.join().unwrap();
    assert!(site.stage.renditions.wanted().is_empty());
}

/// Collects what a viewer gets, until it has this many pictures.
struct Parts(Vec<Vec<u8>>, usize);

impl message::Wire for Parts {
    fn send(&mut self, parts: &[&[u8]]) -> std::io::Result<()> {
        self.0.push(parts.concat());
        if self.0.len() < self.1 { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
    }
}

/// The pictures that a viewer and a snapshot get who ask while there is only a notice, and 400 ms after both have asked a
/// picture; the notice stays for 2 s for those who do not wait for more.
fn first_pictures(error: &str) -> [String; 2] {
    let site = Arc::new(site(|_| {}));
    site.stage.health.camera_is_away("test", error);
    let notice = || picture(b"NOTICE", Moment::now(), false);
    site.stage.renditions.usual().publish(&notice());
    let both = Arc::new(std::sync::Barrier::new(3));
    let notices = if error == "starting" { 4 } else { 20 };
    let camera = {
        let (site, both) = (Arc::clone(&site), Arc::clone(&both));
        std::thread::spawn(move || {
            both.wait();
            for _ in 0..notices {
                std::thread::sleep(Duration::from_millis(100));
                site.stage.renditions.usual().publish(&notice());
            }
            site.stage.health.camera_is_online("test", "MJPG", 4, 4);
            site.stage.renditions.usual().publish(&picture(b"CAMERA", Moment::now(), true));
        })
    };
    let viewer = {
        let (site, both) = (Arc::clone(&site), Arc::clone(&both));
        std::thread::spawn(move || {
            both.wait();
            let request = request("GET", "/video_feed", "127.0.0.1");
            let Answer::Stream(stream) = site.respond(&request) else { panic!("no stream") };
            let mut parts = Parts(Vec::new(), 1);
            let _ = (stream.run)(&mut parts);
            String::from_utf8_lossy(&parts.0[0]).into_owned()
        })
    };
    both.wait();
    let snapshot = body(&whole(&site, &request("GET", "/snapshot.jpg", "127.0.0.1")));
    camera.join().unwrap();
    [viewer.join().unwrap(), snapshot]
}

/// Programs such as OpenCV keep the size of the first picture, and the notice has the size in the config.
#[test]
fn a_client_waits_for_the_first_picture_unless_the_camera_is_unavailable() {
    let got = |error, word: &str| first_pictures(error).map(|picture| picture.contains(word));
    assert_eq!(got("starting", "CAMERA"), [true; 2]);
    assert_eq!(got("no such device", "NOTICE"), [true; 2]);
}
