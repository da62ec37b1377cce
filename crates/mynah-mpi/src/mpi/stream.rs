//! A stream to all members of a group, in buckets, two of which are under way.

use std::io::Read;
use std::time::Duration;

use mynah_swap::{Error, ErrorKind, Result};

use super::Group;

/// One end of a broadcast.
pub enum Feed<'a> {
    /// The root reads the stream, of this length.
    Root(&'a mut dyn Read, u64),
    /// The others are given buckets, in order, and give room for later ones back.
    Take(&'a mut dyn FnMut(Vec<u8>) -> Result<Vec<u8>>),
}

/// Broadcasts a stream from the root of a group to its other members. While a bucket is under way, the root reads the
/// next and the others do what they do with the one before; `idle` is done by whoever waits. Gives the stream's length.
///
/// A member whose `take` fails goes on to the end, so that the others are not kept waiting, and fails then.
///
/// # Errors
/// `Argument` when the bucket size is impossible, `Io` when reading fails, MPI refuses, or the others are silent for
/// longer than `timeout`; whatever `take` and `idle` answer.
pub fn broadcast_stream(
    group: &Group,
    root: u32,
    feed: Feed,
    bucket_bytes: usize,
    timeout: Duration,
    idle: &mut dyn FnMut() -> Result<()>,
) -> Result<u64> {
    if !(1..=super::MESSAGE_BYTES_MAX).contains(&bucket_bytes) {
        return Err(Error::new(ErrorKind::Argument, format!("buckets of {bucket_bytes} bytes")));
    }
    let announced = match &feed {
        Feed::Root(_, length) => length.to_le_bytes(),
        Feed::Take(_) => [0; 8],
    };
    let announced = group.broadcast(root, announced.to_vec())?.wait(timeout, idle)?;
    let mut word = [0; 8];
    word.copy_from_slice(&announced[..8]);
    let length = u64::from_le_bytes(word);
    let size_of = |bucket: u64| {
        let start = bucket.saturating_mul(bucket_bytes as u64);
        usize::try_from(length.saturating_sub(start)).unwrap_or(usize::MAX).min(bucket_bytes)
    };
    let mut problem = None;
    match feed {
        Feed::Root(input, _) => {
            let mut fill = |bucket: u64, mut buffer: Vec<u8>, problem: &mut Option<Error>| {
                buffer.resize(size_of(bucket), 0);
                // What cannot be read is sent as it is: the others must not wait, and nobody takes it for the stream.
                if problem.is_none()
                    && let Err(error) = input.read_exact(&mut buffer)
                {
                    let message = format!("cannot read the stream: {error}");
                    *problem = Some(Error::new(ErrorKind::Io, message));
                }
                buffer
            };
            let mut spare = Vec::new();
            let mut under_way = None;
            let mut bucket = 0;
            while size_of(bucket) > 0 {
                let next = fill(bucket, std::mem::take(&mut spare), &mut problem);
                let next = group.broadcast(root, next)?;
                if let Some(before) = under_way.replace(next) {
                    spare = super::Pending::wait(before, timeout, idle)?;
                }
                bucket += 1;
            }
            if let Some(last) = under_way {
                last.wait(timeout, idle)?;
            }
        }
        Feed::Take(take) => {
            let mut spare = Vec::new();
            let begin = |bucket: u64, mut buffer: Vec<u8>| {
                buffer.resize(size_of(bucket), 0);
                group.broadcast(root, buffer)
            };
            let mut under_way = if size_of(0) > 0 { Some(begin(0, Vec::new())?) } else { None };
            let mut bucket = 0;
            while let Some(current) = under_way.take() {
                // The next is under way before this one is looked at.
                bucket += 1;
                if size_of(bucket) > 0 {
                    under_way = Some(begin(bucket, std::mem::take(&mut spare))?);
                }
                let full = current.wait(timeout, idle)?;
                spare = match &problem {
                    Some(_) => full,
                    None => take(full).unwrap_or_else(|error| {
                        problem = Some(error);
                        Vec::new()
                    }),
                };
            }
        }
    }
    problem.map_or(Ok(length), Err)
}
