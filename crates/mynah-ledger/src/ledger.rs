//! The handle: opening, who acts, reading and writing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::db::postgres::{self, PostgresAddress, Session};
use crate::db::{Connection, sqlite};
use crate::error::{Error, ErrorKind, Result};
use crate::store::pool::Pool;
use crate::store::schema;
use crate::store::writer::{Tx, Writer};

/// Where a ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file; its artifacts lie in `FILE.artifacts` beside it.
    Sqlite(PathBuf),
    /// A PostgreSQL database, for many machines; see [`PostgresAddress`] for what the URL may say.
    ///
    /// The database has the records, a folder the contents of artifacts: the one of the URL's parameter
    /// `artifacts`, else of [`OpenOptions::artifact_dir`], else `artifacts/ID` in the home folder of Mynah, where ID
    /// is the ledger's own. Machines that are to read each other's artifacts need the same folder, on a
    /// shared disk.
    ///
    /// Every call waits for the server: inside an asynchronous program it belongs on a thread that may block.
    Postgres(PostgresAddress),
}

impl Location {
    /// A path, a URL `sqlite:///PATH` as MLflow writes it (three slashes: relative, four: absolute), or
    /// `postgresql://…`, also `postgres://…`.
    ///
    /// # Errors
    /// `Invalid` for an empty text or a scheme that is not known.
    pub fn parse(text: &str) -> Result<Location> {
        let path = match text.split_once("://") {
            Some(("sqlite", rest)) => rest.strip_prefix('/').unwrap_or(rest),
            Some(("postgres" | "postgresql", _)) => {
                return PostgresAddress::parse(text).map(Location::Postgres);
            }
            Some((scheme, _)) => {
                return Err(Error::invalid(format!(
                    "a ledger cannot be at '{}://…'; give a file, sqlite:///FILE or postgresql://HOST/DATABASE",
                    crate::validate::clip(scheme)
                )));
            }
            None => text,
        };
        if path.is_empty() {
            return Err(Error::invalid("the place of the ledger is empty; give a file"));
        }
        Ok(Location::Sqlite(PathBuf::from(path)))
    }

    /// The file; an empty path where the ledger is on a server.
    pub fn path(&self) -> &Path {
        self.file().unwrap_or(Path::new(""))
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Location::Sqlite(path) => Some(path),
            Location::Postgres(_) => None,
        }
    }
}

/// The path, or the URL without its password.
impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Location::Sqlite(path) => write!(f, "{}", path.display()),
            Location::Postgres(address) => write!(f, "{address}"),
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
    /// The folder of the contents of artifacts; nothing: where the [`Location`] says. It is not kept in the
    /// store: everybody who opens it says it again.
    pub artifact_dir: Option<PathBuf>,
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
            artifact_dir: None,
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
    /// As it was when it was opened; only grows.
    schema_version: i64,
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
    /// it for longer than the timeout or the server cannot be reached.
    pub fn open(location: &Location, options: OpenOptions) -> Result<Ledger> {
        match location {
            Location::Sqlite(path) => Ledger::open_file(path, options),
            Location::Postgres(address) => Ledger::open_server(address, options),
        }
    }

    fn open_file(path: &Path, options: OpenOptions) -> Result<Ledger> {
        let path =
            std::path::absolute(path).map_err(|error| Error::io("cannot use the place", path, &error))?;
        if path.is_dir() {
            return Err(Error::invalid(format!("{} is a folder; a ledger is a file", path.display())));
        }
        let exists = sqlite::peek(&path)?;
        if !exists && (options.read_only || !options.create) {
            return Err(Error::not_found(format!("there is no ledger at {}", path.display())));
        }
        let writer = if options.read_only {
            None
        } else {
            if exists {
                // The file's first page may be older than its log: ask before anything is written.
                drop(sqlite::open_reader(&path)?);
            }
            let timeout = Duration::from_millis(options.busy_timeout_ms);
            let (file, root) = (path.clone(), options.artifact_root.clone());
            let open = move || sqlite::open_writer(&file, options.full_sync, timeout, &root);
            Some(Writer::start(open, timeout)?)
        };
        let file = path.clone();
        let pool = Pool::new(move || sqlite::open_reader(&file));
        let artifact_dir = options.artifact_dir.unwrap_or_else(|| {
            let mut beside = path.clone().into_os_string();
            beside.push(".artifacts");
            beside.into()
        });
        Ledger::with_parts(Location::Sqlite(path), pool, writer, options.actor, |_| Ok(artifact_dir))
    }

    fn open_server(address: &PostgresAddress, options: OpenOptions) -> Result<Ledger> {
        let timeout = Duration::from_millis(options.busy_timeout_ms);
        let session = Session { lock_timeout: timeout, full_sync: options.full_sync };
        let writer = if options.read_only {
            None
        } else {
            let (place, root) = (address.clone(), options.artifact_root.clone());
            let open = move || postgres::open_writer(&place, session, options.create, &root);
            Some(Writer::start(open, timeout)?)
        };
        let place = address.clone();
        let pool = Pool::new(move || postgres::open_reader(&place, session));
        let named = address.artifacts().map(Path::to_path_buf).or(options.artifact_dir);
        Ledger::with_parts(Location::Postgres(address.clone()), pool, writer, options.actor, |ledger_id| {
            named.map_or_else(|| Ok(home()?.join("artifacts").join(ledger_id)), Ok)
        })
    }

    /// Puts the parts together; `artifact_dir` gives the folder of a ledger of that id.
    fn with_parts(
        location: Location,
        pool: Pool,
        writer: Option<Writer>,
        actor: String,
        artifact_dir: impl FnOnce(&str) -> Result<PathBuf>,
    ) -> Result<Ledger> {
        // A store that cannot be read says so now, not at the first question.
        let (id, schema_version) = pool.read(|connection| {
            Ok((schema::setting(connection, "ledger_id")?.unwrap_or_default(), connection.schema_version()?))
        })?;
        let artifact_dir = artifact_dir(&id)?;
        let shared =
            Shared { location, artifact_dir, artifact_root: OnceLock::new(), schema_version, pool, writer };
        Ok(Ledger { shared: Arc::new(shared), actor: actor.into() })
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

    /// The version of the store's schema; below the program's own only where it is open for reading.
    pub(crate) fn schema_version(&self) -> i64 {
        self.shared.schema_version
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
                format!("the ledger {} is open for reading only", self.shared.location),
            )),
        }
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("location", &self.shared.location).field("actor", &self.actor).finish()
    }
}

/// The home folder of Mynah: `MYNAH_HOME`, else `.local/share/mynah` in the user's.
fn home() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(home) = set("MYNAH_HOME") {
        return Ok(home);
    }
    let user = set("HOME").or_else(|| set("USERPROFILE")).ok_or_else(|| {
        Error::invalid(
            "neither MYNAH_HOME nor HOME is set: name the folder for artifacts, ?artifacts=FOLDER in the URL",
        )
    })?;
    Ok(user.join(".local/share/mynah"))
}
