//! What the policy lets into production, and the governance, audit and comparison that the page shows.

use mynah_govern::promote::{PROMOTION_TAG, Request, assess, promote, sign_override};
use mynah_govern::validate::{Approver, Policy};
use mynah_ledger::{Ledger, OpenOptions, Stage};
use mynah_serve::{Server, ServerConfig};
use mynah_trust::keys::Ed25519SigningKey;
use serde_json::{Value, json};

use crate::common::{self, Fixture};

const API: &str = "/api/2.0/mlflow";

fn gated(gates: &[&str], approvers: Vec<Approver>) -> Fixture {
    let gates = gates.iter().map(|gate| gate.to_string()).collect();
    Fixture::with(ServerConfig {
        policy: Policy { gates, approvers, ..Policy::default() },
        ..ServerConfig::default()
    })
}

fn model_of(server: &Fixture, runs: &[&str]) {
    server.ok("POST", &format!("{API}/registered-models/create"), json!({"name": "it's"}));
    for run in runs {
        let body = json!({"name": "it's", "source": format!("runs:/{run}/model"), "run_id": run});
        server.ok("POST", &format!("{API}/model-versions/create"), body);
    }
}

fn to(stage: &str, version: &str) -> Value {
    json!({"name": "it's", "version": version, "stage": stage})
}

fn stages(server: &Fixture) -> Vec<&'static str> {
    let model = (1..).map_while(|version| server.ledger.model_version("it's", version).ok());
    model.map(|version| version.stage.as_str()).collect()
}

#[test]
fn only_what_passes_goes_to_production() {
    let server = gated(&["loss:min at-most 0.5"], Vec::new());
    let (good, bad, running) =
        (server.finished("good", "4", 0.4), server.finished("bad", "4", 0.6), server.run());
    model_of(&server, &[&good, &bad, &running]);
    let path = format!("{API}/model-versions/transition-stage");
    let message = server.refused("POST", &path, to("Production", "2"), 403, "PERMISSION_DENIED");
    assert!(message.contains("gate loss:min at-most 0.5"), "{message}");
    assert!(message.contains("mynah runs promote it's 2 --to production --override"), "{message}");
    let message = server.refused("POST", &path, to("production", "3"), 403, "PERMISSION_DENIED");
    assert!(message.contains("RUNNING") && message.contains("no metric 'loss'"), "every reason: {message}");
    // Other stages are nobody's business.
    for (version, stage) in [("2", "Staging"), ("3", "Archived")] {
        server.ok("POST", &path, to(stage, version));
    }
    let moved = server.ok("POST", &path, to("Production", "1"));
    let tags = &moved["model_version"]["tags"];
    assert_eq!(
        (&moved["model_version"]["current_stage"], &tags[0]["key"]),
        (&json!("Production"), &json!(PROMOTION_TAG))
    );
    assert_eq!(stages(&server), ["Production", "Staging", "Archived"]);

    // The alias of that name is kept the same way, however it is written.
    let alias = format!("{API}/registered-models/alias");
    let body = |alias: &str, version: &str| json!({"name": "it's", "alias": alias, "version": version});
    for name in ["production", "Production"] {
        let message = server.refused("POST", &alias, body(name, "2"), 403, "PERMISSION_DENIED");
        assert!(message.contains("at-most"), "{message}");
    }
    server.ok("POST", &alias, body("production", "1"));
    server.ok("POST", &alias, body("challenger", "2"));
    server.refused("POST", &path, to("Production", "9"), 404, "RESOURCE_DOES_NOT_EXIST");
    server.refused("POST", &alias, body("production", "9"), 404, "RESOURCE_DOES_NOT_EXIST");
    assert!(server.ledger.audit_verify(None).expect("a log").findings.is_empty());
}

#[test]
fn a_promotion_archives_only_when_asked() {
    let server = Fixture::new();
    let runs = ["a", "b", "c"].map(|name| server.finished(name, "4", 0.5));
    model_of(&server, &[&runs[0], &runs[1], &runs[2]]);
    let path = format!("{API}/model-versions/transition-stage");
    server.ok("POST", &path, to("Production", "1"));
    server.ok("POST", &path, to("Production", "2"));
    assert_eq!(stages(&server), ["Production", "Production", "None"]);
    let mut body = to("Production", "3");
    body["archive_existing_versions"] = json!(true);
    server.ok("POST", &path, body);
    assert_eq!(stages(&server), ["Archived", "Archived", "Production"]);
}

#[test]
fn prompts_have_no_run_and_need_none() {
    let server = Fixture::new();
    let is_prompt = json!([{"key": "mlflow.prompt.is_prompt", "value": "true"}]);
    let run = server.run();
    for (name, tags) in [("greeting", is_prompt.clone()), ("it's", json!([]))] {
        server.ok("POST", &format!("{API}/registered-models/create"), json!({"name": name, "tags": tags}));
    }
    let create = format!("{API}/model-versions/create");
    let prompt = json!({"name": "greeting", "source": "prompt-template", "tags": is_prompt});
    server.ok("POST", &create, prompt.clone());
    // A model that calls itself a prompt is still one that a run made.
    let mut disguised = prompt;
    disguised["run_id"] = json!(run);
    server.ok("POST", &create, disguised);
    let alias = format!("{API}/registered-models/alias");
    let body = |version: &str| json!({"name": "greeting", "alias": "production", "version": version});
    server.ok("POST", &alias, body("1"));
    server.refused("POST", &alias, body("2"), 403, "PERMISSION_DENIED");
}

#[test]
fn an_override_is_shown_with_its_signature() {
    let key = Ed25519SigningKey::from_bytes(&[7; 32]);
    let pem = key.verifying_key().to_pem().expect("a key");
    let server =
        gated(&["loss:min at-most 0.1"], vec![Approver { name: "grace".to_string(), public_key: pem }]);
    let run = server.finished("bad", "4", 0.6);
    model_of(&server, &[&run]);
    let request =
        Request { model: "it's".to_string(), version: 1, stage: Stage::Production, baseline_run: None };
    let mut policy = Policy { gates: vec!["loss:min at-most 0.1".to_string()], ..Policy::default() };
    policy.approvers = vec![Approver {
        name: "grace".to_string(),
        public_key: key.verifying_key().to_pem().expect("a key"),
    }];
    let assessment = assess(&server.ledger, &request, &policy).expect("a version");
    let signed = sign_override(&assessment, "grace", "<b>we know</b>", &key).expect("a reason");
    promote(&server.ledger, &request, &policy, Some(&signed), "alan").expect("overruled");
    let found = server.get("/api/mynah/governance");
    let promotion = &found["promotions"][0];
    assert_eq!((&promotion["by"], &promotion["stage_now"]), (&json!("alan"), &json!("Production")));
    assert!(promotion["reasons"][0].as_str().is_some_and(|reason| reason.contains("at-most")));
    assert_eq!(
        promotion["override"],
        json!({"by": "grace", "why": "<b>we know</b>", "verified": true, "problem": null})
    );
    assert_eq!(found["policy"]["approvers"], json!(["grace"]));
}

#[test]
fn validation_is_run_once_for_each_state_of_the_store() {
    let server = Fixture::new();
    let run = server.finished("good", "4", 0.4);
    assert_eq!(server.get("/api/mynah/governance")["validation"], json!(null));
    let found = server.ok("POST", "/api/mynah/validate", json!({}));
    assert_eq!((&found["finding_count"], &found["runs"]), (&json!(0), &json!(1)), "{found}");
    assert_eq!(server.ok("POST", "/api/mynah/validate", json!({}))["at_ms"], found["at_ms"], "kept");
    // Files that no policy asks about do not disturb; a lost one is found.
    let digest = server
        .ledger
        .put_artifact(&mynah_ledger::ArtifactOwner::Run(run.clone()), "model.bin", &mut &b"weights"[..])
        .expect("a file")
        .digest;
    let (folder, name) = digest.split_at(2);
    std::fs::remove_file(server.ledger.artifact_dir().join(folder).join(name)).expect("its content");
    let found = server.ok("POST", "/api/mynah/validate", json!({}));
    let finding = &found["findings"][0];
    assert_eq!((&finding["severity"], &finding["subject"]), (&json!("error"), &json!(format!("run:{run}"))));
    assert_eq!(server.ok("POST", "/api/mynah/tickets/file", json!({}))["filed"], json!(1));
    let ticket = server.get("/api/mynah/governance")["tickets"][0].clone();
    assert!(
        ticket["open"] == json!(true) && ticket["guidance"].as_array().is_some_and(|steps| !steps.is_empty())
    );
    let close = |resolution: &str| json!({"id": ticket["id"], "resolution": resolution});
    let path = "/api/mynah/tickets/close";
    server.refused("POST", path, close(" "), 400, "INVALID_PARAMETER_VALUE");
    server.refused("POST", path, json!({"id": "../../x", "resolution": "x"}), 400, "INVALID_PARAMETER_VALUE");
    server.ok("POST", path, close("restored from a backup"));
    assert_eq!(server.get("/api/mynah/governance")["open_ticket_count"], json!(0));
}

#[test]
fn runs_are_kept_apart_and_let_go() {
    let server = Fixture::new();
    let run = server.finished("odd", "4", 0.4);
    let put = "/api/mynah/quarantine";
    server.refused("POST", put, json!({"run_id": run}), 400, "INVALID_PARAMETER_VALUE");
    server.refused(
        "POST",
        put,
        json!({"run_id": "0".repeat(32), "reason": "x"}),
        404,
        "RESOURCE_DOES_NOT_EXIST",
    );
    server.ok("POST", put, json!({"run_id": run, "reason": "looks odd"}));
    let found = server.get("/api/mynah/governance");
    assert_eq!((&found["apart"][0]["id"], &found["apart"][0]["reason"]), (&json!(run), &json!("looks odd")));
    let near = server.get(&format!("/api/mynah/neighbours?run_id={run}"));
    assert_eq!(near["compared"], json!(false));
    let evil = [("origin", "http://evil.example"), ("content-type", "application/json")];
    let body = json!({"run_id": run}).to_string();
    assert_eq!(server.send("POST", "/api/mynah/release", &evil, body.as_bytes()).status, 403);
    server.ok("POST", "/api/mynah/release", json!({"run_id": run}));
    assert_eq!(server.get("/api/mynah/governance")["apart"], json!([]));
}

#[test]
fn a_store_that_is_only_read() {
    let made = Fixture::new();
    let run = made.finished("good", "4", 0.4);
    model_of(&made, &[&run]);
    let options = OpenOptions { read_only: true, create: false, ..OpenOptions::default() };
    let ledger = Ledger::open(made.ledger.location(), options).expect("the same store");
    let config = ServerConfig { port: 0, ..ServerConfig::default() };
    let server = Server::bind(config, ledger).expect("a free port").start().expect("a thread");
    let send = |method: &str, path: &str, body: Value| {
        common::send(server.address(), method, path, &[], body.to_string().as_bytes())
    };
    for path in ["/", "/api/mynah/governance", "/api/mynah/audit", "/api/mynah/audit/verify"] {
        assert_eq!(send("GET", path, json!({})).status, 200, "{path}");
    }
    assert_eq!(send("POST", "/api/mynah/validate", json!({})).json()["finding_count"], json!(0));
    assert_eq!(send("GET", "/api/mynah/info", json!({})).json()["read_only"], json!(true));
    let changes = [
        ("/api/mynah/quarantine", json!({"run_id": run, "reason": "x"})),
        ("/api/mynah/release", json!({"run_id": run})),
        ("/api/mynah/tickets/file", json!({})),
        ("/api/mynah/tickets/close", json!({"id": "0123456789abcdef", "resolution": "x"})),
        ("/api/2.0/mlflow/model-versions/transition-stage", to("Production", "1")),
        ("/api/2.0/mlflow/runs/create", json!({"experiment_id": "0"})),
        ("/api/2.0/mlflow/runs/log-metric", json!({"run_id": run, "key": "m", "value": 1, "timestamp": 1})),
    ];
    let size = made.ledger.audit_head().expect("a log").size;
    for (path, body) in changes {
        let message = common::refused(&send("POST", path, body), 403, "PERMISSION_DENIED");
        assert!(message.contains("read"), "{path}: {message}");
    }
    assert_eq!(made.ledger.audit_head().expect("a log").size, size, "nothing was changed");
    // What another process writes is seen at once.
    let other = made.finished("later", "8", 0.3);
    let found = send("GET", &format!("/api/mynah/neighbours?run_id={other}"), json!({})).json();
    assert_eq!(found["by_config"][0]["id"], json!(run));
    server.stop().expect("a clean end");
}

#[test]
fn the_log_is_read_newest_first() {
    let server = Fixture::new();
    let runs: Vec<String> = (0..30).map(|_| server.run()).collect();
    let all = server.get("/api/mynah/audit?max_results=1000");
    let size = server.ledger.audit_head().expect("a log").size;
    let numbers = |found: &Value| -> Vec<u64> {
        found["events"].as_array().expect("events").iter().filter_map(|event| event["seq"].as_u64()).collect()
    };
    let expect: Vec<u64> = (0..size).rev().collect();
    assert_eq!((numbers(&all), &all["size"]), (expect.clone(), &json!(size)));
    // Page by page, nothing is left out and nothing told twice.
    let (mut paged, mut path) = (Vec::new(), "/api/mynah/audit?max_results=7".to_string());
    loop {
        let found = server.get(&path);
        paged.extend(numbers(&found));
        let Some(next) = found["next"].as_u64() else { break };
        path = format!("/api/mynah/audit?max_results=7&before={next}");
    }
    assert_eq!(paged, expect);
    let one = server.get(&format!("/api/mynah/audit?subject=run:{}&kind=run.create", runs[3]));
    assert_eq!(numbers(&one).len(), 1);
    assert_eq!(one["events"][0]["kind"], json!("run.create"));
    server.refused("GET", "/api/mynah/audit?before=-1", json!({}), 400, "INVALID_PARAMETER_VALUE");
    server.refused("GET", "/api/mynah/audit?max_results=0", json!({}), 400, "INVALID_PARAMETER_VALUE");

    assert_eq!(server.get("/api/mynah/audit/verify?last=true")["verified"], json!(null));
    let found = server.get("/api/mynah/audit/verify");
    assert_eq!((&found["verified"], &found["events"]), (&json!(true), &json!(size)));
    assert_eq!(found["root"], all["root"]);
    server.run();
    let last = server.get("/api/mynah/audit/verify?last=true");
    assert_eq!((&last["verified"], &last["at_size"]), (&json!(true), &json!(size)));
    assert_ne!(last["size"], json!(size));
}

#[test]
fn what_stands_out_and_what_is_near() {
    let server = Fixture::new();
    let runs: Vec<String> = (0..12)
        .map(|place| {
            let loss = if place == 11 { 50.0 } else { 1.0 + f64::from(place) / 100.0 };
            let run = server.finished(&format!("run-{place}"), if place < 6 { "4" } else { "8" }, loss);
            let metric = json!({"run_id": run, "key": "accuracy", "value": f64::from(place), "timestamp": 1, "step": 1});
            server.ok("POST", &format!("{API}/runs/log-metric"), metric);
            run
        })
        .collect();
    let ask = |goals: &[&str], ids: &[String]| {
        server.ok("POST", "/api/mynah/standouts", json!({"run_ids": ids, "goals": goals}))
    };
    let found = ask(&["loss:min"], &runs);
    assert_eq!((&found["front"], &found["outliers"][0]["run_id"]), (&json!([runs[0]]), &json!(runs[11])));
    // Only runs that were asked for take part.
    assert_eq!(ask(&["loss:min"], &runs[3..])["front"], json!([runs[3]]));
    let both = ask(&["loss:min", "accuracy:max"], &runs[..3]);
    assert_eq!(both["front"], json!([runs[0], runs[1], runs[2]]));
    for (goals, status, code) in [
        (json!(["loss"]), 400, "INVALID_PARAMETER_VALUE"),
        (json!([]), 400, "INVALID_PARAMETER_VALUE"),
        (json!(["nothing:min"]), 404, "RESOURCE_DOES_NOT_EXIST"),
    ] {
        let body = json!({"run_ids": runs, "goals": goals});
        server.refused("POST", "/api/mynah/standouts", body, status, code);
    }

    let near = |query: &str| server.get(&format!("/api/mynah/neighbours?run_id={}{query}", runs[5]));
    let found = near("&count=1&goals=loss:min");
    assert_eq!((&found["compared"], &found["baseline"]), (&json!(true), &json!(null)));
    assert_eq!(
        (&found["by_config"][0]["distance"], &found["by_config"][0]["config"]),
        (&json!(0.0), &json!([]))
    );
    let found = near(&format!("&baseline_id={}&goals=loss:min", runs[11]));
    let baseline = &found["baseline"];
    assert_eq!(baseline["config"], json!([{"key": "depth", "from": "8", "to": "4"}]));
    assert_eq!(
        (&baseline["deltas"][0]["metric"], &baseline["deltas"][0]["verdict"]),
        (&json!("loss"), &json!("better"))
    );
    assert_eq!(baseline["deltas"][1]["verdict"], json!("undirected"), "no direction is guessed");
    // The index follows the log: a baseline that the run names later is used, a run that goes leaves.
    let tag = json!({"run_id": runs[5], "key": "mynah.baseline", "value": runs[0]});
    server.ok("POST", &format!("{API}/runs/set-tag"), tag);
    assert_eq!(near("")["baseline"]["id"], json!(runs[0]));
    server.ok("POST", &format!("{API}/runs/delete"), json!({"run_id": runs[0]}));
    assert_eq!(near("")["baseline"], json!(null));
    assert_eq!(ask(&["loss:min"], &runs)["missing"], json!(1));
    let made = server.ok("POST", &format!("{API}/experiments/create"), json!({"name": "other"}));
    let made =
        server.ok("POST", &format!("{API}/runs/create"), json!({"experiment_id": made["experiment_id"]}));
    let id = made["run"]["info"]["run_id"].as_str().expect("an id");
    assert_eq!(server.get(&format!("/api/mynah/neighbours?run_id={id}"))["compared"], json!(true));
    let none = format!("/api/mynah/neighbours?run_id={}", "0".repeat(32));
    server.refused("GET", &none, json!({}), 404, "RESOURCE_DOES_NOT_EXIST");
}

#[test]
fn drift_needs_two_windows() {
    let server = Fixture::new();
    for place in 0..24 {
        server.finished("x", "4", f64::from(place % 5) + if place < 12 { 0.0 } else { 100.0 });
    }
    let ask = |window: u64| json!({"experiment_ids": ["0"], "window_runs": window});
    let found = server.ok("POST", "/api/mynah/drift", ask(12));
    assert_eq!(found["windows"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["windows"][0]["report"]["rows"][0]["name"], json!("loss"));
    assert_eq!(found["windows"][0]["report"]["rows"][0]["drift"], json!(true));
    assert_eq!(server.ok("POST", "/api/mynah/drift", ask(20))["windows"], json!([]));
    server.refused("POST", "/api/mynah/drift", ask(3), 400, "INVALID_PARAMETER_VALUE");
}
