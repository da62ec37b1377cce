//! PostgreSQL: one connection, its prepared statements, its errors.
//!
//! Who writes locks the one row of the audit log's tree from the beginning to the end of a transaction. So
//! there is one writer at a time over all processes and machines, as with a file of SQLite, and everything that is
//! true there (look whether a name is free, then take it) stays true; group commit makes up for it. Readers
//! see one state and wait for nobody.

mod address;
mod dialect;
mod tls;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error as _;
use std::time::Duration;

use bytes::BytesMut;
use postgres::Client;
use postgres::error::SqlState;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::{Error, FromValue as _, Result, Value};
use crate::error::{self, ErrorKind};
use crate::store::schema;

pub use address::PostgresAddress;

/// Prepared statements that a connection keeps.
const STATEMENTS_MAX: usize = 200;

/// A server that does not answer an empty question by then is gone.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the client library says when it will not connect, now or later.
const REFUSALS: [&str; 4] =
    ["invalid configuration", "TLS handshake", "server does not support TLS", "authentication"];

/// Rows that come at once of a statement that may give many.
const SCAN_ROWS: usize = 1_000;

/// Two programs that make the same store at the same time wait for each other here: `MYNL`.
const MIGRATION_LOCK: i64 = 0x4d59_4e4c;

/// An open connection. Its own thread of work uses it one call at a time.
pub struct Server {
    client: RefCell<Client>,
    statements: RefCell<HashMap<String, postgres::Statement>>,
    scans: Cell<u64>,
    savepoint: Cell<Savepoint>,
}

/// Every statement to the server is a way there and back, so a savepoint is set with the beginning of its transaction,
/// and one that is kept goes with the next or with the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Savepoint {
    /// There is none.
    None,
    /// Set, and nothing done since.
    Fresh,
    /// Set, with a change behind it that is kept.
    Kept,
}

/// How a connection is to be.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Waiting for other processes ends with `Busy` after this.
    pub lock_timeout: Duration,
    /// Commits wait for the disk even where the server's own setting says otherwise.
    pub full_sync: bool,
}

impl Server {
    /// Connects and sets the session up.
    pub fn open(address: &PostgresAddress, session: Session) -> error::Result<Server> {
        let mut client = address.connect()?;
        let lock_ms = session.lock_timeout.as_millis().clamp(1, i32::MAX as u128);
        // Compiling a plan takes longer than any of ours runs.
        let mut setup =
            format!("SET lock_timeout = {lock_ms}; SET jit = off; SET standard_conforming_strings = on");
        if session.full_sync {
            setup.push_str("; SET synchronous_commit = on");
        }
        client.batch_execute(&setup).map_err(|error| error_of(&error))?;
        Ok(Server {
            client: client.into(),
            statements: RefCell::default(),
            scans: Cell::new(0),
            savepoint: Cell::new(Savepoint::None),
        })
    }

    /// Whether the server or the network has ended it; asks, as the client only knows once it has tried.
    pub fn is_lost(&self) -> bool {
        let mut client = self.client.borrow_mut();
        client.is_closed() || client.is_valid(PROBE_TIMEOUT).is_err()
    }

    /// Statements without values and rows.
    pub fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.client.borrow_mut().batch_execute(sql).map_err(|error| error_of(&error))?)
    }

    /// A statement, prepared now or before.
    pub fn prepare(&self, sql: &str) -> Result<postgres::Statement> {
        let mut statements = self.statements.borrow_mut();
        if let Some(statement) = statements.get(sql) {
            return Ok(statement.clone());
        }
        if statements.len() >= STATEMENTS_MAX {
            statements.clear();
        }
        let prepared = self.client.borrow_mut().prepare(&dialect::statement(sql));
        let statement = prepared.map_err(|error| error_of(&error))?;
        statements.insert(sql.to_string(), statement.clone());
        Ok(statement)
    }

    /// Executes; the number of rows that changed.
    pub fn execute(&self, statement: &postgres::Statement, values: &[Value<'_>]) -> Result<usize> {
        let params = params(values)?;
        let count = self.client.borrow_mut().execute(statement, &params).map_err(|error| error_of(&error))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// All rows.
    pub fn query(&self, statement: &postgres::Statement, values: &[Value<'_>]) -> Result<ServerRows<'_>> {
        let params = params(values)?;
        let rows = self.client.borrow_mut().query(statement, &params).map_err(|error| error_of(&error))?;
        Ok(ServerRows { server: self, rows, at: 0, cursor: None })
    }

    /// Rows that come portion by portion, inside a transaction.
    pub fn scan(&self, sql: &str) -> Result<ServerRows<'_>> {
        self.scans.set(self.scans.get() + 1);
        let cursor = format!("scan_{}", self.scans.get());
        self.batch(&format!("DECLARE {cursor} NO SCROLL CURSOR FOR {}", dialect::statement(sql)))?;
        Ok(ServerRows { server: self, rows: Vec::new(), at: 0, cursor: Some(cursor) })
    }

    fn fetch(&self, cursor: &str) -> Result<Vec<postgres::Row>> {
        let sql = format!("FETCH FORWARD {SCAN_ROWS} FROM {cursor}");
        Ok(self.client.borrow_mut().query(&sql, &[]).map_err(|error| error_of(&error))?)
    }

    /// Inserts a row and gives its key, if it was inserted.
    pub fn insert(&self, sql: &str, values: &[Value<'_>]) -> Result<Option<i64>> {
        let statement = self.prepare(&format!("{sql} RETURNING id"))?;
        let mut rows = self.query(&statement, values)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        i64::from_value(value(row, 0)?).map(Some)
    }

    /// The schema version, 0 where there is no table at all.
    pub fn schema_version(&self) -> Result<i64> {
        let counts = self.prepare(
            "SELECT count(*), count(*) FILTER (WHERE tablename IN ('schema_version', 'settings', 'audit_tree'))
             FROM pg_catalog.pg_tables WHERE schemaname = current_schema()",
        )?;
        let mut rows = self.query(&counts, &[])?;
        let row = rows.next()?.ok_or(Error::NoRow)?;
        match (i64::from_value(value(row, 0)?)?, i64::from_value(value(row, 1)?)?) {
            (0, _) => Ok(0),
            (_, 3) => {
                let select = self.prepare("SELECT coalesce(max(version), 0) FROM schema_version")?;
                let mut rows = self.query(&select, &[])?;
                i64::from_value(value(rows.next()?.ok_or(Error::NoRow)?, 0)?)
            }
            _ => Err(Error::Other(error::Error::storage(
                "the database holds tables of another program, not a ledger; give an empty database, or a schema of its own \
                 with ?options=-csearch_path%3DSCHEMA",
            ))),
        }
    }

    /// Begins a transaction that reads one state.
    pub fn begin_read(&self) -> Result<()> {
        self.savepoint.set(Savepoint::None);
        self.batch("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    }

    /// Begins a transaction that writes, once it holds the lock of all writers.
    pub fn begin_write(&self) -> Result<()> {
        self.savepoint.set(Savepoint::None);
        self.batch(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SELECT 1 FROM audit_tree WHERE id = 0 FOR UPDATE;
             SAVEPOINT change",
        )?;
        self.savepoint.set(Savepoint::Fresh);
        Ok(())
    }

    /// Begins one of several changes in a transaction.
    pub fn begin_change(&self) -> Result<()> {
        match self.savepoint.replace(Savepoint::Fresh) {
            Savepoint::Fresh => Ok(()),
            Savepoint::Kept => self.batch("RELEASE change; SAVEPOINT change"),
            Savepoint::None => self.batch("SAVEPOINT change"),
        }
    }

    /// Ends the change and keeps what it did, or takes it back.
    pub fn end_change(&self, keep: bool) -> Result<()> {
        if keep {
            self.savepoint.set(Savepoint::Kept);
            return Ok(());
        }
        // The savepoint itself stays, for the next change.
        self.batch("ROLLBACK TO change")
    }

    /// Begins the transaction of the migrations.
    pub fn begin_migration(&self) -> Result<()> {
        self.batch(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
        ))
    }

    /// Executes the statements of a migration.
    pub fn execute_schema(&self, sql: &str) -> Result<()> {
        self.batch(&dialect::schema(sql))
    }
}

/// Opens the connection that writes; makes the tables when there are none, if `create` allows it.
pub fn open_writer(
    address: &PostgresAddress,
    session: Session,
    create: bool,
    artifact_root: &str,
) -> error::Result<super::Connection> {
    let connection = super::Connection::Postgres(Box::new(Server::open(address, session)?));
    let place = address.to_string();
    let version = connection.schema_version()?;
    if version == 0 && !create {
        return Err(absent(address));
    }
    schema::check_not_newer(version, &place)?;
    schema::migrate(&connection, &place, mynah_base::time::now_ms(), artifact_root)?;
    Ok(connection)
}

/// Opens a connection that reads.
pub fn open_reader(address: &PostgresAddress, session: Session) -> error::Result<super::Connection> {
    let connection = super::Connection::Postgres(Box::new(Server::open(address, session)?));
    let version = connection.schema_version()?;
    if version == 0 {
        return Err(absent(address));
    }
    schema::check_not_newer(version, &address.to_string())?;
    Ok(connection)
}

fn absent(address: &PostgresAddress) -> error::Error {
    error::Error::not_found(format!("there is no ledger at {address}"))
}

/// Rows of a statement.
pub struct ServerRows<'s> {
    server: &'s Server,
    rows: Vec<postgres::Row>,
    at: usize,
    /// More can be fetched from it.
    cursor: Option<String>,
}

impl ServerRows<'_> {
    /// The next one.
    pub fn next(&mut self) -> Result<Option<&postgres::Row>> {
        if self.at == self.rows.len()
            && let Some(cursor) = self.cursor.take()
        {
            self.rows = self.server.fetch(&cursor)?;
            self.at = 0;
            if self.rows.len() == SCAN_ROWS {
                self.cursor = Some(cursor);
            }
        }
        self.at += 1;
        Ok(self.rows.get(self.at - 1))
    }
}

/// The value of a column.
pub fn value(row: &postgres::Row, column: usize) -> Result<Value<'_>> {
    Ok(row.try_get(column).map_err(|error| error_of(&error))?)
}

fn params<'v>(values: &'v [Value<'v>]) -> Result<Vec<&'v (dyn ToSql + Sync)>> {
    if values.iter().any(|value| value.as_str().is_some_and(|text| text.contains('\0'))) {
        return Err(Error::Other(error::Error::invalid(
            "a text holds a NUL character, which PostgreSQL cannot store",
        )));
    }
    Ok(values.iter().map(|value| value as &(dyn ToSql + Sync)).collect())
}

/// Encoded as the type that the server wants there.
impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match *self {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(value) => match *kind {
                Type::INT8 => value.to_sql(kind, out),
                Type::INT4 => i32::try_from(value)?.to_sql(kind, out),
                Type::FLOAT8 => (value as f64).to_sql(kind, out),
                _ => Err(format!("a whole number is bound where the server wants {kind}").into()),
            },
            Value::Real(value) if *kind == Type::FLOAT8 => value.to_sql(kind, out),
            Value::Real(_) => Err(format!("a number is bound where the server wants {kind}").into()),
            Value::Text(text) => text.to_sql(kind, out),
            Value::Blob(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'r> FromSql<'r> for Value<'r> {
    fn from_sql(
        kind: &Type,
        raw: &'r [u8],
    ) -> std::result::Result<Value<'r>, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *kind {
            Type::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::BOOL => Value::Integer(bool::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA => Value::Blob(raw),
            _ => Value::Text(<&str>::from_sql(kind, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Value<'r>, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Value::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The server's or the network's word for it, with what a program may want to tell apart.
fn error_of(error: &postgres::Error) -> error::Error {
    let Some(code) = error.code() else {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            let words = inner.to_string();
            if !message.contains(&words) {
                message = format!("{message}: {words}");
            }
            source = inner.source();
        }
        // Without a code it did not come from the server. It is the network, which may come back, unless it is one of
        // these; the client library has no other way to tell them apart than their words.
        let kind = if message.contains("is bound where") {
            ErrorKind::Storage
        } else if REFUSALS.iter().any(|words| message.contains(words)) {
            ErrorKind::Permission
        } else {
            ErrorKind::Busy
        };
        return error::Error::new(kind, format!("the ledger's server: {message}"));
    };
    let kind = match *code {
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::TOO_MANY_CONNECTIONS
        | SqlState::QUERY_CANCELED
        | SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW => ErrorKind::Busy,
        SqlState::INSUFFICIENT_PRIVILEGE
        | SqlState::READ_ONLY_SQL_TRANSACTION
        | SqlState::INVALID_PASSWORD
        | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => ErrorKind::Permission,
        SqlState::INVALID_CATALOG_NAME => ErrorKind::NotFound,
        _ if code.code().starts_with("08") => ErrorKind::Busy,
        _ => ErrorKind::Storage,
    };
    let words = error.as_db_error().map_or_else(|| error.to_string(), |told| told.message().to_string());
    let hint = match kind {
        ErrorKind::NotFound => "; make it with createdb",
        ErrorKind::Busy if *code == SqlState::LOCK_NOT_AVAILABLE => "; another process is writing, try again",
        _ => "",
    };
    let ours = error::Error::new(kind, format!("the ledger's server: {words}{hint}"));
    match *code {
        SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY => ours.transient(),
        _ => ours,
    }
}
