//! Artifacts: listings, and files streamed up and down.
//!
//! MLflow's clients address a file by its place under the artifact root (`EXPERIMENT/RUN/artifacts/PATH`); whose it
//! is, and that it stays inside, the ledger decides.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::{get, post};
use bytes::Bytes;
use mynah_ledger::{Artifact, ArtifactOwner, Ledger};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{PREFIXES, wire};
use crate::answer::{ApiError, Code, Reply, reply, reply_empty, respond};
use crate::app::App;
use crate::body::{FileBody, Pieces};
use crate::fields::Fields;

/// Pieces of an upload that wait for the disk.
const PIECES_WAITING: usize = 8;
/// How much of a refused upload is still read, so that its client gets to see the refusal.
const DRAIN_BYTES_MAX: u64 = 64 << 20;

/// Everything about artifacts that is not plain JSON.
pub(crate) fn routes() -> Router<Arc<App>> {
    let mut router = Router::new().route("/get-artifact", get(download_of_run));
    for prefix in PREFIXES {
        let root = format!("{prefix}/mlflow-artifacts");
        router = router
            .route(&format!("{root}/artifacts"), get(list))
            .route(&format!("{root}/artifacts/{{*path}}"), get(download).put(upload).delete(delete))
            .route(&format!("{root}/mpu/create/{{*path}}"), post(no_multipart))
            .route(&format!("{root}/mpu/complete/{{*path}}"), post(no_multipart))
            .route(&format!("{root}/mpu/abort/{{*path}}"), post(no_multipart))
            .route(&format!("{root}/presigned/{{*path}}"), get(no_presigned));
    }
    router
}

#[derive(Serialize)]
struct Listing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    root_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<wire::FileInfo<'a>>,
}

pub(super) fn list_of_run(ledger: &Ledger, fields: Fields) -> Reply {
    let run_id = match fields.filled_if("run_id")? {
        Some(id) => id,
        None => fields.filled_if("run_uuid")?.map_or_else(|| fields.filled("run_id"), Ok)?,
    };
    let record = ledger.run(run_id)?;
    list_under(ledger, &record.run.artifact_uri, fields.filled_if("path")?)
}

pub(super) fn list_of_model(ledger: &Ledger, fields: Fields) -> Reply {
    let model = ledger.logged_model(fields.filled("model_id")?)?;
    list_under(ledger, &model.artifact_location, fields.filled_if("artifact_directory_path")?)
}

/// Lists a folder below a run's or a model's root; paths in the answer begin at that root.
fn list_under(ledger: &Ledger, root_uri: &str, folder: Option<&str>) -> Reply {
    let root = place_of(ledger, root_uri)?;
    let folder = folder.unwrap_or_default().trim_end_matches('/');
    let (owner, start) = ledger.locate_artifact(&root)?;
    // Checked alone: joined to the root, an absolute path would look like a harmless one.
    if folder.starts_with('/') {
        return Err(ApiError::invalid("Invalid value for parameter 'path': a relative path is needed"));
    }
    let entries = ledger.list_artifacts(&owner, &join(&start, folder))?;
    let skip = if start.is_empty() { 0 } else { start.len() + 1 };
    reply(&Listing {
        root_uri: Some(root_uri),
        files: entries
            .iter()
            .map(|entry| wire::FileInfo {
                path: entry.path.get(skip..).unwrap_or_default(),
                is_dir: entry.is_dir,
                file_size: entry.size_bytes.filter(|&size_bytes| size_bytes > 0),
            })
            .collect(),
    })
}

/// The place under the artifact root that a URI of ours names.
fn place_of(ledger: &Ledger, uri: &str) -> Result<String, ApiError> {
    let root = ledger.artifact_root()?;
    let ours = uri.strip_prefix(root).or_else(|| uri.strip_prefix("mlflow-artifacts:"));
    ours.map(|place| place.trim_matches('/').to_string()).ok_or_else(|| {
        ApiError::invalid(format!(
            "the artifacts at {uri} are not on this server; ask the store that has them"
        ))
    })
}

fn join(folder: &str, rest: &str) -> String {
    if folder.is_empty() || rest.is_empty() { format!("{folder}{rest}") } else { format!("{folder}/{rest}") }
}

/// Lists a folder by its place under the artifact root; names only, as the client's own join expects.
async fn list(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response<Body> {
    let answer = async {
        let mut fields = Fields::default();
        fields.add_query(query.as_deref().unwrap_or_default())?;
        app.in_ledger(move |ledger| {
            let (owner, folder) = ledger.locate_artifact(fields.string_if("path")?.unwrap_or_default())?;
            let entries = ledger.list_artifacts(&owner, &folder)?;
            let files = entries
                .iter()
                .map(|entry| wire::FileInfo {
                    path: entry.path.rsplit('/').next().unwrap_or_default(),
                    is_dir: entry.is_dir,
                    file_size: entry.size_bytes.filter(|&size_bytes| size_bytes > 0),
                })
                .collect();
            reply(&Listing { root_uri: None, files })
        })
        .await
    };
    respond(answer.await)
}

async fn upload(State(app): State<Arc<App>>, Path(path): Path<String>, request: Request) -> Response<Body> {
    respond(store(&app, path, request.into_body()).await)
}

async fn store(app: &App, path: String, body: Body) -> Reply {
    let mut pieces = Pieces::new(body, app.config.artifact_size_bytes_max, app.config.body_silence_ms_max)?;
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let stored = app.in_stream(move |ledger| {
        let (owner, path) = ledger.locate_artifact(&path)?;
        ledger.put_artifact(
            &owner,
            &path,
            &mut PieceReader { receiver, piece: Bytes::new(), ended: false },
        )?;
        reply_empty()
    });
    let fed = async move {
        while let Some(piece) = pieces.next().await? {
            if sender.send(Some(piece)).await.is_err() {
                return drain(&mut pieces).await;
            }
        }
        // The end is said aloud: a sender that merely goes away means that the upload was cut.
        let _ = sender.send(None).await;
        Ok(())
    };
    let (stored, fed) = tokio::join!(stored, fed);
    // When both failed, the client's end is the cause.
    fed.and(stored)
}

async fn drain(pieces: &mut Pieces) -> Result<(), ApiError> {
    let mut read_bytes = 0;
    while let Some(piece) = pieces.next().await? {
        read_bytes += piece.len() as u64;
        if read_bytes > DRAIN_BYTES_MAX {
            break;
        }
    }
    Ok(())
}

/// The pieces of an upload as the ledger reads them.
struct PieceReader {
    receiver: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    ended: bool,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the upload was cut")),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

async fn delete(State(app): State<Arc<App>>, Path(path): Path<String>) -> Response<Body> {
    let gone = app.in_ledger(move |ledger| {
        let (owner, path) = ledger.locate_artifact(&path)?;
        ledger.delete_artifacts(&owner, &path)?;
        reply_empty()
    });
    respond(gone.await)
}

async fn download(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let opened = app.in_ledger(move |ledger| {
        let (owner, path) = ledger.locate_artifact(&path)?;
        open(ledger, &owner, &path, &headers)
    });
    opened.await.unwrap_or_else(|error| error.response())
}

/// `GET /get-artifact?run_id=…&path=…`, as MLflow's page and ours ask.
async fn download_of_run(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let answer = async {
        let mut fields = Fields::default();
        fields.add_query(query.as_deref().unwrap_or_default())?;
        app.in_ledger(move |ledger| {
            let run_id = match fields.filled_if("run_id")? {
                Some(id) => id,
                None => fields.filled("run_uuid")?,
            };
            let record = ledger.run(run_id)?;
            let (owner, start) = ledger.locate_artifact(&place_of(ledger, &record.run.artifact_uri)?)?;
            open(ledger, &owner, &join(&start, fields.filled("path")?), &headers)
        })
        .await
    };
    answer.await.unwrap_or_else(|error| error.response())
}

/// A file as an answer: always as a download, never as something a browser would run.
fn open(
    ledger: &Ledger,
    owner: &ArtifactOwner,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let (artifact, mut file) = ledger.artifact(owner, path)?;
    let tag = format!("\"{}\"", artifact.digest);
    let tag = HeaderValue::from_str(&tag).map_err(|_| ApiError::internal("a digest is not a header"))?;
    if headers.get(IF_NONE_MATCH) == Some(&tag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().insert(ETAG, tag);
        return Ok(response);
    }
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok()).and_then(|text| {
        // A range that makes no sense is no range (RFC 9110, section 14.2).
        range_of(text, artifact.size_bytes)
    });
    let (from, to) = range.unwrap_or((0, artifact.size_bytes));
    file.seek(SeekFrom::Start(from))
        .map_err(|error| ApiError::internal(format!("cannot read the artifact: {error}")))?;
    let mut response = Response::new(Body::new(FileBody::new(file, to - from)));
    let answer = response.headers_mut();
    answer.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    answer.insert(CONTENT_LENGTH, HeaderValue::from(to - from));
    answer.insert(CONTENT_DISPOSITION, disposition(&artifact));
    answer.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(ETAG, tag);
    if range.is_some() {
        let text = format!("bytes {from}-{}/{}", to - 1, artifact.size_bytes);
        if let Ok(value) = HeaderValue::from_str(&text) {
            answer.insert(CONTENT_RANGE, value);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn disposition(artifact: &Artifact) -> HeaderValue {
    let name = artifact.path.rsplit('/').next().unwrap_or_default();
    let text = format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
    // Percent signs, letters and digits: always a header.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

/// First byte and the one after the last, of a single range.
fn range_of(text: &str, size_bytes: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = match (first, last) {
        ("", count) => (size_bytes.saturating_sub(count.parse().ok()?), size_bytes),
        (first, "") => (first.parse().ok()?, size_bytes),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.saturating_add(1).min(size_bytes)),
    };
    (from < to).then_some((from, to))
}

async fn no_multipart() -> Response<Body> {
    // Clients know this sentence and send the file whole instead.
    unsupported("Multipart upload")
}

async fn no_presigned() -> Response<Body> {
    unsupported("Presigned download")
}

fn unsupported(what: &str) -> Response<Body> {
    ApiError::new(
        Code::NotImplemented,
        format!("{what} is not supported for the current artifact repository"),
    )
    .response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let cases = [
            ("bytes=0-4", Some((0, 5))),
            ("bytes=5-", Some((5, 10))),
            ("bytes=-3", Some((7, 10))),
            ("bytes=-30", Some((0, 10))),
            ("bytes=8-99", Some((8, 10))),
            ("bytes=0-18446744073709551615", Some((0, 10))),
            ("bytes=10-", None),
            ("bytes=5-4", None),
            ("bytes=a-b", None),
            ("bytes=0-1,3-4", None),
            ("rows=0-1", None),
            ("bytes=-", None),
        ];
        for (text, expect) in cases {
            assert_eq!(range_of(text, 10), expect, "{text}");
        }
        assert_eq!(range_of("bytes=0-", 0), None);
    }

    #[test]
    fn places_join() {
        assert_eq!(join("", "a"), "a");
        assert_eq!(join("a", ""), "a");
        assert_eq!(join("a", "b"), "a/b");
    }
}
