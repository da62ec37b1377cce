//! `mynah weights agent --mpi`.

use super::agent::Agent;
use crate::failure::{Failure, Result};

#[cfg(not(feature = "mpi"))]
pub fn run(_: &Agent) -> Result<()> {
    Err(Failure::new("this mynah was built without MPI")
        .advice("build it with --features mpi, on a machine with mpicc"))
}

#[cfg(feature = "mpi")]
pub fn run(arguments: &Agent) -> Result<()> {
    let mpi = mynah_mpi::mpi::Mpi::init()?;
    let rank = mpi.world().rank();
    let wire = &arguments.wire;
    let say = |text: &str| {
        wire.tell(&serde_json::json!({"event": "said", "rank": rank, "text": text}), || {
            format!("rank {rank}: {text}")
        });
    };
    // After an error the process ends without a word to MPI, and mpirun ends the others.
    let report = take_part(&mpi, arguments, &say)?;
    let json = serde_json::json!({
        "event": "ended", "rank": rank, "version": report.version.map(|version| version.to_string()),
        "has_failed": report.has_failed, "text": report.text, "stream_bytes": report.stream_bytes,
        "stage_seconds": report.stage_seconds,
    });
    let size = mynah_base::units::bytes(report.stream_bytes);
    wire.tell(&json, || format!("rank {rank}: {} ({size} broadcast)", report.text));
    mpi.finalize()?;
    match (rank, report.has_failed) {
        (0, true) => Err(Failure::new(report.text)),
        _ => Ok(()),
    }
}

#[cfg(feature = "mpi")]
fn take_part(
    mpi: &mynah_mpi::mpi::Mpi,
    arguments: &Agent,
    say: &dyn Fn(&str),
) -> Result<mynah_mpi::mpi::JobReport> {
    use mynah_mpi::mpi::{JobOptions, Root, run_rank};
    use mynah_swap::host::{Goal, Store};
    use mynah_swap::protocol::{Coordinator, FileLog, Log, Receiver};

    let (rank, size) = (mpi.world().rank(), mpi.world().size());
    let job = &arguments.job;
    let consumers = match job.consumers.is_empty() {
        true => (0..size).collect(),
        false => job.consumers.iter().copied().collect(),
    };
    let options = JobOptions {
        lease_ms: arguments.wire.lease_ms,
        threads: mynah_kernels::pool::threads(),
        consumers,
        bucket_bytes: job.bucket_bytes as usize,
        wait: std::time::Duration::from_secs(60),
    };
    let folder = arguments.dir.join(format!("rank-{rank}"));
    let is_consumer = options.consumers.contains(&rank);
    if is_consumer || rank == 0 {
        std::fs::create_dir_all(&folder).map_err(|e| Failure::io("cannot create the folder", &folder, &e))?;
    }
    let (mut agent_log, mut root_log);
    let place = match is_consumer {
        true => {
            agent_log = FileLog::open(&folder.join("agent.log"))?;
            Receiver::compact(&mut agent_log, super::agent::LOG_RECORDS_MAX)?;
            Some((Store::open(&folder)?, &mut agent_log as &mut dyn Log))
        }
        false => None,
    };
    let root = match rank {
        0 => {
            let path = arguments.dir.join("coordinator.log");
            root_log = FileLog::open(&path)?;
            Coordinator::compact(&mut root_log, super::agent::LOG_RECORDS_MAX)?;
            let scratch = arguments.dir.clone();
            let goal = match &job.from {
                Some(from) => super::coordinator::goal(from, job.base.as_deref(), &scratch)?,
                None if job.rollback => Goal::Rollback,
                None => Goal::Recover,
            };
            Some(Root { log: &mut root_log as &mut dyn Log, goal })
        }
        _ => None,
    };
    Ok(run_rank(mpi, place, root, &options, say)?)
}
