//! The server as its clients meet it: over a socket, byte by byte, without Python and without a network.

mod artifacts;
mod common;
mod governance;
mod hostile;
mod page;
mod registry;
mod tracking;
