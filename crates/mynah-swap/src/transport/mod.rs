//! How messages and chunks get from one process to another.
//!
//! A [`Transport`] connects and listens, a [`Connection`] carries frames: byte strings, bounded in size, in order.
//! What is in them is a [`Message`]. Two transports are here: [`InProcess`] for tests and for a trainer that serves
//! its own rollouts, and [`Tcp`], whose peers prove to each other that they know the same token before anything
//! else is read, whose frames carry a checksum keyed by the session, and which speaks TLS where it is given
//! certificates. A broadcast over MPI and shared memory between processes of one machine are transports of other
//! crates: they implement the same traits, and nothing here asks what carries the bytes.
//!
//! A connection is blocking and has deadlines: a peer that stalls is an error, not a hang.

mod in_process;
mod message;
mod peers;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;

use std::time::Duration;

use crate::Result;

pub use in_process::InProcess;
pub use message::{ChunkId, Message};
pub use peers::{ChunkStore, FetchReport, answer_chunks, fetch_chunks, serve_chunks};
pub use tcp::{Tcp, Token};
pub use tls::{TlsClient, TlsServer};

/// Bounds of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame that is sent or taken; at least a chunk and 128 bytes.
    pub frame_bytes_max: usize,
    /// How long a peer may take to prove who it is.
    pub handshake_timeout: Duration,
    /// How long a frame may take from its first byte to its last.
    pub frame_timeout: Duration,
    /// How long a connection may be silent.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: (64 << 20) + 128,
            handshake_timeout: Duration::from_secs(5),
            frame_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// Bytes that went over a connection, as the socket counts them: with lengths, checksums and TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes written.
    pub sent_bytes: u64,
    /// Bytes read.
    pub received_bytes: u64,
}

/// A way to a peer.
pub trait Connection: Send {
    /// Sends a frame.
    ///
    /// # Errors
    /// `Argument` when it is too large, `Io` when the peer is gone or stalls.
    fn send(&mut self, frame: &[u8]) -> Result<()>;

    /// The next frame; nothing when the peer has ended the connection between two frames.
    ///
    /// # Errors
    /// `Format` when it is too large or cut short, `Signature` when it was changed on the way, `Io` when the peer
    /// stalls.
    fn receive(&mut self) -> Result<Option<Vec<u8>>>;

    /// What went over it so far.
    fn traffic(&self) -> Traffic;
}

/// Waits for peers.
pub trait Listener: Send {
    /// The next peer, proven to be one.
    ///
    /// # Errors
    /// `Signature` when it does not know the token, `Format` when it speaks something else, `Io` when it stalls.
    /// The listener is still good; call again.
    fn accept(&mut self) -> Result<Box<dyn Connection>>;

    /// Where it listens, for [`Transport::connect`].
    fn address(&self) -> String;

    /// Another one for the same address, for a second thread: a peer that stalls while it proves who it is then
    /// holds up only one of them.
    ///
    /// # Errors
    /// `Unsupported` when the transport has only one, `Io`.
    fn another(&self) -> Result<Box<dyn Listener>> {
        Err(crate::Error::unsupported("this transport waits for peers in one place only"))
    }
}

/// Makes connections.
pub trait Transport: Send + Sync {
    /// Connects to a listener.
    ///
    /// # Errors
    /// `Io` when nobody answers, `Signature` when the peer does not know the token or is not who it should be.
    fn connect(&self, address: &str) -> Result<Box<dyn Connection>>;

    /// Listens.
    ///
    /// # Errors
    /// `Io` when the address cannot be taken, `Argument` when it is none.
    fn listen(&self, address: &str) -> Result<Box<dyn Listener>>;
}

/// Sends a message.
///
/// # Errors
/// As [`Connection::send`].
pub fn send(connection: &mut dyn Connection, message: &Message) -> Result<()> {
    connection.send(&message.to_bytes())
}

/// The next message; nothing at the end.
///
/// # Errors
/// As [`Connection::receive`], and `Format` when the frame is no message.
pub fn receive(connection: &mut dyn Connection) -> Result<Option<Message>> {
    connection.receive()?.map(Message::parse).transpose()
}
