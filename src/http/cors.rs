//! `http.cors`: which pages of other origins may read pictures and JSON by script, as Mainsail and Fluidd do.
//!
//! They only read: a change is refused whatever this key says ([`super::auth::origin`]). A script gets no answer to a
//! request with a cookie or a password that the browser keeps, because none has `Access-Control-Allow-Credentials`; a token is theirs to send.

use super::message::{Request, Whole};
use super::{Method, Route};
use crate::config::Config;
use crate::http::auth::access::Access;

/// The headers of an answer that a script elsewhere may read, beside those that the standard allows.
const READ: &str = "Retry-After, X-Timestamp, X-Namecam-Rendition, X-Namecam-Instead-Of";
/// The headers of a request that it may send, beside those.
const SENT: &str = "Authorization, Last-Event-ID";
/// How long a browser keeps the answer to a preflight.
const KEPT_S: &str = "600";

/// True for what they may read: pictures of the camera, and JSON.
fn is_readable(route: &Route) -> bool {
    route.method == Method::Get && (route.access == Access::Picture || route.path.starts_with("/api/"))
}

/// The origin of a request, when the config names it.
fn allowed<'a>(request: &'a Request, config: &Config) -> Option<&'a str> {
    let mut origins = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Origin"));
    let (_, origin) = origins.next().filter(|(_, origin)| config.http.cors.contains(origin))?;
    origins.next().is_none().then_some(origin)
}

/// The headers for a page elsewhere, of each answer of these routes, refusals too.
pub fn headers(request: &Request, config: &Config, routes: &[&Route]) -> Vec<(&'static str, String)> {
    let reads = ["GET", "HEAD"].contains(&&*request.method) && routes.iter().any(|route| is_readable(route));
    if config.http.cors.is_empty() || !reads {
        return Vec::new();
    }
    // Without it a cache could give one origin the answer to another.
    let mut headers = vec![("Vary", "Origin".to_owned())];
    if let Some(origin) = allowed(request, config) {
        headers.push(("Access-Control-Allow-Origin", origin.to_owned()));
        headers.push(("Access-Control-Expose-Headers", READ.to_owned()));
    }
    headers
}

/// The answer to the question of a browser whether a page elsewhere may read these routes. It comes without credentials.
pub fn preflight(request: &Request, config: &Config, routes: &[&Route]) -> Option<Whole> {
    let asked = request.header("Access-Control-Request-Method").filter(|_| request.method == "OPTIONS")?;
    let reads = ["GET", "HEAD"].contains(&asked) && routes.iter().any(|route| is_readable(route));
    let origin = allowed(request, config).filter(|_| reads)?;
    let answer = Whole::text(200, "A page of this origin may read this.").with("Vary", "Origin");
    let answer = answer.with("Access-Control-Allow-Origin", origin).with("Access-Control-Allow-Methods", "GET, HEAD");
    Some(answer.with("Access-Control-Allow-Headers", SENT).with("Access-Control-Max-Age", KEPT_S))
}
