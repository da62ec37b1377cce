//! Files up and down.

use std::io::Write;

use mynah_serve::ServerConfig;
use serde_json::json;

use crate::common::{Fixture, connect, receive, refused};

const ROOT: &str = "/api/2.0/mlflow-artifacts/artifacts";

fn place(run: &str, path: &str) -> String {
    format!("{ROOT}/0/{run}/artifacts/{path}")
}

fn put(server: &Fixture, run: &str, path: &str, body: &[u8]) {
    let answer = server.send("PUT", &place(run, path), &[], body);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json(), json!({}));
}

/// More than one piece of a download, and not a whole number of them.
fn large() -> Vec<u8> {
    (0..700_001u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn files_come_back_as_they_went() {
    let server = Fixture::new();
    let run = server.run();
    for (path, body) in [("a.bin", large()), ("d/empty", Vec::new()), ("d/%C3%BC%20x.txt", b"text".to_vec())]
    {
        put(&server, &run, path, &body);
        let answer = server.send("GET", &place(&run, path), &[], b"");
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "{path} differs");
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert!(answer.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    put(&server, &run, "a.bin", b"again");
    assert_eq!(server.send("GET", &place(&run, "a.bin"), &[], b"").body, b"again");
    let same = format!("/get-artifact?run_id={run}&path=d%2F%C3%BC%20x.txt");
    assert_eq!(server.send("GET", &same, &[], b"").body, b"text");
    let missing = server.send("GET", &place(&run, "none"), &[], b"");
    refused(&missing, 404, "RESOURCE_DOES_NOT_EXIST");
    let nobody = server.send("PUT", &place("0123456789abcdef0123456789abcdef", "x"), &[], b"x");
    refused(&nobody, 404, "RESOURCE_DOES_NOT_EXIST");
}

#[test]
fn parts_and_unchanged_files() {
    let server = Fixture::new();
    let run = server.run();
    let body = large();
    put(&server, &run, "a", &body);
    let part = server.send("GET", &place(&run, "a"), &[("range", "bytes=300000-600000")], b"");
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 300000-600000/700001")));
    assert!(part.body == body[300_000..=600_000]);
    let whole = server.send("GET", &place(&run, "a"), &[("range", "bytes=9-1")], b"");
    assert_eq!((whole.status, whole.body.len()), (200, body.len()));
    let tag = whole.header("etag").expect("a tag").to_string();
    let unchanged = server.send("GET", &place(&run, "a"), &[("if-none-match", &tag)], b"");
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
}

#[test]
fn listings_and_deletion() {
    let server = Fixture::new();
    let run = server.run();
    for path in ["one.txt", "d/two.txt", "d/e/three.txt"] {
        put(&server, &run, path, b"12345");
    }
    let list = |path: &str| server.get(&format!("/api/2.0/mlflow/artifacts/list?run_id={run}{path}"));
    let file = |path: &str| json!({"path": path, "is_dir": false, "file_size": 5});
    let folder = |path: &str| json!({"path": path, "is_dir": true});
    assert_eq!(list("")["root_uri"], format!("mlflow-artifacts:/0/{run}/artifacts"));
    assert_eq!(list("")["files"], json!([folder("d"), file("one.txt")]));
    assert_eq!(list("&path=d")["files"], json!([folder("d/e"), file("d/two.txt")]));
    assert_eq!(list("&path=one.txt").get("files"), None);
    // The other listing gives names, which the client joins to the folder itself.
    let names = server.get(&format!("{ROOT}?path=0/{run}/artifacts/d"));
    assert_eq!(names["files"], json!([folder("e"), file("two.txt")]));
    assert_eq!(server.send("DELETE", &place(&run, "d"), &[], b"").status, 200);
    assert_eq!(list("")["files"], json!([file("one.txt")]));
    refused(&server.send("DELETE", &place(&run, "d"), &[], b""), 404, "RESOURCE_DOES_NOT_EXIST");
}

#[test]
fn nothing_leaves_its_folder() {
    let server = Fixture::new();
    let run = server.run();
    std::fs::write(server.folder.path().join("secret"), "x").expect("a file");
    let bad =
        ["..%2F..%2Fsecret", "%2e%2e/%2e%2e/secret", "a/../../secret", "a%5C..%5Cb", "a%00b", "a//b", "./a"];
    for path in bad {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = server.send(method, &place(&run, path), &[], b"x");
            refused(&answer, 400, "INVALID_PARAMETER_VALUE");
        }
        let list = format!("/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}");
        refused(&server.send("GET", &list, &[], b""), 400, "INVALID_PARAMETER_VALUE");
        let get = format!("/get-artifact?run_id={run}&path={path}");
        refused(&server.send("GET", &get, &[], b""), 400, "INVALID_PARAMETER_VALUE");
    }
    let rooted = format!("/api/2.0/mlflow/artifacts/list?run_id={run}&path=/etc");
    refused(&server.send("GET", &rooted, &[], b""), 400, "INVALID_PARAMETER_VALUE");
}

#[test]
fn a_cut_upload_leaves_nothing() {
    let server = Fixture::new();
    let run = server.run();
    let mut stream = connect(server.address());
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000000\r\n\r\n",
        place(&run, "half"),
        server.address()
    );
    stream.write_all(head.as_bytes()).expect("a server that listens");
    stream.write_all(&[7; 300_000]).expect("room for the first bytes");
    stream.shutdown(std::net::Shutdown::Write).expect("an open socket");
    // The end of the connection tells the server; its answer, if any, tells us that it knows.
    let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
    refused(&server.send("GET", &place(&run, "half"), &[], b""), 404, "RESOURCE_DOES_NOT_EXIST");
    put(&server, &run, "whole", b"x");
}

#[test]
fn uploads_have_a_largest_size() {
    let server = Fixture::with(ServerConfig { artifact_size_bytes_max: 1000, ..ServerConfig::default() });
    let run = server.run();
    put(&server, &run, "fits", &[1; 1000]);
    let answer = server.send("PUT", &place(&run, "large"), &[], &[1; 1001]);
    refused(&answer, 413, "REQUEST_LIMIT_EXCEEDED");
    // Without an announced length it is found on the way.
    let mut stream = connect(server.address());
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n",
        place(&run, "chunked"),
        server.address()
    );
    stream.write_all(head.as_bytes()).expect("a server that listens");
    stream.write_all(&[1; 1001]).and_then(|()| stream.write_all(b"\r\n0\r\n\r\n")).expect("room");
    refused(&receive(stream), 413, "REQUEST_LIMIT_EXCEEDED");
    refused(&server.send("GET", &place(&run, "chunked"), &[], b""), 404, "RESOURCE_DOES_NOT_EXIST");
}

#[test]
fn what_clients_fall_back_from() {
    let server = Fixture::new();
    let run = server.run();
    let path = format!("/api/2.0/mlflow-artifacts/mpu/create/0/{run}/artifacts");
    let message = server.refused("POST", &path, json!({"path": "x", "num_parts": 2}), 501, "NOT_IMPLEMENTED");
    // The client compares the beginning of the sentence and then sends the file whole.
    assert!(message.starts_with("Multipart upload is not supported for the current artifact repository"));
}
