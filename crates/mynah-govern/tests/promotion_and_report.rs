//! Promotion with and without an override, and the report that tells of it, verified offline and against every
//! change of its bytes.

mod common;

use common::{Store, finish, make_run};
use mynah_govern::ErrorKind;
use mynah_govern::promote::{PROMOTION_TAG, Request, assess, promote, sign_override};
use mynah_govern::repair::{Action, apply, close_ticket, file_tickets, plan};
use mynah_govern::report::{Bundle, Section, bundle, html, verify};
use mynah_govern::validate::{Approver, Policy};
use mynah_ledger::{ArtifactOwner, Stage, Tag};
use mynah_trust::keys::Ed25519SigningKey;

fn request(version: u64) -> Request {
    Request { model: "chat".to_string(), version, stage: Stage::Production, baseline_run: None }
}

fn approver(name: &str, key: &Ed25519SigningKey) -> Approver {
    Approver { name: name.to_string(), public_key: key.verifying_key().to_pem().unwrap() }
}

fn policy(gates: &[&str], approvers: Vec<Approver>) -> Policy {
    Policy { gates: gates.iter().map(|gate| (*gate).to_string()).collect(), approvers, ..Policy::default() }
}

fn stage(store: &Store, version: u64) -> Stage {
    store.ledger.model_version("chat", version).unwrap().stage
}

#[test]
fn a_run_that_passes_is_promoted_and_recorded() {
    let store = Store::new();
    // The tuned model is worse by 0.1 of 1.2.
    let policy = policy(&["val_bpb:min within 10%"], Vec::new());
    let done = promote(&store.ledger, &request(2), &policy, None, "alice").unwrap();
    assert_eq!((done.approver, done.reasons.len()), (None, 0));
    assert_eq!((stage(&store, 1), stage(&store, 2)), (Stage::Archived, Stage::Production));
    let version = store.ledger.model_version("chat", 2).unwrap();
    let path = &version.tags.iter().find(|tag| tag.key == PROMOTION_TAG).unwrap().value;
    assert!(store.ledger.artifact(&ArtifactOwner::Run(store.tuned.clone()), path).is_ok());
    assert_eq!(store.validate().findings, Vec::new());
}

#[test]
fn what_stands_against_a_promotion() {
    let store = Store::new();
    let reasons =
        |gates: &[&str]| assess(&store.ledger, &request(2), &policy(gates, Vec::new())).unwrap().reasons;
    assert!(reasons(&[]).is_empty());
    assert!(reasons(&["val_bpb:min within 1%"])[0].starts_with("gate val_bpb:min within 1%: failed"));
    assert!(reasons(&["core:max at-least 0.1"])[0].contains("no metric 'core'"));
    assert!(reasons(&["val_bpb:min noise 0.05"])[0].contains("seeds"));
    assert!(reasons(&["val_bpb:min within 1% warn"]).is_empty());
    store.ledger.quarantine_run(&store.tuned, "looks odd").unwrap();
    assert!(reasons(&[])[0].contains("looks odd"));
    let refused = promote(&store.ledger, &request(2), &Policy::default(), None, "alice").unwrap_err();
    assert_eq!((refused.kind(), stage(&store, 2)), (ErrorKind::Refused, Stage::None));
    store.ledger.release_run(&store.tuned).unwrap();
    std::fs::write(store.content(common::TUNED), b"evil").unwrap();
    assert!(reasons(&[])[0].contains("artifact.torn"), "{:?}", reasons(&[]));
}

#[test]
fn noise_gates_read_the_seeds_of_a_group() {
    let store = Store::new();
    let group = |name: &str, offsets: [f64; 3]| {
        let runs = offsets.map(|offset| {
            let run = make_run(&store.ledger, name, offset, &[("mynah.group", name)]);
            finish(&store.ledger, &run);
            run
        });
        runs[0].clone()
    };
    let (old, same, worse) = (
        group("it's old", [0.0, 0.01, 0.02]),
        group("same", [0.005, 0.012, 0.02]),
        group("worse", [0.2, 0.21, 0.19]),
    );
    let policy = policy(&["val_bpb:min noise 0.01"], Vec::new());
    for (run, expect) in [(&same, true), (&worse, false)] {
        let version = mynah_ledger::NewModelVersion {
            name: "chat".to_string(),
            source: "x".to_string(),
            run_id: Some(run.clone()),
            ..Default::default()
        };
        let version = store.ledger.create_model_version(version).unwrap().version;
        let request = Request { baseline_run: Some(old.clone()), ..request(version) };
        let assessment = assess(&store.ledger, &request, &policy).unwrap();
        assert_eq!(assessment.is_eligible(), expect, "{:?}", assessment.reasons);
    }
}

#[test]
fn overrides_are_signed_for_exactly_what_they_overrule() {
    let store = Store::new();
    let (key, stranger) = (Ed25519SigningKey::generate().unwrap(), Ed25519SigningKey::generate().unwrap());
    let policy = policy(&["val_bpb:min within 1%"], vec![approver("bob", &key)]);
    let assessment = assess(&store.ledger, &request(2), &policy).unwrap();
    assert!(sign_override(&assessment, "bob", " ", &key).is_err());
    let refused = |envelope| {
        let error = promote(&store.ledger, &request(2), &policy, Some(&envelope), "alice").unwrap_err();
        assert_eq!((error.kind(), stage(&store, 2)), (ErrorKind::Refused, Stage::None), "{error}");
        error.to_string()
    };
    let why = "the tuned model answers in German";
    assert!(refused(sign_override(&assessment, "bob", why, &stranger).unwrap()).contains("nobody"));
    assert!(refused(sign_override(&assessment, "carol", why, &key).unwrap()).contains("another person"));
    let signed = sign_override(&assessment, "bob", why, &key).unwrap();
    // Something new stands against it: the override does not cover it.
    store.ledger.quarantine_run(&store.tuned, "new trouble").unwrap();
    assert!(refused(signed.clone()).contains("assess again"));
    store.ledger.release_run(&store.tuned).unwrap();
    let done = promote(&store.ledger, &request(2), &policy, Some(&signed), "alice").unwrap();
    assert_eq!((done.approver.as_deref(), stage(&store, 2)), (Some("bob"), Stage::Production));
    assert!(done.signed_override.is_some() && done.reasons[0].contains("within 1%"));
}

/// A run with an incident, a repair, a closed ticket and an overruled promotion.
fn eventful() -> (Store, Ed25519SigningKey, Vec<Approver>, Bundle) {
    let store = Store::new();
    let (log_key, key) = (Ed25519SigningKey::generate().unwrap(), Ed25519SigningKey::generate().unwrap());
    let approvers = vec![approver("bob", &key)];
    store.change("UPDATE runs SET status = 'FAILED' WHERE run_id = ?1", [&store.tuned]);
    std::fs::remove_file(store.content(common::TUNED)).unwrap();
    let plan = plan(&store.validate().findings);
    apply(&store.ledger, &plan, "alice").unwrap();
    file_tickets(&store.ledger, &plan.tickets).unwrap();
    common::put(&store.ledger, &store.tuned, "checkpoint/model.safetensors", common::TUNED);
    close_ticket(&store.ledger, &plan.tickets[0].id, "restored from the <backup>").unwrap();
    let policy = policy(&["val_bpb:min within 1%"], approvers.clone());
    let assessment = assess(&store.ledger, &request(2), &policy).unwrap();
    let signed = sign_override(&assessment, "bob", "it answers in German", &key).unwrap();
    promote(&store.ledger, &request(2), &policy, Some(&signed), "alice").unwrap();
    store.ledger.set_tag(&store.tuned, Tag::new("note", "<script>alert(1)</script>")).unwrap();
    let bundle = bundle(&store.ledger, &store.tuned, &log_key, "alice").unwrap();
    (store, log_key, approvers, bundle)
}

#[test]
fn a_report_tells_what_happened_and_verifies_alone() {
    let (store, log_key, approvers, made) = eventful();
    let read = Bundle::parse(&made.to_json().unwrap()).unwrap();
    assert_eq!(read, made);
    drop(store);
    let verified = verify(&read, &log_key.verifying_key(), &approvers).unwrap();
    assert_eq!(verified.approvers, ["bob"]);
    let says = |section: Section, part: &str| {
        let of_section = verified.statements.iter().filter(|statement| statement.section == section);
        let texts: Vec<&str> = of_section.map(|statement| statement.text.as_str()).collect();
        assert!(texts.iter().any(|text| text.contains(part)), "{part}: {texts:?}");
    };
    says(Section::Training, "The run 'tuned' was begun by tester for alice");
    says(Section::Training, "its status became FINISHED");
    says(Section::Data, &common::digest(b"the corpus"));
    says(Section::Configuration, "lr = 0.02");
    says(Section::Evaluation, "val_bpb = 1.3 at step 990");
    says(Section::Artifacts, &common::digest(common::TUNED));
    says(Section::Approvals, "bob overruled and signed for: gate val_bpb:min within 1%: failed");
    says(Section::Approvals, "version 2 of model:chat to Production");
    says(Section::Incidents, "alice repaired");
    says(Section::Incidents, "was closed");
    assert!(verified.statements.iter().all(|statement| !statement.events.is_empty()));
    let page = html(&read, &verified);
    assert!(page.contains("&lt;backup&gt;") && !page.contains("<backup>") && !page.contains("<script"));
    assert!(!page.contains("http://") && !page.contains("src="), "nothing is loaded from elsewhere");
    for statement in &verified.statements {
        assert!(statement.events.iter().all(|seq| page.contains(&format!("id=\"e{seq}\""))));
    }
}

#[test]
fn a_changed_report_is_refused() {
    let (_store, log_key, approvers, made) = eventful();
    let stranger = Ed25519SigningKey::generate().unwrap();
    let key = log_key.verifying_key();
    assert!(verify(&made, &stranger.verifying_key(), &approvers).is_err());
    assert!(verify(&made, &key, &[approver("bob", &stranger)]).is_err());
    type Change = fn(&mut Bundle);
    let changes: &[(&str, Change)] = &[
        ("a statement", |b| b.statements[0].text.push('!')),
        ("a statement's events", |b| b.statements[0].events = vec![0]),
        ("a statement left out", |b| drop(b.statements.pop())),
        ("a file", |b| b.files[0].text.push(' ')),
        ("a file's path", |b| b.files[0].path.push('x')),
        ("a file left out", |b| drop(b.files.remove(0))),
        ("an event left out", |b| drop(b.events.remove(1))),
        ("an event's place", |b| b.events[0].seq += 1),
        ("an event twice", |b| b.events.insert(0, b.events[0].clone())),
        ("a proof of another event", |b| b.events[0].proof = b.events[1].proof.clone()),
        ("the log's name", |b| b.origin.push('x')),
        ("the checkpoint", |b| b.checkpoint = b.checkpoint.replace('\n', "\n ")),
    ];
    for (name, change) in changes {
        let mut changed = made.clone();
        change(&mut changed);
        assert!(verify(&changed, &key, &approvers).is_err(), "{name}");
    }
    assert!(Bundle::parse("{}").is_err() && Bundle::parse("").is_err());
    let other = made.to_json().unwrap().replace("mynah-compliance/1", "mynah-compliance/9");
    assert_eq!(Bundle::parse(&other).unwrap_err().kind(), ErrorKind::Format);
}

/// Every action that the repair can take is one that a report can tell of.
#[test]
fn actions_describe_themselves_with_their_run() {
    let action = Action::RestoreRun { run_id: "r1".to_string() };
    assert!(action.describe().contains("r1"));
}
