//! Filters and orders over runs, and what a filter cannot do.

use crate::common::{ledger, point, run_in};
use mynah_ledger::{
    Batch, Dataset, DatasetInput, ErrorKind, Keys, Ledger, Metric, Param, RunParts, RunStatus, RunUpdate,
    SearchRuns, Tag, View,
};

/// Five runs: a to e, with losses 0.1 to 0.3, one NaN and one without.
fn five(ledger: &Ledger) -> Vec<String> {
    let losses = [Some(0.3), Some(0.1), Some(0.2), Some(f64::NAN), None];
    let mut ids = Vec::new();
    for (index, loss) in losses.into_iter().enumerate() {
        let name = ["a", "b", "c", "d", "e"][index];
        let record = run_in(ledger, "0", name, &[("team", if index % 2 == 0 { "Red" } else { "blue" })]);
        if let Some(loss) = loss {
            point(ledger, &record, "val/loss", loss, 1);
        }
        let params = vec![Param::new("depth", index.to_string()), Param::new("note", "it's 100% _x_")];
        ledger.log_batch(&record.run.id, Batch { params, ..Batch::default() }).unwrap();
        ids.push(record.run.id);
    }
    ids
}

fn names(ledger: &Ledger, filter: &str, order: &[&str]) -> String {
    let order_by = order.iter().map(|text| text.to_string()).collect();
    let search = SearchRuns {
        experiment_ids: vec!["0".into()],
        filter: filter.into(),
        order_by,
        ..SearchRuns::default()
    };
    let found = ledger.search_runs(&search).unwrap_or_else(|error| panic!("{filter}: {error}"));
    found.items.into_iter().map(|record| record.run.name).collect()
}

#[test]
fn filters_choose_runs() {
    let Some((ledger, _dir)) = ledger() else { return };
    let ids = five(&ledger);
    let done = RunUpdate { status: Some(RunStatus::Finished), end_time_ms: Some(7), name: None };
    ledger.update_run(&ids[1], done).unwrap();
    let dataset = Dataset {
        name: "wiki".into(),
        digest: "d1".into(),
        source_type: "local".into(),
        source: "x".into(),
        ..Dataset::default()
    };
    let input = DatasetInput { dataset, tags: vec![Tag::new("mlflow.data.context", "train")] };
    ledger.log_inputs(&ids[2], vec![input], Vec::new()).unwrap();
    let by_name = ["attributes.run_name"];
    for (filter, expect) in [
        ("", "abcde"),
        ("metrics.`val/loss` < 0.25", "bc"),
        ("metrics.`val/loss` >= 0.2", "ac"),
        ("metric.\"val/loss\" = 0.1", "b"),
        ("metrics.val/loss != 0.1", "acd"),
        ("metrics.absent > 0", ""),
        ("params.depth = '3'", "d"),
        ("params.depth != '3'", "abce"),
        ("params.absent != '3'", ""),
        ("params.note LIKE '%''s 100!%%'", ""),
        ("params.note LIKE 'it''s 100% _x_'", "abcde"),
        ("tags.team = 'Red'", "ace"),
        ("tags.team LIKE 'red'", ""),
        ("tags.team ILIKE 'red'", "ace"),
        ("tags.team IS NULL", ""),
        ("tags.absent IS NULL AND params.depth IS NOT NULL", "abcde"),
        ("attributes.status = 'FINISHED'", "b"),
        ("status != 'FINISHED' and tags.team = 'blue'", "d"),
        ("attribute.end_time > 6", "b"),
        ("start_time > 0", "abcde"),
        ("`run name` = 'c'", "c"),
        ("attributes.\"Run name\" LIKE '%'", "abcde"),
        ("dataset.name = 'wiki'", "c"),
        ("datasets.digest IN ('d1', 'd2') AND dataset.context = 'train'", "c"),
        ("dataset.context = 'eval'", ""),
    ] {
        assert_eq!(names(&ledger, filter, &by_name), expect, "{filter}");
    }
    let two = format!("run_id IN ('{}', '{}')", ids[0], ids[4]);
    assert_eq!(names(&ledger, &two, &by_name), "ae");
    let not = format!("attributes.run_id NOT IN ('{}')", ids[0]);
    assert_eq!(names(&ledger, &not, &by_name), "bcde");
}

#[test]
fn orders_put_what_is_absent_last() {
    let Some((ledger, _dir)) = ledger() else { return };
    five(&ledger);
    let by_loss = |word: &str| names(&ledger, "", &[&format!("metrics.`val/loss` {word}"), "run_name"]);
    assert_eq!(by_loss("ASC"), "bcade");
    assert_eq!(by_loss("DESC"), "acbde");
    assert_eq!(names(&ledger, "", &["params.depth DESC"]), "edcba");
    assert_eq!(names(&ledger, "", &["tags.team", "run_name DESC"]), "ecadb");
    assert_eq!(names(&ledger, "", &["params.absent", "attributes.run_name"]), "abcde");
}

#[test]
fn pages_follow_each_other_without_gaps() {
    let Some((ledger, _dir)) = ledger() else { return };
    five(&ledger);
    let mut search = SearchRuns {
        experiment_ids: vec!["0".into()],
        order_by: vec!["metrics.`val/loss`".into(), "run_name".into()],
        max_results: 2,
        ..SearchRuns::default()
    };
    let mut found = String::new();
    loop {
        let page = ledger.search_runs(&search).unwrap();
        found.extend(page.items.iter().map(|record| record.run.name.as_str()));
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            break;
        }
    }
    assert_eq!(found, "bcade");
    search.page_token = Some("nonsense".into());
    assert_eq!(ledger.search_runs(&search).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn no_experiment_means_no_run() {
    let Some((ledger, _dir)) = ledger() else { return };
    five(&ledger);
    assert_eq!(ledger.search_runs(&SearchRuns::default()).unwrap().items.len(), 0);
    let other = SearchRuns { experiment_ids: vec!["9".into()], view: View::All, ..SearchRuns::default() };
    assert_eq!(ledger.search_runs(&other).unwrap().items.len(), 0);
}

#[test]
fn sql_in_a_filter_is_text_or_an_error() {
    let Some((ledger, _dir)) = ledger() else { return };
    let ids = five(&ledger);
    let before = ledger.audit_head().unwrap();
    for filter in [
        "params.depth = '1'' OR ''1''=''1'",
        "params.\"depth' OR 1=1 --\" = 'x'",
        "tags.`x` = '\"; DROP TABLE runs; --'",
        "metrics.\"a`b\" > 1",
        "run_id IN ('x'') UNION SELECT 1 --')",
    ] {
        assert_eq!(names(&ledger, filter, &[]), "", "{filter}");
    }
    let refused = |filter: &str, order: &str| {
        let search = SearchRuns {
            experiment_ids: vec!["0".into()],
            filter: filter.into(),
            order_by: if order.is_empty() { Vec::new() } else { vec![order.into()] },
            ..SearchRuns::default()
        };
        let error = ledger.search_runs(&search).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{filter}{order}: {error}");
    };
    for filter in [
        "params.depth = '1' OR 1=1",
        "tags.team = 'Red\0'",
        "1=1",
        "params.depth = '1'; DROP TABLE runs",
        "status = (SELECT 1)",
        "start_time = 'x'",
        "metrics.loss = '1'",
        "metrics.loss LIKE '1'",
        "metrics.loss IS NULL",
        "params.depth > '1'",
        "params.depth IN ('1')",
        "params.depth = 1",
        "deleted = '1'",
        "attributes.r.id = '1'",
        "secrets.x = '1'",
        "dataset.source = 'x'",
        "status = 'x' UNION SELECT name FROM sqlite_master",
    ] {
        refused(filter, "");
    }
    for order in ["metrics.a; DROP TABLE runs", "(SELECT 1)", "dataset.name", "nothing", "run_name, status"] {
        refused("", order);
    }
    let ledger_after = ledger.audit_head().unwrap();
    assert_eq!(before, ledger_after);
    assert!(ids.iter().all(|id| ledger.run(id).is_ok()));
}

#[test]
fn keys_with_any_allowed_character_can_be_searched() {
    let Some((ledger, _dir)) = ledger() else { return };
    let record = run_in(&ledger, "0", "r", &[]);
    for key in ["a b", "a.b", "a/b", "a-b", "a:b", "größe", "AND", "1st"] {
        ledger.log_metric(&record.run.id, Metric::new(key, 1.0, 1, 1)).unwrap();
        assert_eq!(names(&ledger, &format!("metrics.`{key}` = 1"), &[]), "r", "{key}");
        assert_eq!(names(&ledger, &format!("metrics.\"{key}\" > 0.5"), &[&format!("metrics.`{key}`")]), "r");
    }
}

#[test]
fn a_search_reads_the_parts_that_are_wanted() {
    let Some((ledger, _dir)) = ledger() else { return };
    let ids = five(&ledger);
    for record in &ids {
        ledger.log_metric(record, Metric::new("acc", 0.5, 1, 1)).unwrap();
    }
    let search = SearchRuns { experiment_ids: vec!["0".into()], ..SearchRuns::default() };
    let whole = ledger.search_runs(&search).unwrap().items;
    assert_eq!(whole.len(), 5);
    for record in &whole {
        assert_eq!(ledger.run(&record.run.id).unwrap().run, record.run);
        // NaN is not itself, so texts are compared.
        assert_eq!(format!("{:?}", ledger.run(&record.run.id).unwrap().data), format!("{:?}", record.data));
    }
    let none = ledger.search_runs_with(&search, &RunParts::none()).unwrap().items;
    assert!(none.iter().zip(&whole).all(|(one, all)| one.run == all.run && one.data == Default::default()));
    let only = |keys: &[&str]| Keys::Only(keys.iter().map(|key| key.to_string()).collect());
    let parts =
        RunParts { metrics: only(&["acc", "no'such", "a\0b"]), params: only(&["depth"]), ..RunParts::none() };
    for record in ledger.search_runs_with(&search, &parts).unwrap().items {
        let keys: Vec<&str> = record.data.metrics.iter().map(|metric| metric.key.as_str()).collect();
        assert_eq!((keys, record.data.params.len(), record.data.tags.len()), (vec!["acc"], 1, 0));
    }
    let parts = RunParts { tags: only(&["team"]), ..RunParts::none() };
    let teams = ledger.search_runs_with(&search, &parts).unwrap().items;
    assert!(teams.iter().all(|record| record.data.tags.len() == 1 && record.data.tag("team").is_some()));
}
