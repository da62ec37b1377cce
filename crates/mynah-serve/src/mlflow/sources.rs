//! Where a model version may come from.
//!
//! The source of a version is a URI that clients later download from, on this server or past it. It must not lead
//! out of what it claims to be: no local path, no `..`, and below the artifacts of the run or the logged model
//! that the request names.

use mynah_ledger::Ledger;
use percent_encoding::percent_decode_str;

use crate::answer::ApiError;

/// Sources of prompts, which have no files.
const PROMPT_SOURCES: [&str; 2] = ["dummy-source", "prompt-template"];
/// How often a percent sign may hide another.
const DECODINGS_MAX: usize = 8;

/// Refuses a source that is not one.
pub(super) fn check(
    ledger: &Ledger,
    source: &str,
    run_id: Option<&str>,
    model_id: Option<&str>,
    is_prompt: bool,
) -> Result<(), ApiError> {
    let refuse = |why: &str| Err(ApiError::invalid(format!("the model version source '{source}' {why}")));
    if is_prompt {
        return if PROMPT_SOURCES.contains(&source) { Ok(()) } else { refuse("is not one of a prompt") };
    }
    let Some(parts) = parts(source) else {
        return refuse("leaves its folder; give a path without '..'");
    };
    let scheme = match source.split_once(':') {
        Some((scheme, _)) if scheme.len() > 1 => scheme.to_ascii_lowercase(),
        // One letter is a drive.
        _ => String::new(),
    };
    match scheme.as_str() {
        "" | "file" => {
            refuse("is a local path, which says nothing on a server; log the model to a run first")
        }
        "runs" => {
            let named = parts.first().map(String::as_str);
            if model_id.is_some() || run_id.is_none() || named != run_id {
                return refuse("must be of the run that 'run_id' names");
            }
            Ok(())
        }
        "models" => {
            let named = parts.first().filter(|part| part.starts_with("m-") && parts.len() == 1);
            if named.is_some_and(|named| Some(named.as_str()) != model_id) {
                return refuse("must be the model that 'model_id' names");
            }
            Ok(())
        }
        _ if scheme == "mlflow-artifacts" || is_artifact_address(&parts) => {
            let root = match (model_id, run_id) {
                (Some(id), _) => ledger.logged_model(id)?.artifact_location,
                (None, Some(id)) => ledger.run(id)?.run.artifact_uri,
                (None, None) => return refuse("must be of the run that 'run_id' names"),
            };
            let within = self::parts(&root).is_some_and(|root| {
                // Addresses name the server first; what counts is where the path ends up.
                !root.is_empty() && parts.windows(root.len()).any(|window| window == root)
            });
            if within { Ok(()) } else { refuse("is not below the artifacts of the run or model it names") }
        }
        _ => Ok(()),
    }
}

/// The decoded parts of the path; nothing when one of them leaves it.
fn parts(uri: &str) -> Option<Vec<String>> {
    let path = uri.split_once(':').map_or(uri, |(_, path)| path);
    path.split('/')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let mut part = part.to_string();
            for _ in 0..DECODINGS_MAX {
                let decoded = percent_decode_str(&part).decode_utf8().ok()?.into_owned();
                if decoded == part {
                    break;
                }
                part = decoded;
            }
            let leaves = part.split(['/', '\\']).any(|piece| piece == "..") || part.contains('\0');
            (!leaves).then_some(part)
        })
        .collect()
}

/// Whether the path is one of our (or MLflow's) artifact calls.
fn is_artifact_address(parts: &[String]) -> bool {
    parts.windows(4).any(|window| window == ["api", "2.0", "mlflow-artifacts", "artifacts"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_have_no_parts() {
        for uri in ["s3://b/../x", "a:/x/%2e%2e/y", "a:/%252e%252e", "a:/x%2f..%2fy", "a:/x\\..\\y", "a:/%00"]
        {
            assert_eq!(parts(uri), None, "{uri}");
        }
        assert_eq!(parts("s3://b/x%20y/..z"), Some(vec!["b".into(), "x y".into(), "..z".into()]));
    }
}
