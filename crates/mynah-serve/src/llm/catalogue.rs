//! The models of a server by their names. Adapters come and go while requests are answered.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::embedder::EmbeddingModel;
use super::failure::Outcome;
use super::model::ServedModel;

/// All that can be asked.
pub(crate) struct Catalogue {
    models: RwLock<Vec<ServedModel>>,
    embedders: Vec<Arc<EmbeddingModel>>,
    /// Changes are made one after the other, while readers go on with what was there before.
    changing: Mutex<()>,
}

/// What a name stands for.
pub(crate) enum Entry {
    Generator(ServedModel),
    Embedder(Arc<EmbeddingModel>),
}

impl Catalogue {
    pub(crate) fn new(models: Vec<ServedModel>, embedders: Vec<Arc<EmbeddingModel>>) -> Catalogue {
        Catalogue { models: RwLock::new(models), embedders, changing: Mutex::default() }
    }

    pub(crate) fn find(&self, name: &str) -> Option<Entry> {
        let embedder = self.embedders.iter().find(|model| model.name == name).cloned();
        embedder.map(Entry::Embedder).or_else(|| {
            let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
            models.iter().find(|model| model.name == name).cloned().map(Entry::Generator)
        })
    }

    /// The model, when there is no other. Adapters do not count.
    pub(crate) fn only(&self) -> Option<Entry> {
        match (self.engines().as_slice(), self.embedders.as_slice()) {
            ([model], []) => Some(Entry::Generator(model.clone())),
            ([], [model]) => Some(Entry::Embedder(Arc::clone(model))),
            _ => None,
        }
    }

    /// Models that write, with their adapters.
    pub(crate) fn generators(&self) -> Vec<ServedModel> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Models that write, without their adapters.
    pub(crate) fn engines(&self) -> Vec<ServedModel> {
        self.generators().into_iter().filter(|model| model.adapter.is_none()).collect()
    }

    pub(crate) fn embedders(&self) -> &[Arc<EmbeddingModel>] {
        &self.embedders
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.generators().into_iter().map(|model| model.name).collect();
        names.extend(self.embedders.iter().map(|model| model.name.clone()));
        names
    }

    /// Changes the list; nothing of a change that fails is seen. May take as long as reading files does.
    pub(crate) fn change<T>(&self, job: impl FnOnce(&mut Vec<ServedModel>) -> Outcome<T>) -> Outcome<T> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut models = self.generators();
        let result = job(&mut models)?;
        let before =
            std::mem::replace(&mut *self.models.write().unwrap_or_else(PoisonError::into_inner), models);
        drop(before);
        Ok(result)
    }
}
