//! The page, joined from the files of `page/`, and a content security policy that allows its own script and style only.

use super::message::{Body, Request, Whole};
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
    include_str!("page/settings.js"),
    include_str!("page/account.js"),
    include_str!("page/main.js"),
];

/// The languages of words.js.
const LANGUAGES: [&str; 2] = ["en", "ko"];
/// The page as it is sent, in each of [`LANGUAGES`].
static HTML: LazyLock<[String; 2]> = LazyLock::new(|| LANGUAGES.map(in_language));

fn in_language(language: &str) -> String {
    let others = LANGUAGES.iter().filter(|other| **other != language);
    let scripts = others.fold(SCRIPTS.concat(), |scripts, other| without_words(&scripts, other));
    let style = [(" {", "{"), ("{ ", "{"), ("; ", ";"), (": ", ":"), (" }", "}")].iter();
    let style = style.fold(STYLE.to_owned(), |style, (loose, tight)| style.replace(loose, tight));
    let page = include_str!("page/page.html").replace("/* page.css */\n", &style);
    let page = page.replace("<html lang=\"en\">", &format!("<html lang=\"{language}\">"));
    sent(&page.replace("/* the scripts of page.rs */\n", &scripts))
}

/// The scripts without the words of a language, a block of words.js.
fn without_words(scripts: &str, language: &str) -> String {
    let block = scripts.split_once(&format!("\n  {language}: {{\n"));
    let parts = block.and_then(|(before, rest)| Some((before, rest.split_once("\n  },\n")?.1)));
    parts.map_or_else(|| scripts.to_owned(), |(before, after)| format!("{before}\n{after}"))
}

/// A page without what only its authors read, as are spaces in the style: indents, empty lines, and lines that are comments.
fn sent(page: &str) -> String {
    let lines = page.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The policies of the page, in the order of [`HTML`].
pub struct Page {
    policies: [String; 2],
}

impl Default for Page {
    fn default() -> Page {
        Page { policies: [0, 1].map(|at| policy(&HTML[at], "'self'")) }
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
    pub fn answer(&self, request: &Request) -> Whole {
        let at = usize::from(request.is_in_korean());
        Whole::new("text/html; charset=utf-8", Body::Static(HTML[at].as_bytes()))
            .with("Content-Security-Policy", self.policies[at].as_str())
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
            assert!(HTML[0].contains(&format!("href=\"{linked}\"")) && has_route(linked), "{linked}");
        }
        assert!(policy(&HTML[0], "'self'").contains("manifest-src 'self'"));
    }

    #[test]
    fn the_page_has_one_script_and_one_style_and_nothing_that_the_policy_forbids() {
        for html in HTML.iter() {
            for tag in ["script", "style"] {
                assert_eq!(html.matches(&format!("<{tag}")).count(), 1);
                assert!(inside(html, tag).len() > 100);
            }
            for forbidden in [
                " style=",
                " onclick=",
                " onload=",
                " onerror=",
                "innerHTML",
                "http://",
                "https://",
                "//cdn",
                "@import",
            ] {
                let allowed = html.replace("http://www.w3.org/2000/svg", "");
                assert!(!allowed.contains(forbidden), "{forbidden} in page/");
            }
            assert!(!html.contains('\r'), "a browser would hash other line ends than we do");
        }
        // A text over several lines would lose its indents.
        let is_whole = |line: &str| line.matches('`').count().is_multiple_of(2);
        assert!(
            SCRIPTS.iter().flat_map(|script| script.lines()).all(is_whole),
            "a template literal goes over a line end"
        );
        assert_eq!(sent("a {\n\n  // no\n  b: c;\n}"), "a {\nb: c;\n}\n");
        for (html, language) in HTML.iter().zip(LANGUAGES) {
            assert!(html.len() < 100_000, "the page has {} bytes", html.len());
            let own = LANGUAGES.map(|other| html.contains(&format!("\n{other}: {{\n")));
            assert_eq!(own, LANGUAGES.map(|other| other == language), "the words of one language");
            assert!(html.contains(&format!("<html lang=\"{language}\">")));
        }
    }
}
