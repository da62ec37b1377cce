//! Calls on logged models (MLflow 3).

use mynah_ledger::{
    DatasetFilter, Ledger, LoggedModelStatus, ModelOrder, NewLoggedModel, Param, SearchLoggedModels,
};
use serde::Serialize;

use super::{owned, tags_of, wire};
use crate::answer::{ApiError, Reply, reply, reply_empty};
use crate::fields::Fields;

const MODELS: usize = 50;
const MODELS_MAX: usize = 50_000;

#[derive(Serialize)]
struct One<'a> {
    model: wire::LoggedModel<'a>,
}

fn params_of(fields: &mut Fields) -> Result<Vec<Param>, ApiError> {
    fields
        .objects("params")?
        .iter()
        .map(|param| Ok(Param::new(param.filled("key")?, param.string_if("value")?.unwrap_or_default())))
        .collect()
}

pub(super) fn create(ledger: &Ledger, mut fields: Fields) -> Reply {
    let (tags, params) = (tags_of(&mut fields)?, params_of(&mut fields)?);
    let text = |name| Ok::<_, ApiError>(fields.filled_if(name)?.map(str::to_string));
    let model = ledger.create_logged_model(NewLoggedModel {
        experiment_id: fields.filled("experiment_id")?.to_string(),
        name: text("name")?,
        source_run_id: text("source_run_id")?,
        model_type: text("model_type")?,
        tags,
        params,
    })?;
    reply(&One { model: wire::logged_model(&model) })
}

pub(super) fn get(ledger: &Ledger, fields: Fields) -> Reply {
    let model = ledger.logged_model(fields.filled("model_id")?)?;
    reply(&One { model: wire::logged_model(&model) })
}

pub(super) fn finalize(ledger: &Ledger, fields: Fields) -> Reply {
    let model = ledger.finalize_logged_model(fields.filled("model_id")?, status_of(&fields)?)?;
    reply(&One { model: wire::logged_model(&model) })
}

/// A status by its name or by its number in MLflow's protocol, 0 to 3.
fn status_of(fields: &Fields) -> Result<LoggedModelStatus, ApiError> {
    let found = match fields.string("status") {
        Ok(name) => LoggedModelStatus::parse(name),
        Err(_) => usize::try_from(fields.integer("status")?)
            .ok()
            .and_then(|place| LoggedModelStatus::ALL.get(place).copied()),
    };
    found.ok_or_else(|| {
        ApiError::invalid(
            "'status' is none of LOGGED_MODEL_PENDING, LOGGED_MODEL_READY, LOGGED_MODEL_UPLOAD_FAILED",
        )
    })
}

pub(super) fn delete(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_logged_model(fields.filled("model_id")?)?;
    reply_empty()
}

pub(super) fn log_params(ledger: &Ledger, mut fields: Fields) -> Reply {
    let params = params_of(&mut fields)?;
    ledger.log_logged_model_params(fields.filled("model_id")?, params)?;
    reply_empty()
}

pub(super) fn set_tags(ledger: &Ledger, mut fields: Fields) -> Reply {
    let tags = tags_of(&mut fields)?;
    ledger.set_logged_model_tags(fields.filled("model_id")?, tags)?;
    reply_empty()
}

pub(super) fn delete_tag(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_logged_model_tag(fields.filled("model_id")?, fields.filled("tag_key")?)?;
    reply_empty()
}

pub(super) fn search(ledger: &Ledger, mut fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        models: Vec<wire::LoggedModel<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<&'a str>,
    }
    let datasets = fields
        .objects("datasets")?
        .iter()
        .map(|dataset| dataset_of(dataset, dataset.filled("dataset_name")?))
        .collect::<Result<Vec<_>, ApiError>>()?;
    let order_by = fields.objects("order_by")?.iter().map(order_of).collect::<Result<Vec<_>, _>>()?;
    let page = ledger.search_logged_models(&SearchLoggedModels {
        experiment_ids: owned(fields.strings("experiment_ids")?),
        filter: fields.string_if("filter")?.unwrap_or_default().to_string(),
        datasets,
        order_by,
        max_results: fields.count("max_results", MODELS, MODELS_MAX)?,
        page_token: fields.filled_if("page_token")?.map(str::to_string),
    })?;
    reply(&Found {
        models: page.items.iter().map(wire::logged_model).collect(),
        next_page_token: page.next_page_token.as_deref(),
    })
}

fn dataset_of(fields: &Fields, name: &str) -> Result<DatasetFilter, ApiError> {
    Ok(DatasetFilter {
        name: name.to_string(),
        digest: fields.filled_if("dataset_digest")?.map(str::to_string),
    })
}

fn order_of(fields: &Fields) -> Result<ModelOrder, ApiError> {
    Ok(ModelOrder {
        field: fields.filled("field_name")?.to_string(),
        ascending: fields.boolean_if("ascending")?.unwrap_or(true),
        dataset: match fields.filled_if("dataset_name")? {
            None => None,
            Some(name) => Some(dataset_of(fields, name)?),
        },
    })
}
