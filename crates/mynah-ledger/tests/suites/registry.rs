//! Registered models, versions, aliases, stages, and logged models.

use crate::common::{ledger, run};
use mynah_ledger::{
    DatasetFilter, ErrorKind, Ledger, LoggedModelStatus, Metric, ModelOrder, ModelVersionUpdate,
    NewLoggedModel, NewModelVersion, Param, SearchLoggedModels, SearchModels, Stage, Tag,
};

fn version(ledger: &Ledger, name: &str) -> u64 {
    let new =
        NewModelVersion { name: name.into(), source: "runs:/x/model".into(), ..NewModelVersion::default() };
    ledger.create_model_version(new).unwrap().version
}

fn search(filter: &str, order: &[&str]) -> SearchModels {
    let order_by = order.iter().map(|text| text.to_string()).collect();
    SearchModels { filter: filter.into(), order_by, ..SearchModels::default() }
}

#[test]
fn registered_models_are_made_renamed_and_deleted() {
    let Some((ledger, _dir)) = ledger() else { return };
    let tags = vec![Tag::new("team", "a")];
    let made = ledger.create_registered_model("gpt", tags.clone(), Some("first".into())).unwrap();
    assert_eq!((made.tags, made.description.as_deref()), (tags, Some("first")));
    let again = ledger.create_registered_model("gpt", Vec::new(), None);
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(version(&ledger, "gpt"), 1);
    let renamed = ledger.rename_registered_model("gpt", "gpt2").unwrap();
    assert_eq!(renamed.latest_versions[0].name, "gpt2");
    assert_eq!(ledger.registered_model("gpt").unwrap_err().kind(), ErrorKind::NotFound);
    ledger.create_registered_model("gpt", Vec::new(), None).unwrap();
    assert_eq!(ledger.rename_registered_model("gpt2", "gpt").unwrap_err().kind(), ErrorKind::AlreadyExists);
    ledger.delete_registered_model("gpt2").unwrap();
    assert_eq!(ledger.model_version("gpt2", 1).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        ledger.create_registered_model("a/b", Vec::new(), None).unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

#[test]
fn versions_count_up_and_numbers_are_not_used_twice() {
    let Some((ledger, _dir)) = ledger() else { return };
    ledger.create_registered_model("m", Vec::new(), None).unwrap();
    assert_eq!((version(&ledger, "m"), version(&ledger, "m")), (1, 2));
    ledger.set_model_alias("m", "best", 2).unwrap();
    ledger.delete_model_version("m", 2).unwrap();
    assert_eq!(version(&ledger, "m"), 3);
    assert_eq!(ledger.model_version("m", 2).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ledger.model_version_by_alias("m", "best").unwrap_err().kind(), ErrorKind::NotFound);
    let update = ModelVersionUpdate { description: Some("good".into()) };
    assert_eq!(ledger.update_model_version("m", 3, update).unwrap().description.as_deref(), Some("good"));
    assert_eq!(ledger.model_version_download_uri("m", 3).unwrap(), "runs:/x/model");
}

#[test]
fn stages_move_and_archive() {
    let Some((ledger, _dir)) = ledger() else { return };
    ledger.create_registered_model("m", Vec::new(), None).unwrap();
    let _ = [(); 3].map(|()| version(&ledger, "m"));
    ledger.transition_model_version("m", 1, Stage::Production, false).unwrap();
    ledger.transition_model_version("m", 2, Stage::Production, true).unwrap();
    let stage = |number| ledger.model_version("m", number).unwrap().stage;
    assert_eq!((stage(1), stage(2), stage(3)), (Stage::Archived, Stage::Production, Stage::None));
    let refused = ledger.transition_model_version("m", 3, Stage::Archived, true);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    let latest = ledger.latest_versions("m", &[]).unwrap();
    assert_eq!(latest.iter().map(|version| version.version).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(ledger.latest_versions("m", &[Stage::Production]).unwrap()[0].version, 2);
}

#[test]
fn aliases_point_to_one_version() {
    let Some((ledger, _dir)) = ledger() else { return };
    ledger.create_registered_model("m", Vec::new(), None).unwrap();
    let _ = [(); 2].map(|()| version(&ledger, "m"));
    ledger.set_model_alias("m", "champion", 1).unwrap();
    ledger.set_model_alias("m", "champion", 2).unwrap();
    assert_eq!(ledger.model_version_by_alias("m", "champion").unwrap().version, 2);
    assert_eq!(ledger.model_version("m", 2).unwrap().aliases, ["champion"]);
    assert!(ledger.model_version("m", 1).unwrap().aliases.is_empty());
    assert_eq!(ledger.set_model_alias("m", "champion", 9).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ledger.set_model_alias("m", "latest", 1).unwrap_err().kind(), ErrorKind::Invalid);
    ledger.delete_model_alias("m", "champion").unwrap();
    assert!(ledger.model_version_by_alias("m", "champion").is_err());
}

#[test]
fn the_registry_is_searched_and_prompts_are_apart() {
    let Some((ledger, _dir)) = ledger() else { return };
    for name in ["alpha", "beta"] {
        ledger.create_registered_model(name, Vec::new(), None).unwrap();
        version(&ledger, name);
    }
    let prompt = vec![Tag::new("mlflow.prompt.is_prompt", "true")];
    ledger.create_registered_model("prompt", prompt.clone(), None).unwrap();
    let new = NewModelVersion {
        name: "prompt".into(),
        source: "x".into(),
        tags: prompt,
        ..NewModelVersion::default()
    };
    ledger.create_model_version(new).unwrap();
    ledger.set_registered_model_tag("beta", Tag::new("team", "red")).unwrap();
    ledger.set_model_version_tag("beta", 1, Tag::new("ok", "yes")).unwrap();
    let models = |filter: &str, order: &[&str]| {
        let found = ledger.search_registered_models(&search(filter, order)).unwrap().items;
        found.into_iter().map(|model| model.name).collect::<Vec<_>>()
    };
    assert_eq!(models("", &[]), ["alpha", "beta"]);
    assert_eq!(models("name LIKE '%a'", &["name DESC"]), ["beta", "alpha"]);
    assert_eq!(models("tags.team = 'red'", &[]), ["beta"]);
    assert_eq!(models("tags.`mlflow.prompt.is_prompt` = 'true'", &[]), ["prompt"]);
    assert_eq!(
        models("tags.`mlflow.prompt.is_prompt` != 'true'", &["last_updated_timestamp ASC", "name"]).len(),
        2
    );
    let versions = |filter: &str| {
        let found = ledger.search_model_versions(&search(filter, &["name ASC"])).unwrap().items;
        found.into_iter().map(|version| format!("{}{}", version.name, version.version)).collect::<Vec<_>>()
    };
    assert_eq!(versions(""), ["alpha1", "beta1"]);
    assert_eq!(versions("name = 'beta' AND version_number >= 1"), ["beta1"]);
    assert_eq!(versions("tags.ok = 'yes'"), ["beta1"]);
    assert_eq!(versions("source_path = 'runs:/x/model' AND name IN ('alpha')"), ["alpha1"]);
    for bad in ["version_number = '1'", "stage = 'x'", "metrics.a > 1", "name > 'a'"] {
        assert_eq!(
            ledger.search_model_versions(&search(bad, &[])).unwrap_err().kind(),
            ErrorKind::Invalid,
            "{bad}"
        );
    }
}

#[test]
fn logged_models_carry_params_tags_and_metrics() {
    let Some((ledger, _dir)) = ledger() else { return };
    let record = run(&ledger, "r");
    let made = |name: &str| {
        let new = NewLoggedModel {
            experiment_id: "0".into(),
            name: Some(name.into()),
            source_run_id: Some(record.run.id.clone()),
            params: vec![Param::new("depth", "4")],
            tags: vec![Tag::new("t", "v")],
            ..NewLoggedModel::default()
        };
        ledger.create_logged_model(new).unwrap()
    };
    let (one, two) = (made("one"), made("two"));
    assert!(one.id.starts_with("m-") && one.id.len() == 34);
    assert_eq!(one.artifact_location, format!("mlflow-artifacts:/0/models/{}/artifacts", one.id));
    let metric = |model: &str, value: f64, dataset: &str| Metric {
        model_id: Some(model.to_string()),
        dataset_name: Some(dataset.to_string()),
        dataset_digest: Some("d".to_string()),
        ..Metric::new("acc", value, 1, 1)
    };
    for (model, value, dataset) in [(&one.id, 0.5, "a"), (&two.id, 0.9, "a"), (&one.id, 0.8, "b")] {
        ledger.log_metric(&record.run.id, metric(model, value, dataset)).unwrap();
        ledger.log_metric(&record.run.id, metric(model, value, dataset)).unwrap();
    }
    assert_eq!(ledger.logged_model(&one.id).unwrap().metrics.len(), 2);
    assert_eq!(ledger.run(&record.run.id).unwrap().data.metric("acc"), Some(0.9));
    assert_eq!(
        ledger.log_metric(&record.run.id, metric("m-0", 1.0, "a")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let ready = ledger.finalize_logged_model(&one.id, LoggedModelStatus::Ready).unwrap();
    assert_eq!(ready.status, LoggedModelStatus::Ready);
    assert!(ledger.log_logged_model_params(&one.id, vec![Param::new("depth", "5")]).is_err());
    let names = |filter: &str, datasets: &[(&str, Option<&str>)], order: Option<(&str, bool)>| {
        let search = SearchLoggedModels {
            experiment_ids: vec!["0".into()],
            filter: filter.into(),
            datasets: datasets
                .iter()
                .map(|(name, digest)| DatasetFilter {
                    name: (*name).into(),
                    digest: digest.map(str::to_string),
                })
                .collect(),
            order_by: order
                .map(|(field, ascending)| ModelOrder { field: field.into(), ascending, dataset: None })
                .into_iter()
                .collect(),
            ..SearchLoggedModels::default()
        };
        let found = ledger.search_logged_models(&search).unwrap().items;
        found.into_iter().map(|model| model.name).collect::<Vec<_>>()
    };
    let by_name = Some(("name", true));
    assert_eq!(names("", &[], by_name), ["one", "two"]);
    assert_eq!(names("metrics.acc > 0.6", &[], by_name), ["one", "two"]);
    assert_eq!(names("metrics.acc > 0.6", &[("a", None)], by_name), ["two"]);
    assert_eq!(names("", &[("b", Some("d"))], by_name), ["one"]);
    assert_eq!(names("", &[("b", Some("x"))], by_name), Vec::<String>::new());
    assert_eq!(names("attributes.status = 'READY'", &[], by_name), ["one"]);
    assert_eq!(names("params.depth = '4' AND tags.t = 'v' AND name != 'one'", &[], by_name), ["two"]);
    assert_eq!(names("", &[], Some(("metrics.acc", false))), ["two", "one"]);
    ledger.set_logged_model_tags(&one.id, vec![Tag::new("t", "1"), Tag::new("t", "2")]).unwrap();
    assert_eq!(ledger.logged_model(&one.id).unwrap().tags, [Tag::new("t", "2")]);
    ledger.delete_logged_model_tag(&one.id, "t").unwrap();
    assert_eq!(ledger.delete_logged_model_tag(&one.id, "t").unwrap_err().kind(), ErrorKind::NotFound);
    ledger.delete_logged_model(&one.id).unwrap();
    assert_eq!(ledger.logged_model(&one.id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(names("", &[], by_name), ["two"]);
}

#[test]
fn a_version_follows_the_model_it_is_made_from() {
    let Some((ledger, _dir)) = ledger() else { return };
    let record = run(&ledger, "r");
    let new = NewLoggedModel {
        experiment_id: "0".into(),
        source_run_id: Some(record.run.id.clone()),
        ..NewLoggedModel::default()
    };
    let logged = ledger.create_logged_model(new).unwrap();
    ledger.create_registered_model("m", Vec::new(), None).unwrap();
    let make = |source: String| {
        ledger.create_model_version(NewModelVersion {
            name: "m".into(),
            source,
            ..NewModelVersion::default()
        })
    };
    let first = make(format!("models:/{}", logged.id)).unwrap();
    assert_eq!((first.run_id.as_ref(), first.model_id.as_ref()), (Some(&record.run.id), Some(&logged.id)));
    assert_eq!(ledger.model_version_download_uri("m", 1).unwrap(), logged.artifact_location);
    make("models:/m/1".into()).unwrap();
    assert_eq!(ledger.model_version_download_uri("m", 2).unwrap(), logged.artifact_location);
    assert_eq!(make("models:/m/77".into()).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(make("models:/what".into()).unwrap_err().kind(), ErrorKind::Invalid);
}
