//! Downloads from a server on loopback that fails in scripted ways.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use mynah_data::fetch::{FetchOptions, Fetched, fetch_file};
use mynah_data::{ErrorKind, Result};

/// How the server answers one request.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// All that is asked for.
    Whole,
    /// So many bytes of it, then the connection breaks.
    CutAfter(usize),
    /// Everything, whatever range is asked for, as a server without ranges does.
    NoRanges,
    /// Another version of the file.
    NewVersion,
    /// This status.
    Status(u16),
}

/// Serves the body by the script, one answer a connection; returns the address and the requests seen.
fn serve(body: &'static [u8], script: Vec<Answer>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file.txt", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = seen.clone();
    std::thread::spawn(move || {
        for answer in script {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let request = read_request(&stream);
            respond(&mut stream, body, answer, &request);
            requests.lock().unwrap().push(request);
        }
    });
    (url, seen)
}

fn read_request(stream: &TcpStream) -> String {
    let mut request = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap_or_default();
        if line.is_empty() {
            break;
        }
        request.push_str(&line.to_ascii_lowercase());
        request.push('\n');
    }
    request
}

fn respond(stream: &mut TcpStream, body: &[u8], answer: Answer, request: &str) {
    let asked = request
        .lines()
        .find_map(|line| line.strip_prefix("range: bytes=")?.trim_end_matches('-').parse::<usize>().ok());
    let version = if matches!(answer, Answer::NewVersion) { "\"v2\"" } else { "\"v1\"" };
    let same = request.contains(&format!("if-range: {version}"));
    let start = if matches!(answer, Answer::NoRanges) || !same { 0 } else { asked.unwrap_or(0) };
    let rest = &body[start..];
    let head = match answer {
        Answer::Status(status) => {
            format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
        _ if start > 0 => format!(
            "HTTP/1.1 206 Partial\r\ncontent-length: {}\r\ncontent-range: bytes {start}-{}/{}\r\netag: {version}\r\nconnection: close\r\n\r\n",
            rest.len(),
            body.len() - 1,
            body.len()
        ),
        _ => format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\netag: {version}\r\nconnection: close\r\n\r\n",
            rest.len()
        ),
    };
    let sent = match answer {
        Answer::Status(_) => 0,
        Answer::CutAfter(count) => count.min(rest.len()),
        _ => rest.len(),
    };
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&rest[..sent]);
}

const BODY: &[u8] = b"All happy families are alike; each unhappy family is unhappy in its own way.";

fn get(url: &str, path: &Path, change: impl FnOnce(&mut FetchOptions)) -> Result<Fetched> {
    let mut options = FetchOptions { attempts: 3, pause_ms: 1, timeout_ms: 5_000, ..FetchOptions::default() };
    change(&mut options);
    fetch_file(url, path, &options, &mut |_, _| {})
}

/// Only these names are in the folder.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn check(script: Vec<Answer>, requests_expected: usize, ranges_expected: &[usize]) {
    let shown = format!("{script:?}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.txt");
    let (url, seen) = serve(BODY, script);
    assert_eq!(get(&url, &path, |_| {}).unwrap(), Fetched::Recorded, "{shown}");
    assert_eq!(fs::read(&path).unwrap(), BODY, "{shown}");
    assert_eq!(names(dir.path()), ["file.txt", "file.txt.blake3"], "{shown}");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), requests_expected, "{shown}");
    let ranges: Vec<usize> = seen
        .iter()
        .flat_map(|r| r.lines())
        .filter_map(|line| line.strip_prefix("range: bytes=")?.trim_end_matches('-').parse().ok())
        .collect();
    assert_eq!(ranges, ranges_expected, "{shown}");
}

#[test]
fn downloads_through_all_kinds_of_trouble() {
    check(vec![Answer::Whole], 1, &[]);
    check(vec![Answer::CutAfter(20), Answer::Whole], 2, &[20]);
    check(vec![Answer::CutAfter(20), Answer::CutAfter(10), Answer::Whole], 3, &[20, 30]);
    check(vec![Answer::Status(500), Answer::Status(429), Answer::Whole], 3, &[]);
    check(vec![Answer::CutAfter(20), Answer::NoRanges], 2, &[20]);
    check(vec![Answer::CutAfter(20), Answer::NewVersion], 2, &[20]);
    check(vec![Answer::CutAfter(20), Answer::Status(416), Answer::Whole], 3, &[20]);
    check(
        vec![Answer::CutAfter(20), Answer::Status(503), Answer::Status(503), Answer::Whole],
        4,
        &[20, 20, 20],
    );
}

#[test]
fn a_later_call_takes_up_what_an_earlier_one_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.txt");
    let (url, _) = serve(BODY, vec![Answer::CutAfter(30), Answer::Status(500), Answer::Status(500)]);
    let error = get(&url, &path, |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(!path.exists() && dir.path().join("file.txt.part").exists());
    let (url, seen) = serve(BODY, vec![Answer::Whole]);
    assert_eq!(get(&url, &path, |_| {}).unwrap(), Fetched::Recorded);
    assert_eq!(fs::read(&path).unwrap(), BODY);
    assert!(seen.lock().unwrap()[0].contains("range: bytes=30-"));
    // And then there is nothing to do, not even a request.
    assert_eq!(get("http://127.0.0.1:1/none", &path, |_| {}).unwrap(), Fetched::AlreadyThere);
}

#[test]
fn checksums_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.txt");
    let right = blake3::hash(BODY).to_hex().to_string();
    let (url, _) = serve(BODY, vec![Answer::Whole, Answer::Whole, Answer::Whole]);
    let error = get(&url, &path, |o| o.blake3 = Some("00".repeat(32))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checksum);
    assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
    assert_eq!(get(&url, &path, |o| o.blake3 = Some(right)).unwrap(), Fetched::Checked);
    // The first download's digest counts for the second one.
    fs::remove_file(&path).unwrap();
    let (other, _) = serve(b"something else", vec![Answer::Whole]);
    let error = get(&other, &path, |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checksum);
    fs::remove_file(dir.path().join("file.txt.blake3")).unwrap();
    assert_eq!(get(&url, &path, |_| {}).unwrap(), Fetched::Recorded);
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.txt");
    let (url, seen) = serve(BODY, vec![Answer::Status(404), Answer::Whole]);
    let error = get(&url, &path, |_| {}).unwrap_err();
    assert!(error.kind() == ErrorKind::Network && error.to_string().contains("404"), "{error}");
    assert_eq!(seen.lock().unwrap().len(), 1);
    let (url, _) = serve(BODY, vec![Answer::Whole]);
    let error = get(&url, &path, |o| o.size_bytes_max = 10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Setting);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn offline_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    // A port that was just given back: nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = get(&format!("http://127.0.0.1:{port}/x"), &dir.path().join("x"), |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    let line = error.to_string();
    assert!(
        line.contains("3 attempt(s)") && line.contains("check the network") && !line.contains('\n'),
        "{line}"
    );
}
