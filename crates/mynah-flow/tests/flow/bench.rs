//! A pipeline in a folder of its own, and what happened in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use mynah_flow::{Event, Observer, Options, Outcome, Pipeline, Report, run};

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub options: Options,
    pub seen: Seen,
}

/// The events of a run, as short texts.
#[derive(Default)]
pub struct Seen(Mutex<Vec<String>>);

impl Observer for Seen {
    fn event(&self, event: &Event<'_>) {
        let text = match event {
            Event::Began { is_resumed, stages, .. } => format!("began {stages} resumed={is_resumed}"),
            Event::StageBegan { name, .. } => format!("start {name}"),
            Event::Attempt { name, attempt, .. } => format!("attempt {name} {attempt}"),
            Event::Retry { name, attempt, wait_s, .. } => format!("retry {name} after {attempt} in {wait_s}"),
            Event::StageEnded(report) => format!("end {} {}", report.name, report.outcome.as_str()),
            Event::Note(text) => format!("note {text}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

impl Seen {
    pub fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn has(&self, part: &str) -> bool {
        self.texts().iter().any(|text| text.contains(part))
    }
}

/// Options that depend on nothing of the machine but its shell.
pub fn options() -> Options {
    let environment = ["PATH"].iter().filter_map(|name| Some((name.to_string(), std::env::var(name).ok()?)));
    Options { workers: 3, cpus: 3, environment: environment.collect(), grace_ms: 200, ..Options::default() }
}

impl Bench {
    pub fn new(text: &str) -> Bench {
        let bench = Bench { dir: tempfile::tempdir().unwrap(), options: options(), seen: Seen::default() };
        bench.write("pipeline.toml", text);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn pipeline(&self) -> Pipeline {
        Pipeline::load(&self.path("pipeline.toml")).unwrap()
    }

    pub fn run(&self) -> Report {
        run(&self.pipeline(), &self.options, &self.seen).unwrap()
    }

    /// Runs, and compares the outcomes by stage.
    pub fn check(&self, expect: &[(&str, Outcome)]) -> Report {
        let report = self.run();
        let outcomes: Vec<(&str, Outcome)> =
            report.stages.iter().map(|stage| (stage.name.as_str(), stage.outcome)).collect();
        let messages: Vec<_> = report.stages.iter().filter_map(|stage| stage.message.as_ref()).collect();
        assert_eq!(outcomes, expect, "{messages:#?}");
        report
    }

    /// Nothing may be left in the scratch folder, whatever happened.
    pub fn check_scratch_is_empty(&self) {
        let left: Vec<_> = fs::read_dir(self.path(".mynah-flow/scratch")).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A stage that runs a line of shell.
pub fn stage(name: &str, shell: &str, rest: &str) -> String {
    format!("[[stage]]\nname = \"{name}\"\ncommand = [\"sh\", \"-c\", '''{shell}''']\n{rest}\n\n")
}

/// Digests by output.
pub fn digests(report: &Report) -> BTreeMap<String, String> {
    let outputs = report.stages.iter().flat_map(|stage| &stage.outputs);
    outputs.map(|output| (output.path.clone(), output.digest.clone())).collect()
}

/// Five stages: a folder, two readings of it, their union with a gate, and one for itself.
pub fn diamond() -> String {
    stage(
        "make",
        "mkdir -p d/deep; for i in 1 2 3 4 5; do echo line $i > d/$i; done; cp d/1 d/deep/x",
        "outputs = [\"d\"]",
    ) + &stage(
        "up",
        "cat d/* 2>/dev/null > up.txt; cat d/deep/x >> up.txt",
        "inputs = [\"d\"]\noutputs = [\"up.txt\"]",
    ) + &stage(
        "down",
        "for i in 5 4 3 2 1; do cat d/$i; done > out/down.txt",
        "inputs = [\"d\"]\noutputs = [\"out/down.txt\"]",
    ) + &stage(
        "join",
        "cat up.txt out/down.txt > all.txt; echo '{\"lines\": '$(wc -l < all.txt)'}' > eval.json",
        "inputs = [\"up.txt\", \"out/*.txt\"]\noutputs = [\"all.txt\", \"eval.json\"]\ngate = \"eval.json:lines = 11\"",
    ) + &stage("alone", "echo '#!/bin/sh' > tool; chmod +x tool", "outputs = [\"tool\"]")
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
