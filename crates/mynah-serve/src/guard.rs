//! Who may talk to the server.
//!
//! With a token, every call but `/health` and `/version` must present it. Without one the server listens
//! on loopback only, and the danger left is the user's own browser: a hostile page may point a name of its own
//! at 127.0.0.1 (DNS rebinding) or post across origins. So without a token the `Host` must be a loopback name,
//! and with or without one a call that changes something must not come from another origin.

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method};

use crate::answer::{ApiError, Code};

/// Paths that say nothing of the runs and that monitors call without credentials.
const OPEN_PATHS: [&str; 2] = ["/health", "/version"];

/// Refuses a request that may not be answered.
pub(crate) fn check(
    token: Option<&str>,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    if OPEN_PATHS.contains(&path) {
        return Ok(());
    }
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    match token {
        Some(token) => {
            if !presents(token, headers) {
                return Err(ApiError::new(
                    Code::Unauthenticated,
                    "this server needs a token: set MLFLOW_TRACKING_TOKEN, or give it as the password in a browser",
                ));
            }
        }
        None => {
            if !host.is_some_and(is_loopback_name) {
                return Err(ApiError::new(
                    Code::PermissionDenied,
                    "without a token this server answers only to localhost, 127.0.0.1 and [::1]",
                ));
            }
        }
    }
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if let (true, Some(origin)) = (changes, headers.get(ORIGIN)) {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|parts| parts.1);
        if authority.is_none() || authority != host {
            return Err(ApiError::new(
                Code::PermissionDenied,
                "a page of another origin may not change runs",
            ));
        }
    }
    Ok(())
}

/// The name that a client gives itself with basic authentication, for the audit log. The token has been
/// checked before; the name is a claim, as good as the people who share the token.
pub(crate) fn user(headers: &HeaderMap) -> Option<String> {
    const CHARS_MAX: usize = 100;
    match credentials(headers)? {
        Credentials::Basic { user, .. } => {
            let user = String::from_utf8(user).ok()?;
            let fair =
                !user.is_empty() && user.chars().count() <= CHARS_MAX && !user.chars().any(char::is_control);
            fair.then_some(user)
        }
        Credentials::Bearer(_) => None,
    }
}

enum Credentials<'a> {
    Bearer(&'a [u8]),
    Basic { user: Vec<u8>, password: Vec<u8> },
}

fn credentials(headers: &HeaderMap) -> Option<Credentials<'_>> {
    let given = headers.get(AUTHORIZATION)?.as_bytes();
    let space = given.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = (&given[..space], given[space..].trim_ascii_start());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Credentials::Bearer(rest));
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let mut user = base64_decode(rest)?;
        let colon = user.iter().position(|&byte| byte == b':')?;
        let password = user.split_off(colon + 1);
        user.truncate(colon);
        return Some(Credentials::Basic { user, password });
    }
    None
}

fn presents(token: &str, headers: &HeaderMap) -> bool {
    match credentials(headers) {
        Some(Credentials::Bearer(given)) => same(given, token.as_bytes()),
        Some(Credentials::Basic { password, .. }) => same(&password, token.as_bytes()),
        None => false,
    }
}

/// Equality whose time depends on lengths alone, so that a token cannot be guessed byte by byte.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}

/// Whether a `Host` is this machine itself.
pub(crate) fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Standard base64, with or without padding (RFC 4648, section 4).
pub(crate) fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut buffer, mut bits) = (0u32, 0);
    for &letter in text {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        buffer = (buffer << 6 | u32::from(value)) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn check_call(token: Option<&str>, method: Method, path: &str, headers: &[(&str, &str)], expect: bool) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: axum::http::HeaderName = name.parse().expect("header name");
            map.insert(name, value.parse().expect("header value"));
        }
        let found = check(token, &method, path, &map).is_ok();
        assert_eq!(found, expect, "{method} {path} {headers:?} with token {token:?}");
    }

    #[test]
    fn a_token_is_asked_for() {
        let get = || Method::GET;
        check_call(Some(TOKEN), get(), "/", &[("host", "x")], false);
        check_call(Some(TOKEN), get(), "/health", &[], true);
        check_call(Some(TOKEN), get(), "/", &[("authorization", "Bearer 0123456789abcdef")], true);
        check_call(Some(TOKEN), get(), "/", &[("authorization", "bearer  0123456789abcdef")], true);
        check_call(Some(TOKEN), get(), "/", &[("authorization", "Bearer 0123456789abcdee")], false);
        check_call(Some(TOKEN), get(), "/", &[("authorization", "Bearer 0123456789abcde")], false);
        check_call(Some(TOKEN), get(), "/", &[("authorization", "0123456789abcdef")], false);
        // me:0123456789abcdef, and me:wrong
        check_call(Some(TOKEN), get(), "/", &[("authorization", "Basic bWU6MDEyMzQ1Njc4OWFiY2RlZg==")], true);
        check_call(Some(TOKEN), get(), "/", &[("authorization", "Basic bWU6d3Jvbmc=")], false);
        check_call(Some(TOKEN), get(), "/", &[("authorization", "Basic !!")], false);
    }

    #[test]
    fn users_name_themselves() {
        let check_user = |value: &str, expect: Option<&str>| {
            let mut map = HeaderMap::new();
            map.insert(AUTHORIZATION, value.parse().expect("header value"));
            assert_eq!(user(&map).as_deref(), expect, "{value}");
        };
        check_user("Basic bWU6MDEyMzQ1Njc4OWFiY2RlZg==", Some("me"));
        check_user("Basic Og==", None);
        check_user("Basic bWUNCjp4", None);
        check_user("Bearer 0123456789abcdef", None);
        assert_eq!(user(&HeaderMap::new()), None);
    }

    #[test]
    fn without_a_token_only_loopback_names_are_answered() {
        for host in ["localhost:5000", "LOCALHOST", "127.0.0.1:1", "127.0.0.1", "[::1]:5000", "[::1]"] {
            check_call(None, Method::GET, "/", &[("host", host)], true);
        }
        for host in ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "192.0.2.1:5000", ""] {
            check_call(None, Method::GET, "/", &[("host", host)], false);
        }
        check_call(None, Method::GET, "/", &[], false);
    }

    #[test]
    fn other_origins_change_nothing() {
        let host = ("host", "localhost:5000");
        check_call(None, Method::POST, "/x", &[host], true);
        check_call(None, Method::POST, "/x", &[host, ("origin", "http://localhost:5000")], true);
        check_call(None, Method::POST, "/x", &[host, ("origin", "http://evil.example")], false);
        check_call(None, Method::POST, "/x", &[host, ("origin", "http://localhost:6000")], false);
        check_call(None, Method::POST, "/x", &[host, ("origin", "null")], false);
        check_call(None, Method::GET, "/x", &[host, ("origin", "http://evil.example")], true);
    }
}
