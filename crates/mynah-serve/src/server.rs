//! The ledger's server from bind to graceful stop. It owns its runtime, so a caller needs to know no tokio.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use mynah_ledger::Ledger;

use crate::app::App;
use crate::config::ServerConfig;
use crate::error::Result;
use crate::http::{RunningServer, listen, run_until_signal, start_in_thread};
use crate::router;

/// A server that has its address but answers nobody yet.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address. From here on clients may connect; they are answered once it runs.
    ///
    /// # Errors
    /// `Setting` for a configuration that is unsafe or cannot work, `Bind` when the address is taken.
    pub fn bind(config: ServerConfig, ledger: Ledger) -> Result<Server> {
        let (listener, address) = listen(&config)?;
        Ok(Server { app: Arc::new(App::new(config, ledger)), listener, address })
    }

    /// The address it listens on, with the port that the system chose if it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the process is interrupted (SIGINT, on Unix also SIGTERM), then lets requests under
    /// way finish.
    ///
    /// # Errors
    /// `System` when the system refuses threads, sockets or signal handlers.
    pub fn run(self) -> Result<()> {
        let router = router::router(Arc::clone(&self.app));
        run_until_signal(&self.app.config, router, self.listener, || {})
    }

    /// Answers in threads of its own until it is stopped or dropped.
    ///
    /// # Errors
    /// `System` when the system refuses threads or sockets.
    pub fn start(self) -> Result<RunningServer> {
        let router = router::router(Arc::clone(&self.app));
        start_in_thread(&self.app.config, router, self.listener, self.address)
    }
}
