//! Bodies, piece by piece: those of requests, bounded in size and in silence, and files as answers.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::answer::{ApiError, Code};

/// Gives out the pieces of a body.
pub(crate) struct Pieces {
    body: Body,
    silence: Duration,
    left_bytes: u64,
    max_bytes: u64,
}

impl Pieces {
    /// Refuses a body that announces more than `max_bytes`, before a byte of it is read.
    pub(crate) fn new(body: Body, max_bytes: u64, silence_ms: u64) -> Result<Pieces, ApiError> {
        if body.size_hint().lower() > max_bytes {
            return Err(too_large(max_bytes));
        }
        Ok(Pieces { body, silence: Duration::from_millis(silence_ms), left_bytes: max_bytes, max_bytes })
    }

    /// The next piece, or nothing at the end of the body.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let frame = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
            let frame = tokio::time::timeout(self.silence, frame).await.map_err(|_| {
                ApiError::new(Code::BadRequest, "the client fell silent in the middle of the body")
            })?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| {
                ApiError::new(Code::BadRequest, format!("the body ended before its end: {error}"))
            })?;
            // A frame without data holds trailers, which nobody needs.
            let Ok(piece) = frame.into_data() else { continue };
            let size_bytes = piece.len() as u64;
            if size_bytes > self.left_bytes {
                return Err(too_large(self.max_bytes));
            }
            self.left_bytes -= size_bytes;
            if size_bytes > 0 {
                return Ok(Some(piece));
            }
        }
    }

    /// The whole body.
    pub(crate) async fn all(mut self) -> Result<Bytes, ApiError> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut all = Vec::with_capacity(first.len() + second.len());
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }
}

fn too_large(max_bytes: u64) -> ApiError {
    ApiError::new(Code::RequestLimitExceeded, format!("the body is larger than {max_bytes} bytes"))
}

/// A file as the body of an answer. It is read a piece at a time on a thread that may wait, and only when the
/// client has taken the piece before: a slow client holds a file open, never a thread.
pub(crate) struct FileBody {
    state: FileState,
    left_bytes: u64,
}

enum FileState {
    Idle(File),
    Reading(JoinHandle<io::Result<(File, Vec<u8>)>>),
    Done,
}

/// Bytes read at once.
const FILE_PIECE_BYTES: u64 = 256 << 10;

impl FileBody {
    /// The next `size_bytes` of a file.
    pub(crate) fn new(file: File, size_bytes: u64) -> FileBody {
        FileBody { state: FileState::Idle(file), left_bytes: size_bytes }
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            match std::mem::replace(&mut self.state, FileState::Done) {
                FileState::Done => return Poll::Ready(None),
                FileState::Idle(_) if self.left_bytes == 0 => return Poll::Ready(None),
                FileState::Idle(mut file) => {
                    let wanted = self.left_bytes.min(FILE_PIECE_BYTES) as usize;
                    self.state = FileState::Reading(tokio::task::spawn_blocking(move || {
                        let mut piece = vec![0; wanted];
                        file.read_exact(&mut piece)?;
                        Ok((file, piece))
                    }));
                }
                FileState::Reading(mut reading) => {
                    let Poll::Ready(read) = Pin::new(&mut reading).poll(context) else {
                        self.state = FileState::Reading(reading);
                        return Poll::Pending;
                    };
                    // An error cuts the answer short of its announced length, which the client notices.
                    let (file, piece) = read.map_err(io::Error::other).and_then(|read| read)?;
                    self.left_bytes -= piece.len() as u64;
                    self.state = FileState::Idle(file);
                    return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == 0
    }
}
