//! What the crate asks of a database, and the databases that can do it.
//!
//! The crate's statements are written once, in the SQL that SQLite and PostgreSQL share; this layer prepares
//! them, binds values, reads rows, and knows how each of the two begins, commits and locks. The surface is
//! the small part of rusqlite's that the crate uses, so that a statement reads as it would there.
//!
//! A connection is an enum of the two and no trait object: a row of SQLite is read through one predictable
//! branch instead of an indirect call for each column, values are borrowed from SQLite's own memory up to the
//! type that keeps them, and generic methods (any tuple of values, any type of a column) stay possible. A trait with
//! one generic parameter through the whole crate would compile everything twice for the same effect.
//!
//! Only `import`, which reads the SQLite file of another program, goes past this layer.
//!
//! Rejected: an object-relational mapper (it would write the statements that we tune by hand), and a common
//! denominator of both (SQLite's group commit, its file and its version in the header are used as they are).

pub mod postgres;
pub mod sqlite;
mod value;

use std::time::Instant;

pub use value::{Bound, FromValue, Params, Value};

use crate::error;

/// A result of the layer.
pub type Result<T> = std::result::Result<T, Error>;

/// An error on its way to the crate's own; apart from it only so that "no row" can become `None`.
#[derive(Debug)]
pub enum Error {
    /// A statement that should give a row gave none.
    NoRow,
    /// SQLite's.
    Sqlite(rusqlite::Error),
    /// Ours already; PostgreSQL's become so at once.
    Other(error::Error),
}

impl From<error::Error> for Error {
    fn from(error: error::Error) -> Error {
        Error::Other(error)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        Error::Sqlite(error)
    }
}

impl From<Error> for error::Error {
    fn from(error: Error) -> error::Error {
        match error {
            Error::NoRow => error::Error::storage("the ledger's database: a row that must be there is not"),
            Error::Sqlite(error) => error.into(),
            Error::Other(error) => error,
        }
    }
}

/// No row is no error.
pub trait OptionalExtension<T> {
    /// `None` instead of [`Error::NoRow`].
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalExtension<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::NoRow) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A connection to either database.
pub enum Connection {
    /// A file.
    Sqlite(rusqlite::Connection),
    /// A server.
    Postgres(Box<postgres::Server>),
}

impl Connection {
    /// A statement that is prepared once per connection and kept.
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>> {
        match self {
            Connection::Sqlite(connection) => Ok(Statement::Sqlite(connection.prepare_cached(sql)?)),
            Connection::Postgres(server) => {
                Ok(Statement::Postgres { server, statement: server.prepare(sql)? })
            }
        }
    }

    /// A statement without values that gives many rows: at any length in little memory, inside a transaction.
    pub fn prepare_scan(&self, sql: &str) -> Result<Statement<'_>> {
        match self {
            // SQLite makes each row when it is asked for.
            Connection::Sqlite(connection) => Ok(Statement::Sqlite(connection.prepare_cached(sql)?)),
            Connection::Postgres(server) => Ok(Statement::Scan { server, sql: sql.to_string() }),
        }
    }

    /// Executes once; the number of rows that changed.
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.prepare_cached(sql)?.execute(params)
    }

    /// The one row of a statement.
    pub fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.prepare_cached(sql)?.query_row(params, read)
    }

    /// Inserts a row into a table whose key is `id`, and gives that key; nothing when the statement says
    /// `ON CONFLICT DO NOTHING` and there was a conflict.
    pub fn insert_new(&self, sql: &str, params: impl Params) -> Result<Option<i64>> {
        match self {
            Connection::Sqlite(connection) => {
                let added = self.execute(sql, params)?;
                Ok((added > 0).then(|| connection.last_insert_rowid()))
            }
            Connection::Postgres(server) => params.with(|values| server.insert(sql, values)),
        }
    }

    /// Inserts a row into a table whose key is `id`, and gives that key.
    pub fn insert(&self, sql: &str, params: impl Params) -> Result<i64> {
        self.insert_new(sql, params)?.ok_or(Error::NoRow)
    }

    /// Begins a transaction that reads one state of the store.
    pub fn begin_read(&self) -> Result<()> {
        match self {
            Connection::Sqlite(connection) => Ok(connection.execute_batch("BEGIN")?),
            Connection::Postgres(server) => server.begin_read(),
        }
    }

    /// Begins a transaction that writes, when no other process does; waits for those until then.
    pub fn begin_write(&self, until: Instant) -> error::Result<()> {
        match self {
            Connection::Sqlite(connection) => {
                sqlite::retry(until, || Ok(connection.execute_batch("BEGIN IMMEDIATE")?))
            }
            // The server waits, for as long as the session said.
            Connection::Postgres(server) => Ok(server.begin_write()?),
        }
    }

    /// Begins one of several changes in a transaction: a savepoint.
    pub fn begin_change(&self) -> Result<()> {
        match self {
            Connection::Sqlite(_) => self.execute("SAVEPOINT change", []).map(drop),
            Connection::Postgres(server) => server.begin_change(),
        }
    }

    /// Ends the change and keeps what it did, or takes it back.
    pub fn end_change(&self, keep: bool) -> Result<()> {
        match self {
            Connection::Sqlite(_) => {
                if !keep {
                    self.execute("ROLLBACK TO change", [])?;
                }
                self.execute("RELEASE change", []).map(drop)
            }
            Connection::Postgres(server) => server.end_change(keep),
        }
    }

    /// Ends a transaction and keeps what it did.
    pub fn commit(&self) -> Result<()> {
        match self {
            Connection::Sqlite(connection) => Ok(connection.execute_batch("COMMIT")?),
            Connection::Postgres(server) => server.batch("COMMIT"),
        }
    }

    /// Ends a transaction and takes back what it did.
    pub fn rollback(&self) -> Result<()> {
        match self {
            Connection::Sqlite(connection) => Ok(connection.execute_batch("ROLLBACK")?),
            Connection::Postgres(server) => server.batch("ROLLBACK"),
        }
    }

    /// Tidies up before a writer closes.
    pub fn tidy(&self) -> Result<()> {
        match self {
            // Leaves a small log for whoever opens next.
            Connection::Sqlite(connection) => {
                Ok(connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(PASSIVE)")?)
            }
            // The server does it by itself.
            Connection::Postgres(_) => Ok(()),
        }
    }

    /// The schema version that the store says it has; 0 where nothing is yet.
    pub fn schema_version(&self) -> Result<i64> {
        match self {
            Connection::Sqlite(connection) => {
                Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
            }
            Connection::Postgres(server) => server.schema_version(),
        }
    }

    /// Says which schema version the store has from now on.
    pub fn set_schema_version(&self, version: i64) -> Result<()> {
        match self {
            Connection::Sqlite(connection) => Ok(connection.pragma_update(None, "user_version", version)?),
            // The table of migrations says it.
            Connection::Postgres(_) => Ok(()),
        }
    }

    /// Begins the transaction of the migrations; other processes that would migrate wait.
    pub fn begin_migration(&self) -> Result<()> {
        match self {
            Connection::Sqlite(connection) => Ok(connection.execute_batch("BEGIN IMMEDIATE")?),
            Connection::Postgres(server) => server.begin_migration(),
        }
    }

    /// Executes the statements of a migration.
    pub fn execute_schema(&self, sql: &str) -> Result<()> {
        match self {
            Connection::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Connection::Postgres(server) => server.execute_schema(sql),
        }
    }

    /// What the database itself finds wrong with its own structure: one line each, and which table is named.
    pub fn check_structure(&self) -> Result<Vec<(Option<String>, String)>> {
        match self {
            Connection::Sqlite(connection) => Ok(sqlite::check_structure(connection)?),
            // The server looks after its pages, and lets no row point to nothing where a reference is declared.
            Connection::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// Whether the connection is gone, so that only another one can go on.
    pub fn is_lost(&self) -> bool {
        match self {
            Connection::Sqlite(_) => false,
            Connection::Postgres(server) => server.is_lost(),
        }
    }
}

/// A prepared statement.
pub enum Statement<'c> {
    /// Of SQLite.
    Sqlite(rusqlite::CachedStatement<'c>),
    /// Of PostgreSQL.
    Postgres {
        /// Where it is prepared.
        server: &'c postgres::Server,
        /// Its handle.
        statement: ::postgres::Statement,
    },
    /// Of PostgreSQL, read portion by portion.
    Scan {
        /// Who reads it.
        server: &'c postgres::Server,
        /// Its text.
        sql: String,
    },
}

impl Statement<'_> {
    /// Executes; the number of rows that changed.
    pub fn execute(&mut self, params: impl Params) -> Result<usize> {
        match self {
            Statement::Sqlite(statement) => {
                params.with(|values| sqlite::bind(statement, values))?;
                Ok(statement.raw_execute()?)
            }
            Statement::Postgres { server, statement } => {
                params.with(|values| server.execute(statement, values))
            }
            Statement::Scan { server, sql } => {
                params.with(|values| server.execute(&server.prepare(sql)?, values))
            }
        }
    }

    /// The rows, one by one.
    pub fn query(&mut self, params: impl Params) -> Result<Rows<'_>> {
        match self {
            Statement::Sqlite(statement) => {
                params.with(|values| sqlite::bind(statement, values))?;
                Ok(Rows::Sqlite(statement.raw_query()))
            }
            Statement::Postgres { server, statement } => {
                Ok(Rows::Postgres(params.with(|values| server.query(statement, values))?))
            }
            Statement::Scan { server, sql } => Ok(Rows::Postgres(params.with(|values| {
                // A cursor takes no values.
                if values.is_empty() { server.scan(sql) } else { server.query(&server.prepare(sql)?, values) }
            })?)),
        }
    }

    /// The rows, each as `read` makes it.
    pub fn query_map<T, F>(&mut self, params: impl Params, read: F) -> Result<MappedRows<'_, F>>
    where
        F: FnMut(&Row<'_>) -> Result<T>,
    {
        Ok(MappedRows { rows: self.query(params)?, read })
    }

    /// The one row.
    pub fn query_row<T>(
        &mut self,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut rows = self.query(params)?;
        let row = rows.next()?.ok_or(Error::NoRow)?;
        read(&row)
    }
}

/// Rows as they come.
pub enum Rows<'s> {
    /// Of SQLite.
    Sqlite(rusqlite::Rows<'s>),
    /// Of PostgreSQL.
    Postgres(postgres::ServerRows<'s>),
}

impl Rows<'_> {
    /// The next one.
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        match self {
            Rows::Sqlite(rows) => Ok(rows.next()?.map(Row::Sqlite)),
            Rows::Postgres(rows) => Ok(rows.next()?.map(Row::Postgres)),
        }
    }
}

/// Rows and what is made of them.
pub struct MappedRows<'s, F> {
    rows: Rows<'s>,
    read: F,
}

impl<T, F: FnMut(&Row<'_>) -> Result<T>> Iterator for MappedRows<'_, F> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self.rows.next() {
            Ok(Some(row)) => Some((self.read)(&row)),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// A row.
pub enum Row<'r> {
    /// Of SQLite.
    Sqlite(&'r rusqlite::Row<'r>),
    /// Of PostgreSQL.
    Postgres(&'r ::postgres::Row),
}

impl Row<'_> {
    /// The value of a column, from 0.
    pub fn get<T: FromValue>(&self, column: usize) -> Result<T> {
        T::from_value(self.get_ref(column)?)
    }

    /// The value of a column as it lies in the row.
    pub fn get_ref(&self, column: usize) -> Result<Value<'_>> {
        match self {
            Row::Sqlite(row) => sqlite::value(row, column),
            Row::Postgres(row) => postgres::value(row, column),
        }
    }
}
