//! Tests of `http.cors`: what pages of other origins may read.

use super::*;
use crate::frame::Jpeg;

const MAINSAIL: &str = "http://mainsail.local";

fn with_cors(cors: &[&str], password_file: Option<&Path>) -> Site {
    let site = site(|config| {
        config.http.cors = cors.iter().map(|origin| (*origin).to_owned()).collect();
        config.http.open = true;
        config.http.password_file = password_file.map(Path::to_owned);
    });
    let jpeg = Jpeg::new(Arc::new(b"JPEG".to_vec()), crate::frame::Moment::now(), false);
    site.stage.renditions.usual().publish(&Arc::new(jpeg));
    site.stage.health.camera_is_away("test", "unplugged");
    site
}

/// The status and the headers of an answer, a stream too.
fn told(site: &Site, request: &Request) -> (u16, Vec<(&'static str, String)>) {
    match site.respond(request) {
        Answer::Whole(whole) => (whole.status, whole.headers),
        Answer::Stream(stream) => (200, stream.headers),
    }
}

fn of<'a>(headers: &'a [(&str, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
}

fn is_for_others(headers: &[(&str, String)]) -> bool {
    headers.iter().any(|(name, _)| name.starts_with("Access-Control-"))
}

#[test]
fn a_page_of_a_named_origin_reads_pictures_and_json_and_nothing_else() {
    let (named, off) = (with_cors(&["https://fluidd.example:8443", MAINSAIL], None), with_cors(&[], None));
    for (method, target, reads, status) in [
        ("GET", "/video_feed", true, 200),
        ("HEAD", "/stream.mjpg?width=640", true, 200),
        ("GET", "/?action=stream", true, 200),
        ("GET", "/?action=snapshot?169", true, 200),
        ("GET", "/snapshot.jpg", true, 200),
        ("GET", "/snapshot.jpg?strict=1", true, 503),
        ("GET", "/snapshot.jpg?width=1", true, 400),
        ("GET", "/api/state", true, 200),
        ("HEAD", "/api/visits", true, 200),
        ("GET", "/api/events", true, 200),
        ("GET", "/api/faces/9", true, 404),
        // The route is not for viewers, and the page can read the refusal.
        ("GET", "/api/gallery", true, 403),
        ("GET", "/", false, 200),
        ("GET", "/login", false, 303),
        ("GET", "/metrics", false, 200),
        ("GET", "/healthz", false, 200),
        ("GET", "/chip.jpg", false, 403),
        ("GET", "/nothing", false, 404),
        ("GET", "/api/settings", false, 403),
        ("POST", "/api/state", false, 405),
        ("POST", "/api/faces/name", false, 403),
        ("POST", "/api/password", false, 403),
        ("DELETE", "/api/sessions/1", false, 403),
    ] {
        let asks = |origin| with(request(method, target, LAN), "Origin", origin);
        let (found, headers) = told(&named, &asks(MAINSAIL));
        assert_eq!(found, status, "{method} {target}");
        assert_eq!(of(&headers, "Access-Control-Allow-Origin"), reads.then_some(MAINSAIL), "{method} {target}");
        assert_eq!(is_for_others(&headers), reads, "{method} {target}");
        assert_eq!(of(&headers, "Access-Control-Allow-Credentials"), None, "{method} {target}");
        let varies = of(&headers, "Vary").is_some_and(|names| names.contains("Origin"));
        assert_eq!(varies, reads, "{method} {target}");
        for other in ["http://evil.example", "https://mainsail.local", "http://mainsail.local:81", "null", ""] {
            let (same, headers) = told(&named, &asks(other));
            assert!(same == status && !is_for_others(&headers), "{method} {target} from {other}: {headers:?}");
            assert_eq!(of(&headers, "Vary").is_some_and(|names| names.contains("Origin")), reads, "{other}");
        }
        let (same, headers) = told(&off, &asks(MAINSAIL));
        assert!(same == status && !is_for_others(&headers), "{method} {target} without http.cors: {headers:?}");
    }
    let mut twice = with(request("GET", "/api/state", LAN), "Origin", MAINSAIL);
    twice.headers.push(("origin".to_owned(), MAINSAIL.to_owned()));
    assert!(!is_for_others(&told(&named, &twice).1));
    let stranger = with(with(request("GET", "/api/state", LAN), "Origin", MAINSAIL), "Host", "evil.example");
    let (status, headers) = told(&named, &stranger);
    assert!(status == 421 && !is_for_others(&headers), "{headers:?}");
}

#[test]
fn a_preflight_needs_no_password_and_never_allows_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "anna", Role::Viewer, "a").unwrap();
    let site = with_cors(&[MAINSAIL], Some(&file));
    for (target, method, origin, answered) in [
        ("/api/state", "GET", MAINSAIL, true),
        ("/api/events", "HEAD", MAINSAIL, true),
        ("/video_feed", "GET", MAINSAIL, true),
        ("/api/faces/7", "GET", MAINSAIL, true),
        ("/api/state", "GET", "http://evil.example", false),
        ("/api/state", "POST", MAINSAIL, false),
        ("/api/settings", "POST", MAINSAIL, false),
        ("/api/settings", "GET", MAINSAIL, false),
        ("/api/sessions/1", "DELETE", MAINSAIL, false),
        ("/metrics", "GET", MAINSAIL, false),
        ("/", "GET", MAINSAIL, false),
    ] {
        let asks = with(request("OPTIONS", target, LAN), "Access-Control-Request-Method", method);
        let answer = whole(&site, &with(asks, "Origin", origin));
        let allowed = header(&answer, "Access-Control-Allow-Methods");
        if answered {
            assert_eq!((answer.status, allowed), (200, Some("GET, HEAD")), "{target} {method}");
            assert_eq!(header(&answer, "Access-Control-Allow-Origin"), Some(MAINSAIL));
            assert!(header(&answer, "Access-Control-Allow-Headers").unwrap().contains("Authorization"));
            assert_eq!(header(&answer, "Vary"), Some("Origin"));
        } else {
            assert!(answer.status >= 400 && !is_for_others(&answer.headers), "{target} {method} {origin}: {answer:?}");
        }
        assert_eq!(header(&answer, "Access-Control-Allow-Credentials"), None);
    }
    // Without both headers, the request is not a preflight.
    let bare = with(request("OPTIONS", "/api/state", LAN), "Origin", MAINSAIL);
    assert_eq!(status(&site, &bare), 401);
    let refused = whole(&site, &with(request("GET", "/api/state", LAN), "Origin", MAINSAIL));
    assert_eq!((refused.status, header(&refused, "Access-Control-Allow-Origin")), (401, Some(MAINSAIL)));
}
