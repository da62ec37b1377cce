//! Experiments and runs: the semantics MLflow's clients rely on.

use crate::common::{ledger, open, point, run, run_in};
use mynah_ledger::{
    Batch, Dataset, DatasetInput, ErrorKind, Lifecycle, Metric, ModelOutput, NewExperiment, NewRun, Param,
    RunStatus, RunUpdate, SearchExperiments, SearchRuns, Tag, View,
};

fn experiment(name: &str) -> NewExperiment {
    NewExperiment { name: name.into(), ..NewExperiment::default() }
}

#[test]
fn a_new_ledger_has_the_default_experiment() {
    let Some((ledger, dir)) = ledger() else { return };
    let found = ledger.experiment("0").unwrap();
    assert_eq!((found.name.as_str(), found.artifact_location.as_str()), ("Default", "mlflow-artifacts:/0"));
    let made = ledger.create_experiment(experiment("mine")).unwrap();
    assert_eq!((made.id.as_str(), made.artifact_location.as_str()), ("1", "mlflow-artifacts:/1"));
    drop(ledger);
    assert_eq!(open(&dir).experiment_by_name("mine").unwrap(), made);
}

#[test]
fn experiments_are_renamed_deleted_and_restored() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = ledger.create_experiment(experiment("a")).unwrap().id;
    assert_eq!(ledger.create_experiment(experiment("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let member = run_in(&ledger, &id, "r", &[]);
    ledger.delete_experiment(&id).unwrap();
    assert_eq!(ledger.run(&member.run.id).unwrap().run.lifecycle, Lifecycle::Deleted);
    assert_eq!(ledger.delete_experiment(&id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ledger.create_experiment(experiment("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(ledger.rename_experiment(&id, "b").unwrap_err().kind(), ErrorKind::State);
    let refused = ledger.create_run(NewRun { experiment_id: id.clone(), ..NewRun::default() });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    ledger.restore_experiment(&id).unwrap();
    assert_eq!(ledger.run(&member.run.id).unwrap().run.lifecycle, Lifecycle::Active);
    ledger.rename_experiment(&id, "b").unwrap();
    assert_eq!(ledger.experiment_by_name("b").unwrap().id, id);
    assert_eq!(ledger.experiment_by_name("a").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ledger.rename_experiment(&id, "Default").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(ledger.experiment("77").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ledger.experiment("x").unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn experiment_tags_are_set_and_deleted() {
    let Some((ledger, _dir)) = ledger() else { return };
    ledger.set_experiment_tag("0", Tag::new("team", "a")).unwrap();
    ledger.set_experiment_tag("0", Tag::new("team", "b")).unwrap();
    assert_eq!(ledger.experiment("0").unwrap().tags, [Tag::new("team", "b")]);
    ledger.delete_experiment_tag("0", "team").unwrap();
    assert_eq!(ledger.delete_experiment_tag("0", "team").unwrap_err().kind(), ErrorKind::NotFound);
    assert!(ledger.set_experiment_tag("0", Tag::new("t", "x".repeat(20_000))).is_ok());
    assert!(ledger.set_experiment_tag("0", Tag::new("t", "x".repeat(20_001))).is_err());
}

#[test]
fn a_run_has_a_name_a_parent_and_a_place() {
    let Some((ledger, _dir)) = ledger() else { return };
    let parent = run(&ledger, "parent");
    let child = run_in(&ledger, "0", "child", &[("mlflow.parentRunId", &parent.run.id)]);
    assert_eq!(child.run.parent_id.as_deref(), Some(parent.run.id.as_str()));
    assert_eq!(child.run.artifact_uri, format!("mlflow-artifacts:/0/{}/artifacts", child.run.id));
    assert_eq!((child.run.status, child.run.end_time_ms), (RunStatus::Running, None));
    assert_eq!(child.data.tag("mlflow.runName"), Some("child"));
    ledger.set_tag(&child.run.id, Tag::new("mlflow.runName", "other")).unwrap();
    assert_eq!(ledger.run(&child.run.id).unwrap().run.name, "other");
    let update =
        RunUpdate { status: Some(RunStatus::Finished), end_time_ms: Some(5), name: Some("third".into()) };
    let updated = ledger.update_run(&child.run.id, update).unwrap();
    assert_eq!(
        (updated.status, updated.end_time_ms, updated.name.as_str()),
        (RunStatus::Finished, Some(5), "third")
    );
    assert_eq!(ledger.run(&child.run.id).unwrap().data.tag("mlflow.runName"), Some("third"));
    let both = NewRun {
        experiment_id: "0".into(),
        name: Some("a".into()),
        tags: vec![Tag::new("mlflow.runName", "b")],
        ..NewRun::default()
    };
    assert_eq!(ledger.create_run(both).unwrap_err().kind(), ErrorKind::Invalid);
    let unnamed = ledger.create_run(NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap();
    assert!(!unnamed.run.name.is_empty());
    assert_eq!(ledger.run("nobody").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn params_are_written_once_and_a_batch_is_all_or_nothing() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    ledger.log_param(&id, Param::new("lr", "0.1")).unwrap();
    ledger.log_param(&id, Param::new("lr", "0.1")).unwrap();
    let error = ledger.log_param(&id, Param::new("lr", "0.2")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("'0.1' and cannot become '0.2'"), "{error}");
    let batch = Batch {
        metrics: vec![Metric::new("loss", 1.0, 1, 1)],
        params: vec![Param::new("depth", "4"), Param::new("lr", "0.3")],
        tags: vec![Tag::new("t", "v")],
    };
    assert!(ledger.log_batch(&id, batch).is_err());
    let data = ledger.run(&id).unwrap().data;
    assert_eq!((data.params.len(), data.metrics.len(), data.tag("t")), (1, 0, None));
}

#[test]
fn deleted_runs_take_nothing_until_they_are_restored() {
    let Some((ledger, _dir)) = ledger() else { return };
    let record = run(&ledger, "r");
    let id = &record.run.id;
    ledger.delete_run(id).unwrap();
    assert_eq!(ledger.log_param(id, Param::new("a", "b")).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(ledger.update_run(id, RunUpdate::default()).unwrap_err().kind(), ErrorKind::Invalid);
    let search = |view| {
        let search = SearchRuns { experiment_ids: vec!["0".into()], view, ..SearchRuns::default() };
        ledger.search_runs(&search).unwrap().items.len()
    };
    assert_eq!((search(View::ActiveOnly), search(View::DeletedOnly), search(View::All)), (0, 1, 1));
    ledger.restore_run(id).unwrap();
    point(&ledger, &record, "m", 1.0, 1);
    assert_eq!(search(View::ActiveOnly), 1);
}

#[test]
fn tags_are_deleted_and_absent_ones_say_so() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run_in(&ledger, "0", "r", &[("a", "b")]).run.id;
    ledger.delete_tag(&id, "a").unwrap();
    assert_eq!(ledger.delete_tag(&id, "a").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn inputs_and_outputs_are_kept_once() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    let dataset = Dataset {
        name: "wiki".into(),
        digest: "abc".into(),
        source_type: "local".into(),
        source: "{}".into(),
        schema: None,
        profile: Some("{\"rows\": 3}".into()),
    };
    let input = DatasetInput { dataset, tags: vec![Tag::new("mlflow.data.context", "train")] };
    ledger.log_inputs(&id, vec![input.clone(), input.clone()], vec!["m-1".into()]).unwrap();
    ledger.log_inputs(&id, vec![input.clone()], vec!["m-1".into()]).unwrap();
    let output = ModelOutput { model_id: "m-2".into(), step: 3 };
    ledger.log_outputs(&id, vec![output.clone()]).unwrap();
    let data = ledger.run(&id).unwrap().data;
    assert_eq!((data.inputs, data.model_inputs), (vec![input], vec!["m-1".to_string()]));
    assert_eq!(data.model_outputs, [output]);
    let summaries = ledger.datasets(&["0".to_string()]).unwrap();
    assert_eq!(summaries.len(), 1);
    assert_eq!(summaries[0].context.as_deref(), Some("train"));
}

#[test]
fn quarantine_hides_and_loses_nothing() {
    let Some((ledger, _dir)) = ledger() else { return };
    let record = run(&ledger, "r");
    point(&ledger, &record, "m", 1.0, 1);
    ledger.quarantine_run(&record.run.id, "steps run backwards").unwrap();
    let search =
        SearchRuns { experiment_ids: vec!["0".into()], skip_quarantined: true, ..SearchRuns::default() };
    assert_eq!(ledger.search_runs(&search).unwrap().items.len(), 0);
    let kept = ledger.run(&record.run.id).unwrap();
    let quarantine = kept.run.quarantine.unwrap();
    assert_eq!((quarantine.reason.as_str(), quarantine.by.as_str()), ("steps run backwards", "tester"));
    assert_eq!(kept.data.metric("m"), Some(1.0));
    ledger.release_run(&record.run.id).unwrap();
    assert_eq!(ledger.search_runs(&search).unwrap().items.len(), 1);
    assert!(ledger.quarantine_run(&record.run.id, " ").is_err());
}

#[test]
fn experiments_are_searched() {
    let Some((ledger, _dir)) = ledger() else { return };
    for name in ["alpha", "beta", "gamma"] {
        ledger.create_experiment(experiment(name)).unwrap();
    }
    ledger.set_experiment_tag("2", Tag::new("team", "red")).unwrap();
    let names = |filter: &str, order: &[&str]| {
        let order_by = order.iter().map(|text| text.to_string()).collect();
        let search = SearchExperiments { filter: filter.into(), order_by, ..SearchExperiments::default() };
        let items = ledger.search_experiments(&search).unwrap().items;
        items.into_iter().map(|experiment| experiment.name).collect::<Vec<_>>()
    };
    assert_eq!(names("name LIKE '%a'", &["name DESC"]), ["gamma", "beta", "alpha"]);
    assert_eq!(names("attribute.name ILIKE 'ALPHA'", &[]), ["alpha"]);
    assert_eq!(names("tags.team = 'red'", &[]), ["beta"]);
    assert_eq!(names("experiment_id IN ('1', '3')", &["experiment_id ASC"]), ["alpha", "gamma"]);
    assert_eq!(names("tags.team IS NULL AND name != 'Default'", &["name"]), ["alpha", "gamma"]);
    let search = SearchExperiments { max_results: 3, ..SearchExperiments::default() };
    let first = ledger.search_experiments(&search).unwrap();
    assert_eq!(first.items.len(), 3);
    let rest = SearchExperiments { page_token: first.next_page_token, ..search };
    let second = ledger.search_experiments(&rest).unwrap();
    assert_eq!((second.items.len(), second.next_page_token), (1, None));
}

#[test]
fn a_run_can_be_opened_again() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    let end = RunUpdate { status: Some(RunStatus::Failed), end_time_ms: Some(5), ..RunUpdate::default() };
    assert_eq!(ledger.update_run(&id, end).unwrap().end_time_ms, Some(5));
    let again = ledger.reopen_run(&id, RunStatus::Running).unwrap();
    assert_eq!((again.end_time_ms, again.status), (None, RunStatus::Running));
    assert_eq!(ledger.run(&id).unwrap().run, again);
    let events = ledger.audit_events_of(&format!("run:{id}")).unwrap();
    assert!(events.last().unwrap().body.contains("\"end_ms\":null"), "{events:?}");
    assert_eq!(ledger.reopen_run("absent", RunStatus::Running).unwrap_err().kind(), ErrorKind::NotFound);
}
