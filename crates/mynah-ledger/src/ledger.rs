//! The handle: opening, who acts, reading and writing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::Connection;

use crate::error::{Error, ErrorKind, Result};
use crate::store::connection::{open_reader, open_writer, peek};
use crate::store::pool::Pool;
use crate::store::schema;
use crate::store::writer::{Tx, Writer};

/// Where a ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file; its artifacts lie in `FILE.artifacts` beside it.
    Sqlite(PathBuf),
}

impl Location {
    /// A path, or a URL `sqlite:///PATH` as MLflow writes it (three slashes: relative, four: absolute).
    ///
    /// # Errors
    /// `Invalid` for an empty text or a scheme that is not known.
    pub fn parse(text: &str) -> Result<Location> {
        let path = match text.split_once("://") {
            Some(("sqlite", rest)) => rest.strip_prefix('/').unwrap_or(rest),
            Some((scheme, _)) => {
                return Err(Error::invalid(format!(
                    "a ledger cannot be at '{scheme}://…'; give a file or sqlite:///FILE"
                )));
            }
            None => text,
        };
        if path.is_empty() {
            return Err(Error::invalid("the place of the ledger is empty; give a file"));
        }
        Ok(Location::Sqlite(PathBuf::from(path)))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Location::Sqlite(path) => path,
        }
    }
}

/// How to open. Every option is explicit; the default is what a program that records wants.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Change nothing, and refuse whoever tries.
    pub read_only: bool,
    /// Make the store when it is absent.
    pub create: bool,
    /// How long a change waits for other processes before it fails with `Busy`.
    pub busy_timeout_ms: u64,
    /// Who acts, for the audit log; [`Ledger::with_actor`] says it per caller.
    pub actor: String,
    /// Where artifacts of new experiments are said to be. Only for a new store; kept in it.
    pub artifact_root: String,
    /// Wait for the disk at every commit, so that acknowledged changes survive a loss of power. Without it
    /// they survive the end of the process in any way, and a loss of power may take the last moments.
    pub full_sync: bool,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions {
            read_only: false,
            create: true,
            busy_timeout_ms: 60_000,
            actor: std::env::var("USER").or_else(|_| std::env::var("USERNAME")).unwrap_or_default(),
            artifact_root: "mlflow-artifacts:/".to_string(),
            full_sync: false,
        }
    }
}

/// A ledger. Clones share one writer thread and one pool; the store is closed when the last one goes.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    actor: Arc<str>,
}

struct Shared {
    location: Location,
    artifact_dir: PathBuf,
    artifact_root: OnceLock<String>,
    pool: Pool,
    writer: Option<Writer>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Readers first: the writer's last checkpoint then meets nobody.
        self.pool.close();
    }
}

impl Ledger {
    /// Opens the ledger, and makes it when it is absent and `create` allows it.
    ///
    /// # Errors
    /// `NotFound` when it is absent, `NewerSchema` when a newer program wrote it (it is then untouched),
    /// `Permission` when it cannot be written, `Storage` when it is not a ledger, `Busy` when other processes hold
    /// it for longer than the timeout.
    pub fn open(location: &Location, options: OpenOptions) -> Result<Ledger> {
        let path = std::path::absolute(location.path())
            .map_err(|error| Error::io("cannot use the place", location.path(), &error))?;
        if path.is_dir() {
            return Err(Error::invalid(format!("{} is a folder; a ledger is a file", path.display())));
        }
        let exists = peek(&path)?;
        if !exists && (options.read_only || !options.create) {
            return Err(Error::not_found(format!("there is no ledger at {}", path.display())));
        }
        let writer = if options.read_only {
            None
        } else {
            if exists {
                // The file's first page may be older than its log: ask before anything is written.
                drop(open_reader(&path)?);
            }
            let timeout = Duration::from_millis(options.busy_timeout_ms);
            let connection = open_writer(&path, options.full_sync, timeout, &options.artifact_root)?;
            Some(Writer::start(connection, timeout)?)
        };
        let mut artifact_dir = path.clone().into_os_string();
        artifact_dir.push(".artifacts");
        let pool = Pool::new(path.clone());
        // A store that cannot be read says so now, not at the first question.
        pool.read(|connection| schema::version(connection).map(drop))?;
        let shared = Shared {
            location: Location::Sqlite(path),
            artifact_dir: artifact_dir.into(),
            artifact_root: OnceLock::new(),
            pool,
            writer,
        };
        Ok(Ledger { shared: Arc::new(shared), actor: options.actor.into() })
    }

    /// The same ledger, with changes recorded under this name.
    pub fn with_actor(&self, actor: impl Into<String>) -> Ledger {
        Ledger { shared: Arc::clone(&self.shared), actor: actor.into().into() }
    }

    /// Where it is, as an absolute path.
    pub fn location(&self) -> &Location {
        &self.shared.location
    }

    /// The folder that holds the contents of artifacts.
    pub fn artifact_dir(&self) -> &Path {
        &self.shared.artifact_dir
    }

    /// Whether changes are refused.
    pub fn is_read_only(&self) -> bool {
        self.shared.writer.is_none()
    }

    /// The artifact root that the store was made with, without a slash at its end.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn artifact_root(&self) -> Result<&str> {
        if let Some(root) = self.shared.artifact_root.get() {
            return Ok(root);
        }
        let root = self.read(|connection| schema::setting(connection, "artifact_root"))?.unwrap_or_default();
        Ok(self.shared.artifact_root.get_or_init(|| root.trim_end_matches('/').to_string()))
    }

    /// Runs a question in one snapshot of the store.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.shared.pool.read(read)
    }

    /// Runs a change on the writer thread and waits for its commit.
    pub(crate) fn write<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx) -> Result<T> + Send + 'static,
    {
        match &self.shared.writer {
            Some(writer) => writer.write(&self.actor, change),
            None => Err(Error::new(
                ErrorKind::Permission,
                format!("the ledger {} is open for reading only", self.shared.location.path().display()),
            )),
        }
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("location", &self.shared.location).field("actor", &self.actor).finish()
    }
}
