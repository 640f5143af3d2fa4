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
    include_str!("page/settings.js"),
    include_str!("page/account.js"),
    include_str!("page/main.js"),
];

/// The page as it is sent.
static HTML: LazyLock<String> = LazyLock::new(|| {
    let style = [(" {", "{"), ("{ ", "{"), ("; ", ";"), (": ", ":"), (" }", "}")].iter();
    let style = style.fold(STYLE.to_owned(), |style, (loose, tight)| style.replace(loose, tight));
    let page = include_str!("page/page.html").replace("/* page.css */\n", &style);
    sent(&page.replace("/* the scripts of page.rs */\n", &SCRIPTS.concat()))
});

/// A page without what only its authors read, as are spaces in the style: indents, empty lines, and lines that are comments.
fn sent(page: &str) -> String {
    let lines = page.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

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
         connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action {targets}; frame-ancestors 'self'",
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
        // A text over several lines would lose its indents.
        let is_whole = |line: &str| line.matches('`').count().is_multiple_of(2);
        assert!(
            SCRIPTS.iter().flat_map(|script| script.lines()).all(is_whole),
            "a template literal goes over a line end"
        );
        assert_eq!(sent("a {\n\n  // no\n  b: c;\n}"), "a {\nb: c;\n}\n");
        assert!(HTML.len() < 100_000, "the page has {} bytes", HTML.len());
    }
}
