//! A ledger in a folder of its own, in SQLite or in PostgreSQL as the test binary says, and small helpers.

#![allow(dead_code, reason = "each test binary uses another part")]

pub mod cluster;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use mynah_ledger::{Ledger, Location, Metric, NewRun, OpenOptions, RunRecord, Tag};
use tempfile::TempDir;

/// A place for one ledger: a temporary folder, and with PostgreSQL a schema of the server.
pub struct Store {
    folder: TempDir,
    url: Option<String>,
}

impl Store {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// As a user would write the place.
    pub fn text(&self) -> String {
        self.url.clone().unwrap_or_else(|| self.path().join("ledger.db").display().to_string())
    }

    /// Changes the store behind the ledger's back.
    pub fn tamper(&self, sql: &str) {
        match &self.url {
            None => {
                rusqlite::Connection::open(self.path().join("ledger.db")).unwrap().execute_batch(sql).unwrap()
            }
            Some(url) => {
                let sql = sql.replace("PRAGMA foreign_keys = OFF", "SET session_replication_role = replica");
                cluster::connect(url).batch_execute(&sql).unwrap();
            }
        }
    }

    /// Bytes as SQL writes them.
    pub fn blob(&self, bytes: &[u8]) -> String {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.url.is_none() { format!("x'{digits}'") } else { format!("'\\x{digits}'") }
    }
}

/// An empty place; nothing, and a line that says why, where there is no server.
pub fn store() -> Option<Store> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = tempfile::tempdir().unwrap();
    if !crate::POSTGRES {
        return Some(Store { folder, url: None });
    }
    let server = cluster::url()?;
    let schema = format!("t_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    cluster::connect(server).batch_execute(&format!("CREATE SCHEMA {schema}")).unwrap();
    let mark = if server.contains('?') { '&' } else { '?' };
    let artifacts = folder.path().join("ledger.db.artifacts");
    let url = format!("{server}{mark}options=-csearch_path%3D{schema}&artifacts={}", artifacts.display());
    Some(Store { folder, url: Some(url) })
}

impl Drop for Store {
    fn drop(&mut self) {
        // Our own cluster goes as a whole; somebody's server is left as it was.
        if let (Some(url), false) = (&self.url, cluster::is_ours()) {
            let schema = url.split("search_path%3D").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
            cluster::connect(url).batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).unwrap();
        }
    }
}

/// A fresh ledger; the place lives as long as the second value.
pub fn ledger() -> Option<(Ledger, Store)> {
    let store = store()?;
    Some((open(&store), store))
}

/// The ledger of that place.
pub fn open(store: &Store) -> Ledger {
    Ledger::open(&place(store), options()).unwrap()
}

/// Where it is.
pub fn place(store: &Store) -> Location {
    Location::parse(&store.text()).unwrap()
}

/// Nobody's name is in a test.
pub fn options() -> OpenOptions {
    OpenOptions { actor: "tester".to_string(), ..OpenOptions::default() }
}

/// A run in the default experiment.
pub fn run(ledger: &Ledger, name: &str) -> RunRecord {
    run_in(ledger, "0", name, &[])
}

/// A run with tags.
pub fn run_in(ledger: &Ledger, experiment: &str, name: &str, tags: &[(&str, &str)]) -> RunRecord {
    let tags = tags.iter().map(|(key, value)| Tag::new(*key, *value)).collect();
    let new = NewRun { experiment_id: experiment.into(), name: Some(name.into()), tags, ..NewRun::default() };
    ledger.create_run(new).unwrap()
}

/// Records one point.
pub fn point(ledger: &Ledger, run: &RunRecord, key: &str, value: f64, step: i64) {
    ledger.log_metric(&run.run.id, Metric::new(key, value, 1_000 + step, step)).unwrap();
}
