//! A server from bind to graceful stop. It owns its runtime, so a caller needs to know no tokio.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::serve::ListenerExt;
use mynah_ledger::Ledger;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::app::{App, STREAMS_MAX};
use crate::config::ServerConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::router;

/// Threads that parse and write HTTP. The ledger's work happens elsewhere, so two keep any machine busy.
const HTTP_THREADS: usize = 2;

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
        let addresses = config.addresses()?;
        let bind = |error| {
            Error::new(
                ErrorKind::Bind,
                format!(
                    "cannot listen on {} port {}: {error}; choose another port, 0 takes any free one",
                    config.host, config.port
                ),
            )
        };
        let listener = TcpListener::bind(&addresses[..]).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
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
        let runtime = runtime(&self.app.config)?;
        runtime.block_on(async {
            let signals = Signals::install()?;
            serve(self.app, self.listener, signals.wait()).await
        })
    }

    /// Answers in threads of its own until it is stopped or dropped.
    ///
    /// # Errors
    /// `System` when the system refuses threads or sockets.
    pub fn start(self) -> Result<RunningServer> {
        let runtime = runtime(&self.app.config)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let address = self.address;
        let thread = std::thread::Builder::new()
            .name("mynah-serve".to_string())
            .spawn(move || {
                runtime.block_on(serve(self.app, self.listener, async {
                    // A dropped sender means the same as a sent word: stop.
                    let _ = stopped.await;
                }))
            })
            .map_err(|error| system("start a thread", &error))?;
        Ok(RunningServer { address, stop: Some(stop), thread: Some(thread) })
    }
}

/// A server that answers in the background. Dropping it stops it.
pub struct RunningServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl RunningServer {
    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets requests under way finish and waits for the end.
    ///
    /// # Errors
    /// What made the server end before it was asked to.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if let Some(stop) = self.stop.take() {
            // Fails only when the server has ended by itself; its result below says why.
            let _ = stop.send(());
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(Error::new(ErrorKind::System, "the server's thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let grace = Duration::from_millis(app.config.shutdown_grace_ms);
    let listener =
        tokio::net::TcpListener::from_std(listener).map_err(|error| system("use the socket", &error))?;
    // An answer is written whole; waiting to fill a packet would only delay it.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let (stopping, asked) = oneshot::channel::<()>();
    let graceful = axum::serve(listener, router::router(app)).with_graceful_shutdown(async {
        stop.await;
        let _ = stopping.send(());
    });
    let mut graceful = std::pin::pin!(graceful.into_future());
    let overdue = async {
        // Without a word (which cannot be: the future above owns the sender) wait for ever.
        if asked.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        result = &mut graceful => result.map_err(|error| system("accept connections", &error)),
        // Clients that are still busy are cut; what they were told is committed stays so.
        () = overdue => Ok(()),
    }
}

fn runtime(config: &ServerConfig) -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .max_blocking_threads(config.ledger_threads.saturating_add(STREAMS_MAX))
        .thread_name("mynah-serve")
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| system("start threads", &error))
}

fn system(what: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::System, format!("the server cannot {what}: {error}"))
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        let install = |kind| signal(kind).map_err(|error| system("listen for signals", &error));
        Ok(Signals {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
        })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> Result<Signals> {
        Ok(Signals)
    }

    async fn wait(self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
