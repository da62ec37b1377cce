//! What a server is told before it starts, and which of it is refused.

use std::net::{SocketAddr, ToSocketAddrs};

use mynah_govern::validate::Policy;

use crate::error::{Error, ErrorKind, Result};

/// Everything a server needs to know, apart from the ledger it serves.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Name or address to listen on. Anything but loopback needs a [`token`](ServerConfig::token).
    pub host: String,
    /// Port to listen on; 0 lets the system choose one.
    pub port: u16,
    /// What a client must present: as a bearer token, or as the password of basic authentication (which is
    /// what a browser asks its user for). Without one, only programs on this machine can reach the server.
    pub token: Option<String>,
    /// Largest body of an API call. Artifacts are streamed and have a limit of their own.
    pub body_size_bytes_max: usize,
    /// Largest artifact that may be uploaded.
    pub artifact_size_bytes_max: u64,
    /// Connections that may be open at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// How long a connection may stay open without a whole request head.
    pub head_silence_ms_max: u64,
    /// Requests that may be under way at once; the next one is answered 503 and told to come back.
    pub requests_max: usize,
    /// Threads that may be inside the ledger at once; further requests wait for their turn.
    pub ledger_threads: usize,
    /// How long a client may stay silent in the middle of a body.
    pub body_silence_ms_max: u64,
    /// What a run must satisfy before a version it made may go to production, and what validation on the page
    /// expects.
    pub policy: Policy,
    /// How long requests under way may take to finish once the server is asked to stop.
    pub shutdown_grace_ms: u64,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            host: "127.0.0.1".to_string(),
            port: 5000,
            token: None,
            body_size_bytes_max: 16 << 20,
            artifact_size_bytes_max: 1 << 40,
            connections_max: 4096,
            head_silence_ms_max: 30_000,
            requests_max: 1024,
            ledger_threads: 64,
            body_silence_ms_max: 30_000,
            policy: Policy::default(),
            shutdown_grace_ms: 5_000,
        }
    }
}

/// Shortest token that is accepted: 16 characters resist guessing over a network.
const TOKEN_CHARS_MIN: usize = 16;

impl ServerConfig {
    /// Resolves the host and refuses what would be unsafe or could not work.
    ///
    /// # Errors
    /// `Setting`: the host does not resolve, it is not loopback and there is no token, the token is too
    /// short or not printable ASCII (an HTTP header could not carry it), a limit is zero.
    pub(crate) fn addresses(&self) -> Result<Vec<SocketAddr>> {
        if let Some(token) = &self.token {
            if token.len() < TOKEN_CHARS_MIN {
                return Err(Error::new(
                    ErrorKind::Setting,
                    format!(
                        "the token has {} characters; use at least {TOKEN_CHARS_MIN}, for example the output \
                         of `openssl rand -hex 16`",
                        token.len()
                    ),
                ));
            }
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Error::new(
                    ErrorKind::Setting,
                    "the token has a character that an HTTP header cannot carry; use printable ASCII without spaces",
                ));
            }
        }
        let counts = [self.connections_max, self.requests_max, self.ledger_threads, self.body_size_bytes_max];
        if counts.contains(&0) || self.head_silence_ms_max == 0 || self.body_silence_ms_max == 0 {
            return Err(Error::new(ErrorKind::Setting, "limits of the server must be greater than zero"));
        }
        let addresses: Vec<SocketAddr> = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| {
                Error::new(
                    ErrorKind::Setting,
                    format!(
                        "cannot resolve host `{}`: {error}; give a name or address of this machine",
                        self.host
                    ),
                )
            })?
            .collect();
        let open = addresses.iter().find(|address| !address.ip().is_loopback());
        if let (Some(address), None) = (open, &self.token) {
            return Err(Error::new(
                ErrorKind::Setting,
                format!(
                    "host `{}` is {}, which other machines can reach; give a token, or listen on 127.0.0.1",
                    self.host,
                    address.ip()
                ),
            ));
        }
        if addresses.is_empty() {
            return Err(Error::new(ErrorKind::Setting, format!("host `{}` has no address", self.host)));
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, token: Option<&str>, expect: &str) {
        let config = ServerConfig {
            host: host.to_string(),
            token: token.map(str::to_string),
            port: 0,
            ..ServerConfig::default()
        };
        let found = match config.addresses() {
            Ok(_) => "ok".to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            found.contains(expect),
            "host {host:?}, token {token:?}: {found:?} does not contain {expect:?}"
        );
    }

    #[test]
    fn only_loopback_needs_no_token() {
        check("127.0.0.1", None, "ok");
        check("::1", None, "ok");
        check("0.0.0.0", None, "give a token");
        check("::", None, "give a token");
        check("192.0.2.7", None, "give a token");
        check("0.0.0.0", Some("0123456789abcdef"), "ok");
    }

    #[test]
    fn weak_tokens_and_odd_hosts_are_refused() {
        check("127.0.0.1", Some("short"), "at least 16");
        check("127.0.0.1", Some("0123456789abcde\n"), "printable ASCII");
        check("127.0.0.1", Some("0123456789 abcdef"), "printable ASCII");
        check("no such host", None, "cannot resolve");
    }
}
