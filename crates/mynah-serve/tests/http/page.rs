//! The page: its files are whole, and its API gives what it draws.

use serde_json::{Value, json};

use crate::common::Fixture;

const API: &str = "/api/2.0/mlflow";

fn log(server: &Fixture, run: &str, key: &str, values: &[f64]) {
    let metrics: Vec<Value> = values
        .iter()
        .enumerate()
        .map(|(step, value)| {
            let value = if value.is_nan() { json!("NaN") } else { json!(value) };
            json!({"key": key, "value": value, "timestamp": 1000 + step, "step": step})
        })
        .collect();
    server.ok("POST", &format!("{API}/runs/log-batch"), json!({"run_id": run, "metrics": metrics}));
}

#[test]
fn every_file_that_the_page_names_is_served() {
    let server = Fixture::new();
    let page = server.send("GET", "/", &[], b"");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let mut left = vec![("/".to_string(), String::from_utf8(page.body).expect("text"))];
    let mut seen = vec!["/".to_string()];
    while let Some((from, text)) = left.pop() {
        for quoted in text.split('"').skip(1).step_by(2) {
            let path = match quoted.strip_prefix("./") {
                Some(name) if name.ends_with(".js") => format!("/page/{name}"),
                None if quoted.starts_with("/page/") => quoted.to_string(),
                _ => continue,
            };
            if seen.contains(&path) {
                continue;
            }
            let answer = server.send("GET", &path, &[], b"");
            assert_eq!(answer.status, 200, "{path}, which {from} names");
            seen.push(path.clone());
            left.push((path, String::from_utf8(answer.body).expect("text")));
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
    let policy_allows_none = ["onclick=\"", "style=\"", "javascript:"];
    let html = String::from_utf8(server.send("GET", "/", &[], b"").body).expect("text");
    assert!(policy_allows_none.iter().all(|word| !html.contains(word)), "inline code or style");
}

#[test]
fn the_table_has_the_asked_columns() {
    let server = Fixture::new();
    let (one, two) = (server.run(), server.run());
    log(&server, &one, "val loss", &[0.5, 0.25]);
    log(&server, &two, "val loss", &[f64::NAN]);
    server.ok(
        "POST",
        &format!("{API}/runs/log-parameter"),
        json!({"run_id": one, "key": "lr", "value": "0.1"}),
    );
    let columns = server.ok("POST", "/api/mynah/columns", json!({"experiment_ids": ["0"]}));
    assert_eq!((&columns["metrics"], &columns["params"]), (&json!(["val loss"]), &json!(["lr"])));
    let asked = json!({"experiment_ids": ["0"], "columns": ["metrics.val loss", "params.lr", "tags.none"],
                       "order_by": ["metrics.`val loss` ASC"]});
    let found = server.ok("POST", "/api/mynah/runs", asked.clone());
    assert_eq!(found["rows"][0]["id"], one.as_str());
    assert_eq!(found["rows"][0]["cells"], json!([0.25, "0.1", null]));
    assert_eq!(found["rows"][1]["cells"], json!(["NaN", null, null]));
    let mut page = asked.clone();
    page["max_results"] = json!(1);
    let first = server.ok("POST", "/api/mynah/runs", page.clone());
    page["page_token"] = first["next_page_token"].clone();
    assert_eq!(server.ok("POST", "/api/mynah/runs", page)["rows"][0]["id"], two.as_str());
    let mut bad = asked;
    bad["columns"] = json!(["colour"]);
    server.refused("POST", "/api/mynah/runs", bad, 400, "INVALID_PARAMETER_VALUE");
}

#[test]
fn runs_in_quarantine_are_marked_and_can_be_left_out() {
    let server = Fixture::new();
    let (one, two) = (server.run(), server.run());
    server.ledger.quarantine_run(&one, "steps go back").expect("a run");
    let ids = |asked: Value| -> Vec<Value> {
        let found = server.ok("POST", "/api/mynah/runs", asked);
        found["rows"].as_array().expect("rows").clone()
    };
    let all = ids(json!({"experiment_ids": ["0"], "order_by": ["attributes.run_id ASC"]}));
    let marks: Vec<(&str, Option<&str>)> =
        all.iter().map(|row| (row["id"].as_str().expect("an id"), row["quarantine"].as_str())).collect();
    assert!(
        marks.contains(&(one.as_str(), Some("steps go back"))) && marks.contains(&(two.as_str(), None)),
        "{marks:?}"
    );
    let fair = ids(json!({"experiment_ids": ["0"], "skip_quarantined": true}));
    assert_eq!(fair.iter().map(|row| &row["id"]).collect::<Vec<_>>(), [&json!(two)]);
    let shown = server.get(&format!("/api/mynah/run?run_id={one}"));
    assert_eq!(shown["quarantine"]["reason"], "steps go back");
}

#[test]
fn curves_are_thinned_and_say_so() {
    let server = Fixture::new();
    let run = server.run();
    let mut values: Vec<f64> = (0..900).map(|step| f64::from(step).sin()).collect();
    values[450] = 99.0;
    values[10] = f64::NAN;
    log(&server, &run, "m", &values);
    let asked = json!({"run_ids": [run], "keys": ["m", "none"], "points": 50, "thinning": "extremes"});
    let found = server.ok("POST", "/api/mynah/curves", asked);
    assert_eq!(found["curves"].as_array().map(Vec::len), Some(1), "a metric without points has no curve");
    let curve = &found["curves"][0];
    assert_eq!((&curve["point_count"], &curve["non_finite_count"]), (&json!(900), &json!(1)));
    let kept = curve["values"].as_array().expect("values");
    assert!(kept.len() <= 50 && kept.contains(&json!(99.0)), "the spike is kept");
    assert_eq!(curve["steps"].as_array().map(Vec::len), Some(kept.len()));
    assert_eq!(curve["times_ms"].as_array().map(Vec::len), Some(kept.len()));
    let many: Vec<&str> = std::iter::repeat_n(run.as_str(), 1001).collect();
    let body = json!({"run_ids": many, "keys": ["m"]});
    server.refused("POST", "/api/mynah/curves", body, 400, "INVALID_PARAMETER_VALUE");
}

#[test]
fn a_run_knows_its_family() {
    let server = Fixture::new();
    let parent = server.run();
    let tags =
        json!([{"key": "mlflow.parentRunId", "value": parent}, {"key": "mlflow.runName", "value": "child"}]);
    let made = server.ok("POST", &format!("{API}/runs/create"), json!({"experiment_id": "0", "tags": tags}));
    let child = made["run"]["info"]["run_id"].as_str().expect("a run id");
    let above = server.get(&format!("/api/mynah/run?run_id={parent}"));
    assert_eq!(above["children"][0]["name"], "child");
    let below = server.get(&format!("/api/mynah/run?run_id={child}"));
    assert_eq!(below["parent"]["id"], parent.as_str());
    assert_eq!(below["experiment"], "Default");
}

#[test]
fn a_comparison_marks_what_differs() {
    let server = Fixture::new();
    let (one, two) = (server.run(), server.run());
    for (run, depth) in [(&one, "4"), (&two, "8")] {
        log(&server, run, "same", &[1.0]);
        for (key, value) in [("depth", depth), ("seed", "1")] {
            let body = json!({"run_id": run, "key": key, "value": value});
            server.ok("POST", &format!("{API}/runs/log-parameter"), body);
        }
    }
    log(&server, &one, "only", &[2.0]);
    let found = server.ok("POST", "/api/mynah/compare", json!({"run_ids": [one, two]}));
    assert_eq!(
        found["params"],
        json!([{"key": "depth", "differs": true, "values": ["4", "8"]},
               {"key": "seed", "differs": false, "values": ["1", "1"]}])
    );
    assert_eq!(
        found["metrics"],
        json!([{"key": "only", "differs": true, "values": [2.0, null]},
               {"key": "same", "differs": false, "values": [1.0, 1.0]}])
    );
    server.refused("POST", "/api/mynah/compare", json!({"run_ids": []}), 400, "INVALID_PARAMETER_VALUE");
}

#[test]
fn changes_are_told_once() {
    let server = Fixture::new();
    let start = server.get("/api/mynah/info")["cursor"].as_u64().expect("a cursor");
    let run = server.run();
    log(&server, &run, "m", &[1.0, 2.0]);
    let found = server.get(&format!("/api/mynah/changes?after={start}"));
    assert_eq!(found["subjects"], json!([format!("run:{run}")]));
    let cursor = found["cursor"].as_u64().expect("a cursor");
    let quiet = server.get(&format!("/api/mynah/changes?after={cursor}"));
    assert_eq!((&quiet["subjects"], &quiet["cursor"]), (&json!([]), &json!(cursor)));
    let ahead = server.get("/api/mynah/changes?after=1000000");
    assert_eq!(ahead["reset"], json!(true));
    server.refused("GET", "/api/mynah/changes?after=-1", json!({}), 400, "INVALID_PARAMETER_VALUE");
}
