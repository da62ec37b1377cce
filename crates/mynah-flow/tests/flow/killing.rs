//! `kill -9` at every point of a flow: what comes out in the end is what would have come out without.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use mynah_base::Rng;
use mynah_flow::{Journal, JournalEvent, Pipeline, Silent, latest_journal, run};

use crate::bench::{Bench, diamond, digests, options, stage};
use crate::failing::is_running;

const FOLDER: &str = "MYNAH_FLOW_TEST_FOLDER";

/// Not a test of its own: the process that the others kill.
#[test]
fn child_that_runs_a_flow() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let pipeline = Pipeline::load(&Path::new(&folder).join("pipeline.toml")).unwrap();
    run(&pipeline, &options(), &Silent).unwrap();
}

fn child(folder: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killing::child_that_runs_a_flow", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn journal_bytes(folder: &Path) -> u64 {
    let latest = latest_journal(folder).ok().flatten();
    latest.and_then(|path| fs::metadata(path).ok()).map_or(0, |metadata| metadata.len())
}

#[test]
fn killed_anywhere_the_digests_are_the_same() {
    let bench = Bench::new(&diamond());
    let expect = digests(&bench.run());
    let whole_bytes = journal_bytes(bench.dir.path());
    assert_eq!(expect.len(), 6);
    let mut rng = Rng::new(7);
    let (mut kills, mut resumed) = (0, 0);
    for round in 0..12 {
        let bench = Bench::new(&diamond());
        let folder = bench.dir.path();
        // Killed two or three times, each time somewhere else: after so much of the journal, and a moment.
        for _ in 0..2 + round % 2 {
            let at_bytes = (rng.uniform() * whole_bytes as f64) as u64;
            let spins = (rng.uniform() * 20_000.0) as u64;
            let mut child = child(folder);
            while journal_bytes(folder) < at_bytes && child.try_wait().unwrap().is_none() {
                std::thread::yield_now();
            }
            (0..spins).for_each(|_| std::hint::spin_loop());
            let was_running = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            child.wait().unwrap();
            kills += usize::from(was_running);
        }
        let report = bench.run();
        resumed += usize::from(report.is_resumed);
        assert!(report.is_success(), "round {round}: {:#?}", report.stages);
        assert_eq!(digests(&report), expect, "round {round}");
        assert_eq!(bench.read("all.txt").lines().count(), 11);
        bench.check_scratch_is_empty();
    }
    assert!(kills >= 12, "only {kills} kills met a running flow");
    assert!(resumed >= 1);
}

#[test]
fn a_program_left_behind_by_a_kill_is_ended_by_the_next_run() {
    // The second sleeper is in no process group of the flow's any more, where there is a program for that.
    let shell = "top=$PWD/../../../..; test -e $top/go && echo > out && exit; \
        (setsid sleep 1000 || sleep 1000) & sleep 1000 & echo $! > $top/pid.new; mv $top/pid.new $top/pid; wait";
    let bench = Bench::new(&stage("waits", shell, "outputs = [\"out\"]"));
    let folder = bench.dir.path();
    let mut child = child(folder);
    while !bench.path("pid").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the flow ended by itself");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    if !Path::new("/proc/self/environ").exists() {
        println!("skipped: no /proc, so programs left behind cannot be found");
        return;
    }
    let journal = Journal::read(&latest_journal(folder).unwrap().unwrap()).unwrap();
    let process = journal.events.iter().find_map(|event| match event {
        JournalEvent::Process { pid, .. } => Some(pid.to_string()),
        _ => None,
    });
    let processes = [process.unwrap(), bench.read("pid")];
    assert!(processes.iter().all(|pid| is_running(pid)));
    bench.write("go", "");
    let report = bench.run();
    assert!(report.is_success() && report.is_resumed, "{:?}", bench.seen.texts());
    assert!(!processes.iter().any(|pid| is_running(pid)));
    assert!(bench.seen.has("note ended the program of the stage \"waits\""));
    bench.check_scratch_is_empty();
}

#[test]
fn a_journal_cut_or_damaged_anywhere_costs_no_result() {
    let bench = Bench::new(&diamond());
    let expect = digests(&bench.run());
    let path = latest_journal(bench.dir.path()).unwrap().unwrap();
    let text = fs::read(&path).unwrap();
    let mut rng = Rng::new(3);
    for round in 0..12 {
        let at = (rng.uniform() * text.len() as f64) as usize;
        let mut broken = text.clone();
        match round % 2 {
            0 => broken.truncate(at),
            _ => broken[at] ^= 0x15,
        }
        for entry in fs::read_dir(bench.path(".mynah-flow/runs")).unwrap().flatten() {
            if entry.path() != path.parent().unwrap() {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
        fs::write(&path, broken).unwrap();
        let report = bench.run();
        assert!(report.is_success());
        assert_eq!(digests(&report), expect);
    }
}
