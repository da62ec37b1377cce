//! Where a PostgreSQL store is: the URL with what the environment adds, and never its password in a message.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};

use super::{error_of, tls};
use crate::error::{Error, Result};

/// A connection that is not made by then fails.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Folders in which a server on this machine listens.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The address of a PostgreSQL database, `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?…`.
///
/// What the URL leaves out comes from libpq's variables `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`,
/// `PGSSLMODE` and `PGSSLROOTCERT` (a password file and a service file are not read). Besides libpq's parameters there is `artifacts`, the folder of the contents of
/// artifacts. A schema of its own is chosen by `options=-csearch_path%3DSCHEMA`.
///
/// Connections are verified or plain, never encrypted to somebody unknown: `sslmode=require` and `verify-full` both
/// check the server's certificate and its name (against `sslrootcert`, else the public roots), `disable` is
/// plain. Without a mode a server on this machine is spoken to plainly and any other verified.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    /// What the client library reads: the URL without the parameters below.
    url: String,
    encrypt: Option<bool>,
    root_certificates: Option<PathBuf>,
    artifacts: Option<PathBuf>,
}

impl PostgresAddress {
    /// Reads a URL.
    ///
    /// # Errors
    /// `Invalid`; the text does not appear in it, as there may be a password in it.
    pub fn parse(url: &str) -> Result<PostgresAddress> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut address = PostgresAddress {
            url: base.to_string(),
            encrypt: None,
            root_certificates: None,
            artifacts: None,
        };
        let mut mode = variable("PGSSLMODE");
        address.root_certificates = variable("PGSSLROOTCERT").map(PathBuf::from);
        let mut before = '?';
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "sslmode" => mode = Some(decode(value)?),
                "sslrootcert" => address.root_certificates = Some(decode(value)?.into()),
                "artifacts" => address.artifacts = Some(decode(value)?.into()),
                _ => {
                    address.url.push(before);
                    address.url.push_str(pair);
                    before = '&';
                }
            }
        }
        if address.root_certificates.as_deref() == Some(Path::new("system")) {
            address.root_certificates = None;
        }
        address.encrypt = match mode.as_deref() {
            None | Some("") => None,
            Some("disable") => Some(false),
            Some("require" | "verify-full") => Some(true),
            Some(other) => {
                let other = crate::validate::clip(other);
                return Err(Error::invalid(format!(
                    "sslmode={other} is not supported: use verify-full (or require, the same here), or disable \
                     in a network you trust"
                )));
            }
        };
        address.config()?;
        Ok(address)
    }

    /// The folder of the contents of artifacts, if the URL names one.
    pub fn artifacts(&self) -> Option<&Path> {
        self.artifacts.as_deref()
    }

    fn config(&self) -> Result<Config> {
        let mut config: Config = self.url.parse().map_err(|_: postgres::Error| not_readable())?;
        let port = |text: String| {
            let bad = |_| Error::invalid(format!("PGPORT={} is no port", crate::validate::clip(&text)));
            text.parse::<u16>().map_err(bad)
        };
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            let own = SOCKET_FOLDERS.iter().find(|folder| Path::new(folder).join(".s.PGSQL.5432").exists());
            config.host(variable("PGHOST").as_deref().or(own.copied()).unwrap_or("localhost"));
        }
        if config.get_ports().is_empty()
            && let Some(text) = variable("PGPORT")
        {
            config.port(port(text)?);
        }
        if config.get_user().is_none()
            && let Some(user) =
                variable("PGUSER").or_else(|| variable("USER")).or_else(|| variable("USERNAME"))
        {
            config.user(&user);
        }
        if config.get_password().is_none()
            && let Some(password) = variable("PGPASSWORD")
        {
            config.password(password);
        }
        if config.get_dbname().is_none()
            && let Some(name) = variable("PGDATABASE")
        {
            config.dbname(&name);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("mynah");
        }
        Ok(config)
    }

    /// Connects.
    pub(super) fn connect(&self) -> Result<Client> {
        let mut config = self.config()?;
        let local = config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => {
                name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
            #[cfg(unix)]
            Host::Unix(_) => true,
        });
        let client = if self.encrypt.unwrap_or(!local) {
            config.ssl_mode(SslMode::Require);
            config.connect(tls::connector(self.root_certificates.as_deref())?)
        } else {
            config.ssl_mode(SslMode::Disable);
            config.connect(NoTls)
        };
        client.map_err(|error| {
            let ours = error_of(&error);
            let hint = if self.encrypt.is_none() && !local && error.code().is_none() {
                " (a server elsewhere is spoken to encrypted and verified: sslrootcert=FILE names its authority, \
                 sslmode=disable gives that up)"
            } else {
                ""
            };
            let message = format!("cannot connect to {self}: {ours}{hint}");
            let told = Error::new(ours.kind(), message);
            if ours.is_transient() { told.transient() } else { told }
        })
    }
}

fn not_readable() -> Error {
    Error::invalid(
        "the address of the PostgreSQL database cannot be read: write postgresql://USER@HOST:PORT/DATABASE, with % \
         codes for special characters, and the password in PGPASSWORD",
    )
}

/// A variable of the environment that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Takes `%41` for `A`.
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(not_readable)?;
        bytes.push(code);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| not_readable())
}

/// `postgresql://USER@HOST:PORT/DATABASE`, without the password.
impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(config) = self.config() else { return f.write_str("postgresql://") };
        f.write_str("postgresql://")?;
        if let Some(user) = config.get_user() {
            write!(f, "{user}@")?;
        }
        for (index, host) in config.get_hosts().iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            match host {
                Host::Tcp(name) => f.write_str(name)?,
                #[cfg(unix)]
                Host::Unix(folder) => write!(f, "{}", folder.display())?,
            }
            if let Some(port) = config.get_ports().get(index).or(config.get_ports().first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", config.get_dbname().or(config.get_user()).unwrap_or_default())
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_text() {
        let address =
            PostgresAddress::parse("postgresql://ann:s3cret@db.example:5433/runs?artifacts=/a%20b").unwrap();
        assert_eq!(address.to_string(), "postgresql://ann@db.example:5433/runs");
        assert!(!format!("{address:?}").contains("s3cret"));
        assert_eq!(address.artifacts(), Some(Path::new("/a b")));
        for bad in [
            "postgresql://ann:s3cret@h:port/x",
            "postgresql://ann:s3cret@h/x?sslmode=prefer",
            "postgresql://h/x?s3cret",
            "postgresql://h/x?artifacts=%s3cret",
        ] {
            let error = PostgresAddress::parse(bad).unwrap_err();
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn encryption_is_verified_or_off() {
        let encrypt = |text: &str| PostgresAddress::parse(text).map(|address| address.encrypt);
        assert_eq!(encrypt("postgresql://h/x?sslmode=require").unwrap(), Some(true));
        assert_eq!(encrypt("postgresql://h/x?sslmode=verify-full&sslrootcert=ca.pem").unwrap(), Some(true));
        assert_eq!(encrypt("postgresql://h/x?sslmode=disable").unwrap(), Some(false));
        for refused in ["prefer", "allow", "verify-ca", "x"] {
            assert!(encrypt(&format!("postgresql://h/x?sslmode={refused}")).is_err(), "{refused}");
        }
    }
}
