//! Bad input, uninvited callers and too much of everything: a clear answer, and nothing lost.

use std::io::{Read, Write};

use mynah_serve::{ErrorKind, Server, ServerConfig};
use serde_json::{Value, json};

use crate::common::{Fixture, connect, open, receive, refused};

const API: &str = "/api/2.0/mlflow";
const TOKEN: &str = "0123456789abcdef0123";

#[test]
fn bodies_that_are_not_what_they_should_be() {
    let server = Fixture::new();
    let path = format!("{API}/runs/log-metric");
    let deep = [b"{\"a\":".repeat(5000), b"1".to_vec(), b"}".repeat(5000)].concat();
    let bodies: [&[u8]; 8] =
        [b"{", b"[]", b"7", b"{\"run_id\":\"\xff\xfe\"}", b"{\"a\":1}{", b"NaN", b"\x00", &deep];
    for body in bodies {
        refused(&server.send("POST", &path, &[], body), 400, "BAD_REQUEST");
    }
    refused(&server.send("GET", &format!("{API}/runs/get?run_id=%FF"), &[], b""), 400, "BAD_REQUEST");
}

#[test]
fn fields_of_wrong_types_are_named() {
    let server = Fixture::new();
    let run = server.run();
    let good = json!({"run_id": run, "key": "k", "value": 1.0, "timestamp": 1, "step": 1});
    let wrong = [
        ("run_id", json!(7)),
        ("key", json!(["k"])),
        ("key", json!("")),
        ("value", json!("high")),
        ("value", json!(true)),
        ("timestamp", json!(1.5)),
        ("timestamp", json!(null)),
        ("step", json!("1e400")),
        ("step", json!(9223372036854775808u64)),
        ("step", json!({"x": 1})),
    ];
    for (field, value) in wrong {
        let mut body = good.clone();
        body[field] = value.clone();
        let path = format!("{API}/runs/log-metric");
        let message = server.refused("POST", &path, body, 400, "INVALID_PARAMETER_VALUE");
        assert!(message.contains(&format!("'{field}'")), "{field} = {value}: {message}");
    }
    let lists = [
        ("runs/log-batch", json!({"run_id": run, "metrics": "many"})),
        ("runs/log-batch", json!({"run_id": run, "metrics": [3]})),
        ("runs/log-batch", json!({"run_id": run, "params": {"key": "k"}})),
        ("runs/search", json!({"experiment_ids": [0]})),
        ("runs/search", json!({"experiment_ids": ["0"], "max_results": "all"})),
        ("runs/search", json!({"experiment_ids": ["0"], "max_results": 50001})),
        ("runs/search", json!({"experiment_ids": ["0"], "run_view_type": "HIDDEN"})),
        ("runs/update", json!({"run_id": run, "status": "DONE"})),
        ("runs/update", json!({"run_id": run, "status": 9})),
    ];
    for (call, body) in lists {
        server.refused("POST", &format!("{API}/{call}"), body, 400, "INVALID_PARAMETER_VALUE");
    }
    // Of all these, nothing was kept.
    let found = server.get(&format!("{API}/runs/get?run_id={run}"));
    assert_eq!(found["run"]["data"].get("metrics"), None);
    assert_eq!(found["run"]["info"]["status"], "RUNNING");
}

#[test]
fn unknown_fields_are_left_alone() {
    let server = Fixture::new();
    let run = server.run();
    let body = json!({"run_id": run, "key": "k", "value": "v", "new_in_a_later_client": {"a": [1, 2]}});
    server.ok("POST", &format!("{API}/runs/set-tag"), body);
}

#[test]
fn what_is_too_long_or_badly_named() {
    let server = Fixture::new();
    let run = server.run();
    let long = |count: usize| "x".repeat(count);
    let metric = |key: &str| json!({"run_id": run, "key": key, "value": 1, "timestamp": 1});
    let pair = |key: &str, value: String| json!({"run_id": run, "key": key, "value": value});
    let batch = |count: usize| {
        let metrics: Vec<Value> =
            (0..count).map(|step| json!({"key": "m", "value": 1, "timestamp": 1, "step": step})).collect();
        json!({"run_id": run, "metrics": metrics})
    };
    let cases = [
        ("log-metric", metric(&long(251))),
        ("log-metric", metric("../up")),
        ("log-metric", metric("/rooted")),
        ("log-metric", metric("a\u{0}b")),
        ("log-parameter", pair(&long(251), long(1))),
        ("log-parameter", pair("p", long(6001))),
        ("set-tag", pair(&long(251), long(1))),
        ("set-tag", pair("t", long(8001))),
        ("log-batch", batch(1001)),
    ];
    for (call, body) in cases {
        server.refused("POST", &format!("{API}/runs/{call}"), body, 400, "INVALID_PARAMETER_VALUE");
    }
    let ids = ["../../etc/passwd", "' OR 1=1 --", "", "0123", &"f".repeat(4000)];
    for id in ids {
        let body = json!({"run_id": id, "key": "k", "value": "v"});
        let answer = server.call("POST", &format!("{API}/runs/set-tag"), body);
        assert!(matches!(answer.status, 400 | 404), "{id}: {answer:?}");
        assert!(answer.json()["message"].as_str().is_some_and(|message| message.len() < 400));
    }
    server.ok("POST", &format!("{API}/runs/log-batch"), batch(1000));
}

#[test]
fn sql_in_filters_is_text() {
    let server = Fixture::new();
    let run = server.run();
    server.ok("POST", &format!("{API}/runs/set-tag"), json!({"run_id": run, "key": "k", "value": "v"}));
    let search = |filter: &str| {
        server.call("POST", &format!("{API}/runs/search"), json!({"experiment_ids": ["0"], "filter": filter}))
    };
    for filter in [
        "tags.k = 'v'; DROP TABLE runs",
        "tags.k = 'v' OR 1=1",
        "1=1",
        "tags.k = 'v' UNION SELECT * FROM runs",
        "metrics.x > (SELECT 1)",
        "tags.`k` = 'v' --",
        "attributes.status = 'x' /* */",
        "tags.k = 'v",
        "params.\"a' = '1",
        "tags.k LIKE",
        "tags.k = 'v' AND",
        "((((",
        "\u{202e}",
    ] {
        refused(&search(filter), 400, "INVALID_PARAMETER_VALUE");
    }
    // As text these are fine, and find nothing.
    for filter in
        ["tags.k = ''' OR ''1''=''1'", "tags.`k'; DROP TABLE runs; --` = 'v'", "tags.k LIKE '%\\_%; DELETE'"]
    {
        let answer = search(filter);
        assert!(matches!(answer.status, 200 | 400), "{filter}: {answer:?}");
        assert!(answer.json()["runs"].as_array().is_none_or(Vec::is_empty), "{filter}");
    }
    assert_eq!(
        search("tags.k = 'v'").json()["runs"].as_array().map(Vec::len),
        Some(1),
        "the runs are still there"
    );
    for order in ["metrics.x; DROP TABLE runs", "1", "tags.k ASC, 2", "attributes.start_time DESC --"] {
        let body = json!({"experiment_ids": ["0"], "order_by": [order]});
        server.refused("POST", &format!("{API}/runs/search"), body, 400, "INVALID_PARAMETER_VALUE");
    }
    let body = json!({"experiment_ids": ["0"], "page_token": "'; DROP TABLE runs"});
    server.refused("POST", &format!("{API}/runs/search"), body, 400, "INVALID_PARAMETER_VALUE");
}

#[test]
fn large_bodies_are_refused() {
    let server = Fixture::with(ServerConfig { body_size_bytes_max: 10_000, ..ServerConfig::default() });
    let run = server.run();
    let body = json!({"run_id": run, "key": "k", "value": "v".repeat(20_000)});
    server.refused("POST", &format!("{API}/runs/set-tag"), body, 413, "REQUEST_LIMIT_EXCEEDED");
}

#[test]
fn a_silent_client_is_let_go() {
    let server = Fixture::with(ServerConfig { body_silence_ms_max: 50, ..ServerConfig::default() });
    let mut stream = connect(server.address());
    let head = format!(
        "POST {API}/runs/log-metric HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{{",
        server.address()
    );
    stream.write_all(head.as_bytes()).expect("a server that listens");
    refused(&receive(stream), 400, "BAD_REQUEST");
}

#[test]
fn a_connection_without_a_request_is_let_go() {
    // One place only, taken by somebody who says half a word: the next caller is answered all the same.
    let config = ServerConfig { connections_max: 1, head_silence_ms_max: 250, ..ServerConfig::default() };
    let server = Fixture::with(config);
    let mut silent = connect(server.address());
    silent.write_all(b"POST /api/2.0/ml").expect("a server that listens");
    assert_eq!(server.send("GET", "/health", &[], b"").status, 200);
    let mut rest = Vec::new();
    // Closed, or reset because of the half word.
    let _ = silent.read_to_end(&mut rest);
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{rest:?}");
}

#[test]
fn too_many_requests_are_told_to_come_back() {
    let server = Fixture::with(ServerConfig { requests_max: 1, ..ServerConfig::default() });
    let mut first = connect(server.address());
    let head = format!(
        "POST {API}/runs/create HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-length: 21\r\n\r\n",
        server.address()
    );
    first.write_all(head.as_bytes()).expect("a server that listens");
    // The server asks for the body once it has admitted the request.
    let mut asked = [0; 25];
    first.read_exact(&mut asked).expect("an interim answer");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let answer = server.send("GET", "/health", &[], b"");
    refused(&answer, 503, "TEMPORARILY_UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), Some("1"));
    first.write_all(b"{\"experiment_id\":\"0\"}").expect("an open connection");
    assert_eq!(receive(first).status, 200, "the first is answered all the same");
}

#[test]
fn a_token_is_asked_for_everywhere() {
    let server = Fixture::with(ServerConfig { token: Some(TOKEN.to_string()), ..ServerConfig::default() });
    let paths = [
        "/",
        "/api/mynah/info",
        "/api/2.0/mlflow/experiments/get?experiment_id=0",
        "/page/main.js",
        "/nowhere",
    ];
    for path in paths {
        let answer = server.send("GET", path, &[], b"");
        refused(&answer, 401, "UNAUTHENTICATED");
        assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Basic")));
        let wrong = server.send("GET", path, &[("authorization", "Bearer 0123456789abcdef0124")], b"");
        assert_eq!(wrong.status, 401);
        let right = server.send("GET", path, &[("authorization", &format!("Bearer {TOKEN}"))], b"");
        assert_eq!(right.status, if path == "/nowhere" { 404 } else { 200 });
    }
    assert_eq!(server.send("GET", "/health", &[], b"").status, 200);
}

#[test]
fn pages_of_elsewhere_change_nothing() {
    let server = Fixture::new();
    let path = format!("{API}/runs/create");
    let body = b"{\"experiment_id\":\"0\"}";
    let rebound = server.send("POST", &path, &[("host", "evil.example")], body);
    refused(&rebound, 403, "PERMISSION_DENIED");
    let across = server.send("POST", &path, &[("origin", "http://evil.example")], body);
    refused(&across, 403, "PERMISSION_DENIED");
    let own = format!("http://{}", server.address());
    assert_eq!(server.send("POST", &path, &[("origin", &own)], body).status, 200);
}

#[test]
fn calls_that_do_not_exist() {
    let server = Fixture::new();
    for path in
        ["/api/2.0/mlflow/no/such", "/api/1.0/mlflow/runs/get", "/x/../y", "/%2e%2e/%2e%2e/etc/passwd"]
    {
        server.refused("GET", path, json!({}), 404, "ENDPOINT_NOT_FOUND");
    }
    let answer = server.call("DELETE", &format!("{API}/runs/create"), json!({}));
    refused(&answer, 405, "ENDPOINT_NOT_FOUND");
}

#[test]
fn an_open_host_without_a_token_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = ServerConfig { host: "0.0.0.0".to_string(), port: 0, ..ServerConfig::default() };
    let error = Server::bind(config, open(&folder)).map(|_| ()).expect_err("it would be open to all");
    assert_eq!(error.kind(), ErrorKind::Setting);
    assert!(error.to_string().contains("token"), "{error}");
}

#[test]
fn a_taken_port_says_so() {
    let server = Fixture::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = ServerConfig { port: server.address().port(), ..ServerConfig::default() };
    let error = Server::bind(config, open(&folder)).map(|_| ()).expect_err("the port is taken");
    assert_eq!(error.kind(), ErrorKind::Bind);
    assert!(error.to_string().contains("another port"), "{error}");
}

#[test]
fn a_read_only_store_is_shown_but_not_changed() {
    let server = Fixture::new();
    let run = server.run();
    let options = mynah_ledger::OpenOptions { read_only: true, ..Default::default() };
    let ledger = mynah_ledger::Ledger::open(server.ledger.location(), options).expect("an existing store");
    let config = ServerConfig { port: 0, ..ServerConfig::default() };
    let reader = Server::bind(config, ledger).expect("a free port").start().expect("a thread");
    let get = format!("{API}/runs/get?run_id={run}");
    assert_eq!(crate::common::send(reader.address(), "GET", &get, &[], b"").status, 200);
    let body = json!({"run_id": run, "key": "k", "value": "v"}).to_string();
    let answer =
        crate::common::send(reader.address(), "POST", &format!("{API}/runs/set-tag"), &[], body.as_bytes());
    refused(&answer, 403, "PERMISSION_DENIED");
}
