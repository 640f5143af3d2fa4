//! The page, joined from the files of `page/`, and a content security policy that allows its own script and style only.

use super::message::{Body, Whole};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The style and the scripts, in the order in which the page has them. All scripts share one scope.
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: &[&str] = &[
    "\"use strict\";\n",
    include_str!("page/words.js"),
    include_str!("page/tools.js"),
    include_str!("page/stream.js"),
    include_str!("page/boxes.js"),
    include_str!("page/views.js"),
    include_str!("page/picture.js"),
    include_str!("page/people.js"),
    include_str!("page/face.js"),
    include_str!("page/status.js"),
    include_str!("page/gallery.js"),
    include_str!("page/camera.js"),
    include_str!("page/account.js"),
    include_str!("page/main.js"),
];

/// The page as it is sent: without the indentation and the lines of comment of its files.
static HTML: LazyLock<String> = LazyLock::new(|| {
    let page = include_str!("page/page.html").replace("/* page.css */\n", STYLE);
    let page = page.replace("/* the scripts of page.rs */\n", &SCRIPTS.concat());
    let sent = page.lines().map(str::trim_start).filter(|line| !line.starts_with("//") && !line.is_empty());
    sent.flat_map(|line| [line, "\n"]).collect()
});

/// The page with its policy.
pub struct Page {
    policy: String,
}

impl Default for Page {
    fn default() -> Page {
        Page { policy: policy(&HTML, "'self'") }
    }
}

/// The content security policy of a page: its own script and style, and no others. `targets` are those of its forms.
pub fn policy(html: &str, targets: &str) -> String {
    let hash = |tag: &str| STANDARD.encode(Sha256::digest(inside(html, tag).as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action {targets}; frame-ancestors 'self'",
        hash("script"),
        hash("style")
    )
}

impl Page {
    pub fn answer(&self) -> Whole {
        Whole::new("text/html; charset=utf-8", Body::Static(HTML.as_bytes()))
            .with("Content-Security-Policy", self.policy.as_str())
            // With `no-referrer`, a browser sends `Origin: null` with the form that logs out.
            .with("Referrer-Policy", "same-origin")
    }
}

/// The text between `<tag>` and `</tag>`.
fn inside<'a>(html: &'a str, tag: &str) -> &'a str {
    let behind = html.split_once(&format!("<{tag}>")).map_or("", |(_, rest)| rest);
    behind.split_once(&format!("</{tag}>")).map_or("", |(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(!HTML.contains("\n//") && !HTML.contains("\n "), "comments and indentation are not sent");
        assert!(HTML.len() < 100_000, "the page has {} bytes", HTML.len());
    }
}
