//! Who may call: API keys, rates, and pages of other origins.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, AUTHORIZATION, HOST, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method};

use super::config::LlmConfig;
use super::failure::{Failure, Kind, Outcome};
use crate::guard;
use crate::llm::{page, weights};

/// Paths that monitors call without a key.
const OPEN_PATHS: [&str; 4] = ["/health", "/v1/health", "/live", "/ready"];
/// Clients whose rate is remembered; more are forgotten, the longest silent first.
const CLIENTS_MAX: usize = 10_000;

/// Decides on requests.
pub(crate) struct Access {
    keys: Vec<String>,
    /// Opens `/admin/`, and nothing else does.
    admin_key: Option<String>,
    origins: Vec<String>,
    rate: Option<u32>,
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// What a client may still ask for (a token bucket that fills within a minute).
struct Bucket {
    left: f64,
    at: Instant,
}

impl Access {
    pub(crate) fn new(config: &LlmConfig) -> Access {
        Access {
            keys: config.api_keys.clone(),
            admin_key: config.weights.as_ref().map(|weights| weights.admin_key.clone()),
            origins: config.cors_origins.clone(),
            rate: config.requests_per_minute,
            buckets: Mutex::default(),
        }
    }

    /// Lets a request in, and gives the name under which it is scheduled.
    pub(crate) fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Outcome<String> {
        if OPEN_PATHS.contains(&path) || page::has(path) {
            return Ok(String::new());
        }
        self.check_origin(method, headers)?;
        let given = key(headers);
        if (path.starts_with("/admin/") || weights::has_verb(path))
            && let Some(admin_key) = &self.admin_key
        {
            let fits = given.is_some_and(|given| guard::same(admin_key.as_bytes(), given.as_bytes()));
            let message = "no admin key, or a wrong one: send it as `Authorization: Bearer KEY`";
            return match fits {
                true => Ok(String::new()),
                false => Err(Failure::new(Kind::Authentication, message)),
            };
        }
        if self.keys.is_empty() {
            if !headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(guard::is_loopback_name) {
                let message = "without an API key this server answers only to localhost, 127.0.0.1 and [::1]";
                return Err(Failure::new(Kind::Permission, message));
            }
        } else {
            let Some(given) = &given else {
                let message = "no API key: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`";
                return Err(Failure::new(Kind::Authentication, message));
            };
            // All are compared, so that the time says nothing about which one nearly fits.
            let fits = self
                .keys
                .iter()
                .fold(false, |fits, key| fits | guard::same(key.as_bytes(), given.as_bytes()));
            if !fits {
                return Err(Failure::new(Kind::Authentication, "the API key is not one of this server's"));
            }
        }
        // A key is a secret: elsewhere only its digest is seen.
        let client =
            given.map_or(String::new(), |key| blake3::hash(key.as_bytes()).to_hex()[..16].to_string());
        self.count(&client)?;
        Ok(client)
    }

    fn count(&self, client: &str) -> Outcome<()> {
        let Some(rate) = self.rate else { return Ok(()) };
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CLIENTS_MAX && !buckets.contains_key(client) {
            let oldest = buckets.iter().min_by_key(|(_, bucket)| bucket.at).map(|(name, _)| name.clone());
            oldest.map(|name| buckets.remove(&name));
        }
        let full = f64::from(rate);
        let bucket = buckets.entry(client.to_string()).or_insert(Bucket { left: full, at: now });
        let gained = now.duration_since(bucket.at).as_secs_f64() * full / 60.0;
        bucket.left = (bucket.left + gained).min(full);
        bucket.at = now;
        if bucket.left < 1.0 {
            let message = format!("more than {rate} requests a minute; wait a moment");
            return Err(Failure::new(Kind::RateLimit, message));
        }
        bucket.left -= 1.0;
        Ok(())
    }

    /// A page of another origin must be allowed by name: without that, any page that the user opens could use the
    /// server on the user's own machine.
    fn check_origin(&self, method: &Method, headers: &HeaderMap) -> Outcome<()> {
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let own = headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|parts| parts.1);
        let is_own = authority.is_some() && authority == own;
        if is_own || self.allows(origin) || matches!(*method, Method::OPTIONS) {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Permission,
            "pages of this origin may not call; allow them with --cors-origin",
        ))
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    }

    /// What a browser wants to read before it lets a page have the answer.
    pub(crate) fn add_cors(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(VARY, HeaderValue::from_static("origin"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE, OPTIONS"));
        let names = "authorization, content-type, x-api-key, anthropic-version, anthropic-beta";
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(names));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

/// The key of a request: OpenAI's header or Anthropic's.
fn key(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| text("x-api-key")).filter(|key| !key.is_empty()).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name: axum::http::HeaderName = name.parse().expect("a name");
            map.insert(name, value.parse().expect("a value"));
        }
        map
    }

    #[test]
    fn keys_come_in_both_headers() {
        let config =
            LlmConfig { api_keys: vec!["secret-1".into(), "secret-2".into()], ..LlmConfig::default() };
        let access = Access::new(&config);
        let check = |pairs: &[(&str, &str)]| access.check(&Method::POST, "/v1/x", &headers(pairs));
        assert!(check(&[("authorization", "Bearer secret-2")]).is_ok());
        assert!(check(&[("x-api-key", "secret-1")]).is_ok());
        for bad in [&[][..], &[("authorization", "Bearer secret-3")], &[("authorization", "Basic secret-1")]]
        {
            assert_eq!(check(bad).expect_err("no key").kind, Kind::Authentication);
        }
        assert!(access.check(&Method::GET, "/health", &HeaderMap::new()).is_ok());
        assert_ne!(check(&[("x-api-key", "secret-1")]).ok(), check(&[("x-api-key", "secret-2")]).ok());
    }

    #[test]
    fn other_origins_are_named_or_refused() {
        let access = Access::new(&LlmConfig {
            cors_origins: vec!["https://a.example".into()],
            ..LlmConfig::default()
        });
        let host = ("host", "localhost:8000");
        let check = |origin: &str| {
            access.check(&Method::POST, "/v1/x", &headers(&[host, ("origin", origin)])).is_ok()
        };
        assert!(check("http://localhost:8000") && check("https://a.example"));
        assert!(!check("https://b.example") && !check("null"));
        let mut answer = HeaderMap::new();
        access.add_cors(Some(&HeaderValue::from_static("https://a.example")), &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert!(access.check(&Method::GET, "/v1/x", &headers(&[("host", "evil.example")])).is_err());
    }

    #[test]
    fn a_rate_is_each_clients_own() {
        let config = LlmConfig { requests_per_minute: Some(3), ..LlmConfig::default() };
        let access = Access::new(&config);
        assert!((0..3).all(|_| access.count("a").is_ok()));
        assert_eq!(access.count("a").expect_err("the fourth").kind, Kind::RateLimit);
        assert!(access.count("b").is_ok());
    }
}
