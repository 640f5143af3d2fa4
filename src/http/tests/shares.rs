//! Tests of the share of one client in viewers, renditions and listeners, and of substitute renditions.

use super::hostile::from;
use super::sockets::{CLOSE, Running, read_head};
use super::*;
use crate::frame::Moment;
use crate::stream::renditions::RenditionSpec;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

fn answers<'a>(site: &'a Site, requests: &'a [Request]) -> Vec<Answer<'a>> {
    requests.iter().map(|request| site.respond(request)).collect()
}

fn refused(answers: &[Answer<'_>]) -> usize {
    answers.iter().filter(|answer| answer.status() == 503).count()
}

#[test]
fn a_client_that_requests_every_place_is_refused_with_the_reason_and_others_get_theirs() {
    let site = site(|config| (config.http.open, config.stream.max_viewers) = (true, 8));
    for (target, places, own) in [("/video_feed", 8, 6), ("/api/events", 32, 24)] {
        let greedy = vec![request("GET", target, LAN); places];
        let greedy = answers(&site, &greedy);
        assert_eq!(refused(&greedy), places - own, "{target}");
        let why = whole(&site, &request("GET", target, LAN));
        assert_eq!(header(&why, "Retry-After"), Some("10"));
        let says = format!("{LAN} already has places for");
        assert!(body(&why).contains(&says) && body(&why).contains("close another one"), "{}", body(&why));
        let others: Vec<Request> = (10..60).map(|host| request("GET", target, &format!("192.168.1.{host}"))).collect();
        let others = answers(&site, &others);
        assert_eq!(refused(&others), 50 - (places - own), "{target}: one each, while there are any");
        let full = whole(&site, &request("GET", target, "192.168.1.99"));
        assert!(full.status == 503 && body(&full).contains(&format!("all {places} places")), "{}", body(&full));
        drop((greedy, others));
        assert_eq!(status(&site, &request("GET", target, LAN)), 200, "{target}: the places are free again");
    }
    let faults = site.stage.health.faults.all();
    assert_eq!(faults.iter().map(|fault| fault.cause).collect::<Vec<_>>(), [Cause::NoPlace]);
}

#[test]
fn an_ipv6_network_is_one_client_and_a_proxy_on_this_machine_has_many() {
    let site = site(|config| (config.http.open, config.stream.max_viewers) = (true, 4));
    let network: Vec<Request> = (0..4).map(|i| request("GET", "/video_feed", &format!("2001:db8::{i}"))).collect();
    assert_eq!(refused(&answers(&site, &network)), 1);
    let behind = |i: u8| with(request("GET", "/video_feed", "127.0.0.1"), "X-Forwarded-For", &format!("203.0.113.{i}"));
    assert_eq!(refused(&answers(&site, &(0..4).map(behind).collect::<Vec<_>>())), 0);
    let lies = |i: u8| with(request("GET", "/video_feed", LAN), "X-Forwarded-For", &format!("203.0.113.{i}"));
    assert_eq!(refused(&answers(&site, &(0..4).map(lies).collect::<Vec<_>>())), 1, "no other address is trusted");
}

#[test]
fn users_with_one_address_are_separate_clients_only_where_a_password_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "anna", Role::Viewer, "a").unwrap();
    auth::accounts::passwd(&file, "bob", Role::Viewer, "b").unwrap();
    let guarded = site(|config| (config.http.password_file, config.stream.max_viewers) = (Some(file), 4));
    let anna = vec![login("/video_feed", LAN, "anna:a"); 4];
    let anna = answers(&guarded, &anna);
    assert_eq!(refused(&anna), 1);
    let bob = login("/video_feed", LAN, "bob:b");
    assert_eq!(guarded.respond(&bob).status(), 200, "another user behind the same proxy");
    assert_eq!(status(&guarded, &login("/video_feed", "192.168.1.10", "anna:a")), 200, "the same user elsewhere");
    drop(anna);
    let open = site(|config| (config.http.open, config.stream.max_viewers) = (true, 4));
    let made_up: Vec<Request> = (0..4).map(|i| login("/video_feed", LAN, &format!("user{i}:x"))).collect();
    assert_eq!(refused(&answers(&open, &made_up)), 1, "a user without a verified password does not count");
}

#[test]
fn a_viewer_gets_a_rendition_as_soon_as_another_one_ends() {
    let site = Site { place_wait: Duration::from_secs(60), ..site(|config| config.http.open = true) };
    let stream =
        |width: u32, host: u32| request("GET", &format!("/video_feed?width={width}"), &format!("10.0.0.{host}"));
    let all: Vec<Request> = (1..=4).map(|i| stream(i * 100 + 100, i)).collect();
    let streams = answers(&site, &all);
    assert_eq!(refused(&streams), 0);
    std::thread::scope(|scope| {
        let narrow = scope.spawn(|| status(&site, &stream(100, 9)));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!narrow.is_finished(), "four renditions are the most");
        drop(streams);
        assert_eq!(narrow.join().unwrap(), 200);
    });
}

#[test]
fn a_request_that_the_default_rendition_satisfies_uses_it() {
    let wanted = |width, max_fps, query: &str| {
        let site = site(|config| (config.stream.width, config.stream.max_fps) = (width, max_fps));
        let ask = request("GET", &format!("/video_feed?{query}"), "127.0.0.1");
        let Answer::Stream(stream) = site.respond(&ask) else { panic!("refused") };
        assert!(!stream.headers.iter().any(|(name, _)| *name == "X-Namecam-Instead-Of"), "{query}");
        let (rendition, _) = site.stage.renditions.wanted().remove(0);
        (rendition.spec.width, rendition.spec.fps, stream.headers[0].1.clone())
    };
    let usual = || "overlay=1; width=0; fps=0".to_owned();
    assert_eq!(wanted(0, 0, "width=8192&fps=240"), (0, 0, usual()));
    assert_eq!(wanted(0, 0, "width=8191&fps=239"), (8191, 239, "overlay=1; width=8191; fps=239".to_owned()));
    assert_eq!(wanted(640, 15, "width=640&fps=15"), (0, 0, usual()));
    assert_eq!(wanted(640, 15, "width=639&fps=14"), (639, 14, "overlay=1; width=639; fps=14".to_owned()));
}

#[test]
fn a_stream_ends_when_a_new_config_makes_it_wider_than_requested() {
    let site = site(|config| config.stream.width = 320);
    site.stage.renditions.usual().publish(&Arc::new(Jpeg::new(Arc::new(b"J".to_vec()), Moment::now(), true)));
    let ask = request("GET", "/video_feed?width=640", "127.0.0.1");
    let Answer::Stream(stream) = site.respond(&ask) else { panic!("refused") };
    let mut wider = Config::clone(&site.config());
    std::thread::scope(|scope| {
        let reloads = scope.spawn(|| {
            wider.stream.width = 640;
            site.stage.config.publish(Arc::new(wider.clone()));
            std::thread::sleep(Duration::from_millis(500));
            let went_on = site.stage.renditions.viewers() == 1;
            wider.stream.width = 0;
            site.stage.config.publish(Arc::new(wider));
            let begun = Instant::now();
            while site.stage.renditions.viewers() > 0 && begun.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let ended = site.stage.renditions.viewers() == 0;
            site.stage.stop.set();
            (went_on, ended)
        });
        assert!((stream.run)(&mut Vec::new()).is_ok());
        assert_eq!(reloads.join().unwrap(), (true, true), "640 pixels were requested, and no more");
    });
}

/// Sends a request from 127.0.0.`host` and reads the head of the response.
fn ask(running: &Running, host: u8, target: &str) -> (BufReader<TcpStream>, Vec<String>) {
    let mut stream = from(host, running.address);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let head = read_head(&mut stream);
    (stream, head)
}

fn value<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn while_one_address_takes_every_place_it_can_another_one_gets_a_stream_a_snapshot_and_events() {
    let running = Running::small();
    // Pictures of every rendition, as the encoder would make them.
    let making = {
        let stage = Arc::clone(&running.stage);
        std::thread::spawn(move || {
            while !stage.stop.wait(Duration::from_millis(20)) {
                let picture = Arc::new(Jpeg::new(Arc::new(vec![b'J'; 100]), Moment::now(), true));
                stage.renditions.wanted().iter().for_each(|(rendition, _)| rendition.publish(&picture));
            }
        })
    };
    let kinds: Vec<_> = (0..8).map(|i| ask(&running, 2, &format!("/video_feed?width={}", 400 - i))).collect();
    assert_eq!(kinds[2].1[0], "HTTP/1.1 200 OK");
    assert_eq!(value(&kinds[2].1, "X-Namecam-Rendition"), Some("overlay=1; width=398; fps=0"));
    assert_eq!(value(&kinds[2].1, "X-Namecam-Instead-Of"), None);
    assert_eq!(kinds[3].1[0], "HTTP/1.1 503 Service Unavailable", "398 is wider than 397");
    let streams: Vec<_> = (0..22).map(|_| ask(&running, 2, "/video_feed")).collect();
    let listening: Vec<_> = (0..26).map(|_| ask(&running, 2, "/api/events")).collect();
    let good =
        |all: &[(BufReader<TcpStream>, Vec<String>)]| all.iter().filter(|(_, head)| head[0].contains(" 200 ")).count();
    assert_eq!((good(&kinds), good(&streams), good(&listening)), (3, 21, 24), "three quarters of each");

    let (mut viewer, head) = ask(&running, 3, "/video_feed?overlay=0&fps=7");
    assert_eq!(value(&head, "X-Namecam-Rendition"), Some("overlay=0; width=0; fps=7"), "{head:?}");
    let mut pictures = vec![0; 1000];
    viewer.read_exact(&mut pictures).unwrap();
    let (_events, head) = ask(&running, 3, "/api/events");
    assert!(head[0].contains(" 200 "), "{head:?}");
    // The stream uses the last rendition. The next request gets the narrowest one that fits, and a header says so.
    let (_snapshot, head) = ask(&running, 4, "/snapshot.jpg?width=399&overlay=0");
    assert_eq!(value(&head, "X-Namecam-Rendition"), Some("overlay=1; width=399; fps=0"), "{head:?}");
    assert_eq!(value(&head, "X-Namecam-Instead-Of"), Some("overlay=0; width=399; fps=0"));
    drop((viewer, pictures));
    let free = || running.stage.renditions.wanted().len() == 4;
    running.until("a rendition is free again", free);
    let (_snapshot, head) = ask(&running, 3, "/snapshot.jpg?width=100");
    assert_eq!(value(&head, "X-Namecam-Rendition"), Some("overlay=1; width=100; fps=0"), "{head:?}");
    for (method, target) in [("HEAD", "/video_feed"), ("HEAD", "/snapshot.jpg"), ("GET", "/snapshot.jpg")] {
        let mut stream = from(5, running.address);
        stream.write_all(format!("{method} {target} HTTP/1.1\r\n{CLOSE}").as_bytes()).unwrap();
        let head = read_head(&mut BufReader::new(stream));
        assert_eq!(value(&head, "X-Namecam-Rendition"), Some("overlay=1; width=0; fps=0"), "{method} {target}");
    }
    running.stage.stop.set();
    making.join().unwrap();
}

#[test]
fn a_page_that_is_reloaded_gets_its_stream_although_its_old_one_has_the_only_place() {
    // With a new picture 25 times a second, and with the same one once a second.
    for every in [Duration::from_millis(40), Duration::from_secs(3600)] {
        for max_viewers in [1, 2] {
            let running = Running::patient(every, max_viewers);
            let mut old = ask(&running, 2, "/video_feed?t=1");
            for reload in 0..3 {
                assert_eq!(old.1[0], "HTTP/1.1 200 OK", "{reload} of {max_viewers}, a picture each {every:?}");
                let mut picture = [0; 100];
                old.0.read_exact(&mut picture).unwrap();
                drop(old);
                old = ask(&running, 2, "/video_feed?t=2");
            }
        }
    }
}

#[test]
fn a_faster_rendition_instead_of_a_slow_one_has_no_more_pictures_a_second_than_requested() {
    let running = Running::small();
    let _kinds: Vec<_> = (1..4).map(|i| ask(&running, 2, &format!("/video_feed?width={}", 100 * i))).collect();
    let begun = Instant::now();
    let (mut stream, head) = ask(&running, 2, "/video_feed?fps=5");
    assert_eq!(value(&head, "X-Namecam-Rendition"), Some("overlay=1; width=0; fps=5"), "{head:?}");
    assert_eq!(value(&head, "X-Namecam-Instead-Of"), None, "the viewer sees no difference");
    assert_eq!(running.stage.renditions.wanted()[0].0.spec, RenditionSpec::USUAL);
    let mut bytes = Vec::new();
    while bytes.windows(11).filter(|part| part == b"X-Timestamp").count() < 11 {
        let mut some = [0; 64];
        stream.read_exact(&mut some).unwrap();
        bytes.extend(some);
    }
    assert!(begun.elapsed() > Duration::from_millis(1900), "11 of 25 pictures a second in {:?}", begun.elapsed());
}

#[test]
fn listeners_that_disconnected_free_their_places_for_a_client_that_connects_at_once() {
    let running = Running::patient(Duration::from_millis(40), 32);
    let hosts = std::iter::repeat_n(2, 24).chain(3..11);
    let listening: Vec<_> = hosts.map(|host| ask(&running, host, "/api/events")).collect();
    assert!(listening.iter().all(|(_, head)| head[0].contains(" 200 ")), "every place is in use");
    let (_refused, head) = ask(&running, 11, "/api/events");
    assert!(head[0].contains(" 503 "), "{head:?}");
    drop(listening);
    let (_events, head) = ask(&running, 11, "/api/events");
    assert!(head[0].contains(" 200 "), "{head:?}");
}
