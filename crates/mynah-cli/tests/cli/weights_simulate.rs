//! `mynah weights simulate`.

use serde_json::Value;

use crate::common::{mynah, ok, refused, text};

#[test]
fn promises_hold_and_faults_are_counted() {
    let found: Value =
        serde_json::from_str(&ok(&["weights", "simulate", "--seeds", "40", "--seed", "7", "--json"]))
            .unwrap();
    assert_eq!(
        (&found["held"], &found["seeds"], &found["first_seed"]),
        (&true.into(), &40.into(), &7.into()),
        "{found}"
    );
    assert_eq!(found["promises"].as_array().map(Vec::len), Some(4), "{found}");
    assert!(found["stats"]["simulated_seconds"].as_u64().unwrap() >= 40 * 100, "{found}");
    for fault in ["lost", "duplicated", "crashes", "torn_writes", "partitions", "clock_jumps", "pauses"] {
        assert!(found["stats"][fault].as_u64().unwrap() > 0, "{fault} in {found}");
    }
    let said = ok(&["weights", "simulate", "--seeds", "1"]);
    assert!(said.contains("every promise held") && said.contains("no two coordinators"), "{said}");
}

#[test]
fn a_mistake_in_the_protocol_is_caught_and_shown_again() {
    let broken = ["weights", "simulate", "--seeds", "5", "--broken", "serve-after-restart", "--json"];
    let output = mynah(&broken).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let found: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(found["mistake"], "serve-after-restart");
    let failure = &found["failure"];
    assert!(failure["trace"].as_array().is_some_and(|trace| !trace.is_empty()), "{found}");
    let seed = failure["seed"].to_string();
    let again = ["weights", "simulate", "--seeds", "1", "--seed", &seed, "--broken", "serve-after-restart"];
    let output = mynah(&again).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let what = failure["what"].as_str().unwrap();
    assert!(text(&output.stdout).contains(what), "{what} in {}", text(&output.stdout));
}

#[test]
fn what_is_no_simulation_is_refused() {
    let mutations = ["weights", "simulate", "--broken", "honesty"];
    assert!(text(&mynah(&mutations).output().unwrap().stderr).contains("flip-at-precommit"));
    refused(&["weights", "simulate", "--seed", &u64::MAX.to_string()], &["last seed"]);
}
