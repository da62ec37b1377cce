//! What comes from outside (policies, gates, cron expressions, reports, actions) may be anything: it is read or
//! refused, and never ends the program. Seeded changes of good texts; a failure prints its seed.

use mynah_base::Rng;
use mynah_govern::compare::Goal;
use mynah_govern::gate::Gate;
use mynah_govern::repair::{Action, Plan, Receipt};
use mynah_govern::report::Bundle;
use mynah_govern::schedule::Cron;
use mynah_govern::validate::{Policy, matches};
use mynah_govern::view::Event;

const POLICY: &str = "quarantine_at = 'critical'\ngates = ['val_bpb:min within 1%', 'x:max noise 0.01 bootstrap']\n\
    [levels]\n'metric.gap' = 'off'\n[required]\nparams = ['seed']\n[types]\nseed = 'integer'\n\
    [timing]\ngap_factor = 5.5\n[budgets]\n'system.*' = { max = 1e9 }\n[[links]]\nfrom = 'tag:a'\nto = 'init:param:b'\n";
const EVENT: &str =
    r#"{"v":1,"seq":3,"at_ms":5,"by":"a","kind":"run.log","subject":"run:x","detail":{"points":3}}"#;
const BUNDLE: &str = r#"{"format":"mynah-compliance/1","run_id":"r","origin":"o","checkpoint":"c","events":[{"seq":1,"proof":"p"}],
    "files":[{"seq":1,"path":"p","text":"t"}],"statements":[{"section":"data","text":"t","events":[1]}]}"#;
const PLAN: &str = r#"{"id":"0","steps":[{"findings":[],"rules":[],"action":{"action":"move_aside","path":"ab/cd"}}],"tickets":[]}"#;

fn change(text: &str, rng: &mut Rng) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..1 + rng.index(4) {
        let at = rng.index(chars.len().max(1));
        match rng.below(5) {
            0 if at < chars.len() => drop(chars.remove(at)),
            1 if at < chars.len() => {
                let other = chars[rng.index(chars.len())];
                chars[at] = other;
            }
            2 => chars.insert(
                at.min(chars.len()),
                *rng.choose(&['*', ':', '-', '/', '%', '"', '9', '\u{0}', 'é', '🦜']),
            ),
            3 => chars.truncate(at),
            _ => {
                let part: Vec<char> = chars[..at.min(chars.len())].to_vec();
                chars.extend(part.into_iter().take(200));
            }
        }
    }
    chars.into_iter().collect()
}

#[test]
fn changed_texts_are_read_or_refused() {
    type Read = fn(&str) -> bool;
    let seeds: [(&str, Read); 10] = [
        (include_str!("../policy.example.toml"), |text| Policy::parse(text).is_ok()),
        (POLICY, |text| Policy::parse(text).is_ok()),
        ("val_bpb:min noise 0.01 bootstrap warn", |text| text.parse::<Gate>().is_ok()),
        ("val_bpb:min within 12.5%", |text| text.parse::<Gate>().is_ok()),
        ("a:b:max", |text| text.parse::<Goal>().is_ok()),
        ("*/15 0-23/2 1,15 jan-dec mon", |text| text.parse::<Cron>().is_ok()),
        (EVENT, |text| Event::parse(text).is_some()),
        (BUNDLE, |text| Bundle::parse(text).is_ok()),
        (PLAN, |text| {
            serde_json::from_str::<Plan>(text).is_ok() && serde_json::from_str::<Receipt>(text).is_err()
        }),
        ("a*b*c", |text| matches(text, "aabbcc") || text.len() < 1_000_000),
    ];
    for (text, read) in seeds {
        assert!(read(text), "the good text: {text}");
        let mut refused = 0;
        for seed in 0..3_000 {
            let changed = change(text, &mut Rng::for_item(1, seed));
            refused += usize::from(!read(&changed));
            if let Ok(cron) = changed.parse::<Cron>() {
                assert!(
                    cron.next(0) > Some(0) && cron.latest(i64::MAX / 2).is_some(),
                    "seed {seed}: {changed:?}"
                );
            }
            if let Ok(gate) = changed.parse::<Gate>() {
                assert_eq!(gate.to_string().parse::<Gate>().unwrap(), gate, "seed {seed}: {changed:?}");
            }
        }
        assert!(refused > 0 || text == "a*b*c", "{text}");
    }
}

/// A receipt is read back from a file: what it names must stay inside the artifact folder.
#[test]
fn actions_from_files_cannot_leave_the_artifact_folder() {
    let dir = tempfile::tempdir().unwrap();
    let location = mynah_ledger::Location::Sqlite(dir.path().join("ledger.db"));
    let ledger = mynah_ledger::Ledger::open(&location, Default::default()).unwrap();
    std::fs::create_dir_all(ledger.artifact_dir().join("ab")).unwrap();
    for path in
        ["../ledger.db", "/etc/passwd", "ab/../../ledger.db", "ledger.db", "", "aside/x", "a/b/c", "./x"]
    {
        for action in
            [Action::MoveAside { path: path.to_string() }, Action::PutBack { path: path.to_string() }]
        {
            let step = mynah_govern::repair::Step { findings: Vec::new(), rules: Vec::new(), action };
            let error =
                mynah_govern::repair::apply(&ledger, &Plan::new(vec![step], Vec::new()), "x").unwrap_err();
            assert_eq!(error.kind(), mynah_govern::ErrorKind::Argument, "{path}");
        }
    }
    assert!(dir.path().join("ledger.db").exists());
}
