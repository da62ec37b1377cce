//! What all requests share: the ledger, the settings, and the turnstiles that bound work.

use std::sync::Arc;

use mynah_ledger::Ledger;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::answer::{ApiError, Code};
use crate::config::ServerConfig;
use crate::governance::Governance;

/// Uploads and downloads that may hold a thread at once. They have threads of their own, so that slow ones
/// never keep an API call waiting.
pub(crate) const STREAMS_MAX: usize = 32;

pub(crate) struct App {
    pub(crate) config: ServerConfig,
    pub(crate) ledger: Ledger,
    pub(crate) governance: Arc<Governance>,
    requests: Semaphore,
    turns: Semaphore,
    streams: Semaphore,
}

impl App {
    pub(crate) fn new(config: ServerConfig, ledger: Ledger) -> App {
        let requests = Semaphore::new(config.requests_max.min(Semaphore::MAX_PERMITS));
        let turns = Semaphore::new(config.ledger_threads.min(Semaphore::MAX_PERMITS));
        let governance = Arc::new(Governance::new(config.policy.clone(), ledger.audit_head().ok()));
        App { config, ledger, governance, requests, turns, streams: Semaphore::new(STREAMS_MAX) }
    }

    /// Admits a request, or says at once that there are too many.
    pub(crate) fn admit(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.requests.try_acquire().map_err(|_| {
            ApiError::new(
                Code::TemporarilyUnavailable,
                format!("{} requests are under way already; try again in a moment", self.config.requests_max),
            )
        })
    }

    /// Runs a job that may wait for the ledger on a thread that may wait.
    pub(crate) async fn in_ledger<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Ledger) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.on_thread(&self.turns, job).await
    }

    /// The same for one piece of an upload or download.
    pub(crate) async fn in_stream<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Ledger) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.on_thread(&self.streams, job).await
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        turnstile: &Semaphore,
        job: impl FnOnce(&Ledger) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        // Fails only when the semaphore is closed, which nobody does.
        let _turn = turnstile.acquire().await.map_err(|_| ApiError::internal("the server is stopping"))?;
        let ledger = self.ledger.clone();
        match tokio::task::spawn_blocking(move || job(&ledger)).await {
            Ok(result) => result,
            // The panic has been printed by its thread; the server goes on.
            Err(_) => Err(ApiError::internal(
                "the server met an error of its own while answering; its log has more",
            )),
        }
    }
}
