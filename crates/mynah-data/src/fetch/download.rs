//! One file by URL: resumed, checked, retried, whole or absent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mynah_base::write_atomic;

use crate::error::{Error, ErrorKind, Result};

/// How downloads go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOptions {
    /// Requests that may fail in a row without a new byte; at least 1.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each further one, up to a minute.
    pub pause_ms: u64,
    /// A silence longer than this is a failure.
    pub timeout_ms: u64,
    /// A file that says it is larger, or turns out to be, is refused.
    pub size_bytes_max: u64,
    /// The file's BLAKE3 digest (hexadecimal), where it is known; otherwise that recorded by an earlier download counts.
    pub blake3: Option<String>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        FetchOptions {
            attempts: 5,
            pause_ms: 500,
            timeout_ms: 30_000,
            size_bytes_max: 64 << 30,
            blake3: None,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The file was there already.
    AlreadyThere,
    /// It was downloaded; its digest was checked against a known one.
    Checked,
    /// It was downloaded; its digest is recorded for the next time, there was nothing to check it against.
    Recorded,
}

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// Longest pause between attempts.
const PAUSE_MS_MAX: u64 = 60_000;

/// Downloads `url` to `path`. Progress is called with the bytes that are there and the size where it is known.
///
/// # Errors
/// [`ErrorKind::Network`] when the server cannot be reached, refuses (a 4xx status), or keeps failing;
/// [`ErrorKind::Checksum`] when the bytes are not those expected (they are then removed);
/// [`ErrorKind::Setting`] when the file is too large; [`ErrorKind::Io`] when it cannot be written. What has come so
/// far stays in `PATH.part` and is taken up by the next call.
pub fn fetch_file(
    url: &str,
    path: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<Fetched> {
    if path.exists() {
        return Ok(Fetched::AlreadyThere);
    }
    let agent = agent(url, options);
    let part = beside(path, ".part");
    let mut failures = 0;
    loop {
        let before = size_of(&part);
        match attempt(&agent, url, &part, options, progress) {
            Ok(()) => break,
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Passing(what)) => {
                failures = if size_of(&part) > before { 0 } else { failures + 1 };
                if failures >= options.attempts.max(1) {
                    let message = format!(
                        "cannot download {url}: {what} ({failures} attempt(s)); check the network and try again, or put the \
                         file at {} yourself",
                        path.display()
                    );
                    return Err(Error::new(ErrorKind::Network, message));
                }
                let pause_ms = options
                    .pause_ms
                    .saturating_mul(1 << failures.saturating_sub(1).min(16))
                    .min(PAUSE_MS_MAX);
                std::thread::sleep(Duration::from_millis(pause_ms));
            }
        }
    }
    finish(url, path, &part, options)
}

/// Checks the digest and gives the file its name.
fn finish(url: &str, path: &Path, part: &Path, options: &FetchOptions) -> Result<Fetched> {
    let digest = digest_of(part)?;
    let record = beside(path, ".blake3");
    let recorded = fs::read_to_string(&record).ok().map(|text| text.trim().to_string());
    let expected = options.blake3.clone().or(recorded);
    if let Some(expected) = &expected
        && !expected.eq_ignore_ascii_case(&digest)
    {
        remove_part(part);
        let message = format!(
            "{url}: the bytes are not those expected (BLAKE3 {digest}, expected {expected}); they are removed. If the \
             publisher has changed the file, remove {}",
            record.display()
        );
        return Err(Error::new(ErrorKind::Checksum, message));
    }
    write_atomic(&record, |writer| writeln!(writer, "{digest}"))
        .map_err(|e| Error::io("cannot write", &record, &e))?;
    File::open(part)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(part, path))
        .map_err(|e| Error::io("cannot write", path, &e))?;
    remove_part(part);
    Ok(if expected.is_some() { Fetched::Checked } else { Fetched::Recorded })
}

/// Why an attempt ended: for good, or worth another one.
enum Failure {
    Final(Error),
    Passing(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Final(error)
    }
}

fn agent(url: &str, options: &FetchOptions) -> ureq::Agent {
    let timeout = Some(Duration::from_millis(options.timeout_ms.max(1)));
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        // What began encrypted stays so, through all redirects.
        .https_only(url.starts_with("https://"))
        .timeout_connect(timeout)
        .timeout_recv_response(timeout)
        .timeout_per_read(timeout)
        .user_agent("mynah");
    if url.starts_with("http://127.0.0.1") || url.starts_with("http://localhost") {
        config = config.proxy(None);
    }
    config.build().new_agent()
}

/// One request, from where the part file ends; appends what comes.
fn attempt(
    agent: &ureq::Agent,
    url: &str,
    part: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> std::result::Result<(), Failure> {
    let version_file = beside(part, ".version");
    // Without knowing which version the part is of, it cannot be continued.
    let version = fs::read_to_string(&version_file).ok().filter(|text| !text.is_empty());
    let offset = if version.is_some() { size_of(part) } else { 0 };
    let mut request = agent.get(url);
    if let (Some(version), true) = (&version, offset > 0) {
        request = request.header("Range", format!("bytes={offset}-")).header("If-Range", version);
    }
    let mut response = request.call().map_err(|e| match e {
        ureq::Error::BadUri(what) => {
            Failure::Final(Error::new(ErrorKind::Setting, format!("not a URL: {url} ({what})")))
        }
        other => Failure::Passing(other.to_string()),
    })?;
    let status = response.status().as_u16();
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_string);
    let (length, range) =
        (header("content-length").and_then(|text| text.parse::<u64>().ok()), header("content-range"));
    let new_version = header("etag").filter(|tag| !tag.starts_with("W/")).or_else(|| header("last-modified"));
    let start = match status {
        200 => 0,
        206 if range.as_deref().and_then(range_start) == Some(offset) => offset,
        206 | 416 => {
            // The server and the part do not go together: from the beginning, in another attempt.
            remove_part(part);
            return Err(Failure::Passing(format!("the server answered {status} with another range")));
        }
        408 | 429 | 500..=599 => return Err(Failure::Passing(format!("the server answered {status}"))),
        _ => {
            let message =
                format!("cannot download {url}: the server answered {status}; is the address right?");
            return Err(Failure::Final(Error::new(ErrorKind::Network, message)));
        }
    };
    let size = length.map(|length| start + length);
    if size.is_some_and(|size| size > options.size_bytes_max) {
        return Err(too_large(url, options));
    }
    let io = |e: io::Error| Failure::Final(Error::io("cannot write", part, &e));
    let mut file = if start == 0 {
        let mut file = File::create(part).map_err(io)?;
        file.flush().map_err(io)?;
        fs::write(&version_file, new_version.unwrap_or_default()).map_err(io)?;
        file
    } else {
        OpenOptions::new().append(true).open(part).map_err(io)?
    };
    let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; CHUNK];
    let mut done = start;
    loop {
        progress(done, size);
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Failure::Passing(format!("cut after {done} bytes: {e}"))),
        };
        file.write_all(&buffer[..count]).map_err(io)?;
        done += count as u64;
        if done > options.size_bytes_max {
            drop(file);
            remove_part(part);
            return Err(too_large(url, options));
        }
    }
    match size {
        Some(size) if done < size => Err(Failure::Passing(format!("cut after {done} of {size} bytes"))),
        _ => Ok(()),
    }
}

fn too_large(url: &str, options: &FetchOptions) -> Failure {
    let limit = mynah_base::units::bytes(options.size_bytes_max);
    Failure::Final(Error::new(
        ErrorKind::Setting,
        format!("{url} is larger than the limit of {limit}; raise the limit to download it"),
    ))
}

/// The first number of `bytes 100-199/200`.
fn range_start(text: &str) -> Option<u64> {
    text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn digest_of(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path).map_err(|e| Error::io("cannot read", path, &e))?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = file.read(&mut buffer).map_err(|e| Error::io("cannot read", path, &e))?;
        if count == 0 {
            return Ok(hasher.finalize().to_hex().to_string());
        }
        hasher.update(&buffer[..count]);
    }
}

fn size_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(ending);
    path.with_file_name(name)
}

/// Removes a part file and its version; either may be absent.
fn remove_part(part: &Path) {
    let _ = fs::remove_file(part);
    let _ = fs::remove_file(beside(part, ".version"));
}
