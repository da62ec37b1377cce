//! `mynah weights attach`, and what an agent shares.

use std::path::PathBuf;

use clap::Args;

use crate::failure::{Failure, Result};

#[derive(Args)]
#[command(after_help = "Examples:
  mynah weights agent --listen 127.0.0.1:7000 --dir replica --share replica.sock --token-file token
  mynah weights attach replica.sock --json

The agent writes the version once, into memory that the kernel then seals: nobody can change it any more. Whoever attaches
maps the same pages and checks every chunk; nothing is copied. Only processes of the same user are answered.")]
pub struct Attach {
    /// Where an agent of this machine shares (its --share)
    #[arg(value_name = "SOCKET")]
    socket: PathBuf,
    /// This version and no other (default: the newest)
    #[arg(long, value_name = "VERSION")]
    only: Option<mynah_swap::Hash>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[cfg(not(target_os = "linux"))]
pub fn attach(_: &Attach) -> Result<()> {
    Err(unsupported())
}

#[cfg(not(target_os = "linux"))]
fn unsupported() -> Failure {
    Failure::new("sealed shared memory needs Linux").advice("use files: an agent's DIR/live")
}

#[cfg(target_os = "linux")]
pub fn attach(arguments: &Attach) -> Result<()> {
    let started = std::time::Instant::now();
    let threads = mynah_kernels::pool::threads();
    let mapped = mynah_mpi::shared::receive(&arguments.socket, arguments.only, threads)?;
    let seconds = started.elapsed().as_secs_f64();
    let manifest = mapped.manifest();
    if arguments.json {
        let json = serde_json::json!({
            "version": manifest.digest().to_string(), "model": manifest.head().model,
            "tensors": manifest.tensors().len(), "size_bytes": manifest.size_bytes(), "seconds": seconds,
        });
        println!("{json}");
    } else {
        println!(
            "version {} of {}: {} mapped and checked in {seconds:.3} s",
            manifest.digest().short(),
            manifest.head().model,
            mynah_base::units::bytes(manifest.size_bytes())
        );
    }
    Ok(())
}

/// What an agent gives to the processes of its machine.
pub struct Share {
    #[cfg(target_os = "linux")]
    hub: std::sync::Arc<mynah_mpi::shared::Hub>,
    #[cfg(target_os = "linux")]
    live: PathBuf,
}

#[cfg(not(target_os = "linux"))]
impl Share {
    pub fn open(_: &std::path::Path, _: &std::path::Path) -> Result<Share> {
        Err(unsupported())
    }

    pub fn renew(&self) {}
}

#[cfg(target_os = "linux")]
impl Share {
    /// Listens at the socket; `dir` is the agent's folder.
    pub fn open(socket: &std::path::Path, dir: &std::path::Path) -> Result<Share> {
        let hub = mynah_mpi::shared::Hub::listen(socket)?;
        hub.serve(|why| eprintln!("{why}"))?;
        Ok(Share { hub: std::sync::Arc::new(hub), live: dir.join("live") })
    }

    /// Writes the live version into shared memory, in a thread of its own: the agent's times go on.
    pub fn renew(&self) {
        let (hub, live) = (self.hub.clone(), self.live.clone());
        std::thread::spawn(move || {
            let sealed = mynah_swap::source::SafetensorsSource::open(&live).and_then(|source| {
                let manifest = mynah_swap::Manifest::load(&super::manifest_path(&live))?;
                mynah_mpi::shared::Sealed::write(&manifest, &source)
            });
            match sealed {
                Ok(sealed) => hub.offer(sealed),
                Err(error) => eprintln!("the live version cannot be shared: {}", Failure::from(error)),
            }
        });
    }
}
