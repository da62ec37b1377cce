//! From TOML text to a pipeline. Nothing here looks at files other than the text.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use mynah_trust::Digest;
use serde::Deserialize;

use super::{Action, EnvEntry, Gate, Glob, Input, Pipeline, Resume, STATE_FOLDER, Stage, graph};
use crate::error::{Error, Result};
use crate::path::{FlowPath, clip};

const TEXT_BYTES_MAX: u64 = 1 << 20;
const STAGES_MAX: usize = 1_000;
const LIST_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 64;
const ARGUMENT_BYTES_MAX: usize = 64 << 10;
const RETRIES_MAX: u32 = 100;
/// A year; what is longer is a mistake of units.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;
const CPUS_MAX: usize = 4_096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPipeline {
    name: Option<String>,
    #[serde(default)]
    stage: Vec<RawStage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStage {
    name: String,
    command: Option<Vec<String>>,
    mynah: Option<Vec<String>>,
    #[serde(default)]
    inputs: Vec<String>,
    #[serde(default)]
    outputs: Vec<String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    #[serde(default)]
    retries: u32,
    backoff_s: Option<f64>,
    timeout_s: Option<f64>,
    cpus: Option<usize>,
    gate: Option<String>,
    #[serde(default)]
    version: String,
    cache: Option<bool>,
    #[serde(default)]
    resumable: bool,
    resume: Option<RawResume>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResume {
    path: String,
    arguments: Vec<String>,
}

/// Reads and checks a file.
pub(super) fn load(file: &Path) -> Result<Pipeline> {
    let io = |error: &std::io::Error| Error::io("read the pipeline", file, error);
    let opened = File::open(file).map_err(|e| io(&e))?;
    if !opened.metadata().map_err(|e| io(&e))?.is_file() {
        return Err(Error::pipeline("a pipeline is a TOML file").in_file(file));
    }
    let mut bytes = Vec::new();
    opened.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| io(&e))?;
    let text = String::from_utf8(bytes).map_err(|_| Error::pipeline("is not UTF-8 text").in_file(file))?;
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let pipeline = parse(&text, folder).map_err(|error| error.in_file(file))?;
    // An output of that name would replace the pipeline with what it made.
    let own = file.file_name().and_then(|name| FlowPath::parse(name.to_str()?).ok());
    match own.and_then(|own| pipeline.maker(&own).map(|id| (own, id))) {
        None => Ok(pipeline),
        Some((own, id)) => {
            let message =
                format!("the stage {:?} has the pipeline {own} among its outputs", pipeline.stage(id).name);
            Err(Error::pipeline(message).in_file(file))
        }
    }
}

/// Checks a text.
pub(super) fn parse(text: &str, folder: &Path) -> Result<Pipeline> {
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(Error::pipeline(format!("larger than {TEXT_BYTES_MAX} bytes, which is no pipeline")));
    }
    let raw: RawPipeline = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        // The message quotes the text: it may be as long as that.
        Error::pipeline(format!("line {line}: {}", clip(error.message()).replace('\n', " ")))
    })?;
    let folder = std::path::absolute(folder).map_err(|e| Error::io("use the folder", folder, &e))?;
    let name = match raw.name {
        Some(name) if name.is_empty() || name.len() > 250 => {
            return Err(Error::pipeline("the name of a pipeline has 1 to 250 bytes"));
        }
        Some(name) => name,
        None => folder.file_name().map_or("flow".to_string(), |name| name.to_string_lossy().into_owned()),
    };
    if raw.stage.is_empty() {
        return Err(Error::pipeline("there is no stage; each begins with [[stage]] and a name"));
    }
    if raw.stage.len() > STAGES_MAX {
        return Err(Error::pipeline(format!("{} stages are more than {STAGES_MAX}", raw.stage.len())));
    }
    let mut needs = Vec::new();
    let mut stages = Vec::new();
    for (index, raw) in raw.stage.into_iter().enumerate() {
        let name = match check_name(&raw.name) {
            Ok(()) => raw.name.clone(),
            Err(error) => return Err(Error::pipeline(format!("stage {}: {error}", index + 1))),
        };
        needs.push(raw.needs.clone());
        stages.push(stage(raw).map_err(|error| Error::pipeline(format!("stage {name:?}: {error}")))?);
    }
    graph::link(&mut stages, &needs)?;
    Ok(Pipeline { name, folder, stages, digest: Digest::blake3(text.as_bytes()) })
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let fine = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && name.chars().all(allowed);
    if fine {
        return Ok(());
    }
    // Names become names of files.
    Err(Error::pipeline(format!(
        "the name {:?} is not 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ - (and no '.' first)",
        clip(name)
    )))
}

fn stage(raw: RawStage) -> Result<Stage> {
    for (what, list) in
        [("inputs", &raw.inputs), ("outputs", &raw.outputs), ("needs", &raw.needs), ("env", &raw.env)]
    {
        if list.len() > LIST_MAX {
            return Err(Error::pipeline(format!("{} {what} are more than {LIST_MAX}", list.len())));
        }
    }
    let action = match (raw.command, raw.mynah) {
        (Some(command), None) => Action::Command(arguments(command)?),
        (None, Some(mynah)) => Action::Mynah(arguments(mynah)?),
        (None, None) if raw.gate.is_some() && raw.outputs.is_empty() => Action::Nothing,
        (None, None) => {
            return Err(Error::pipeline(
                "has neither command = [\"program\", …] nor mynah = [\"arguments\", …]",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(Error::pipeline("has both a command and mynah arguments; keep one"));
        }
    };
    let inputs = raw.inputs.iter().map(|text| input(text)).collect::<Result<Vec<Input>>>()?;
    let outputs = raw.outputs.iter().map(|text| own_path(text)).collect::<Result<Vec<FlowPath>>>()?;
    if let Some(text) = raw.outputs.iter().find(|text| Glob::is_glob(text)) {
        return Err(Error::pipeline(format!("the output {text:?} is a glob; name files and folders")));
    }
    for output in &outputs {
        if let Some(input) = inputs.iter().find(|input| input.meets(output)) {
            return Err(Error::pipeline(format!(
                "reads what it makes: the input {:?} and the output {output:?} overlap; write to another place",
                input.as_str()
            )));
        }
    }
    let gate = raw.gate.as_deref().map(Gate::parse).transpose()?;
    for file in gate.iter().flat_map(Gate::files) {
        let known = outputs.iter().any(|output| output.contains(file))
            || inputs.iter().any(|input| input.meets(file));
        if !known {
            return Err(Error::pipeline(format!(
                "the gate looks at {file}, which is neither an output nor an input"
            )));
        }
    }
    let seconds = |what: &str, value: Option<f64>, min: f64| match value {
        Some(value) if !(min..=SECONDS_MAX).contains(&value) => {
            Err(Error::pipeline(format!("{what} = {value} is not between {min} and {SECONDS_MAX} seconds")))
        }
        value => Ok(value),
    };
    if raw.retries > RETRIES_MAX {
        return Err(Error::pipeline(format!("retries = {} is more than {RETRIES_MAX}", raw.retries)));
    }
    let cpus = raw.cpus.unwrap_or(1);
    if !(1..=CPUS_MAX).contains(&cpus) {
        return Err(Error::pipeline(format!("cpus = {cpus} is not between 1 and {CPUS_MAX}")));
    }
    if raw.version.len() > ARGUMENT_BYTES_MAX {
        return Err(Error::pipeline("the version is too long"));
    }
    let resume = match raw.resume {
        Some(RawResume { path, arguments: list }) => {
            Some(Resume { path: own_path(&path)?, arguments: arguments(list)? })
        }
        None => None,
    };
    Ok(Stage {
        name: raw.name,
        action,
        inputs,
        outputs,
        after: Vec::new(),
        env: raw.env.iter().map(|text| env(text)).collect::<Result<_>>()?,
        retries: raw.retries,
        backoff_s: seconds("backoff_s", raw.backoff_s, 0.0)?.unwrap_or(1.0),
        timeout_s: seconds("timeout_s", raw.timeout_s, 0.001)?,
        cpus,
        gate,
        version: raw.version,
        cache: raw.cache.unwrap_or(true),
        resumable: raw.resumable || resume.is_some(),
        resume,
    })
}

fn arguments(list: Vec<String>) -> Result<Vec<String>> {
    if list.is_empty() || list[0].is_empty() {
        return Err(Error::pipeline("an empty command runs nothing"));
    }
    if list.len() > LIST_MAX {
        return Err(Error::pipeline(format!("{} arguments are more than {LIST_MAX}", list.len())));
    }
    match list.iter().find(|text| text.contains('\0') || text.len() > ARGUMENT_BYTES_MAX) {
        Some(text) => {
            Err(Error::pipeline(format!("the argument {:?} is too long or holds a NUL", clip(text))))
        }
        None => Ok(list),
    }
}

fn own_path(text: &str) -> Result<FlowPath> {
    let path = FlowPath::parse(text)?;
    if path.parts().next() == Some(STATE_FOLDER) {
        return Err(Error::pipeline(format!(
            "the path {text:?} lies in {STATE_FOLDER}, which is the flow's own"
        )));
    }
    Ok(path)
}

fn input(text: &str) -> Result<Input> {
    match Glob::is_glob(text) {
        true => Ok(Input::Glob(Glob::parse(text)?)),
        false => Ok(Input::Path(own_path(text)?)),
    }
}

fn env(text: &str) -> Result<EnvEntry> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(allowed) || name.len() > 250 {
        return Err(Error::pipeline(format!("env {:?} is not NAME or NAME=value", clip(text))));
    }
    match value {
        Some(value) if value.contains('\0') || value.len() > ARGUMENT_BYTES_MAX => {
            Err(Error::pipeline(format!("the value of env {name} is too long or holds a NUL")))
        }
        Some(value) => Ok(EnvEntry::Set(name.to_string(), value.to_string())),
        None => Ok(EnvEntry::Pass(name.to_string())),
    }
}
