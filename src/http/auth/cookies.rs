//! The cookie with the secret of a session.

use crate::http::message::Request;
use std::time::Duration;

/// The number of digits of a secret.
const DIGITS: usize = 32;

/// The name of the cookie. A browser sends a cookie to every port of a host, so the name contains the port: otherwise
/// two cameras on one board would log each other's users out. On the usual port, the browser sends no port. With TLS,
/// the prefix `__Host-` keeps other sites from setting the cookie (RFC 6265bis, 4.1.3.2).
pub fn name(request: &Request) -> String {
    let base = if is_secure(request) { "__Host-namecam" } else { "namecam" };
    let port = request.header("Host").and_then(|host| host.rsplit_once(':')).map(|(_, port)| port);
    let port = port.filter(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    port.map_or_else(|| base.to_owned(), |port| format!("{base}_{port}"))
}

/// True when a proxy on this machine says that the client uses TLS.
pub fn is_secure(request: &Request) -> bool {
    let is_local = request.peer.is_some_and(|peer| peer.to_canonical().is_loopback());
    is_local && request.header("X-Forwarded-Proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// The secret that the browser sends.
pub fn secret(request: &Request) -> Option<&str> {
    let name = name(request);
    let cookies = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Cookie"));
    let mut pairs = cookies.flat_map(|(_, value)| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find(|(known, _)| *known == name).map(|(_, value)| value)?;
    Some(value).filter(|value| value.len() == DIGITS && value.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The header `Set-Cookie` that makes the browser keep `secret` for `longest`; zero deletes the cookie.
pub fn set(request: &Request, secret: &str, longest: Duration) -> String {
    let secure = if is_secure(request) { "; Secure" } else { "" };
    let (name, seconds) = (name(request), longest.as_secs());
    format!("{name}={secret}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(peer: &str, headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request { peer: peer.parse().ok(), headers, ..Request::new("GET", "/") }
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn the_cookie_of_this_port_is_read_among_others() {
        let cookies = format!("a=b; namecam_5001=x;namecam=y; namecam_5000={SECRET}; broken");
        let read =
            |host: &str| secret(&request("192.0.2.1", &[("Host", host), ("Cookie", &cookies)])).map(str::to_owned);
        assert_eq!(read("board:5000").as_deref(), Some(SECRET));
        assert_eq!(read("[fe80::1]:5000").as_deref(), Some(SECRET));
        for other in ["board:5001", "board", "[fe80::1]", "board:", "board:5000x"] {
            assert_eq!(read(other), None, "{other}");
        }
        let plain = format!("namecam={SECRET}");
        assert_eq!(secret(&request("192.0.2.1", &[("Host", "board"), ("cookie", &plain)])), Some(SECRET));
    }

    #[test]
    fn behind_tls_the_cookie_is_for_this_host_only_and_another_machine_cannot_claim_tls() {
        let tls = [("Host", "cam.example"), ("X-Forwarded-Proto", "https"), ("Cookie", &format!("namecam={SECRET}"))];
        let (near, far) = (request("127.0.0.1", &tls), request("192.0.2.1", &tls));
        assert_eq!((secret(&near), secret(&far)), (None, Some(SECRET)));
        assert_eq!(
            set(&near, SECRET, Duration::from_secs(60)),
            format!("__Host-namecam={SECRET}; Max-Age=60; Path=/; HttpOnly; SameSite=Strict; Secure")
        );
        assert_eq!(set(&far, "", Duration::ZERO), "namecam=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict");
    }

    #[test]
    fn two_cameras_of_a_host_have_different_cookies_with_tls_too() {
        let cookies = format!("__Host-namecam_8443=x; __Host-namecam_8444={SECRET}; namecam_8445={SECRET}");
        let ask = |host| {
            let tls = [("Host", host), ("X-Forwarded-Proto", "https"), ("Cookie", &cookies)];
            let request = request("127.0.0.1", &tls);
            (name(&request), secret(&request).is_some())
        };
        assert_eq!(ask("cam:8443"), ("__Host-namecam_8443".to_owned(), false));
        assert_eq!(ask("cam:8444"), ("__Host-namecam_8444".to_owned(), true));
        assert_eq!(ask("cam:8445"), ("__Host-namecam_8445".to_owned(), false));
    }
}
