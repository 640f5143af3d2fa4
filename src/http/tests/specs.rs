//! Tests of the parameters of a rendition: `?overlay`, `?width`, `?fps`.

use super::*;

#[test]
fn invalid_parameters_are_400_and_a_rendition_too_many_is_refused_when_no_other_is_as_narrow() {
    let site = site(|_| {});
    let ask = |target: &str| whole(&site, &request("GET", target, "127.0.0.1"));
    for (query, says) in [
        ("width=abc", "width must be a whole number from 64 to 8192"),
        ("width=63", "width must be a whole number from 64 to 8192"),
        ("width=-320", "width must be a whole number from 64 to 8192"),
        ("fps=0", "fps must be a whole number from 1 to 240"),
        ("overlay=no", "overlay must be 0 or 1"),
    ] {
        let refused = ask(&format!("/video_feed?{query}"));
        assert!(refused.status == 400 && body(&refused).contains(says), "{query}: {}", body(&refused));
        assert_eq!(ask(&format!("/snapshot.jpg?{query}")).status, 400);
    }
    let streams: Vec<Request> =
        (1..=5).rev().map(|n| request("GET", &format!("/video_feed?width={n}00"), "127.0.0.1")).collect();
    let answers: Vec<Answer<'_>> = streams.iter().map(|stream| site.respond(stream)).collect();
    assert_eq!(answers.iter().map(Answer::status).collect::<Vec<_>>(), [200, 200, 200, 503, 503]);
    let Some(Answer::Whole(refused)) = answers.last() else { panic!("a stream") };
    assert!(header(refused, "Retry-After").is_some() && body(refused).contains("stream.tiers"), "{}", body(refused));
    let state = parsed(&ask("/api/state"));
    assert_eq!(state["stream"]["viewers"], 3);
    assert_eq!(
        state["stream"]["tiers"][2],
        json!({ "overlay": true, "width": 300, "fps": 0, "blur": false, "wanted_by": 1 })
    );
    drop(answers);
    assert_eq!(parsed(&ask("/api/state"))["stream"]["tiers"], json!([]));
    assert_eq!(status(&site, &request("GET", "/video_feed?overlay=0&width=320&fps=5&other=1", "127.0.0.1")), 200);
}
