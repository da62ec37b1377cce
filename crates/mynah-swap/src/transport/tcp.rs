//! Frames over TCP.
//!
//! ```text
//! listener -> "MYNAHWT1", nonce (32)
//! caller   -> nonce (32), proof (32)       proof = BLAKE3 keyed with the token over "caller", both nonces
//! listener -> proof (32)                   the same over "listener": both know the token, nobody said it
//! frame    =  size (u32), payload, checksum (16)
//! ```
//!
//! A frame's checksum is keyed with both nonces and the token and covers direction and number of the frame, so that
//! one that is changed, repeated, dropped or turned around is noticed. It does not hide anything: for that, give
//! certificates, and the same goes through TLS.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, ServerConnection, StreamOwned};

use super::tls::{TlsClient, TlsServer, server_name};
use super::{Connection, Limits, Listener, Traffic, Transport};
use crate::{Error, ErrorKind, Result};

const MAGIC: &[u8; 8] = b"MYNAHWT1";
const CHECKSUM_BYTES: usize = 16;
/// What is read at once: a frame grows as its bytes come, not as its size says.
const READ_BYTES: usize = 1 << 18;

/// What peers prove to know. Has no `Debug` that shows it.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// A token from its text, of at least 16 bytes.
    ///
    /// # Errors
    /// `Argument` when it is shorter.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.len() < 16 {
            return Err(Error::argument(
                "a token needs at least 16 characters; make one with `openssl rand -hex 32`",
            ));
        }
        Ok(Self(blake3::derive_key("mynah-swap 2026 transport token", text.as_bytes())))
    }

    fn proof(&self, role: &str, nonces: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(role.as_bytes());
        hasher.update(nonces);
        hasher.finalize()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The transport over TCP.
#[derive(Clone)]
pub struct Tcp {
    token: Token,
    limits: Limits,
    server: Option<TlsServer>,
    client: Option<TlsClient>,
}

impl Tcp {
    /// Without TLS: authenticated and protected against changes, and readable on the way.
    pub fn new(token: Token, limits: Limits) -> Self {
        Self { token, limits, server: None, client: None }
    }

    /// Listens with TLS.
    pub fn with_server(mut self, server: TlsServer) -> Self {
        self.server = Some(server);
        self
    }

    /// Connects with TLS.
    pub fn with_client(mut self, client: TlsClient) -> Self {
        self.client = Some(client);
        self
    }
}

/// A socket that counts, and whose reads and writes end at a deadline.
struct Counted {
    stream: TcpStream,
    traffic: Traffic,
    deadline: Instant,
}

impl Counted {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the peer stalls"))
        } else {
            Ok(left)
        }
    }
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        let count = self.stream.read(into)?;
        self.traffic.received_bytes += count as u64;
        Ok(count)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        let count = self.stream.write(bytes)?;
        self.traffic.sent_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

enum Stream {
    Plain(Counted),
    Client(Box<StreamOwned<ClientConnection, Counted>>),
    Server(Box<StreamOwned<ServerConnection, Counted>>),
}

impl Stream {
    fn counted(&self) -> &Counted {
        match self {
            Stream::Plain(counted) => counted,
            Stream::Client(stream) => &stream.sock,
            Stream::Server(stream) => &stream.sock,
        }
    }

    fn set_deadline(&mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        match self {
            Stream::Plain(counted) => counted.deadline = deadline,
            Stream::Client(stream) => stream.sock.deadline = deadline,
            Stream::Server(stream) => stream.sock.deadline = deadline,
        }
    }

    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Stream::Plain(counted) => counted,
            Stream::Client(stream) => stream.as_mut(),
            Stream::Server(stream) => stream.as_mut(),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Stream::Plain(counted) => counted,
            Stream::Client(stream) => stream.as_mut(),
            Stream::Server(stream) => stream.as_mut(),
        }
    }
}

fn io_error(action: &str, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::InvalidData => ErrorKind::Signature,
        io::ErrorKind::UnexpectedEof => ErrorKind::Format,
        _ => ErrorKind::Io,
    };
    let stalled = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    let what = if stalled { "the peer stalls".to_string() } else { error.to_string() };
    Error::new(kind, format!("cannot {action}: {what}"))
}

/// Refuses to send what no peer would take.
pub(super) fn check_frame(size: usize, limits: &Limits) -> Result<()> {
    if size <= limits.frame_bytes_max && u32::try_from(size).is_ok() {
        return Ok(());
    }
    Err(Error::argument(format!("a frame of {size} bytes; {} at most", limits.frame_bytes_max)))
}

struct TcpConnection {
    stream: Stream,
    limits: Limits,
    key: [u8; 32],
    is_caller: bool,
    sent: u64,
    received: u64,
}

impl TcpConnection {
    fn handshake(mut stream: Stream, is_caller: bool, token: &Token, limits: Limits) -> Result<Self> {
        let read = |stream: &mut Stream, into: &mut [u8]| {
            stream.reader().read_exact(into).map_err(|e| io_error("greet the peer", &e))
        };
        let write = |stream: &mut Stream, bytes: &[u8]| {
            let writer = stream.writer();
            writer.write_all(bytes).and_then(|()| writer.flush()).map_err(|e| io_error("greet the peer", &e))
        };
        let unknown = || Error::signature("the peer does not know the token; give both sides the same one");
        let mut own = [0; 32];
        getrandom::fill(&mut own)
            .map_err(|e| Error::new(ErrorKind::Io, format!("no random numbers: {e}")))?;
        let (mut nonces, mut proof) = ([0; 64], [0; 32]);
        if is_caller {
            let mut greeting = [0; 40];
            read(&mut stream, &mut greeting)?;
            if greeting[..8] != *MAGIC {
                return Err(Error::format("the peer is no listener of weights, or of another release"));
            }
            nonces[..32].copy_from_slice(&greeting[8..]);
            nonces[32..].copy_from_slice(&own);
            write(&mut stream, &[&own[..], token.proof("caller", &nonces).as_bytes()].concat())?;
            // Who does not accept the proof hangs up.
            read(&mut stream, &mut proof).map_err(|e| match e.kind() {
                ErrorKind::Format => unknown(),
                _ => e,
            })?;
            // Comparing BLAKE3 hashes takes the same time wherever they differ.
            if token.proof("listener", &nonces) != blake3::Hash::from_bytes(proof) {
                return Err(unknown());
            }
        } else {
            write(&mut stream, &[&MAGIC[..], &own].concat())?;
            nonces[..32].copy_from_slice(&own);
            read(&mut stream, &mut nonces[32..])?;
            read(&mut stream, &mut proof)?;
            if token.proof("caller", &nonces) != blake3::Hash::from_bytes(proof) {
                return Err(unknown());
            }
            write(&mut stream, token.proof("listener", &nonces).as_bytes())?;
        }
        let key = *token.proof("session", &nonces).as_bytes();
        Ok(Self { stream, limits, key, is_caller, sent: 0, received: 0 })
    }

    fn checksum(&self, from_caller: bool, number: u64, payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[u8::from(from_caller)]);
        hasher.update(&number.to_le_bytes());
        hasher.update(payload);
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM_BYTES]);
        checksum
    }
}

impl Connection for TcpConnection {
    fn send(&mut self, frame: &[u8]) -> Result<()> {
        check_frame(frame.len(), &self.limits)?;
        let checksum = self.checksum(self.is_caller, self.sent, frame);
        self.sent += 1;
        self.stream.set_deadline(self.limits.frame_timeout);
        let writer = self.stream.writer();
        let sent = writer.write_all(&(frame.len() as u32).to_le_bytes());
        let sent = sent.and_then(|()| writer.write_all(frame)).and_then(|()| writer.write_all(&checksum));
        sent.and_then(|()| writer.flush()).map_err(|e| io_error("send a frame", &e))
    }

    fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        let failed = |e: io::Error| io_error("receive a frame", &e);
        self.stream.set_deadline(self.limits.idle_timeout);
        let mut size = [0; 4];
        // The end is a good one only before the first byte of a frame.
        match self.stream.reader().read(&mut size[..1]) {
            Ok(0) => return Ok(None),
            // A peer that leaves TLS without a word has left all the same: every frame is whole or an error.
            Err(e)
                if e.kind() == io::ErrorKind::UnexpectedEof || e.kind() == io::ErrorKind::ConnectionReset =>
            {
                return Ok(None);
            }
            Err(e) => return Err(failed(e)),
            Ok(_) => {}
        }
        self.stream.set_deadline(self.limits.frame_timeout);
        let reader = self.stream.reader();
        reader.read_exact(&mut size[1..]).map_err(failed)?;
        let size = u32::from_le_bytes(size) as usize;
        if size > self.limits.frame_bytes_max {
            return Err(Error::format(format!(
                "the peer announces a frame of {size} bytes; {} at most",
                self.limits.frame_bytes_max
            )));
        }
        let mut payload = Vec::new();
        while payload.len() < size {
            let (from, to) = (payload.len(), size.min(payload.len() + READ_BYTES));
            payload.resize(to, 0);
            reader.read_exact(&mut payload[from..]).map_err(failed)?;
        }
        let mut checksum = [0; CHECKSUM_BYTES];
        reader.read_exact(&mut checksum).map_err(failed)?;
        if self.checksum(!self.is_caller, self.received, &payload) != checksum {
            return Err(Error::signature("a frame was changed on the way"));
        }
        self.received += 1;
        Ok(Some(payload))
    }

    fn traffic(&self) -> Traffic {
        self.stream.counted().traffic
    }
}

fn counted(stream: TcpStream, limits: &Limits) -> Result<Counted> {
    stream.set_nodelay(true).map_err(|e| io_error("set the connection up", &e))?;
    let deadline = Instant::now() + limits.handshake_timeout;
    Ok(Counted { stream, traffic: Traffic::default(), deadline })
}

impl Transport for Tcp {
    fn connect(&self, address: &str) -> Result<Box<dyn Connection>> {
        let unreachable = |e: io::Error| Error::new(ErrorKind::Io, format!("{address}: cannot connect: {e}"));
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name leads nowhere");
        let mut found = None;
        for target in address.to_socket_addrs().map_err(unreachable)? {
            match TcpStream::connect_timeout(&target, self.limits.handshake_timeout) {
                Ok(stream) => {
                    found = Some(stream);
                    break;
                }
                Err(error) => last = error,
            }
        }
        let socket = counted(found.ok_or_else(|| unreachable(last))?, &self.limits)?;
        let stream = match &self.client {
            None => Stream::Plain(socket),
            Some(client) => {
                let host =
                    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
                let name = client.name.clone().map_or_else(|| server_name(host), Ok)?;
                let tls = ClientConnection::new(client.config.clone(), name)
                    .map_err(|e| Error::signature(format!("{address}: TLS: {e}")))?;
                Stream::Client(Box::new(StreamOwned::new(tls, socket)))
            }
        };
        Ok(Box::new(TcpConnection::handshake(stream, true, &self.token, self.limits)?))
    }

    fn listen(&self, address: &str) -> Result<Box<dyn Listener>> {
        let taken = |e: io::Error| Error::new(ErrorKind::Io, format!("{address}: cannot listen: {e}"));
        let listener = TcpListener::bind(address).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?.to_string();
        Ok(Box::new(Listening { listener, address, tcp: self.clone() }))
    }
}

struct Listening {
    listener: TcpListener,
    address: String,
    tcp: Tcp,
}

impl Listener for Listening {
    fn accept(&mut self) -> Result<Box<dyn Connection>> {
        let (stream, _) = self.listener.accept().map_err(|e| io_error("accept a peer", &e))?;
        let socket = counted(stream, &self.tcp.limits)?;
        let stream = match &self.tcp.server {
            None => Stream::Plain(socket),
            Some(server) => {
                let tls = ServerConnection::new(server.0.clone())
                    .map_err(|e| Error::signature(format!("cannot begin TLS: {e}")))?;
                Stream::Server(Box::new(StreamOwned::new(tls, socket)))
            }
        };
        Ok(Box::new(TcpConnection::handshake(stream, false, &self.tcp.token, self.tcp.limits)?))
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    fn another(&self) -> Result<Box<dyn Listener>> {
        let failed = |e: io::Error| io_error("listen a second time", &e);
        let listener = self.listener.try_clone().map_err(failed)?;
        Ok(Box::new(Listening { listener, address: self.address.clone(), tcp: self.tcp.clone() }))
    }
}
