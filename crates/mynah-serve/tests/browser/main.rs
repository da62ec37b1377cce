//! The page in a real browser: filters, sorts, opens a run and sees a live chart move.
//!
//! Needs Chromium or Chrome, found in PATH or named by MYNAH_BROWSER; without one the test says so and passes.

#[allow(dead_code, reason = "the tests over a socket use more of it")]
#[path = "../http/common.rs"]
mod common;
mod devtools;

use common::Fixture;
use devtools::Browser;
use serde_json::{Value, json};

const API: &str = "/api/2.0/mlflow";
const RUNS: usize = 300;

fn fill(server: &Fixture) -> Vec<String> {
    (0..RUNS)
        .map(|place| {
            let made = server.ok(
                "POST",
                &format!("{API}/runs/create"),
                json!({"experiment_id": "0", "run_name": format!("run-{place:03}"), "start_time": 1_700_000_000_000u64 + place as u64}),
            );
            let id = made["run"]["info"]["run_id"].as_str().expect("a run id").to_string();
            let value = (place * 7919 % RUNS) as f64;
            server.ok(
                "POST",
                &format!("{API}/runs/log-batch"),
                json!({"run_id": id, "metrics": [{"key": "score", "value": value, "timestamp": 1, "step": 0}],
                       "params": [{"key": "kind", "value": if place % 3 == 0 { "a" } else { "b" }}]}),
            );
            id
        })
        .collect()
}

#[test]
fn a_browser_shows_the_runs() {
    let Some(mut page) = Browser::find_and_start() else {
        println!("no Chromium or Chrome in PATH and none in MYNAH_BROWSER: skipped");
        return;
    };
    let server = Fixture::new();
    let runs = fill(&server);
    page.open(&format!("http://{}/", server.address()));
    let first = "document.querySelector('.row .cell:nth-child(2)')?.textContent";

    // The newest run is first, and all are counted once the rest has come.
    page.wait_for(&format!("{first} === 'run-299'"));
    page.wait_for("document.querySelector('.bar [role=status]').textContent === '300 runs'");
    assert!(
        page.value("document.querySelectorAll('.row').length").as_u64() < Some(100),
        "only what is seen is drawn"
    );

    // A click on a title sorts, a second one the other way round.
    let title = "[...document.querySelectorAll('.head button')].find((node) => node.title === 'score')";
    page.click(title);
    page.wait_for(&format!("{title}.textContent.includes('▲') && {first} === 'run-000'"));
    page.click(title);
    page.wait_for(&format!("{title}.textContent.includes('▼')"));
    let best = (0..RUNS).max_by_key(|place| place * 7919 % RUNS).expect("there are runs");
    page.wait_for(&format!("{first} === 'run-{best:03}'"));

    // `/` goes to the filter; a wrong one is explained, a right one is applied.
    page.press("/");
    page.wait_for("document.activeElement.type === 'search'");
    page.write("metrics.score >");
    page.press("Enter");
    page.wait_for("!document.querySelector('.error').hidden");
    page.run("document.activeElement.value = ''");
    page.write("params.kind = 'a' AND metrics.score < 150");
    page.press("Enter");
    let matching = (0..RUNS).filter(|place| place % 3 == 0 && place * 7919 % RUNS < 150).count();
    page.wait_for(&format!("document.querySelector('.bar [role=status]').textContent === '{matching} runs'"));
    assert_eq!(page.value("document.querySelector('.error').hidden"), json!(true));
    assert!(
        page.value("location.hash").as_str().is_some_and(|hash| hash.contains("f=")),
        "a link shows the same"
    );

    // Space selects; two runs compared differ in their score.
    page.run("document.querySelector('.grid').focus()");
    for key in [" ", "ArrowDown", " "] {
        page.press(key);
    }
    page.wait_for("document.getElementById('selected').textContent === '2 selected'");
    page.press("c");
    page.wait_for("[...document.querySelectorAll('th')].some((cell) => cell.textContent === 'score')");

    // A run, opened with Enter, shows its chart, which moves when points come in.
    page.press("Escape");
    page.wait_for("document.activeElement.classList.contains('grid')");
    page.press("Enter");
    page.wait_for("location.hash.startsWith('#/run/')");
    let shown = page.value("location.hash.slice('#/run/'.length).split('?')[0]");
    assert!(runs.iter().any(|id| shown == id.as_str()), "{shown} is none of ours");
    page.wait_for("document.querySelectorAll('.card').length === 1");
    page.wait_for("document.querySelectorAll('details.near').length >= 5");
    page.run("document.querySelector('canvas').scrollIntoView()");
    let picture = "document.querySelector('canvas').toDataURL()";
    page.wait_for(&format!("document.querySelector('canvas').width > 0 && {picture} !== ''"));
    let points = |from: u64| -> Vec<Value> {
        (from..from + 50)
            .map(|step| json!({"key": "score", "value": step % 13, "timestamp": step, "step": step}))
            .collect()
    };
    for from in [1, 51] {
        page.run(&format!("window.before = {picture}"));
        server.ok(
            "POST",
            &format!("{API}/runs/log-batch"),
            json!({"run_id": shown, "metrics": points(from)}),
        );
        page.wait_for(&format!("{picture} !== window.before"));
    }

    // Its files are listed and shown.
    let note = format!(
        "/api/2.0/mlflow-artifacts/artifacts/0/{}/artifacts/notes/a.txt",
        shown.as_str().expect("an id")
    );
    assert_eq!(server.send("PUT", &note, &[], "größe <b>".as_bytes()).status, 200);
    let button = |text: &str| {
        format!(
            "[...document.querySelectorAll('.tree button')].find((node) => node.textContent.includes('{text}'))"
        )
    };
    for text in ["notes", "a.txt"] {
        page.wait_for(&button(text));
        page.run(&format!("{}.click()", button(text)));
    }
    page.wait_for("document.querySelector('.tree pre')?.textContent === 'größe <b>'");

    // The charts of the selected runs follow their settings.
    page.press("g");
    page.wait_for(
        "location.hash.startsWith('#/charts') && document.querySelectorAll('.card canvas').length === 1",
    );
    page.wait_for(&format!("{picture} !== window.before"));
    let settings = [
        "document.querySelector('input[type=range]').value = 0.9, 'input', 'input[type=range]'",
        "document.querySelector('select[aria-label]').value = 'relative', 'change', 'select[aria-label]'",
        "[...document.querySelectorAll('.bar label')].find((node) => node.textContent.includes('log y')).click(), '', 'body'",
    ];
    for setting in settings {
        page.run(&format!("window.before = {picture}"));
        let (change, event) = setting.split_once(", ").expect("a change and its event");
        page.run(change);
        let (event, from) = event.split_once(", ").expect("an event and where");
        if event != "''" {
            page.run(&format!("document.querySelector({from}).dispatchEvent(new Event({event}))"));
        }
        page.wait_for(&format!("{picture} !== window.before"));
    }

    // Parallel coordinates, help, and the other colours.
    page.press("p");
    page.wait_for("document.querySelector('.bar [role=status]')?.textContent === '2 of 2 runs'");
    page.press("?");
    page.wait_for("document.getElementById('keys').open");
    page.run("document.getElementById('keys').close()");
    page.click("document.getElementById('theme')");
    page.wait_for("document.documentElement.dataset.theme === 'dark'");
    page.wait_for("document.querySelector('.bar [role=status]')?.textContent === '2 of 2 runs'");
    stands_out(&mut page);
    governs(&mut page, &server, &runs[0]);
    proves(&mut page, &runs[0]);

    // The links that MLflow's clients print lead to the run.
    page.run(&format!("location.hash = '#/experiments/0/runs/{}'", runs[0]));
    page.wait_for("document.querySelectorAll('.card').length >= 1 && document.querySelector('details.near')");
    assert_eq!(page.value("document.querySelectorAll('p.error:not([hidden])').length"), json!(0));
    assert_eq!(page.complaints(), Vec::<String>::new(), "the page's console is clean");
}

/// Puts a text into a field as if it was typed and left.
fn enter(page: &mut Browser, label: &str, text: &str) {
    page.run(&format!(
        "(() => {{ const field = document.querySelector('[aria-label=\"{label}\"]');
            field.value = '{text}'; field.dispatchEvent(new Event('change')); }})()"
    ));
}

/// A goal is asked for in words that say which way is better; then the front is marked.
fn stands_out(page: &mut Browser) {
    enter(page, "Goals", "score");
    page.wait_for("document.querySelector('.goals .bad').textContent.includes(':min or :max')");
    enter(page, "Goals", "score:max");
    page.wait_for("document.querySelectorAll('[data-part=front] tbody tr').length === 1");
    page.press("c");
    page.wait_for("document.querySelectorAll('.badge').length === 1");
    page.wait_for("document.querySelectorAll('.worse, .better').length === 1");
}

/// Findings are looked for, a run that was put into quarantine is released.
fn governs(page: &mut Browser, server: &Fixture, run: &str) {
    page.press("v");
    page.wait_for(
        "document.querySelector('[data-part=findings]')?.textContent.includes('Nobody has validated')",
    );
    let button = |text: &str| {
        format!("[...document.querySelectorAll('main button')].find((node) => node.textContent === '{text}')")
    };
    page.click(&button("Validate now"));
    page.wait_for(
        "/^\\d+ findings in 300 runs/.test(document.querySelector('[data-part=findings] p')?.textContent)",
    );
    server.ok("POST", "/api/mynah/quarantine", json!({"run_id": run, "reason": "<i>looks odd</i>"}));
    page.wait_for("document.querySelector('[data-part=apart] td')?.textContent === '<i>looks odd</i>'");
    page.wait_for("document.querySelector('[data-part=findings] p').textContent.includes('grown by 1 ')");
    page.run(&format!("{}.click()", button("Release")));
    page.wait_for(
        "document.querySelector('[data-part=apart] p')?.textContent === 'No run is in quarantine.'",
    );
    page.run(&format!("{}.click()", button("Look for drift")));
    page.wait_for("document.querySelectorAll('[data-part=drift] tbody tr').length === 5");
}

/// The log is shown newest first, filtered, and verifies.
fn proves(page: &mut Browser, run: &str) {
    page.press("a");
    page.wait_for("document.querySelectorAll('table.audit tbody tr').length === 100");
    page.wait_for("document.querySelector('table.audit td:nth-child(3)').textContent === 'run.release'");
    page.run("[...document.querySelectorAll('main button')].find((node) => node.textContent === 'Older events').click()");
    page.wait_for("document.querySelectorAll('table.audit tbody tr').length === 200");
    page.click(
        "[...document.querySelectorAll('main button')].find((node) => node.textContent.includes('Verify'))",
    );
    page.wait_for(
        "document.querySelector('.bar [role=status].better')?.textContent.includes('events verify')",
    );
    enter(page, "Subject", &format!("run:{run}"));
    page.wait_for("document.querySelectorAll('table.audit tbody tr').length === 4");
    assert!(
        page.value("location.hash").as_str().is_some_and(|hash| hash.contains(run)),
        "a link shows the same"
    );
    enter(page, "Kind", "release");
    page.wait_for("document.querySelectorAll('table.audit tbody tr').length === 1");
}
