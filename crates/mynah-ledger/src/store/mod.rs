//! The database: schema, connections, the writer thread.

pub mod connection;
pub mod pool;
pub mod schema;
pub mod writer;
