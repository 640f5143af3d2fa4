//! The page: joined from the files of `page/`, with a content security policy that allows only its own script and
//! style.

use super::message::{Body, Request, Whole};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::LazyLock;

/// The style and the scripts in their order on the page. All scripts share one scope.
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: &[&str] = &[
    "\"use strict\";\n",
    include_str!("page/words.js"),
    include_str!("page/verdicts.js"),
    include_str!("page/tools.js"),
    include_str!("page/stream.js"),
    include_str!("page/boxes.js"),
    include_str!("page/views.js"),
    include_str!("page/picture.js"),
    include_str!("page/people.js"),
    include_str!("page/face.js"),
    include_str!("page/visits.js"),
    include_str!("page/status.js"),
    include_str!("page/gallery.js"),
    include_str!("page/settings.js"),
    include_str!("page/camera.js"),
    include_str!("page/account.js"),
    include_str!("page/main.js"),
];

/// The page in the form in which it is sent.
static HTML: LazyLock<String> = LazyLock::new(|| {
    // CSS ignores these spaces.
    let style = [(": ", ":"), (", ", ","), (" {", "{"), ("; }", "}"), ("{ ", "{"), ("; ", ";")]
        .iter()
        .fold(STYLE.to_owned(), |style, (long, short)| style.replace(long, short));
    let page = include_str!("page/page.html").replace("/* page.css */\n", &style);
    sent(&page.replace("/* the scripts of page.rs */\n", &SCRIPTS.concat()))
});

/// The page compressed to a third of its size. Empty when the compression fails, which does not happen in memory.
static GZIP: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(HTML.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default()
});

/// True when the client accepts gzip: `Accept-Encoding` names it with a weight other than 0.
fn takes_gzip(request: &Request) -> bool {
    let taken = request.header("Accept-Encoding").unwrap_or_default();
    taken.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight| weight > 0.0)
    })
}

/// A page without indents, empty lines and lines that are comments.
fn sent(page: &str) -> String {
    let lines = page.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The page and its content security policy.
pub struct Page {
    policy: String,
}

impl Default for Page {
    fn default() -> Page {
        Page { policy: policy(&HTML, "'self'") }
    }
}

/// The content security policy of a page: allows its own script and style only. `targets` are the allowed targets of
/// forms.
pub fn policy(html: &str, targets: &str) -> String {
    let hash = |tag: &str| STANDARD.encode(Sha256::digest(inside(html, tag).as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src 'self' data:; \
         connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action {targets}; frame-ancestors 'self'",
        hash("script"),
        hash("style")
    )
}

impl Page {
    pub fn answer(&self, request: &Request) -> Whole {
        let html = |bytes| Whole::new("text/html; charset=utf-8", Body::Static(bytes));
        let whole = if takes_gzip(request) && !GZIP.is_empty() {
            html(&GZIP[..]).with("Content-Encoding", "gzip")
        } else {
            html(HTML.as_bytes())
        };
        whole
            .with("Vary", "Accept-Encoding")
            .with("Content-Security-Policy", self.policy.as_str())
            // With `no-referrer`, a browser sends `Origin: null` with the form that logs out.
            .with("Referrer-Policy", "same-origin")
    }
}

/// The text of the first element `tag`.
fn inside<'a>(html: &'a str, tag: &str) -> &'a str {
    let behind = html.split_once(&format!("<{tag}>")).map_or("", |(_, rest)| rest);
    behind.split_once(&format!("</{tag}>")).map_or("", |(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_can_be_put_on_a_home_screen() {
        let manifest: serde_json::Value = serde_json::from_str(include_str!("page/manifest.json")).unwrap();
        let has_route = |path: &str| crate::http::ROUTES.iter().any(|route| route.path == format!("/{path}"));
        let icons = manifest["icons"].as_array().unwrap();
        assert!(icons.iter().all(|icon| has_route(icon["src"].as_str().unwrap())) && icons.len() == 2);
        let icon = image::load_from_memory(include_bytes!("page/icon.png")).unwrap();
        assert_eq!((icon.width(), icon.height()), (512, 512));
        for linked in ["manifest.webmanifest", "icon.svg", "icon.png"] {
            assert!(HTML.contains(&format!("href=\"{linked}\"")) && has_route(linked), "{linked}");
        }
        assert!(policy(&HTML, "'self'").contains("manifest-src 'self'"));
    }

    #[test]
    fn each_cause_of_a_fault_has_korean_words() {
        for cause in crate::telemetry::faults::CAUSES {
            assert!(HTML.contains(&format!("\n\"{}\": \"", cause.as_str())), "{} in page/verdicts.js", cause.as_str());
        }
    }

    #[test]
    fn the_page_has_one_script_and_one_style_and_nothing_that_the_policy_forbids() {
        for tag in ["script", "style"] {
            assert_eq!(HTML.matches(&format!("<{tag}")).count(), 1);
            assert!(inside(&HTML, tag).len() > 100);
        }
        for forbidden in
            [" style=", " onclick=", " onload=", " onerror=", "innerHTML", "http://", "https://", "//cdn", "@import"]
        {
            let allowed = HTML.replace("http://www.w3.org/2000/svg", "");
            assert!(!allowed.contains(forbidden), "{forbidden} in page/");
        }
        assert!(!HTML.contains('\r'), "a browser would hash other line ends than we do");
        // A string over several lines would lose its indents.
        let is_whole = |line: &str| line.matches('`').count().is_multiple_of(2);
        assert!(
            SCRIPTS.iter().flat_map(|script| script.lines()).all(is_whole),
            "a template literal goes over a line end"
        );
        assert_eq!(sent("a {\n\n  // no\n  b: c;\n}"), "a {\nb: c;\n}\n");
        assert!(
            HTML.len() < 134_000 && GZIP.len() < 42_000,
            "the page has {} bytes, {} as gzip",
            HTML.len(),
            GZIP.len()
        );
    }

    #[test]
    fn the_page_is_compressed_for_clients_that_accept_gzip() {
        for (taken, is) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("", false),
            ("br, x-gzip", false),
            ("gzip;q=0", false),
            ("gzip; q=0.0, identity", false),
        ] {
            let headers = vec![("accept-encoding".to_owned(), taken.to_owned())];
            assert_eq!(takes_gzip(&Request { headers, ..Request::default() }), is, "{taken}");
        }
        let mut plain = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&GZIP[..]), &mut plain).unwrap();
        assert_eq!(plain, *HTML);
    }
}
