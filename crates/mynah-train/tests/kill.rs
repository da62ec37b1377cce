//! A training process killed again and again at random moments leaves the bytes of one that never stopped.

mod common;

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use common::{Counting, config, run, watch};
use mynah_base::Rng;
use mynah_train::checkpoint::CheckpointStore;
use mynah_train::{NoObserver, Start, metrics::read_rows};

/// Names the folder in which a child trains; without it the child's test does nothing.
const DIR: &str = "MYNAH_TEST_TRAIN_DIR";
const STEPS: u64 = 16;

/// Not a test of its own: the process that the tests below start and kill.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let start = match CheckpointStore::open(dir, 2) {
        Ok(_) => Start::Resume(None),
        Err(_) => Start::Fresh,
    };
    let (mut source, interrupt) = (Counting::new(7), AtomicBool::new(false));
    mynah_kernels::pool::set_threads(1);
    let result = run(dir, &config(STEPS), &watch(), start, &mut source, &mut NoObserver, &interrupt);
    if let Err(error) = result {
        eprintln!("error: {error}");
        std::process::exit(3);
    }
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(DIR, dir).stdout(Stdio::null());
    command
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let latest = dir.join(format!("checkpoints/step-{STEPS:08}"));
    let mut files = Vec::new();
    for name in ["model.safetensors", "config.json", "facts.json"] {
        files.push((format!("top {name}"), std::fs::read(dir.join(name)).unwrap()));
    }
    for name in ["model.safetensors", "optimizer.safetensors", "optimizer.json", "state.json"] {
        files.push((name.to_string(), std::fs::read(latest.join(name)).unwrap()));
    }
    for mut row in read_rows(&dir.join("metrics.jsonl")).unwrap() {
        // What the machine decides may differ.
        (row.seconds, row.tokens_per_second, row.utilisation) = (0.0, None, None);
        files.push((format!("row {}", row.step), format!("{row:?}").into_bytes()));
    }
    let csv = std::fs::read_to_string(dir.join("metrics.csv")).unwrap();
    files.push(("csv lines".to_string(), csv.lines().count().to_string().into_bytes()));
    files
}

/// Trains with kills at random moments until a child gets to the end; the number of kills.
fn train_with_kills(dir: &Path, run_ms: f64, rng: &mut Rng) -> usize {
    for kills in 0..1000 {
        let mut child = command(dir).spawn().unwrap();
        std::thread::sleep(Duration::from_micros((rng.uniform_in(0.02, 0.4) * run_ms * 1e3) as u64));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "a child failed after {kills} kills");
            return kills;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever the moment: the top loads, and so does what LATEST names.
        if dir.join("config.json").exists() {
            mynah_nn::checkpoint::load_model(dir).unwrap();
            CheckpointStore::open(dir, 2).unwrap().checked(None).unwrap();
        }
    }
    panic!("the run does not get on");
}

#[test]
fn killed_at_random_moments_it_ends_with_the_same_bytes() {
    let whole = tempfile::tempdir().unwrap();
    let started = std::time::Instant::now();
    assert!(command(whole.path()).status().unwrap().success());
    // Delays spread over a whole run make kills land in steps, saves, renames and start-up. A first run
    // that was slow by accident gives delays that are too long: then again with shorter ones.
    let mut run_ms = started.elapsed().as_millis() as f64;
    let mut rng = Rng::new(std::process::id().into());
    let (killed, kills) = loop {
        let dir = tempfile::tempdir().unwrap();
        let kills = train_with_kills(dir.path(), run_ms, &mut rng);
        if kills >= 2 {
            break (dir, kills);
        }
        run_ms /= 2.0;
    };
    let (expect, found) = (files(whole.path()), files(killed.path()));
    assert_eq!(expect.len(), found.len());
    for ((name, expect), (_, found)) in expect.iter().zip(&found) {
        assert!(expect == found, "{name} differs after {kills} kills");
    }
    assert_eq!(expect.iter().filter(|(name, _)| name.starts_with("row")).count() as u64, STEPS + 1);
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let interrupt = AtomicBool::new(false);
    // A first part without limit; asked to stop after the first step.
    struct StopAtOnce<'a>(&'a AtomicBool);
    impl mynah_train::Observer for StopAtOnce<'_> {
        fn saved(&mut self, _: u64, _: &Path) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let outcome = run(
        dir.path(),
        &config(STEPS),
        &watch(),
        Start::Fresh,
        &mut Counting::new(7),
        &mut StopAtOnce(&interrupt),
        &interrupt,
    );
    assert_eq!(outcome.unwrap().end, mynah_train::End::Interrupted);
    let store = CheckpointStore::open(dir.path(), 2).unwrap();
    let step = store.latest().unwrap();
    // Files may not grow beyond a few blocks, and the signal that would kill is ignored: writing the
    // weights fails as on a full disk.
    let child = command(dir.path());
    let program = child.get_program().to_string_lossy().into_owned();
    let script = format!("trap '' XFSZ; ulimit -f 8; exec '{program}' --exact child --nocapture");
    let output = Command::new("sh").args(["-c", &script]).env(DIR, dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains(&format!("that of step {step} is untouched")), "{text}");
    assert_eq!(store.checked(None).unwrap().step, step);
    mynah_nn::checkpoint::load_model(dir.path()).unwrap();
    // With room again it goes on to the end.
    let status: ExitStatus = command(dir.path()).status().unwrap();
    assert!(status.success());
    assert_eq!(store.checked(None).unwrap().step, STEPS);
}
