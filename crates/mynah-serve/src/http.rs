//! What every server of this crate does with connections: it takes an address, accepts and bounds connections,
//! and stops gracefully. Which router answers is the caller's.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::app::STREAMS_MAX;
use crate::config::ServerConfig;
use crate::error::{Error, ErrorKind, Result};

/// Threads that parse and write HTTP. The work happens elsewhere, so two keep any machine busy.
const HTTP_THREADS: usize = 2;
/// Before a connection is accepted again after that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes the address. From here on clients may connect; they are answered once a router runs.
///
/// # Errors
/// `Setting` for a configuration that is unsafe or cannot work, `Bind` when the address is taken.
pub(crate) fn listen(config: &ServerConfig) -> Result<(TcpListener, SocketAddr)> {
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
    Ok((listener, address))
}

/// Answers until the process is interrupted (SIGINT, on Unix also SIGTERM), calls `stopping`, then lets requests
/// under way finish.
///
/// # Errors
/// `System` when the system refuses threads, sockets or signal handlers.
pub(crate) fn run_until_signal(
    config: &ServerConfig,
    router: Router,
    listener: TcpListener,
    stopping: impl FnOnce() + Send + 'static,
) -> Result<()> {
    let runtime = runtime(config)?;
    runtime.block_on(async {
        let signals = Signals::install()?;
        let stop = async {
            signals.wait().await;
            stopping();
        };
        serve(config, router, listener, stop).await
    })
}

/// Answers in threads of its own until it is stopped or dropped.
///
/// # Errors
/// `System` when the system refuses threads or sockets.
pub(crate) fn start_in_thread(
    config: &ServerConfig,
    router: Router,
    listener: TcpListener,
    address: SocketAddr,
) -> Result<RunningServer> {
    let (runtime, config) = (runtime(config)?, config.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new()
        .name("mynah-serve".to_string())
        .spawn(move || {
            runtime.block_on(serve(&config, router, listener, async {
                // A dropped sender means the same as a sent word: stop.
                let _ = stopped.await;
            }))
        })
        .map_err(|error| system("start a thread", &error))?;
    Ok(RunningServer { address, stop: Some(stop), thread: Some(thread) })
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
    config: &ServerConfig,
    router: Router,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let listener =
        tokio::net::TcpListener::from_std(listener).map_err(|error| system("use the socket", &error))?;
    let grace = Duration::from_millis(config.shutdown_grace_ms);
    let places = Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_millis(config.head_silence_ms_max));
    let service = TowerToHyperService::new(router);
    let open = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (place, stream) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            // What goes wrong on a connection concerns its client, who has been told or has gone.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    // Clients that are still busy after the grace are cut; what they were told is committed stays so.
    let _ = tokio::time::timeout(grace, open.shutdown()).await;
    Ok(())
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> (OwnedSemaphorePermit, TcpStream) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            // Only a closed semaphore refuses, and nobody closes this one.
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                // An answer is written whole; waiting to fill a packet would only delay it.
                let _ = stream.set_nodelay(true);
                return (place, stream);
            }
            // Out of file handles, or a client that was faster than we: neither ends the server.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
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
