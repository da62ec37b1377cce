//! Connections between threads.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Connection, Limits, Listener, Traffic, Transport};
use crate::{Error, ErrorKind, Result};

/// A transport inside one process. Clones are the same transport.
#[derive(Clone, Default)]
pub struct InProcess {
    limits: Limits,
    listeners: Arc<Mutex<BTreeMap<String, Sender<Pipe>>>>,
}

impl InProcess {
    /// A transport without listeners.
    pub fn new(limits: Limits) -> Self {
        Self { limits, listeners: Arc::default() }
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Sender<Pipe>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for InProcess {
    fn connect(&self, address: &str) -> Result<Box<dyn Connection>> {
        let nobody = || Error::new(ErrorKind::Io, format!("nobody listens at {address:?} in this process"));
        let listener = self.listeners().get(address).cloned().ok_or_else(nobody)?;
        let (to_them, from_us) = channel();
        let (to_us, from_them) = channel();
        let pipe = |to, from| Pipe { to, from, limits: self.limits, traffic: Traffic::default() };
        listener.send(pipe(to_us, from_us)).map_err(|_| nobody())?;
        Ok(Box::new(pipe(to_them, from_them)))
    }

    fn listen(&self, address: &str) -> Result<Box<dyn Listener>> {
        let (sender, waiting) = channel();
        let mut listeners = self.listeners();
        // A name whose listener is gone may be taken again: its other end is closed.
        if listeners.contains_key(address) {
            return Err(Error::new(ErrorKind::Io, format!("{address:?} is taken in this process")));
        }
        listeners.insert(address.to_string(), sender);
        Ok(Box::new(Waiting { waiting, address: address.to_string(), transport: self.clone() }))
    }
}

struct Waiting {
    waiting: Receiver<Pipe>,
    address: String,
    transport: InProcess,
}

impl Listener for Waiting {
    fn accept(&mut self) -> Result<Box<dyn Connection>> {
        match self.waiting.recv() {
            Ok(pipe) => Ok(Box::new(pipe)),
            Err(_) => Err(Error::new(ErrorKind::Io, "the transport is gone")),
        }
    }

    fn address(&self) -> String {
        self.address.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.transport.listeners().remove(&self.address);
    }
}

struct Pipe {
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
    limits: Limits,
    traffic: Traffic,
}

impl Connection for Pipe {
    fn send(&mut self, frame: &[u8]) -> Result<()> {
        super::tcp::check_frame(frame.len(), &self.limits)?;
        self.to.send(frame.to_vec()).map_err(|_| Error::new(ErrorKind::Io, "the peer is gone"))?;
        self.traffic.sent_bytes += frame.len() as u64;
        Ok(())
    }

    fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        match self.from.recv_timeout(self.limits.idle_timeout) {
            Ok(frame) => {
                self.traffic.received_bytes += frame.len() as u64;
                Ok(Some(frame))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                Err(Error::new(ErrorKind::Io, "the peer has been silent for too long"))
            }
        }
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}
