//! Calls on registered models and their versions.

use mynah_ledger::{
    ErrorKind, Ledger, ModelVersion, ModelVersionUpdate, NewModelVersion, SearchModels, Stage, Tag,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{owned, promotion, sources, tags_of, wire};
use crate::answer::{ApiError, Reply, reply, reply_empty};
use crate::fields::Fields;
use crate::governance::Caller;

const MODELS: usize = 100;
const MODELS_MAX: usize = 1_000;
const VERSIONS_MAX: usize = 200_000;
/// On a registered model or version that is a prompt.
pub(super) const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";
/// On a logged model: the versions made of it, as JSON.
const VERSIONS_TAG: &str = "mlflow.modelVersions";

#[derive(Serialize)]
struct OneModel<'a> {
    registered_model: wire::RegisteredModel<'a>,
}

#[derive(Serialize)]
struct OneVersion<'a> {
    model_version: wire::ModelVersion<'a>,
}

/// A version is a whole number from 1, on the wire in a string.
fn version_of(fields: &Fields) -> Result<u64, ApiError> {
    let text = fields.filled("version");
    let number = match text {
        Ok(text) => text.parse::<u64>().ok(),
        Err(_) if fields.has("version") => fields.integer("version")?.try_into().ok(),
        Err(error) => return Err(error),
    };
    number.filter(|&number| number > 0).ok_or_else(|| {
        ApiError::invalid("Invalid value for parameter 'version': a whole number from 1 is needed")
    })
}

pub(super) fn create_model(ledger: &Ledger, mut fields: Fields) -> Reply {
    let tags = tags_of(&mut fields)?;
    let description = fields.filled_if("description")?.map(str::to_string);
    let model = ledger.create_registered_model(fields.filled("name")?, tags, description)?;
    reply(&OneModel { registered_model: wire::registered_model(&model) })
}

pub(super) fn get_model(ledger: &Ledger, fields: Fields) -> Reply {
    let model = ledger.registered_model(fields.filled("name")?)?;
    reply(&OneModel { registered_model: wire::registered_model(&model) })
}

pub(super) fn update_model(ledger: &Ledger, fields: Fields) -> Reply {
    let description = fields.string_if("description")?.unwrap_or_default().to_string();
    let model = ledger.update_registered_model(fields.filled("name")?, Some(description))?;
    reply(&OneModel { registered_model: wire::registered_model(&model) })
}

pub(super) fn rename_model(ledger: &Ledger, fields: Fields) -> Reply {
    let model = ledger.rename_registered_model(fields.filled("name")?, fields.filled("new_name")?)?;
    reply(&OneModel { registered_model: wire::registered_model(&model) })
}

pub(super) fn delete_model(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_registered_model(fields.filled("name")?)?;
    reply_empty()
}

fn question(fields: &Fields, default: usize, most: usize) -> Result<SearchModels, ApiError> {
    Ok(SearchModels {
        filter: fields.string_if("filter")?.unwrap_or_default().to_string(),
        order_by: owned(fields.strings("order_by")?),
        max_results: fields.count("max_results", default, most)?,
        page_token: fields.filled_if("page_token")?.map(str::to_string),
    })
}

pub(super) fn search_models(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        registered_models: Vec<wire::RegisteredModel<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<&'a str>,
    }
    let page = ledger.search_registered_models(&question(&fields, MODELS, MODELS_MAX)?)?;
    reply(&Found {
        registered_models: page.items.iter().map(wire::registered_model).collect(),
        next_page_token: page.next_page_token.as_deref(),
    })
}

pub(super) fn latest_versions(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        model_versions: Vec<wire::ModelVersion<'a>>,
    }
    let stages =
        fields.strings("stages")?.into_iter().map(stage_named).collect::<Result<Vec<_>, ApiError>>()?;
    let versions = ledger.latest_versions(fields.filled("name")?, &stages)?;
    reply(&Found { model_versions: versions.iter().map(wire::model_version).collect() })
}

fn stage_named(name: &str) -> Result<Stage, ApiError> {
    Stage::parse(name).ok_or_else(|| {
        ApiError::invalid(format!("stage '{name}' is none of None, Staging, Production, Archived"))
    })
}

pub(super) fn set_model_tag(ledger: &Ledger, fields: Fields) -> Reply {
    let value = fields.string_if("value")?.unwrap_or_default();
    ledger.set_registered_model_tag(fields.filled("name")?, Tag::new(fields.filled("key")?, value))?;
    reply_empty()
}

pub(super) fn delete_model_tag(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_registered_model_tag(fields.filled("name")?, fields.filled("key")?)?;
    reply_empty()
}

pub(super) fn set_alias(caller: &Caller<'_>, fields: Fields) -> Reply {
    let (name, alias, version) = (fields.filled("name")?, fields.filled("alias")?, version_of(&fields)?);
    if promotion::is_protected(alias) {
        promotion::check(caller, name, version)?;
    }
    caller.ledger.set_model_alias(name, alias, version)?;
    reply_empty()
}

pub(super) fn delete_alias(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_model_alias(fields.filled("name")?, fields.filled("alias")?)?;
    reply_empty()
}

pub(super) fn version_by_alias(ledger: &Ledger, fields: Fields) -> Reply {
    let (name, alias) = (fields.filled("name")?, fields.filled("alias")?);
    let version = ledger.model_version_by_alias(name, alias).map_err(|error| match error.kind() {
        // MLflow's server calls it a bad parameter when the model exists and only the alias does not.
        ErrorKind::NotFound if ledger.registered_model(name).is_ok() => ApiError::invalid(error.to_string()),
        _ => error.into(),
    })?;
    reply(&OneVersion { model_version: wire::model_version(&version) })
}

pub(super) fn create_version(ledger: &Ledger, mut fields: Fields) -> Reply {
    let tags = tags_of(&mut fields)?;
    let is_prompt = tags.iter().any(|tag| tag.key == PROMPT_TAG && tag.value.eq_ignore_ascii_case("true"));
    let (source, run_id, model_id) =
        (fields.filled("source")?, fields.filled_if("run_id")?, fields.filled_if("model_id")?);
    sources::check(ledger, source, run_id, model_id, is_prompt)?;
    let version = ledger.create_model_version(NewModelVersion {
        name: fields.filled("name")?.to_string(),
        source: source.to_string(),
        run_id: run_id.map(str::to_string),
        run_link: fields.filled_if("run_link")?.map(str::to_string),
        // Absent and empty are the same to MLflow's server, which stores the latter.
        description: Some(fields.string_if("description")?.unwrap_or_default().to_string()),
        model_id: model_id.map(str::to_string),
        user: None,
        tags,
    })?;
    if let (Some(model_id), false) = (model_id, is_prompt) {
        tell_model(ledger, model_id, &version)?;
    }
    reply(&OneVersion { model_version: wire::model_version(&version) })
}

/// Adds the version to the list that its logged model carries in a tag.
fn tell_model(ledger: &Ledger, model_id: &str, version: &ModelVersion) -> Result<(), ApiError> {
    let model = ledger.logged_model(model_id)?;
    let known = model.tags.iter().find(|tag| tag.key == VERSIONS_TAG).map(|tag| tag.value.as_str());
    // A tag that somebody else filled with something else begins anew.
    let mut list: Vec<Value> = known.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let entry = json!({"name": version.name, "version": version.version});
    if !list.contains(&entry) {
        list.push(entry);
    }
    ledger.set_logged_model_tags(model_id, vec![Tag::new(VERSIONS_TAG, Value::Array(list).to_string())])?;
    Ok(())
}

pub(super) fn get_version(ledger: &Ledger, fields: Fields) -> Reply {
    let version = ledger.model_version(fields.filled("name")?, version_of(&fields)?)?;
    reply(&OneVersion { model_version: wire::model_version(&version) })
}

pub(super) fn update_version(ledger: &Ledger, fields: Fields) -> Reply {
    let update = ModelVersionUpdate { description: fields.string_if("description")?.map(str::to_string) };
    let version = ledger.update_model_version(fields.filled("name")?, version_of(&fields)?, update)?;
    reply(&OneVersion { model_version: wire::model_version(&version) })
}

pub(super) fn transition_stage(caller: &Caller<'_>, fields: Fields) -> Reply {
    let (name, version) = (fields.filled("name")?, version_of(&fields)?);
    let stage = stage_named(fields.filled("stage")?)?;
    let archives = fields.boolean_if("archive_existing_versions")?.unwrap_or(false);
    let version = match stage {
        Stage::Production => promotion::promote(caller, name, version, archives)?,
        _ => caller.ledger.transition_model_version(name, version, stage, archives)?,
    };
    reply(&OneVersion { model_version: wire::model_version(&version) })
}

pub(super) fn delete_version(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_model_version(fields.filled("name")?, version_of(&fields)?)?;
    reply_empty()
}

pub(super) fn download_uri(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        artifact_uri: &'a str,
    }
    let uri = ledger.model_version_download_uri(fields.filled("name")?, version_of(&fields)?)?;
    reply(&Found { artifact_uri: &uri })
}

pub(super) fn search_versions(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        model_versions: Vec<wire::ModelVersion<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<&'a str>,
    }
    let page = ledger.search_model_versions(&question(&fields, VERSIONS_MAX, VERSIONS_MAX)?)?;
    reply(&Found {
        model_versions: page.items.iter().map(wire::model_version).collect(),
        next_page_token: page.next_page_token.as_deref(),
    })
}

pub(super) fn set_version_tag(ledger: &Ledger, fields: Fields) -> Reply {
    let tag = Tag::new(fields.filled("key")?, fields.string_if("value")?.unwrap_or_default());
    ledger.set_model_version_tag(fields.filled("name")?, version_of(&fields)?, tag)?;
    reply_empty()
}

pub(super) fn delete_version_tag(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_model_version_tag(fields.filled("name")?, version_of(&fields)?, fields.filled("key")?)?;
    reply_empty()
}
