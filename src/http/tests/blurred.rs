//! Tests of `overlay.blur_for_viewers` and `overlay.unknown = blur`: the rendition of each role, and the effect of a
//! reload on running streams.

use super::*;
use crate::config::UnknownFaces;
use crate::frame::Moment;
use crate::http::auth::accounts::{new_token, passwd};
use crate::http::message::{StreamAnswer, Wire};
use crate::stream::encoder::Rendition;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// A picture whose bytes are `text`.
fn picture(text: &str, hides_strangers: bool) -> Arc<Jpeg> {
    let mut jpeg = Jpeg::new(Arc::new(text.as_bytes().to_vec()), Moment::now(), true);
    jpeg.hides_strangers = hides_strangers;
    Arc::new(jpeg)
}

/// The headers that describe the rendition of a stream.
fn rendition_headers<'a>(sent: &'a StreamAnswer<'_>) -> Vec<(&'a str, &'a str)> {
    let headers = sent.headers.iter().map(|(name, words)| (*name, words.as_str()));
    headers.filter(|(name, _)| name.starts_with("X-Namecam-")).collect()
}

/// The only rendition with a viewer.
fn watched(site: &Site) -> Arc<Rendition> {
    let [(rendition, _)] = &site.stage.renditions.wanted()[..] else { panic!("not one rendition") };
    Arc::clone(rendition)
}

/// Checks that this user gets the blurred or the clear rendition at every address of a picture.
fn check(site: &Site, who: &str, is_blurred: bool, ask: impl Fn(&str) -> Request) {
    let words = if is_blurred { "overlay=1; width=0; fps=0; blur=1" } else { "overlay=1; width=0; fps=0" };
    for (stream, snapshot) in [
        ("/video_feed?", "/snapshot.jpg?"),
        ("/stream.mjpg?", "/?action=snapshot&"),
        ("/?action=stream&", "/snapshot.jpg?strict=1&"),
    ] {
        let asked = ask(stream);
        let Answer::Stream(sent) = site.respond(&asked) else { panic!("{who} gets no stream") };
        assert_eq!(rendition_headers(&sent), [("X-Namecam-Rendition", words)], "{who}: {stream}");
        let rendition = watched(site);
        assert_eq!(rendition.spec.blur, is_blurred, "{who}: {stream}");
        rendition.publish(&picture("A", is_blurred));
        let shot = whole(site, &ask(snapshot));
        assert_eq!((shot.status, header(&shot, "X-Namecam-Rendition")), (200, Some(words)), "{who}: {snapshot}");
        drop(sent);
        let plain = ask(&format!("{stream}overlay=0&"));
        let plain = site.respond(&plain);
        let spec = watched(site).spec;
        assert_eq!((spec.overlay, spec.blur), (false, is_blurred), "{who}: {stream}overlay=0");
        drop(plain);
    }
}

#[test]
fn a_viewer_gets_the_blurred_pictures_with_any_credential() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    passwd(&file, "anna", Role::Viewer, "a").unwrap();
    passwd(&file, "root", Role::Admin, "r").unwrap();
    let token = new_token(&file, "dashboard", Role::Viewer).unwrap();
    let admin_token = new_token(&file, "script", Role::Admin).unwrap();
    let site = site(|config| (config.http.password_file, config.overlay.blur_for_viewers) = (Some(file.clone()), true));
    site.stage.health.camera_is_online("test", "MJPG", 4, 4);
    let session = |fields: &str| {
        let form = "application/x-www-form-urlencoded";
        let request =
            with(with(request("POST", "/login", LAN), "Content-Type", form), "Origin", "http://127.0.0.1:5000");
        let answer = whole(&site, &Request { body: fields.as_bytes().to_vec(), ..request });
        header(&answer, "Set-Cookie").unwrap().split(';').next().unwrap().to_owned()
    };
    let (annas, roots) = (session("user=anna&password=a"), session("user=root&password=r"));
    let bearer =
        |target: &str, token: &str| with(request("GET", target, LAN), "Authorization", &format!("Bearer {token}"));
    check(&site, "a viewer's password", true, |target| login(target, LAN, "anna:a"));
    check(&site, "a viewer on this machine", true, |target| login(target, "127.0.0.1", "anna:a"));
    check(&site, "a viewer's session", true, |target| with(request("GET", target, LAN), "Cookie", &annas));
    check(&site, "a viewer's token", true, |target| bearer(target, &token));
    check(&site, "a token in the address", true, |target| request("GET", &format!("{target}token={token}"), LAN));
    check(&site, "the same beside an admin's session", true, |target| {
        with(request("GET", &format!("{target}token={token}"), LAN), "Cookie", &roots)
    });
    check(&site, "an admin's password", false, |target| login(target, LAN, "root:r"));
    check(&site, "an admin's session", false, |target| with(request("GET", target, LAN), "Cookie", &roots));
    check(&site, "an admin's token", false, |target| bearer(target, &admin_token));
    let refused = whole(&site, &request("GET", &format!("/video_feed?token={admin_token}"), LAN));
    assert_eq!(refused.status, 403, "never in an address");
}

#[test]
fn without_a_password_clients_on_other_machines_get_the_blurred_pictures() {
    let site = site(|config| (config.http.open, config.overlay.blur_for_viewers) = (true, true));
    site.stage.health.camera_is_online("test", "MJPG", 4, 4);
    check(&site, "a client of the network", true, |target| request("GET", target, LAN));
    check(&site, "a client on this machine", false, |target| request("GET", target, "127.0.0.1"));
    check(&site, "a client of a proxy on this machine", true, |target| {
        with(request("GET", target, "127.0.0.1"), "X-Forwarded-For", LAN)
    });
}

#[test]
fn without_the_key_and_with_blur_for_all_viewers_and_admins_share_the_pictures() {
    for (unknown, blur_for_viewers) in
        [(UnknownFaces::Show, false), (UnknownFaces::Blur, false), (UnknownFaces::Blur, true)]
    {
        let site = site(|config| {
            config.http.open = true;
            (config.overlay.unknown, config.overlay.blur_for_viewers) = (unknown, blur_for_viewers);
        });
        let asked = [request("GET", "/video_feed", LAN), request("GET", "/video_feed", "127.0.0.1")];
        let streams = asked.each_ref().map(|request| site.respond(request));
        assert_eq!(streams.each_ref().map(Answer::status), [200, 200]);
        let wanted = site.stage.renditions.wanted();
        assert_eq!((wanted.len(), wanted[0].0.spec.blur, wanted[0].1), (1, false, 2), "{unknown:?}");
    }
}

#[test]
fn a_substitute_rendition_is_named_with_its_blur_and_is_never_less_blurred() {
    let site = site(|config| (config.http.open, config.overlay.blur_for_viewers) = (true, true));
    let stream = |width: u32, peer: &str| request("GET", &format!("/video_feed?width={width}"), peer);
    let holders = [stream(100, LAN), stream(200, LAN), stream(300, LAN), stream(350, "192.168.1.10")];
    let held: Vec<Answer<'_>> = holders.iter().map(|request| site.respond(request)).collect();
    assert!(held.iter().all(|answer| answer.status() == 200));
    let headers = |request: &Request| match site.respond(request) {
        Answer::Stream(sent) => {
            rendition_headers(&sent).into_iter().map(|(_, words)| words.to_owned()).collect::<Vec<_>>()
        }
        Answer::Whole(whole) => panic!("{}", body(&whole)),
    };
    assert_eq!(
        headers(&stream(400, LAN)),
        ["overlay=1; width=350; fps=0; blur=1", "overlay=1; width=400; fps=0; blur=1"]
    );
    // No clear rendition is narrow enough.
    assert_eq!(
        headers(&stream(250, "127.0.0.1")),
        ["overlay=1; width=200; fps=0; blur=1", "overlay=1; width=250; fps=0"]
    );
    assert_eq!(headers(&request("GET", "/video_feed?overlay=0", "127.0.0.1"))[0], "overlay=1; width=0; fps=0");
    let tiers = parsed(&whole(&site, &request("GET", "/api/state", LAN)))["stream"]["tiers"].clone();
    assert_eq!(tiers[0], json!({ "overlay": true, "width": 100, "fps": 0, "blur": true, "wanted_by": 1 }));
    drop(held);
}

/// A client that calls a function after each received picture.
struct Client<F: FnMut(&str)>(F);

impl<F: FnMut(&str)> Wire for Client<F> {
    fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        (self.0)(std::str::from_utf8(pieces[1]).unwrap());
        Ok(())
    }
}

/// The pictures that a viewer gets when a reload changes `[overlay]` after the first one. `later` are the next pictures
/// of the encoder: their text, and whether strangers are blurred in them. True when the stream then goes on.
fn watch(
    site: &Site,
    peer: &str,
    reload: impl Fn(&mut crate::config::Overlay),
    later: &[(&str, bool)],
) -> (Vec<String>, bool) {
    let asked = request("GET", "/video_feed", peer);
    let Answer::Stream(stream) = site.respond(&asked) else { panic!("no stream") };
    let rendition = watched(site);
    rendition.publish(&picture("first", rendition.spec.blur));
    let (mut got, goes_on) = (Vec::new(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // A stream that wrongly goes on ends with the site.
        scope.spawn(|| {
            let begun = Instant::now();
            while site.stage.renditions.viewers() > 0 && begun.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(10));
            }
            if site.stage.renditions.viewers() > 0 {
                goes_on.store(true, Relaxed);
                site.stage.stop.set();
            }
        });
        let mut client = Client(|text: &str| {
            got.push(text.to_owned());
            if got.len() > 1 {
                goes_on.store(true, Relaxed);
                return site.stage.stop.set();
            }
            let mut config = (*site.config()).clone();
            reload(&mut config.overlay);
            site.stage.config.publish(Arc::new(config));
            let (later, rendition) = (later.to_vec(), Arc::clone(&rendition));
            rendition.publish(&picture(later[0].0, later[0].1));
            scope.spawn(move || {
                for (text, hides_strangers) in &later[1..] {
                    std::thread::sleep(Duration::from_millis(300));
                    rendition.publish(&picture(text, *hides_strangers));
                }
            });
        });
        (stream.run)(&mut client).unwrap();
    });
    (got, goes_on.load(Relaxed))
}

#[test]
fn after_a_reload_no_earlier_picture_is_sent_to_a_role_that_must_not_see_it() {
    let open = |blur: bool| {
        let site = site(|config| (config.http.open, config.overlay.blur_for_viewers) = (true, blur));
        site.stage.health.camera_is_online("test", "MJPG", 4, 4);
        site
    };
    let got = |texts: &[&str], goes_on| (texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), goes_on);
    // The stream of a viewer ends, and a client that reconnects gets the blurred rendition.
    let site = open(false);
    assert_eq!(
        watch(&site, LAN, |overlay| overlay.blur_for_viewers = true, &[("clear", false)]),
        got(&["first"], false)
    );
    assert!(site.stage.renditions.wanted().is_empty());
    let asked = request("GET", "/video_feed", LAN);
    let again = site.respond(&asked);
    assert!(watched(&site).spec.blur);
    drop(again);
    // The stream of an admin goes on.
    let later = [("clear", false)];
    let on = watch(&open(false), "127.0.0.1", |overlay| overlay.blur_for_viewers = true, &later);
    assert_eq!(on, got(&["first", "clear"], true));
    // When blur is switched off, a client that reconnects gets the clear pictures, which the others watch.
    let off = watch(&open(true), LAN, |overlay| overlay.blur_for_viewers = false, &[("blurred", true)]);
    assert_eq!(off, got(&["first"], false));
    // With blur for all, the same rendition goes on; earlier pictures are skipped.
    let later = [("clear", false), ("clear too", false), ("blurred", true)];
    for peer in [LAN, "127.0.0.1"] {
        let all = watch(&open(false), peer, |overlay| overlay.unknown = UnknownFaces::Blur, &later);
        assert_eq!(all, got(&["first", "blurred"], true), "{peer}");
    }
}

#[test]
fn a_snapshot_is_not_older_than_a_reload_that_blurs() {
    let site = site(|config| config.http.open = true);
    site.stage.health.camera_is_online("test", "MJPG", 4, 4);
    let ask = |peer| whole(&site, &request("GET", "/snapshot.jpg", peer));
    site.stage.renditions.usual().publish(&picture("clear", false));
    assert_eq!(ask(LAN).body.bytes(), b"clear");
    let mut config = (*site.config()).clone();
    config.overlay.unknown = UnknownFaces::Blur;
    site.stage.config.publish(Arc::new(config));
    site.stage.renditions.usual().publish(&picture("clear", false));
    assert_eq!(ask(LAN).status, 503, "no picture came in time");
    site.stage.renditions.usual().publish(&picture("blurred", true));
    assert_eq!(ask(LAN).body.bytes(), b"blurred");
}
