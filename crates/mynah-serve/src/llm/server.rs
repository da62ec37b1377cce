//! A model server from bind to graceful stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::access::Access;
use super::catalogue::Catalogue;
use super::config::LlmConfig;
use super::embedder::EmbeddingModel;
use super::model::{Models, ServedModel};
use super::responses::Store;
use super::traffic::Traffic;
use super::weights::Hot;
use super::{App, router};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{RunningServer, listen, run_until_signal, start_in_thread};

/// A server that has its address but answers nobody yet.
pub struct LlmServer {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
}

impl LlmServer {
    /// Takes the address.
    ///
    /// # Errors
    /// `Setting` for a configuration that is unsafe or cannot work, or without a model; `Bind` when the address is
    /// taken.
    pub fn bind(config: LlmConfig, models: impl Into<Models>) -> Result<LlmServer> {
        let Models { generators, embedders } = models.into();
        if !generators.iter().any(|model| model.adapter.is_none()) && embedders.is_empty() {
            return Err(Error::new(ErrorKind::Setting, "there is no model to serve"));
        }
        let embedders = embedders.into_iter().map(|served| Arc::new(EmbeddingModel::from(served))).collect();
        let models = Catalogue::new(generators, embedders);
        let names = models.names();
        for (place, name) in names.iter().enumerate() {
            if names[..place].contains(name) {
                let message = format!("two models are called '{name}'; give one of them another name");
                return Err(Error::new(ErrorKind::Setting, message));
            }
        }
        let hot = hot(&config, &models.engines())?;
        let (listening, access) = (config.listening(), Access::new(&config));
        let (listener, address) = listen(&listening)?;
        let store = Store::new(config.stored_responses_max, config.stored_bytes_max);
        let app = App { config, listening, access, models, store, traffic: Traffic::default(), hot };
        Ok(LlmServer { app: Arc::new(app), listener, address })
    }

    /// The address it listens on, with the port that the system chose if it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the process is interrupted (SIGINT, on Unix also SIGTERM). Then `/health` says 503, no new
    /// request is taken, and answers under way may finish within the grace.
    ///
    /// # Errors
    /// `System` when the system refuses threads, sockets or signal handlers.
    pub fn run(self) -> Result<()> {
        let drained = Arc::clone(&self.app);
        let router = router(Arc::clone(&self.app));
        run_until_signal(&self.app.listening, router, self.listener, move || drain(&drained))?;
        stop(&self.app);
        Ok(())
    }

    /// Answers in threads of its own until it is stopped or dropped.
    ///
    /// # Errors
    /// `System` when the system refuses threads or sockets.
    pub fn start(self) -> Result<RunningServer> {
        let router = router(Arc::clone(&self.app));
        start_in_thread(&self.app.listening, router, self.listener, self.address)
    }
}

/// Whoever brings new weights brings them to one model.
fn hot(config: &LlmConfig, bases: &[ServedModel]) -> Result<Option<Arc<Hot>>> {
    let Some(weights) = &config.weights else { return Ok(None) };
    let [model] = bases else {
        let message =
            "weights can be exchanged where one model that writes is served; leave --admin-key away";
        return Err(Error::new(ErrorKind::Setting, message));
    };
    Hot::new(&model.name, model.engine.clone(), weights.clone())
        .map(Some)
        .map_err(|error| Error::new(ErrorKind::Setting, error.to_string()))
}

fn drain(app: &App) {
    app.traffic.drain();
    app.models.engines().iter().for_each(|model| model.engine.drain());
}

/// What is still running after the connections have been closed ends.
fn stop(app: &App) {
    for model in app.models.engines() {
        model.engine.shutdown();
        model.engine.join();
    }
}
