//! Server-sent events: a body that is written by a task while the client reads it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::failure::Failure;

/// Events that wait for a slow client before the writing task does.
const WAITING_MAX: usize = 32;

/// The client's end.
struct Events(Receiver<Bytes>);

impl HttpBody for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// The server's end.
pub(crate) struct EventWriter(Sender<Bytes>);

/// The client has gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

impl EventWriter {
    /// One event that has only data.
    pub(crate) async fn data(&self, value: &Value) -> Result<(), Gone> {
        self.send(format!("data: {value}\n\n")).await
    }

    /// One event with a name.
    pub(crate) async fn named(&self, name: &str, value: &Value) -> Result<(), Gone> {
        self.send(format!("event: {name}\ndata: {value}\n\n")).await
    }

    /// The line by which OpenAI's streams end.
    pub(crate) async fn done(&self) -> Result<(), Gone> {
        self.send("data: [DONE]\n\n".to_string()).await
    }

    async fn send(&self, text: String) -> Result<(), Gone> {
        self.0.send(text.into()).await.map_err(|_| Gone)
    }

    /// Ends when the client has gone; for waiting beside the engine.
    pub(crate) async fn gone(&self) {
        self.0.closed().await;
    }
}

/// Why a stream ends before its end.
#[derive(Debug)]
pub(crate) enum Stopped {
    Gone,
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Stopped {
        Stopped::Failed(failure)
    }
}

impl From<Gone> for Stopped {
    fn from(_: Gone) -> Stopped {
        Stopped::Gone
    }
}

/// An answer whose events the task `write` makes.
pub(crate) fn respond<F>(write: impl FnOnce(EventWriter) -> F) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = channel(WAITING_MAX);
    tokio::spawn(write(EventWriter(sender)));
    let mut response = Response::new(Body::new(Events(receiver)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that collect answers would take the streaming away.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
