//! The verbs of other servers, and what monitors see.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::{Answer, call};
use crate::fleet::{KEY, Running, Setup, checkpoint, push, roll_back, serve, serve_with};
use mynah_serve::weights::Policy;

fn get(server: &Running, path: &str) -> Answer {
    call(&server.server, "GET", path, KEY, b"")
}

fn post(server: &Running, path: &str, body: &Value) -> Answer {
    call(&server.server, "POST", path, KEY, body.to_string().as_bytes())
}

#[test]
fn verbs_of_vllm() {
    let home = tempfile::tempdir().unwrap();
    let folder = checkpoint(home.path(), 0);
    let server = serve(home.path(), &folder, None);
    let text = server.text(&[1, 2], 8).0;
    for path in ["/pause", "/resume", "/update_weights", "/update_weights_from_disk"] {
        assert_eq!(call(&server.server, "POST", path, "", b"{}").status, 401, "{path}");
    }
    for mode in ["?mode=keep", "?mode=keep&clear_cache=false", "?mode=abort", ""] {
        let answer = call(&server.server, "POST", &format!("/pause{mode}"), KEY, b"");
        assert_eq!((answer.status, answer.json()), (200, json!({"status": "paused"})), "{}", answer.body);
        assert_eq!(get(&server, "/is_paused").json(), json!({"is_paused": true}));
        assert_eq!(call(&server.server, "GET", "/ready", "", b"").json()["reason"], "paused by an admin");
        assert_eq!(post(&server, "/resume", &json!({})).json(), json!({"status": "resumed"}));
        assert_eq!(get(&server, "/is_paused").json(), json!({"is_paused": false}));
        assert_eq!(server.text(&[1, 2], 8).0, text);
    }
    assert_eq!(get(&server, "/get_world_size").json(), json!({"world_size": 1}));
    assert_eq!(post(&server, "/init_weight_transfer_engine", &json!({"init_info": {}})).status, 200);
    assert_eq!(post(&server, "/reset_prefix_cache", &json!({})).status, 200);
    assert_eq!(get(&server, "/is_sleeping").json(), json!({"is_sleeping": false}));
    assert_eq!(post(&server, "/abort_requests", &json!({})).status, 200);
    for (path, body, word) in [
        ("/pause?mode=wait", json!({}), "does not wait"),
        ("/pause?mode=hope", json!({}), "mode"),
        ("/pause?colour=red", json!({}), "colour"),
        ("/init_weight_transfer_engine", json!({}), "init_info"),
        (
            "/init_weight_transfer_engine",
            json!({"init_info": {"master_address": "h"}}),
            "init_info.master_address",
        ),
        ("/start_weight_update", json!({}), "mynah weights push"),
        ("/update_weights", json!({"update_info": {"names": []}}), "mynah weights push"),
        ("/finish_weight_update", json!({}), "mynah weights push"),
        ("/sleep?level=1", json!({}), "no memory back"),
        ("/wake_up", json!({}), "no memory back"),
        ("/abort_requests", json!({"request_ids": ["a"]}), "request_ids"),
    ] {
        let answer = post(&server, path, &body);
        assert!(answer.status == 400 && answer.body.contains(word), "{path}: {}", answer.body);
    }
}

#[test]
fn verbs_of_sglang() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..3).map(|number| checkpoint(home.path(), number)).collect();
    let server = serve_with(home.path().join("own"), &folders[0], &Setup { keeps: true, ..Setup::default() });
    let cold: Vec<String> =
        folders.iter().map(|folder| serve(home.path(), folder, None).text(&[1, 2], 8).0).collect();
    let take = |body: &Value| post(&server, "/update_weights_from_disk", body);
    let taken = take(&json!({"model_path": folders[1], "weight_version": "step-7"}));
    assert_eq!((taken.status, &taken.json()["success"]), (200, &json!(true)), "{}", taken.body);
    assert_eq!(server.text(&[1, 2], 8).0, cold[1]);
    assert_eq!(get(&server, "/get_weight_version").json(), json!({"weight_version": "step-7"}));
    let info = get(&server, "/get_model_info").json();
    assert_eq!((&info["is_generation"], &info["weight_version"]), (&json!(true), &json!("step-7")));
    assert!(Path::new(info["model_path"].as_str().unwrap()).join("model.safetensors").is_file());
    let body = json!({"model_path": folders[2], "abort_all_requests": true, "keep_pause": true, "flush_cache": true,
                      "load_format": "auto", "is_async": false, "token_step": 0});
    assert_eq!(take(&body).json()["success"], true);
    assert_eq!(get(&server, "/is_paused").json()["is_paused"], true);
    assert_eq!(post(&server, "/continue_generation", &json!({})).json()["status"], "ok");
    assert_eq!(server.text(&[1, 2], 8).0, cold[2]);
    let named = post(&server, "/update_weight_version", &json!({"new_version": "step-8"}));
    assert_eq!(
        (named.json()["success"].clone(), server.status()["live"]["label"].clone()),
        (json!(true), json!("step-8"))
    );
    for mode in ["abort", "retract", "in_place"] {
        let paused = post(&server, "/pause_generation", &json!({"mode": mode}));
        assert_eq!((paused.status, &paused.json()["status"]), (200, &json!("ok")), "{}", paused.body);
        assert_eq!(post(&server, "/continue_generation", &json!({})).status, 200);
    }
    for method in ["GET", "POST"] {
        assert_eq!(call(&server.server, method, "/flush_cache", KEY, b"").status, 200);
    }
    assert_eq!(post(&server, "/abort_request", &json!({"abort_all": true})).status, 200);
    let before = server.version();
    for (body, word) in [
        (json!({}), "model_path"),
        (json!({"model_path": "no/such/folder"}), "no/such/folder"),
        (json!({"model_path": folders[0], "load_format": "gguf"}), "load_format"),
        (json!({"model_path": folders[0], "is_async": true}), "is_async"),
        (json!({"model_path": folders[0], "token_step": 4}), "token_step"),
        (json!({"model_path": folders[0], "recapture_cuda_graph": true}), "recapture_cuda_graph"),
        (json!({"model_path": folders[0], "shards": 2}), "shards"),
    ] {
        let answer = take(&body);
        assert_eq!((answer.status, &answer.json()["success"]), (400, &json!(false)), "{}", answer.body);
        assert!(answer.json()["message"].as_str().unwrap().contains(word), "{}", answer.body);
    }
    for (path, body, word) in [
        ("/update_weights_from_tensor", json!({}), "mynah weights push"),
        ("/init_weights_update_group", json!({}), "mynah weights push"),
        ("/release_memory_occupation", json!({}), "no memory back"),
        ("/abort_request", json!({"rid": "a"}), "rid"),
        ("/pause_generation", json!({"mode": "hope"}), "mode"),
    ] {
        let answer = post(&server, path, &body);
        assert!(answer.status == 400 && answer.body.contains(word), "{path}: {}", answer.body);
    }
    assert_eq!(server.version(), before);
    // Names of such pushes are the server's own.
    let start = json!({"push": "own-1", "version": before, "epoch": 99});
    assert!(server.admin("/admin/weights/start", &start).body.contains("the server's own"));
}

#[test]
fn every_figure_of_the_dashboard_is_measured() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..2).map(|number| checkpoint(home.path(), number)).collect();
    let server = serve(home.path(), &folders[0], None);
    let sent = push(&[&server], home.path(), &folders[1], None, Policy::Finish).unwrap().sent_bytes;
    roll_back(&[&server], home.path()).unwrap();
    let metrics = get(&server, "/metrics").body;
    let known: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let dashboard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/grafana/weights.json");
    let text = std::fs::read_to_string(dashboard).unwrap();
    let panels: Value = serde_json::from_str(&text).unwrap();
    let mut named = BTreeSet::new();
    for target in panels["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
    {
        let expression = target["expr"].as_str().unwrap();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let names = expression.split(|c| !is_part(c)).filter(|word| word.starts_with("mynah_"));
        named.extend(names.map(str::to_string));
    }
    assert!(named.len() >= 12, "{named:?}");
    for name in &named {
        let plain =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(known.contains(name.as_str()) || known.contains(plain), "{name} is not measured");
    }
    // All that is measured of weights is shown.
    for name in known.iter().filter(|name| name.starts_with("mynah_weights_")) {
        assert!(named.contains(*name), "{name} is not on the dashboard");
    }
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(value("mynah_weights_received_bytes_total{"), sent as f64);
    assert_eq!(
        (value("mynah_weights_committed_total{"), value("mynah_weights_rolled_back_total{")),
        (2.0, 1.0)
    );
    assert_eq!((value("mynah_weights_ready{"), value("mynah_weights_versions{")), (1.0, 2.0));
    for stage in ["receive", "build", "load", "install"] {
        assert!(metrics.contains(&format!("stage=\"{stage}\"}}")), "{stage}");
    }
}
