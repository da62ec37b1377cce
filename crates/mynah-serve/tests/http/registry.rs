//! Registered models, their versions, aliases and stages; and where a version may come from.

use crate::common::Fixture;
use serde_json::{Value, json};

const API: &str = "/api/2.0/mlflow";

fn post(server: &Fixture, call: &str, body: Value) -> Value {
    server.ok("POST", &format!("{API}/{call}"), body)
}

#[test]
fn a_model_from_making_to_deleting() {
    let server = Fixture::new();
    let run = server.run();
    let made = post(
        &server,
        "registered-models/create",
        json!({"name": "net", "description": "d", "tags": [{"key": "a", "value": "1"}]}),
    );
    assert_eq!(made["registered_model"]["name"], "net");
    for number in 1..=2 {
        let body = json!({"name": "net", "source": format!("runs:/{run}/model"), "run_id": run});
        let version = post(&server, "model-versions/create", body);
        assert_eq!(version["model_version"]["version"], number.to_string(), "versions are strings");
        assert_eq!(version["model_version"]["status"], "READY");
    }
    post(&server, "registered-models/alias", json!({"name": "net", "alias": "best", "version": "1"}));
    let found = server.get(&format!("{API}/registered-models/alias?name=net&alias=best"));
    assert_eq!(found["model_version"]["version"], "1");
    assert_eq!(found["model_version"]["aliases"], json!(["best"]));
    post(&server, "runs/update", json!({"run_id": run, "status": "FINISHED"}));
    let moved = post(
        &server,
        "model-versions/transition-stage",
        json!({"name": "net", "version": "2", "stage": "Production", "archive_existing_versions": true}),
    );
    assert_eq!(moved["model_version"]["current_stage"], "Production");
    let latest = post(
        &server,
        "registered-models/get-latest-versions",
        json!({"name": "net", "stages": ["Production"]}),
    );
    assert_eq!(latest["model_versions"][0]["version"], "2");
    server.ok(
        "PATCH",
        &format!("{API}/model-versions/update"),
        json!({"name": "net", "version": "2", "description": "x"}),
    );
    post(&server, "model-versions/set-tag", json!({"name": "net", "version": "2", "key": "k", "value": "v"}));
    let found =
        server.get(&format!("{API}/model-versions/search?filter=name%3D%27net%27%20AND%20tags.k%3D%27v%27"));
    assert_eq!(found["model_versions"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["model_versions"][0]["description"], "x");
    let uri = server.get(&format!("{API}/model-versions/get-download-uri?name=net&version=2"));
    assert_eq!(uri["artifact_uri"], format!("runs:/{run}/model"));
    post(&server, "registered-models/rename", json!({"name": "net", "new_name": "web"}));
    server.ok("DELETE", &format!("{API}/registered-models/alias"), json!({"name": "web", "alias": "best"}));
    server.ok("DELETE", &format!("{API}/model-versions/delete"), json!({"name": "web", "version": "1"}));
    let names = server.get(&format!("{API}/registered-models/search"));
    assert_eq!(names["registered_models"][0]["name"], "web");
    server.ok("DELETE", &format!("{API}/registered-models/delete"), json!({"name": "web"}));
    let get = format!("{API}/registered-models/get?name=web");
    server.refused("GET", &get, json!({}), 404, "RESOURCE_DOES_NOT_EXIST");
}

#[test]
fn sources_stay_inside() {
    let server = Fixture::new();
    let (run, other) = (server.run(), server.run());
    post(&server, "registered-models/create", json!({"name": "net"}));
    let root = format!("mlflow-artifacts:/0/{run}/artifacts");
    let good = [format!("{root}/m"), format!("runs:/{run}/m"), "s3://bucket/m".to_string()];
    for source in good {
        post(&server, "model-versions/create", json!({"name": "net", "source": source, "run_id": run}));
    }
    let bad = [
        format!("{root}/../../x"),
        format!("{root}/%2e%2e/x"),
        format!("{root}/%252e%252e/x"),
        format!("mlflow-artifacts:/0/{other}/artifacts/m"),
        format!("runs:/{other}/m"),
        "/etc/passwd".to_string(),
        "file:///etc/passwd".to_string(),
        "C:\\secrets".to_string(),
        "http://h/api/2.0/mlflow-artifacts/artifacts/0/x".to_string(),
        "models:/m-00000000000000000000000000000000".to_string(),
        "s3://bucket/../x".to_string(),
    ];
    for source in bad {
        let body = json!({"name": "net", "source": source, "run_id": run});
        let create = format!("{API}/model-versions/create");
        let message = server.refused("POST", &create, body, 400, "INVALID_PARAMETER_VALUE");
        assert!(message.contains(&source), "{message}");
    }
}

#[test]
fn a_logged_model_learns_of_its_versions() {
    let server = Fixture::new();
    let made = post(&server, "logged-models", json!({"experiment_id": "0", "name": "net"}));
    let model = made["model"]["info"]["model_id"].as_str().expect("a model id");
    post(&server, "registered-models/create", json!({"name": "net"}));
    for _ in 0..2 {
        let body = json!({"name": "net", "source": format!("models:/{model}"), "model_id": model});
        post(&server, "model-versions/create", body);
    }
    let found = server.get(&format!("{API}/logged-models/{model}"));
    let tag = found["model"]["info"]["tags"][0]["value"].as_str().expect("a tag");
    let versions: Value = serde_json::from_str(tag).expect("a list in JSON");
    assert_eq!(versions, json!([{"name": "net", "version": 1}, {"name": "net", "version": 2}]));
}

#[test]
fn versions_that_are_no_numbers() {
    let server = Fixture::new();
    post(&server, "registered-models/create", json!({"name": "net"}));
    for version in ["two", "-1", "0", "1.5", "99999999999999999999"] {
        let path = format!("{API}/model-versions/get?name=net&version={version}");
        server.refused("GET", &path, json!({}), 400, "INVALID_PARAMETER_VALUE");
    }
    let path = format!("{API}/model-versions/get?name=net&version=7");
    server.refused("GET", &path, json!({}), 404, "RESOURCE_DOES_NOT_EXIST");
}
