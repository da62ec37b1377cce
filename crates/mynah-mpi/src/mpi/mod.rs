//! MPI, as far as weights need it: who is there, messages, broadcasts in groups.
//!
//! Nothing here blocks in MPI: whoever waits tests and sleeps, so a rank that waits takes no core from a server, and a
//! wait can end at a deadline. Calls come from the thread that called [`Mpi::init`]; the types see to that.

mod ffi;
mod job;
mod stream;

use std::marker::PhantomData;
use std::os::raw::c_int;
use std::time::{Duration, Instant};

use mynah_swap::{Error, ErrorKind, Result};

pub use job::{JobOptions, JobReport, Root, run_rank};
pub use stream::{Feed, broadcast_stream};

/// The first and the longest sleep of somebody who waits. MPI moves data only while it is asked, so the longest one
/// bounds how long a large broadcast stands still.
const SLEEP: (Duration, Duration) = (Duration::from_micros(10), Duration::from_micros(200));
/// A message may not be larger: counts are C ints, and everything here comes in buckets.
pub const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// The ranks of the job this process belongs to. `mpirun` makes one; without it the process is a job of its own.
pub struct Mpi {
    world: Group,
}

/// Some of the ranks, under numbers of their own.
pub struct Group {
    id: c_int,
    rank: u32,
    size: u32,
    /// MPI is called by one thread.
    _thread: PhantomData<*const ()>,
}

/// A broadcast or a message under way, with the buffer that MPI works in.
pub struct Pending {
    slot: c_int,
    buffer: Option<Vec<u8>>,
    is_done: bool,
    _thread: PhantomData<*const ()>,
}

fn check(code: c_int, action: &str) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Io, format!("MPI cannot {action}: {}", ffi::error_text(code))))
}

fn count(bytes: usize) -> Result<c_int> {
    c_int::try_from(bytes).ok().filter(|_| bytes <= MESSAGE_BYTES_MAX).ok_or_else(|| {
        Error::new(ErrorKind::Argument, format!("a message of {bytes} bytes; {MESSAGE_BYTES_MAX} at most"))
    })
}

impl Mpi {
    /// Joins the job.
    ///
    /// # Errors
    /// `Io` when MPI cannot be started.
    pub fn init() -> Result<Mpi> {
        check(ffi::init(), "start")?;
        Ok(Mpi { world: Group::of(0)? })
    }

    /// All ranks.
    pub fn world(&self) -> &Group {
        &self.world
    }

    /// Makes a group of the ranks that say that they are members. All ranks must call it, members or not, or all wait.
    ///
    /// # Errors
    /// `Io` when MPI refuses.
    pub fn split(&self, is_member: bool) -> Result<Option<Group>> {
        let (code, id) = ffi::split(is_member);
        check(code, "make a group")?;
        if id < 0 { Ok(None) } else { Group::of(id).map(Some) }
    }

    /// Sends a message; messages of one tag to one rank arrive in order.
    ///
    /// # Errors
    /// `Argument` when it is too large or nobody has this rank, `Io` when MPI refuses.
    pub fn send(&self, to: u32, tag: u16, bytes: Vec<u8>) -> Result<Pending> {
        if to >= self.world.size {
            return Err(Error::new(
                ErrorKind::Argument,
                format!("there is no rank {to} of {}", self.world.size),
            ));
        }
        let size = count(bytes.len())?;
        // The buffer stays where it is until MPI has done with it: see `Pending`.
        let (code, slot) = ffi::isend(&bytes, size, to as c_int, c_int::from(tag));
        check(code, "send a message")?;
        Ok(Pending { slot, buffer: Some(bytes), is_done: false, _thread: PhantomData })
    }

    /// A message of this tag that has arrived, with who sent it.
    ///
    /// # Errors
    /// `Io` when MPI refuses.
    pub fn poll(&self, tag: u16) -> Result<Option<(u32, Vec<u8>)>> {
        let (code, found) = ffi::probe(c_int::from(tag));
        check(code, "look for a message")?;
        let Some((from, size)) = found else { return Ok(None) };
        let mut bytes = vec![0; size.max(0) as usize];
        check(ffi::receive(&mut bytes, size, from, c_int::from(tag)), "take a message")?;
        Ok(Some((from as u32, bytes)))
    }

    /// Leaves the job. Collective: it waits for the others.
    ///
    /// # Errors
    /// `Io` when MPI refuses.
    pub fn finalize(self) -> Result<()> {
        check(ffi::finalize(), "end")
    }
}

impl Group {
    fn of(id: c_int) -> Result<Group> {
        let (code, rank, size) = ffi::shape(id);
        check(code, "count the ranks")?;
        Ok(Group { id, rank: rank as u32, size: size as u32, _thread: PhantomData })
    }

    /// This process's number in the group.
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// How many they are.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Begins a broadcast from `root`: all members call it, with buffers of one size.
    ///
    /// # Errors
    /// `Argument` when it is too large, `Io` when MPI refuses.
    pub fn broadcast(&self, root: u32, mut buffer: Vec<u8>) -> Result<Pending> {
        let size = count(buffer.len())?;
        let (code, slot) = ffi::ibcast(&mut buffer, size, root as c_int, self.id);
        check(code, "begin a broadcast")?;
        Ok(Pending { slot, buffer: Some(buffer), is_done: false, _thread: PhantomData })
    }
}

impl Pending {
    /// Whether it is done.
    ///
    /// # Errors
    /// `Io` when it has failed.
    pub fn test(&mut self) -> Result<bool> {
        if !self.is_done {
            let (code, is_done) = ffi::test(self.slot);
            check(code, "go on with a message")?;
            self.is_done = is_done;
        }
        Ok(self.is_done)
    }

    /// Waits, asleep, and does `idle` between two looks. Gives the buffer.
    ///
    /// # Errors
    /// `Io` when it has failed or takes longer than `timeout`; whatever `idle` answers.
    pub fn wait(mut self, timeout: Duration, idle: &mut dyn FnMut() -> Result<()>) -> Result<Vec<u8>> {
        let deadline = Instant::now() + timeout;
        let mut sleep = SLEEP.0;
        while !self.test()? {
            if Instant::now() >= deadline {
                let message = format!("MPI: the others are silent for {} s", timeout.as_secs());
                return Err(Error::new(ErrorKind::Io, message));
            }
            idle()?;
            std::thread::sleep(sleep);
            sleep = (sleep * 2).min(SLEEP.1);
        }
        Ok(self.buffer.take().unwrap_or_default())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_done {
            // MPI may still write there, and cannot be told not to.
            std::mem::forget(self.buffer.take());
        }
    }
}
