//! Experiments, runs and what is recorded in them, as a client sees it on the wire.

use crate::common::Fixture;
use serde_json::{Value, json};

const API: &str = "/api/2.0/mlflow";

fn post(server: &Fixture, call: &str, body: Value) -> Value {
    server.ok("POST", &format!("{API}/{call}"), body)
}

#[test]
fn an_experiment_from_making_to_restoring() {
    let server = Fixture::new();
    let tags = json!([{"key": "team", "value": "a"}]);
    let made = post(&server, "experiments/create", json!({"name": "first", "tags": tags}));
    let id = made["experiment_id"].as_str().expect("ids are strings");
    let found = server.get(&format!("{API}/experiments/get?experiment_id={id}"));
    assert_eq!(found["experiment"]["name"], "first");
    assert_eq!(found["experiment"]["tags"], tags);
    assert_eq!(found["experiment"]["lifecycle_stage"], "active");
    assert_eq!(found["experiment"]["artifact_location"], format!("mlflow-artifacts:/{id}"));
    assert!(found["experiment"]["creation_time"].is_i64(), "times are numbers");
    assert_eq!(server.get(&format!("{API}/experiments/get-by-name?experiment_name=first")), found);

    post(&server, "experiments/set-experiment-tag", json!({"experiment_id": id, "key": "k", "value": "v"}));
    post(&server, "experiments/delete-experiment-tag", json!({"experiment_id": id, "key": "team"}));
    post(&server, "experiments/update", json!({"experiment_id": id, "new_name": "second"}));
    post(&server, "experiments/delete", json!({"experiment_id": id}));
    let search =
        |view: Value| post(&server, "experiments/search", json!({"view_type": view}))["experiments"].clone();
    assert_eq!(
        search(json!("ACTIVE_ONLY")).as_array().map(Vec::len),
        Some(1),
        "only the default one is left"
    );
    assert_eq!(search(json!(2))[0]["name"], "second", "a view may come as its number");
    assert_eq!(search(json!(2))[0]["tags"], json!([{"key": "k", "value": "v"}]));
    post(&server, "experiments/restore", json!({"experiment_id": id}));
    assert_eq!(search(json!("ALL")).as_array().map(Vec::len), Some(2));

    let create = format!("{API}/experiments/create");
    server.refused("POST", &create, json!({"name": "second"}), 400, "RESOURCE_ALREADY_EXISTS");
    let missing = format!("{API}/experiments/get?experiment_id=999");
    server.refused("GET", &missing, json!({}), 404, "RESOURCE_DOES_NOT_EXIST");
}

#[test]
fn a_run_keeps_what_was_logged() {
    let server = Fixture::new();
    let made = post(
        &server,
        "runs/create",
        json!({"experiment_id": "0", "start_time": 1234, "run_name": "one", "user_id": "me",
               "tags": [{"key": "a", "value": "1"}]}),
    );
    let info = &made["run"]["info"];
    assert_eq!(
        (&info["status"], &info["start_time"], &info["run_name"]),
        (&json!("RUNNING"), &json!(1234), &json!("one"))
    );
    let id = info["run_id"].as_str().expect("a run id");
    assert_eq!(info["artifact_uri"], format!("mlflow-artifacts:/0/{id}/artifacts"));

    let points =
        [("1", json!(0.1)), ("2", json!("NaN")), ("3", json!("Infinity")), ("4", json!("-Infinity"))];
    for (step, value) in &points {
        let body = json!({"run_id": id, "key": "m", "value": value, "timestamp": "7", "step": step});
        assert_eq!(post(&server, "runs/log-metric", body), json!({}));
    }
    post(&server, "runs/log-parameter", json!({"run_id": id, "key": "lr", "value": "0.1"}));
    post(&server, "runs/set-tag", json!({"run_id": id, "key": "b", "value": "ü 🐦"}));
    post(
        &server,
        "runs/log-batch",
        json!({"run_id": id, "metrics": [{"key": "n", "value": 1e300, "timestamp": 1, "step": -5}],
               "params": [{"key": "depth", "value": "4"}], "tags": [{"key": "c", "value": ""}]}),
    );
    post(
        &server,
        "runs/update",
        json!({"run_id": id, "status": "FINISHED", "end_time": 9999, "run_name": "two"}),
    );

    let run = &server.get(&format!("{API}/runs/get?run_id={id}"))["run"];
    assert_eq!(run["info"]["end_time"], 9999);
    assert_eq!((&run["info"]["status"], &run["info"]["run_name"]), (&json!("FINISHED"), &json!("two")));
    assert_eq!(
        run["data"]["metrics"],
        json!([{"key": "m", "value": "-Infinity", "timestamp": 7, "step": 4},
               {"key": "n", "value": 1e300, "timestamp": 1, "step": -5}])
    );
    assert_eq!(run["data"]["params"], json!([{"key": "depth", "value": "4"}, {"key": "lr", "value": "0.1"}]));
    let tag =
        |key: &str| run["data"]["tags"].as_array()?.iter().find(|tag| tag["key"] == key)?["value"].as_str();
    assert_eq!((tag("a"), tag("b"), tag("c")), (Some("1"), Some("ü 🐦"), Some("")));

    let history = server.get(&format!("{API}/metrics/get-history?run_id={id}&metric_key=m"));
    let values: Vec<&Value> =
        history["metrics"].as_array().expect("points").iter().map(|point| &point["value"]).collect();
    assert_eq!(values, points.iter().map(|(_, value)| value).collect::<Vec<_>>());
    let paged = format!("{API}/metrics/get-history?run_id={id}&metric_key=m&max_results=3");
    let first = server.get(&paged);
    let token = first["next_page_token"].as_str().expect("there is more");
    let second = server.get(&format!("{paged}&page_token={token}"));
    assert_eq!(second["metrics"].as_array().map(Vec::len), Some(1));
    assert_eq!(second.get("next_page_token"), None);

    let change = json!({"run_id": id, "key": "lr", "value": "0.2"});
    server.refused("POST", &format!("{API}/runs/log-parameter"), change, 400, "INVALID_PARAMETER_VALUE");
    post(&server, "runs/delete-tag", json!({"run_id": id, "key": "a"}));
    post(&server, "runs/delete", json!({"run_id": id}));
    let late = json!({"run_id": id, "key": "m", "value": 1, "timestamp": 1});
    server.refused("POST", &format!("{API}/runs/log-metric"), late, 400, "INVALID_PARAMETER_VALUE");
    post(&server, "runs/restore", json!({"run_id": id}));
}

#[test]
fn a_refused_batch_leaves_nothing() {
    let server = Fixture::new();
    let id = server.run();
    post(&server, "runs/log-parameter", json!({"run_id": id, "key": "p", "value": "1"}));
    let batch = json!({"run_id": id, "metrics": [{"key": "m", "value": 1, "timestamp": 1}],
                       "params": [{"key": "q", "value": "1"}, {"key": "p", "value": "2"}]});
    server.refused("POST", &format!("{API}/runs/log-batch"), batch, 400, "INVALID_PARAMETER_VALUE");
    let run = &server.get(&format!("{API}/runs/get?run_id={id}"))["run"];
    assert_eq!(run["data"].get("metrics"), None);
    assert_eq!(run["data"]["params"], json!([{"key": "p", "value": "1"}]));
}

#[test]
fn runs_are_found_ordered_and_paged() {
    let server = Fixture::new();
    for (place, loss) in [0.5, 0.25, 0.75].iter().enumerate() {
        let body = json!({"experiment_id": "0", "run_name": format!("r{place}"), "start_time": place});
        let made = post(&server, "runs/create", body);
        let id = &made["run"]["info"]["run_id"];
        post(
            &server,
            "runs/log-metric",
            json!({"run_id": id, "key": "val loss", "value": loss, "timestamp": 1}),
        );
        post(&server, "runs/log-parameter", json!({"run_id": id, "key": "kind", "value": "it's"}));
    }
    let names = |body: Value| -> Vec<String> {
        let found = post(&server, "runs/search", body);
        let runs = found["runs"].as_array().expect("a list").clone();
        runs.iter().map(|run| run["info"]["run_name"].as_str().expect("a name").to_string()).collect()
    };
    let all = json!(["0"]);
    assert_eq!(
        names(json!({"experiment_ids": all, "order_by": ["metrics.`val loss` ASC"]})),
        ["r1", "r0", "r2"]
    );
    assert_eq!(names(json!({"experiment_ids": all, "filter": "metrics.`val loss` > 0.6"})), ["r2"]);
    assert_eq!(names(json!({"experiment_ids": all, "filter": "params.kind = \"it's\""})).len(), 3);
    assert!(names(json!({"experiment_ids": all, "run_view_type": "DELETED_ONLY"})).is_empty());
    let page = json!({"experiment_ids": all, "max_results": 2, "order_by": ["start_time ASC"]});
    let found = post(&server, "runs/search", page.clone());
    let mut next = page;
    next["page_token"] = found["next_page_token"].clone();
    assert_eq!(names(next), ["r2"]);
}

#[test]
fn datasets_and_models_go_in_and_out() {
    let server = Fixture::new();
    let id = server.run();
    let dataset =
        json!({"name": "corpus", "digest": "abc", "source_type": "local", "source": "{}", "schema": "{}"});
    let inputs = json!([{"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "train"}]}]);
    post(&server, "runs/log-inputs", json!({"run_id": id, "datasets": inputs}));
    let made = post(
        &server,
        "logged-models",
        json!({"experiment_id": "0", "name": "net", "source_run_id": id, "params": [{"key": "d", "value": "4"}]}),
    );
    let model = made["model"]["info"]["model_id"].as_str().expect("a model id");
    assert_eq!(made["model"]["info"]["status"], "LOGGED_MODEL_PENDING");
    post(&server, "runs/outputs", json!({"run_id": id, "models": [{"model_id": model, "step": 3}]}));
    let metric = json!({"run_id": id, "key": "acc", "value": 0.5, "timestamp": 1, "model_id": model});
    post(&server, "runs/log-metric", metric);
    let path = format!("{API}/logged-models/{model}");
    server.ok("PATCH", &path, json!({"model_id": model, "status": "LOGGED_MODEL_READY"}));
    server.ok("PATCH", &format!("{path}/tags"), json!({"tags": [{"key": "t", "value": "1"}]}));
    server.ok("DELETE", &format!("{path}/tags/t"), json!({}));

    let run = &server.get(&format!("{API}/runs/get?run_id={id}"))["run"];
    assert_eq!(run["inputs"]["dataset_inputs"], inputs);
    assert_eq!(run["outputs"]["model_outputs"], json!([{"model_id": model, "step": 3}]));
    let found = server.get(&path);
    assert_eq!(found["model"]["info"]["status"], "LOGGED_MODEL_READY");
    assert_eq!(found["model"]["info"].get("tags"), None);
    let metric = &found["model"]["data"]["metrics"][0];
    assert_eq!((&metric["value"], metric["run_id"].as_str()), (&json!(0.5), Some(id.as_str())));
    let summary = post(&server, "experiments/search-datasets", json!({"experiment_ids": ["0"]}));
    assert_eq!(summary["dataset_summaries"][0]["context"], "train");
}

#[test]
fn what_clients_ask_about_the_server() {
    let server = Fixture::new();
    assert_eq!(server.send("GET", "/health", &[], b"").body, b"OK");
    let version = String::from_utf8(server.send("GET", "/version", &[], b"").body).expect("text");
    assert_eq!(version.split('.').count(), 3, "{version}");
    let info = server.get("/api/3.0/mlflow/server-info");
    assert_eq!(
        (&info["workspaces_enabled"], &info["multipart_uploads_enabled"]),
        (&json!(false), &json!(false))
    );
    for path in [
        "/api/3.0/mlflow/traces",
        "/api/2.0/mlflow/traces/x/tags",
        "/api/3.0/mlflow/scorers/list",
        "/graphql",
    ] {
        server.refused("POST", path, json!({}), 501, "NOT_IMPLEMENTED");
    }
}

#[test]
fn two_servers_share_one_store() {
    let first = Fixture::new();
    let other = crate::common::open(&first.folder);
    let config = mynah_serve::ServerConfig { port: 0, ..Default::default() };
    let second = mynah_serve::Server::bind(config, other).expect("a free port").start().expect("a thread");
    let id = first.run();
    let writers: Vec<_> = [first.address(), second.address()]
        .into_iter()
        .enumerate()
        .map(|(place, address)| {
            let id = id.clone();
            std::thread::spawn(move || {
                for step in 0..20 {
                    let body = json!({"run_id": id, "key": format!("m{place}"), "value": step, "timestamp": 1, "step": step});
                    let path = format!("{API}/runs/log-metric");
                    let answer = crate::common::send(address, "POST", &path, &[], body.to_string().as_bytes());
                    assert_eq!(answer.status, 200, "{answer:?}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("no writer fails");
    }
    for key in ["m0", "m1"] {
        let path = format!("{API}/metrics/get-history?run_id={id}&metric_key={key}");
        let found = crate::common::send(second.address(), "GET", &path, &[], b"").json();
        assert_eq!(found["metrics"].as_array().map(Vec::len), Some(20), "{key}");
    }
    second.stop().expect("a clean end");
}

#[test]
fn a_stopped_server_hangs_up() {
    use std::io::{Read, Write};
    let server = Fixture::new();
    let mut stream = crate::common::connect(server.address());
    // Kept open after the answer: the server must close it, or it would never end.
    write!(stream, "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("a server that listens");
    let mut head = [0; 12];
    stream.read_exact(&mut head).expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200");
    let Fixture { server: running, .. } = server;
    running.stop().expect("a clean end");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the end of the connection");
    assert!(rest.ends_with(b"OK"), "the answer came whole");
}
