//! Snapshots: how new a picture must be, and the response when there is none.

use super::*;
use crate::frame::Moment;

fn picture(jpeg: &[u8], captured_at: Moment, live: bool) -> Arc<Jpeg> {
    Arc::new(Jpeg::new(Arc::new(jpeg.to_vec()), captured_at, live))
}

#[test]
fn while_the_camera_is_unavailable_a_strict_snapshot_is_503_and_another_one_is_the_notice() {
    let site = site(|_| {});
    site.stage.health.camera_is_away("/dev/video0", "unplugged");
    let old = Moment::ago(Duration::from_secs(60));
    site.stage.renditions.usual().publish(&picture(b"AWAY", old, false));
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
    let site = Arc::new(site(|_| {}));
    site.stage.health.camera_is_online("test", "MJPG", 4, 4);
    let old = Moment::ago(Duration::from_secs(60));
    site.stage.renditions.usual().publish(&picture(b"OLD", old, true));
    let encoder = {
        let site = Arc::clone(&site);
        std::thread::spawn(move || {
            let begun = Instant::now();
            while site.stage.renditions.wanted().is_empty() {
                assert!(begun.elapsed() < Duration::from_secs(5), "no rendition was requested");
            }
            site.stage.renditions.usual().publish(&picture(b"NEW", Moment::now(), true));
        })
    };
    assert_eq!(whole(&site, &request("GET", "/snapshot.jpg", "127.0.0.1")).body.bytes(), b"NEW");
    encoder.join().unwrap();
    assert!(site.stage.renditions.wanted().is_empty());
}
