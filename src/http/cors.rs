//! `http.cors`: the origins whose pages may read pictures and JSON by script, such as those of Mainsail and Fluidd.
//!
//! These pages can only read: changes are refused whatever this key says ([`super::auth::origin`]). A script gets no
//! response to a request with the browser's cookie or password, because no response has
//! `Access-Control-Allow-Credentials`. A script can send a token.

use super::message::{Request, Whole};
use super::{Method, Route};
use crate::config::Config;
use crate::http::auth::access::Access;

/// The response headers that a script of another origin may read, beside those that the standard allows.
const READ: &str = "Retry-After, X-Timestamp, X-Namecam-Rendition, X-Namecam-Instead-Of";
/// The request headers that it may send, beside those that the standard allows.
const SENT: &str = "Authorization, Last-Event-ID";
/// How long a browser caches the response to a preflight.
const KEPT_S: &str = "600";

/// True for routes that pages of other origins may read: pictures of the camera, and JSON.
fn is_readable(route: &Route) -> bool {
    route.method == Method::Get && (route.access == Access::Picture || route.path.starts_with("/api/"))
}

/// The origin of a request, when `http.cors` has it.
fn allowed<'a>(request: &'a Request, config: &Config) -> Option<&'a str> {
    let mut origins = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Origin"));
    let (_, origin) = origins.next().filter(|(_, origin)| config.http.cors.contains(origin))?;
    origins.next().is_none().then_some(origin)
}

/// The CORS headers of a response, or of a refusal, on these routes.
pub fn headers(request: &Request, config: &Config, routes: &[&Route]) -> Vec<(&'static str, String)> {
    let reads = ["GET", "HEAD"].contains(&&*request.method) && routes.iter().any(|route| is_readable(route));
    if config.http.cors.is_empty() || !reads {
        return Vec::new();
    }
    // Without `Vary`, a cache could give one origin the response for another.
    let mut headers = vec![("Vary", "Origin".to_owned())];
    if let Some(origin) = allowed(request, config) {
        headers.push(("Access-Control-Allow-Origin", origin.to_owned()));
        headers.push(("Access-Control-Expose-Headers", READ.to_owned()));
    }
    headers
}

/// The response to the preflight of a browser for these routes. A preflight has no credentials.
pub fn preflight(request: &Request, config: &Config, routes: &[&Route]) -> Option<Whole> {
    let asked = request.header("Access-Control-Request-Method").filter(|_| request.method == "OPTIONS")?;
    let reads = ["GET", "HEAD"].contains(&asked) && routes.iter().any(|route| is_readable(route));
    let origin = allowed(request, config).filter(|_| reads)?;
    let answer = Whole::text(200, "A page of this origin may read this.").with("Vary", "Origin");
    let answer = answer.with("Access-Control-Allow-Origin", origin).with("Access-Control-Allow-Methods", "GET, HEAD");
    Some(answer.with("Access-Control-Allow-Headers", SENT).with("Access-Control-Max-Age", KEPT_S))
}
