//! The login page, which works without JavaScript, and the responses to requests without a valid credential.

use super::Site;
use super::message::{Answer, Body, Request, Whole, form};
use super::page::policy;
use crate::http::auth::access::Refused;

const HTML: &str = include_str!("login.html");

/// The longest path that a login returns to.
const MAX_NEXT: usize = 1024;

/// The beginning of the keys of the page's streams, which an `<img>` requests without the header `X-Namecam`.
const PAGE_KEY: &str = "page-";

/// The words of the page in a language.
struct LoginWords {
    lang: &'static str,
    title: &'static str,
    user: &'static str,
    password: &'static str,
    stay: &'static str,
    stay_more: &'static str,
    plain: &'static str,
    wrong: &'static str,
    later: fn(u32) -> String,
    busy: &'static str,
}

const ENGLISH: LoginWords = LoginWords {
    lang: "en",
    title: "Log in",
    user: "User name",
    password: "Password",
    stay: "Stay signed in on this device",
    stay_more: "For viewers, such as a tablet on the wall. An admin logs in again after 30 days.",
    plain: "This connection is not encrypted: anybody on this network could read along. SECURITY.md says how to encrypt it.",
    wrong: "The user name or the password is wrong.",
    later: |seconds| format!("Too many wrong passwords. Please try again in {seconds} s."),
    busy: "Too many people are logging in. Please try again in a few seconds.",
};

const KOREAN: LoginWords = LoginWords {
    lang: "ko",
    title: "로그인",
    user: "사용자 이름",
    password: "비밀번호",
    stay: "이 기기에서 로그인 상태 유지",
    stay_more: "벽걸이 태블릿 등 시청자 계정에만 적용됩니다. 관리자는 30일 후 다시 로그인해야 합니다.",
    plain: "이 연결은 암호화되지 않아 같은 네트워크의 다른 사람이 내용을 볼 수 있습니다. 암호화 방법은 SECURITY.md에 있습니다.",
    wrong: "사용자 이름 또는 비밀번호가 올바르지 않습니다.",
    later: |seconds| format!("비밀번호를 여러 번 잘못 입력했습니다. {seconds}초 후에 다시 시도해 주세요."),
    busy: "지금은 로그인 요청이 많습니다. 잠시 후 다시 시도해 주세요.",
};

fn words(request: &Request) -> &'static LoginWords {
    if request.is_in_korean() { &KOREAN } else { &ENGLISH }
}

/// The response to a request without a valid credential. A browser that navigates is redirected to the login page, and
/// a program gets a challenge. The requests of the page get neither, because its browser would ask for a password.
pub fn refuse(request: &Request, refused: Refused) -> Whole {
    let why = match refused {
        Refused::Because(whole) | Refused::Busy(whole) => return whole,
        Refused::LogIn(why) => why,
    };
    // Each browser accepts this type when it opens an address. Java's URLConnection accepts text/html for everything.
    let is_browser = request.header("Accept").is_some_and(|accepted| accepted.contains("application/xhtml+xml"));
    let is_navigation =
        ["GET", "HEAD"].contains(&&*request.method) && is_browser && request.header("Authorization").is_none();
    let is_of_page =
        request.header("X-Namecam").is_some() || request.param("t").is_some_and(|key| key.starts_with(PAGE_KEY));
    if is_of_page {
        Whole::text(401, why)
    } else if is_navigation {
        let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        let target = format!("{}{query}", request.path);
        let next = if own_path(&target) == "/" { String::new() } else { format!("?next={}", encoded(&target)) };
        to(&format!("/login{next}"))
    } else {
        Whole::text(401, why).with("WWW-Authenticate", "Basic realm=\"namecam\", charset=\"UTF-8\"")
    }
}

/// GET `/login`. A browser that needs no login is redirected at once: when it follows a link from another site, it
/// sends the cookie only with the second request.
pub fn show<'a>(site: &'a Site, request: &'a Request) -> Answer<'a> {
    let fields = form(request.query.as_bytes());
    let next = own_path(field(&fields, "next"));
    if site.gate.needs_no_login(request) { to(next).into() } else { page(request, 200, "", next, "").into() }
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
}

/// POST `/login`.
pub fn log_in<'a>(site: &'a Site, request: &'a Request) -> Answer<'a> {
    let fields = form(&request.body);
    let field = |name| field(&fields, name);
    let (user, next) = (field("user"), own_path(field("next")));
    match site.gate.log_in(request, user, field("password"), !field("stay").is_empty()) {
        Ok(cookie) => to(next).with("Set-Cookie", cookie).into(),
        Err(Refused::LogIn(_)) => page(request, 401, words(request).wrong, next, user).into(),
        Err(Refused::Busy(whole)) => again(request, &whole, words(request).busy, next, user).into(),
        Err(Refused::Because(whole)) => {
            let error = match (whole.status, retry_after(&whole).and_then(|after| after.parse().ok())) {
                (429, Some(seconds)) => (words(request).later)(seconds),
                _ => String::from_utf8_lossy(whole.body.bytes()).into_owned(),
            };
            again(request, &whole, &error, next, user).into()
        }
    }
}

fn retry_after(refusal: &Whole) -> Option<&str> {
    refusal.headers.iter().find(|(name, _)| *name == "Retry-After").map(|(_, after)| after.as_str())
}

/// The page with `error`, and the status of `refusal`.
fn again(request: &Request, refusal: &Whole, error: &str, next: &str, user: &str) -> Whole {
    let page = page(request, refusal.status, error, next, user);
    retry_after(refusal).into_iter().fold(page, |page, after| page.with("Retry-After", after))
}

/// POST `/logout`.
pub fn log_out<'a>(site: &'a Site, request: &'a Request) -> Answer<'a> {
    to("/").with("Set-Cookie", site.gate.log_out(request)).into()
}

/// Redirects the browser to `path`.
fn to(path: &str) -> Whole {
    Whole::text(303, "").with("Location", path)
}

/// `next` if it is a path of this server, or else "/".
fn own_path(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && next.len() <= MAX_NEXT;
    // A browser treats a backslash as a slash, and ignores tabs and line ends.
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && is_plain { next } else { "/" }
}

fn page(request: &Request, status: u16, error: &str, next: &str, user: &str) -> Whole {
    let words = words(request);
    let values = [
        ("lang", words.lang),
        ("title", words.title),
        ("user", words.user),
        ("password", words.password),
        ("stay_more", words.stay_more),
        ("stay", words.stay),
        ("plain", words.plain),
        ("error", error),
        ("next", own_path(next)),
        ("name", user),
    ];
    // The style and the script contain braces too, so only these names are replaced. Inserted values are not searched
    // again.
    let mut html = String::with_capacity(HTML.len() + 1024);
    let mut rest = HTML;
    while let Some((before, after)) = rest.split_once('{') {
        html.push_str(before);
        let value = values.iter().find_map(|(name, value)| Some((value, after.strip_prefix(name)?.strip_prefix('}')?)));
        match value {
            Some((value, behind)) => {
                html.push_str(&escaped(value));
                rest = behind;
            }
            None => {
                html.push('{');
                rest = after;
            }
        }
    }
    html.push_str(rest);
    Whole { status, ..Whole::new("text/html; charset=utf-8", Body::Bytes(html.into_bytes())) }
        .with("Content-Security-Policy", policy(HTML, "'self'"))
        // With `no-referrer`, a browser sends `Origin: null` with the form.
        .with("Referrer-Policy", "same-origin")
}

/// `text`, percent-encoded as a value of a query.
fn encoded(text: &str) -> String {
    let mut coded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => coded.push(char::from(byte)),
            _ => coded.push_str(&format!("%{byte:02X}")),
        }
    }
    coded
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
