//! Where things are: the home folder of runs, and what is inside a run's folder.
//!
//! ```text
//! RUN/                 what `mynah speedrun --out RUN` leaves
//!   model/             the chat model
//!   base/              the pretrained model it came from
//!   tokenizer/         tokenizer.json, tokenizer.tiktoken
//!   report/            report.html, report.md, report.json
//!   run.json           what was asked and which stages are complete
//! ```

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// `$MYNAH_HOME`, or `~/.local/share/mynah`.
///
/// # Errors
/// When neither variable says where.
pub fn home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("MYNAH_HOME").filter(|home| !home.is_empty()) {
        return Ok(PathBuf::from(home));
    }
    let user = std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"));
    let user = user.filter(|user| !user.is_empty()).ok_or_else(|| {
        Failure::new("neither MYNAH_HOME nor HOME is set").advice("set MYNAH_HOME to a folder for runs")
    })?;
    Ok(Path::new(&user).join(".local/share/mynah"))
}

/// Where `mynah speedrun` works when no folder is named.
///
/// # Errors
/// As [`home`].
pub fn default_run() -> Result<PathBuf> {
    Ok(home()?.join("speedrun"))
}

/// A model and the tokenizer that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFolders {
    pub model: PathBuf,
    pub tokenizer: PathBuf,
}

/// Finds model and tokenizer from what the user names: a run's folder or the model's own. Without a name
/// it is the last speedrun, and that is said on stderr.
///
/// # Errors
/// When there is no such folder, or no model or tokenizer in it.
pub fn find_model(named: Option<&Path>, tokenizer: Option<&Path>) -> Result<ModelFolders> {
    let default;
    let folder = match named {
        Some(folder) => folder,
        None => {
            default = default_run()?;
            if !default.join("model").is_dir() {
                return Err(Failure::new("no model is named and there is no speedrun yet")
                    .at_path(&default)
                    .advice("run `mynah speedrun` first, or name a model with --model DIR"));
            }
            eprintln!("using the last speedrun's model in {}", default.display());
            &default
        }
    };
    if !folder.is_dir() {
        return Err(Failure::new("no such folder").at_path(folder).advice("check --model"));
    }
    let model = [folder.join("model"), folder.to_path_buf()]
        .into_iter()
        .find(|candidate| is_model(candidate))
        .ok_or_else(|| {
            Failure::new("no model in this folder (config.json is absent)")
                .at_path(folder)
                .advice("name a folder that `mynah speedrun` or `mynah train` wrote")
        })?;
    let tokenizer = match tokenizer {
        Some(tokenizer) => tokenizer.to_path_buf(),
        None => {
            let beside = model.parent().map(|parent| parent.join("tokenizer"));
            [Some(model.join("tokenizer")), beside, Some(model.clone())]
                .into_iter()
                .flatten()
                .find(|candidate| is_tokenizer(candidate))
                .ok_or_else(|| {
                    Failure::new("the model has no tokenizer beside it")
                        .at_path(&model)
                        .advice("name it with --tokenizer DIR")
                })?
        }
    };
    Ok(ModelFolders { model, tokenizer })
}

fn is_model(folder: &Path) -> bool {
    folder.join("config.json").is_file()
}

fn is_tokenizer(folder: &Path) -> bool {
    folder.join("tokenizer.json").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_model_is_found_from_the_run_and_from_itself() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path();
        for (folder, file) in [("model", "config.json"), ("tokenizer", "tokenizer.json")] {
            fs::create_dir(run.join(folder)).unwrap();
            fs::write(run.join(folder).join(file), "{}").unwrap();
        }
        let expect = ModelFolders { model: run.join("model"), tokenizer: run.join("tokenizer") };
        assert_eq!(find_model(Some(run), None).unwrap(), expect);
        assert_eq!(find_model(Some(&run.join("model")), None).unwrap(), expect);
        let error = find_model(Some(&run.join("tokenizer")), None).unwrap_err().to_string();
        assert!(error.contains("no model in this folder"), "{error}");
        let error = find_model(Some(&run.join("absent")), None).unwrap_err().to_string();
        assert!(error.contains("no such folder"), "{error}");
    }
}
