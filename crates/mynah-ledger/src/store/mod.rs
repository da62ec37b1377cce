//! The store: its schema, connections that read, the thread that writes.

pub mod pool;
pub mod schema;
pub mod writer;
