//! One update in an MPI job, without the rest of the program:
//! `cargo build -p mynah-mpi --features mpi --example mpi_update`, then
//! `mpirun -n 3 target/debug/examples/mpi_update FOLDER 0,1`.
//!
//! Every rank makes a checkpoint of its own below the folder, rank 0 a new version, and the consumers take it as a
//! broadcast. A third argument names a rank whose weights are damaged first. Prints what each rank ends with.

#[cfg(not(feature = "mpi"))]
fn main() {
    println!("built without MPI: skipped");
}

#[cfg(feature = "mpi")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::cell::Cell;
    use std::path::Path;
    use std::time::Duration;

    use mynah_mpi::mpi::{JobOptions, Mpi, Root, run_rank};
    use mynah_swap::delta::{ChunkSink as _, SafetensorsSink};
    use mynah_swap::host::{Goal, Offer, Store};
    use mynah_swap::manifest::{BuildOptions, Identity, build};
    use mynah_swap::protocol::{FileLog, Log};
    use mynah_swap::source::{MemorySource, SafetensorsSource, TensorInfo, TensorSource as _};

    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name a folder")?;
    let folder = Path::new(&folder);
    let consumers = arguments.next().ok_or("name the consumers, as 0,1")?;
    let consumers = consumers.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let damaged: Option<u32> = arguments.next().map(|rank| rank.parse()).transpose()?;
    let mpi = Mpi::init()?;
    let rank = mpi.world().rank();
    let own = folder.join(format!("rank-{rank}"));
    let write = |path: &Path, number: u8| -> Result<(), Box<dyn std::error::Error>> {
        std::fs::create_dir_all(path)?;
        let mut bytes = vec![17u8; 4 << 20];
        // Only the first half: the chunks of the second are taken from the weights that are there.
        bytes[..2 << 20].iter_mut().step_by(997).for_each(|byte| *byte = number);
        let mut source = MemorySource::new();
        let (name, dtype) = ("weight".to_string(), "BF16".parse()?);
        source.add(TensorInfo { name, dtype, shape: vec![2 << 20], part: None, group: None }, bytes)?;
        let identity = Identity { model: "toy".to_string(), ..Identity::default() };
        let options = BuildOptions { chunk_bytes: 65_536, ..BuildOptions::default() };
        let manifest = build(&source, &identity, &options)?;
        let mut sink = SafetensorsSink::new(&path.join("model.safetensors"))?;
        sink.begin(&manifest)?;
        sink.write(0, 0, source.bytes(0))?;
        sink.finish()?;
        Ok(manifest.save(&path.join("weights.manifest"))?)
    };
    let options = JobOptions {
        lease_ms: 2_000,
        threads: 1,
        consumers,
        bucket_bytes: 128 << 10,
        wait: Duration::from_secs(20),
    };
    let (mut log, mut decisions);
    let place = if options.consumers.contains(&rank) {
        write(&own, 1)?;
        let store = Store::open(&own)?;
        store.point(&store.adopt()?)?;
        log = FileLog::open(&own.join("agent.log"))?;
        Some((store, &mut log as &mut dyn Log))
    } else {
        None
    };
    let root = if rank == 0 {
        write(&folder.join("new"), 2)?;
        let (new, scratch) = (folder.join("new"), folder.to_path_buf());
        let goal = Goal::Version(Box::new(move |live, epoch| {
            let source = SafetensorsSource::open(&new)?;
            let identity = Identity { model: live.head().model.clone(), ..Identity::default() };
            let options = BuildOptions {
                epoch: epoch.max(2),
                parent: Some(live.digest()),
                chunk_bytes: 65_536,
                ..BuildOptions::default()
            };
            let manifest = build(&source, &identity, &options)?;
            assert_eq!(source.tensors().len(), 1);
            Ok(Offer::new(manifest, source, None, scratch.clone()))
        }));
        decisions = FileLog::open(&folder.join("coordinator.log"))?;
        Some(Root { log: &mut decisions as &mut dyn Log, goal })
    } else {
        None
    };
    let weights = own.join("live/model.safetensors");
    let is_damaged = Cell::new(damaged != Some(rank));
    let say = |text: &str| {
        println!("rank {rank}: {text}");
        // A rank looks through its weights when it starts; what happens to them afterwards it finds when it needs them.
        if text.starts_with("may answer") && !is_damaged.replace(true) {
            println!("rank {rank} will find its weights damaged: {:?}", damage(&weights));
        }
    };
    let report = run_rank(&mpi, place, root, &options, &say)?;
    println!(
        "rank {rank} ends: failed {}, version {}, {} bytes broadcast: {}",
        report.has_failed,
        report.version.map_or("-".to_string(), |version| version.short()),
        report.stream_bytes,
        report.text
    );
    mpi.finalize()?;
    Ok(())
}

/// Flips a bit of the last byte, in its place.
#[cfg(feature = "mpi")]
fn damage(weights: &std::path::Path) -> std::io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

    let mut file = std::fs::File::options().read(true).write(true).open(weights)?;
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    last[0] ^= 1;
    file.seek(SeekFrom::End(-1))?;
    file.write_all(&last)
}
