//! Low-rank adapters: models of their own name that share another one's weights, loaded and unloaded while it
//! answers (`/v1/load_lora_adapter` and `/v1/unload_lora_adapter`, as vLLM calls them).

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use mynah_base::time::now_ms;
use mynah_engine::live::{Change, EngineHandle, StepModel};
use mynah_models::Decoder;
use serde_json::json;

use super::failure::{Failure, Kind, Outcome};
use super::input::Input;
use super::model::ServedModel;
use super::{App, json_response, observe};
use crate::error::{Error, ErrorKind, Result};

/// Adapters of a server.
const ADAPTERS_MAX: usize = 256;
/// Bytes of an adapter's name.
const NAME_BYTES_MAX: usize = 256;

/// An adapter in the engine's memory. The memory is given back when the last clone is dropped: answers under way are
/// written to their end also when the adapter's name is gone.
#[derive(Clone)]
pub struct Adapter(Arc<Loaded>);

struct Loaded {
    number: u32,
    folder: PathBuf,
    engine: EngineHandle,
}

impl Adapter {
    fn load(engine: &EngineHandle, folder: &Path) -> std::result::Result<Adapter, Failed> {
        let place = folder.to_path_buf();
        let loaded = engine.between_steps(move |model| {
            let Some(decoder) = decoder(model) else {
                return (Change::Nothing, Err("this model takes no adapters".to_string()));
            };
            match decoder.load_adapter(&place) {
                Ok(number) => (Change::AdapterLoaded(number), Ok(number)),
                Err(error) => (Change::Nothing, Err(error.to_string())),
            }
        });
        let number = loaded.map_err(Failed::Engine)?.map_err(Failed::Adapter)?;
        Ok(Adapter(Arc::new(Loaded { number, folder: folder.to_path_buf(), engine: engine.clone() })))
    }

    /// Its number in the engine.
    pub(crate) fn number(&self) -> u32 {
        self.0.number
    }

    /// Where it came from.
    pub(crate) fn folder(&self) -> &Path {
        &self.0.folder
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let number = self.number;
        self.engine.post(move |model| match decoder(model).map(|decoder| decoder.unload_adapter(number)) {
            Some(Ok(())) => Change::AdapterUnloaded(number),
            _ => Change::Nothing,
        });
    }
}

fn decoder(model: &mut dyn StepModel) -> Option<&mut Decoder> {
    let model: &mut dyn Any = model;
    model.downcast_mut()
}

/// Why an adapter is not there.
enum Failed {
    Adapter(String),
    Engine(mynah_engine::Error),
}

impl ServedModel {
    /// The same model with an adapter of PEFT's form, under a name of its own.
    ///
    /// # Errors
    /// `Model` when files are missing or damaged, or do not fit the model.
    pub fn with_adapter(&self, name: &str, folder: &Path) -> Result<ServedModel> {
        let adapter = Adapter::load(&self.engine, folder).map_err(|failed| {
            let why = match failed {
                Failed::Adapter(why) => why,
                Failed::Engine(error) => error.to_string(),
            };
            Error::new(ErrorKind::Model, format!("adapter {name}: {why}"))
        })?;
        Ok(self.adapted(name, adapter))
    }

    fn adapted(&self, name: &str, adapter: Adapter) -> ServedModel {
        ServedModel {
            name: name.to_string(),
            created_s: now_ms() / 1_000,
            adapter: Some(adapter),
            ..self.clone()
        }
    }
}

/// `/v1/load_lora_adapter`
pub(crate) async fn load(app: &Arc<App>, mut body: Input) -> Outcome<Response<Body>> {
    allowed(app)?;
    let name = body.text_needed("lora_name")?;
    let folder = body.text_needed("lora_path")?;
    let base = body.text("base_model_name")?;
    let replace = body.flag("load_inplace")?.unwrap_or(false);
    body.finish()?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = format!("lora_name must have 1 to {NAME_BYTES_MAX} bytes and no control characters");
        return Err(Failure::field("lora_name", message));
    }
    let app = Arc::clone(app);
    let worker = Arc::clone(&app);
    app.work(move || {
        let model = worker.models.change(|models| {
            let base = base_of(models, base.as_deref())?;
            let known = models.iter().position(|model| model.name == name);
            match known {
                Some(place) if models[place].adapter.is_none() => {
                    let message = format!("'{name}' is the name of a model; give the adapter another one");
                    return Err(Failure::field("lora_name", message));
                }
                Some(_) if !replace => {
                    let message =
                        format!("the adapter '{name}' is loaded already; load_inplace: true replaces it");
                    return Err(Failure::field("lora_name", message));
                }
                None if models.len() >= ADAPTERS_MAX => {
                    let message = format!("{} models and adapters are enough; unload one", models.len());
                    return Err(Failure::field("lora_name", message));
                }
                _ => {}
            }
            let adapter = Adapter::load(&base.engine, Path::new(&folder)).map_err(|failed| match failed {
                Failed::Adapter(why) => Failure::field("lora_path", why),
                Failed::Engine(error) => error.into(),
            })?;
            let model = base.adapted(&name, adapter);
            match known {
                Some(place) => models[place] = model.clone(),
                None => models.push(model.clone()),
            }
            Ok(model)
        })?;
        Ok(json_response(&observe::model_json(&worker, &model)))
    })
    .await
}

/// `/v1/unload_lora_adapter`
pub(crate) async fn unload(app: &Arc<App>, mut body: Input) -> Outcome<Response<Body>> {
    allowed(app)?;
    let name = body.text_needed("lora_name")?;
    let number = body.count("lora_int_id", 1, u64::from(u32::MAX))?;
    body.finish()?;
    let app = Arc::clone(app);
    let worker = Arc::clone(&app);
    app.work(move || {
        worker.models.change(|models| {
            let place = models.iter().position(|model| {
                let found = model.adapter.as_ref().filter(|_| model.name == name);
                found.is_some_and(|found| number.is_none_or(|number| number == found.number() as usize))
            });
            match place {
                Some(place) => {
                    models.remove(place);
                    Ok(())
                }
                None => {
                    let short: String = name.chars().take(100).collect();
                    let message = format!("no adapter '{short}' is loaded");
                    Err(Failure { param: Some("lora_name".into()), ..Failure::new(Kind::NotFound, message) })
                }
            }
        })?;
        Ok(json_response(&json!({"id": name, "object": "model", "deleted": true})))
    })
    .await
}

/// Clients name folders of the server's machine: only who starts the server can allow that.
fn allowed(app: &App) -> Outcome<()> {
    if app.config.adapter_loading {
        return Ok(());
    }
    let message =
        "this server loads no adapters for clients; start it with --allow-adapter-loading, or with --adapter";
    Err(Failure::new(Kind::Permission, message))
}

/// The model that an adapter changes: the one named, or the only one.
fn base_of(models: &[ServedModel], name: Option<&str>) -> Outcome<ServedModel> {
    let mut bases = models.iter().filter(|model| model.adapter.is_none());
    let bad = |message: String| Failure::field("base_model_name", message);
    match (name, bases.next(), bases.next()) {
        (Some(name), ..) => {
            let found = models.iter().find(|model| model.name == name && model.adapter.is_none());
            found.cloned().ok_or_else(|| bad(format!("there is no model '{name}' that could be adapted")))
        }
        (None, Some(only), None) => Ok(only.clone()),
        (None, None, _) => Err(bad("this server has no model that could be adapted".to_string())),
        (None, Some(_), Some(_)) => Err(bad("base_model_name is missing; there are several models".into())),
    }
}
