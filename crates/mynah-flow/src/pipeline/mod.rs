//! What a pipeline is, once its text has been checked.
//!
//! ```toml
//! name = "small"                       # default: the folder's name
//!
//! [[stage]]
//! name = "data"
//! command = ["sh", "make-data.sh"]     # or mynah = ["data", "make", …]
//! inputs = ["make-data.sh"]            # files, folders, globs; read by the stage
//! outputs = ["data"]                   # files and folders that it makes
//!
//! [[stage]]
//! name = "train"
//! mynah = ["train", "base", "--text", "data", "--tokenizer", "tok", "--out", "model"]
//! inputs = ["data", "tok"]             # "data" is made above, so "train" comes after it
//! outputs = ["model", "eval.json"]
//! needs = ["data"]                     # an order beyond what inputs say
//! env = ["OMP_NUM_THREADS", "MODE=fast"]
//! retries = 2
//! backoff_s = 5
//! timeout_s = 86400
//! cpus = 8
//! gate = "eval.json:validation_bpb <= 1.6"
//! ```
//!
//! Further: `version = "2"` changes the key by hand; `cache = false` for what must happen every time (a push);
//! `resumable = true` keeps the scratch folder between attempts and over kills, for programs that go on where they
//! were; `resume = { path = "model/checkpoints/LATEST", arguments = ["--resume"] }` does so too, and adds arguments when
//! an earlier attempt left that path. Such a program must end with the same outputs as if it had never stopped.

mod gate;
mod glob;
mod graph;
mod parse;

use std::path::{Path, PathBuf};

use mynah_trust::Digest;

use crate::path::FlowPath;

pub use gate::Gate;
pub use glob::Glob;

/// The folder of caches, journals and scratch beside a pipeline; no path of a stage may lie in it.
pub const STATE_FOLDER: &str = ".mynah-flow";

/// A stage of a pipeline, by its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub(crate) usize);

impl StageId {
    /// Its place in [`Pipeline::stages`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// A checked pipeline: no cycle, no missing need, no output claimed twice, every path inside its folder.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// For people, and the run's name in the ledger.
    pub name: String,
    /// The folder all paths are relative to.
    pub folder: PathBuf,
    /// The stages, in the order of the file.
    pub stages: Vec<Stage>,
    /// BLAKE3 of the text.
    pub digest: Digest,
}

/// A stage.
#[derive(Clone, Debug)]
pub struct Stage {
    /// 1 to 64 of `A-Z a-z 0-9 . _ -`; unique.
    pub name: String,
    /// What it runs.
    pub action: Action,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// What it makes; no two stages make the same.
    pub outputs: Vec<FlowPath>,
    /// The stages it comes after: its needs and those that make its inputs. Sorted.
    pub after: Vec<StageId>,
    /// The part of the environment it sees, beside the fixed names.
    pub env: Vec<EnvEntry>,
    /// Attempts after the first.
    pub retries: u32,
    /// The wait before the first retry; each further one waits twice as long, up to ten minutes.
    pub backoff_s: f64,
    /// An attempt that takes longer is ended.
    pub timeout_s: Option<f64>,
    /// Processors it keeps busy; those of running stages stay within the flow's.
    pub cpus: usize,
    /// What must hold before its dependents may start.
    pub gate: Option<Gate>,
    /// Part of the key, to be changed by hand.
    pub version: String,
    /// Whether an earlier result may be taken instead of running it.
    pub cache: bool,
    /// Whether what an attempt left in its scratch folder is there for the next one.
    pub resumable: bool,
    /// What is added to the command when there is something to go on from.
    pub resume: Option<Resume>,
}

/// How a program is told to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// When an earlier attempt left this,
    pub path: FlowPath,
    /// these arguments are added.
    pub arguments: Vec<String>,
}

/// What a stage runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A program and its arguments; no shell in between.
    Command(Vec<String>),
    /// This product with these arguments.
    Mynah(Vec<String>),
    /// Nothing: only a gate.
    Nothing,
}

/// What a stage reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file or a folder with all in it.
    Path(FlowPath),
    /// Every file and folder that matches, at least one.
    Glob(Glob),
}

impl Input {
    /// Whether the input and the path may have a file in common.
    fn meets(&self, path: &FlowPath) -> bool {
        match self {
            Input::Path(own) => own.overlaps(path),
            Input::Glob(glob) => glob.meets(path),
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Input::Path(path) => path.as_str(),
            Input::Glob(glob) => glob.as_str(),
        }
    }
}

/// An environment variable of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvEntry {
    /// Passed on when it is set; its value is part of the key.
    Pass(String),
    /// Set to this.
    Set(String, String),
}

impl Pipeline {
    /// Reads `pipeline.toml`; its folder is the pipeline's.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Pipeline` with the line or the stages in question.
    pub fn load(file: &Path) -> crate::Result<Pipeline> {
        parse::load(file)
    }

    /// A pipeline from its text, with paths relative to `folder`.
    ///
    /// # Errors
    /// `Pipeline` with the line or the stages in question.
    pub fn parse(text: &str, folder: &Path) -> crate::Result<Pipeline> {
        parse::parse(text, folder)
    }

    /// A stage.
    pub fn stage(&self, id: StageId) -> &Stage {
        &self.stages[id.0]
    }

    /// All stages, in the order of the file.
    pub fn ids(&self) -> impl Iterator<Item = StageId> + use<> {
        (0..self.stages.len()).map(StageId)
    }

    /// The stage of that name.
    pub fn find(&self, name: &str) -> Option<StageId> {
        self.stages.iter().position(|stage| stage.name == name).map(StageId)
    }

    /// Who makes this path, or something in it.
    pub fn maker(&self, path: &FlowPath) -> Option<StageId> {
        self.ids().find(|id| self.stage(*id).outputs.iter().any(|output| output.overlaps(path)))
    }
}
