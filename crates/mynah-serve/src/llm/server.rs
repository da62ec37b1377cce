//! A model server from bind to graceful stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::access::Access;
use super::config::LlmConfig;
use super::model::ServedModel;
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
    pub fn bind(config: LlmConfig, models: Vec<ServedModel>) -> Result<LlmServer> {
        if !models.iter().any(|model| model.adapter.is_none()) {
            return Err(Error::new(ErrorKind::Setting, "there is no model to serve"));
        }
        for (place, model) in models.iter().enumerate() {
            if models[..place].iter().any(|other| other.name == model.name) {
                let message =
                    format!("two models are called '{}'; give one of them another name", model.name);
                return Err(Error::new(ErrorKind::Setting, message));
            }
        }
        let (listening, access) = (config.listening(), Access::new(&config));
        let (listener, address) = listen(&listening)?;
        Ok(LlmServer { app: Arc::new(App { config, listening, access, models }), listener, address })
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

fn drain(app: &App) {
    app.engines().for_each(|model| model.engine.drain());
}

/// What is still running after the connections have been closed ends.
fn stop(app: &App) {
    for model in app.engines() {
        model.engine.shutdown();
        model.engine.join();
    }
}
