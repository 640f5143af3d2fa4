//! Tests of `/api/visits`.

use super::*;
use crate::config::{Hours, UnknownFaces};
use crate::detection::chips::{Chip, TrackChips};
use crate::presence::day::Stay;

/// A visit of 60 s that has ended now.
fn stay(visit: u64, name: Option<&str>) -> Stay {
    let now = Instant::now();
    Stay {
        visit,
        track: visit + 10,
        name: name.map(Into::into),
        stranger: name.is_none().then_some(7),
        since: now.checked_sub(Duration::from_secs(60)).unwrap(),
        until: now,
        is_present: false,
        distance: name.map(|_| 0.31234),
        looks: 5,
        stranger_at: name.is_none().then_some(now),
    }
}

fn told(site: &Site, peer: &str) -> Value {
    parsed(&whole(site, &request("GET", "/api/visits", peer)))
}

fn with_visits(change: impl FnOnce(&mut Config)) -> Site {
    let site = site(|config| {
        config.http.open = true;
        change(config);
    });
    let left = vec![stay(1, Some("Alice")), stay(2, None)];
    let present = vec![Stay { is_present: true, ..stay(3, Some("Bob")) }];
    site.stage.day.take(left, present, 9, 24, Instant::now());
    let chip = || {
        let captured_at = crate::frame::Moment::now();
        Arc::new(Chip {
            jpeg: Vec::new(),
            captured_at,
            width_px: 80,
            sharpness: 1.0,
            brightness: 100.0,
            flaw: None,
            pose: None,
        })
    };
    let tracks = vec![TrackChips { track: 12, chips: vec![chip(), chip()], pose: None }];
    site.stage.chips.publish(Arc::new(Chips { tracks, mask: Mask::default() }));
    site
}

#[test]
fn visits_are_listed_from_arrival_to_departure_and_chips_only_for_admins() {
    let site = with_visits(|config| {
        config.events.stranger_hours = Hours::parse("22:00-6:00").unwrap();
    });
    let all = told(&site, "127.0.0.1");
    assert_eq!((&all["hours"], &all["version"]), (&24.into(), &1.into()));
    assert_eq!(all["alert"], json!({ "looks": 10, "after_s": 0, "hours": "22:00-06:00" }));
    let [alice, stranger, bob] = &all["visits"].as_array().unwrap()[..] else { panic!("{all}") };
    for (visit, expected) in [
        (alice, json!([1, 11, "Alice", null, false, 0.312, 5, 0])),
        (stranger, json!([2, 12, null, 7, false, null, 5, 2])),
        (bob, json!([3, 13, "Bob", null, true, 0.312, 5, 0])),
    ] {
        let fields = ["visit", "track", "name", "stranger", "still_present", "distance", "looks", "chips"];
        assert_eq!(json!(fields.map(|field| &visit[field])), expected);
        let [since, until, now] = [&visit["since"], &visit["until"], &all["now"]].map(|at| at.as_f64().unwrap());
        assert!((until - since - 60.0).abs() < 0.01 && (0.0..10.0).contains(&(now - until)), "{visit}");
        assert_eq!(visit["stranger_at"].is_number(), *visit == *stranger);
    }
    let all = told(&site, LAN);
    let chips: Vec<_> = all["visits"].as_array().unwrap().iter().map(|visit| &visit["chips"]).collect();
    assert_eq!(chips, [&Value::Null; 3], "a viewer learns of no picture");
    assert_eq!(all["visits"][1]["stranger"], 7);
    let state = parsed(&whole(&site, &request("GET", "/api/state", LAN)));
    assert_eq!(state["visits_version"], 1);
}

#[test]
fn a_role_from_which_strangers_are_hidden_gets_no_numbers_of_strangers() {
    for (unknown, blur_for_viewers, for_viewer, for_admin) in [
        (UnknownFaces::Show, false, json!(7), json!(7)),
        (UnknownFaces::Hide, false, json!(7), json!(7)),
        (UnknownFaces::Show, true, json!(null), json!(7)),
        (UnknownFaces::Blur, false, json!(null), json!(null)),
    ] {
        let site = with_visits(|config| {
            (config.overlay.unknown, config.overlay.blur_for_viewers) = (unknown, blur_for_viewers);
        });
        for (peer, expected) in [(LAN, for_viewer), ("127.0.0.1", for_admin)] {
            assert_eq!(told(&site, peer)["visits"][1]["stranger"], expected, "{unknown:?} {blur_for_viewers} {peer}");
        }
    }
}

#[test]
fn without_kept_visits_the_list_is_empty() {
    let all = told(&with_visits(|config| config.events.visits_h = 0), "127.0.0.1");
    assert_eq!((&all["hours"], &all["visits"]), (&0.into(), &json!([])));
}
