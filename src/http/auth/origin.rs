//! The origin of a request that changes something, as the browser states it.

use crate::http::message::Request;

/// True when a page of this server sent the request; `None` when the client does not state an origin, as with programs.
pub fn is_own(request: &Request) -> Option<bool> {
    // Browsers send this header only where nobody can change the page on its way: over TLS and on the machine itself.
    if let Some(site) = request.header("Sec-Fetch-Site") {
        return Some(site == "same-origin");
    }
    let mut origins = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Origin"));
    let (_, origin) = origins.next()?;
    Some(origins.next().is_none() && request.header("Host").is_some_and(|host| is_origin_of(origin, host)))
}

/// True when `origin`, such as `http://board:5000`, is the origin of `host`. Without a port, both have the port of the
/// scheme.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let origin = origin.to_ascii_lowercase();
    let (own, usual_port) = match origin.split_once("://") {
        Some(("http", own)) => (own, ":80"),
        Some(("https", own)) => (own, ":443"),
        _ => return false,
    };
    let host = host.to_ascii_lowercase();
    let short = |name: &str| name.strip_suffix(usual_port).unwrap_or(name).to_owned();
    !own.is_empty() && short(own) == short(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(host: &str, headers: &[(&str, &str)]) -> Option<bool> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let headers = headers.iter().map(owned).chain([owned(&("Host", host))]).collect();
        is_own(&Request { headers, ..Request::new("POST", "/") })
    }

    #[test]
    fn only_a_page_of_the_same_host_and_port_has_the_own_origin() {
        for (host, origin) in [
            ("board:5000", "http://board:5000"),
            ("Board:5000", "http://board:5000"),
            ("cam.example", "https://cam.example"),
            ("cam.example:443", "https://cam.example"),
            ("cam.example", "http://cam.example:80"),
            ("[::1]:5000", "http://[::1]:5000"),
        ] {
            assert_eq!(from(host, &[("Origin", origin)]), Some(true), "{host} {origin}");
        }
        for (host, origin) in [
            ("board:5000", "http://board:5001"),
            ("board:5000", "http://board"),
            ("board:5000", "http://evil"),
            ("board", "http://board.evil"),
            ("board", "http://evil/board"),
            ("board", "ftp://board"),
            ("board", "null"),
            ("board", ""),
            ("", "http://"),
            ("board:80", "https://board"),
        ] {
            assert_eq!(from(host, &[("Origin", origin)]), Some(false), "{host} {origin}");
        }
        assert_eq!(from("board", &[]), None);
        assert_eq!(from("board", &[("Origin", "http://board"), ("Origin", "http://evil")]), Some(false));
    }

    #[test]
    fn the_header_sec_fetch_site_takes_precedence() {
        for (site, own) in [("same-origin", true), ("same-site", false), ("cross-site", false), ("none", false)] {
            let headers = [("Sec-Fetch-Site", site), ("Origin", if own { "http://evil" } else { "http://board" })];
            assert_eq!(from("board", &headers), Some(own), "{site}");
        }
    }
}
