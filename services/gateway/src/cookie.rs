//! The session's cookie: `HttpOnly`, `SameSite=Strict`, `Secure` and under a name that the browser guards (`__Host-`);
//! on plain loopback, where a browser may refuse `Secure`, under a name of its own.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    edge::address::{Peer, is_plain_loopback},
    problem::Problem,
};

const NAME: &str = "__Host-lethe_session";
const LOOPBACK_NAME: &str = "lethe_session";

/// The token in the request's cookie. The name that the browser does not guard counts on plain loopback alone: elsewhere another
/// host of the same domain could set it, and have somebody work in its session.
pub(crate) fn token(headers: &HeaderMap, peer: Option<Peer>) -> Option<&str> {
    let find = |wanted: &str| {
        let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == wanted).map(|(_, token)| token)
    };
    find(NAME).or_else(|| find(LOOPBACK_NAME).filter(|_| is_plain_loopback(peer, headers)))
}

/// The cookie of a new session, which ends with the session: the token says by itself until when it is good.
pub(crate) fn set(token: &str, peer: Option<Peer>, headers: &HeaderMap) -> Option<HeaderValue> {
    write(&format!("={token}; Path=/; HttpOnly; SameSite=Strict"), peer, headers)
}

/// Takes the cookie away.
pub(crate) fn clear(peer: Option<Peer>, headers: &HeaderMap) -> Option<HeaderValue> {
    write("=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", peer, headers)
}

fn write(rest: &str, peer: Option<Peer>, headers: &HeaderMap) -> Option<HeaderValue> {
    let text = if is_plain_loopback(peer, headers) {
        format!("{LOOPBACK_NAME}{rest}")
    } else {
        format!("{NAME}{rest}; Secure")
    };
    HeaderValue::try_from(text).ok()
}

/// Whether a change by cookie comes from a page of ours: the browser says so in `Origin` and in `Sec-Fetch-Site`, and
/// both must be there.
///
/// # Errors
/// 403 `ORIGIN_REFUSED`.
pub(crate) fn check_origin(
    headers: &HeaderMap,
    peer: Option<Peer>,
    origins: &[String],
) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let refused = |header: &str| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "ORIGIN_REFUSED",
            "changes by cookie must come from a page of this origin; others use a bearer token",
        )
        .at(header)
    };
    let origin = text("origin").ok_or_else(|| refused("Origin"))?;
    let site = text("sec-fetch-site").ok_or_else(|| refused("Sec-Fetch-Site"))?;
    if origins.iter().any(|allowed| allowed == origin) {
        return Ok(());
    }
    let scheme = if is_plain_loopback(peer, headers) { "http" } else { "https" };
    let is_ours = origin
        .split_once("://")
        .is_some_and(|(of, host)| of == scheme && Some(host) == text("host") && !host.is_empty());
    if !is_ours {
        return Err(refused("Origin"));
    }
    if site == "same-origin" { Ok(()) } else { Err(refused("Sec-Fetch-Site")) }
}

/// Whether a log-in may set a cookie: anything but a browser says nothing, a browser must be at a page of ours.
///
/// # Errors
/// 403 `ORIGIN_REFUSED`.
pub(crate) fn check_log_in(
    headers: &HeaderMap,
    peer: Option<Peer>,
    origins: &[String],
) -> Result<(), Problem> {
    if headers.contains_key("origin") || headers.contains_key("sec-fetch-site") {
        check_origin(headers, peer, origins)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_guarded_name_wins_and_others_are_ignored() {
        let near = Some(Peer::plain("127.0.0.1:5".parse().expect("an address")));
        let far = Some(Peer::plain("203.0.113.1:5".parse().expect("an address")));
        let of = |cookie: &'static str| headers(&[("host", "localhost:8080"), ("cookie", cookie)]);
        let both = of("a=b; lethe_session=plain; __Host-lethe_session=host");
        assert_eq!(token(&both, near), Some("host"));
        assert_eq!(token(&both, far), Some("host"));
        let plain = of("xlethe_session=a; lethe_session=b");
        assert_eq!(token(&plain, near), Some("b"));
        assert_eq!(token(&plain, far), None, "a neighbour's host could have set it");
        assert_eq!(token(&of("lethe_sessio=b"), near), None);
    }

    #[test]
    fn a_change_by_cookie_needs_both_headers_of_our_origin() {
        let peer = Some(Peer::plain("203.0.113.1:5".parse().expect("an address")));
        let allowed = ["https://inbox.example.com".to_owned()];
        let check =
            |pairs: &[(&'static str, &'static str)]| check_origin(&headers(pairs), peer, &allowed).is_ok();
        let (host, ours, same) = (
            ("host", "api.example.com"),
            ("origin", "https://api.example.com"),
            ("sec-fetch-site", "same-origin"),
        );
        assert!(check(&[host, ours, same]));
        assert!(check(&[host, ("origin", "https://inbox.example.com"), ("sec-fetch-site", "same-site")]));
        assert!(!check(&[host, same]) && !check(&[host, ours]) && !check(&[host]));
        assert!(!check(&[host, ours, ("sec-fetch-site", "cross-site")]));
        assert!(!check(&[host, ours, ("sec-fetch-site", "same-site")]));
        assert!(!check(&[host, ("origin", "https://evil.example.com"), same]));
        assert!(!check(&[host, ("origin", "http://api.example.com"), same]), "not over TLS");
        assert!(!check(&[host, ("origin", "null"), same]));
        assert!(!check(&[("host", ""), ("origin", "https://"), same]));
        let loopback = Some(Peer::plain("127.0.0.1:5".parse().expect("an address")));
        let local = headers(&[("host", "localhost:8080"), ("origin", "http://localhost:8080"), same]);
        assert!(check_origin(&local, loopback, &[]).is_ok());
    }

    #[test]
    fn cookies_are_secure_but_on_plain_loopback() {
        let remote = headers(&[("host", "api.example.com")]);
        let written = |peer: &str, headers: &HeaderMap| {
            let peer = Some(Peer::plain(peer.parse().expect("an address")));
            set("lth_s_x", peer, headers).expect("a cookie").to_str().expect("text").to_owned()
        };
        assert_eq!(
            written("203.0.113.1:5", &remote),
            "__Host-lethe_session=lth_s_x; Path=/; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(
            written("127.0.0.1:5", &headers(&[("host", "127.0.0.1:8080")])),
            "lethe_session=lth_s_x; Path=/; HttpOnly; SameSite=Strict"
        );
    }
}
