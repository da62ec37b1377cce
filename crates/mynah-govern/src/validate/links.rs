//! Digests that must agree: checkpoint, run, data, tokenizer.

use mynah_ledger::{Artifact, RunData};

use super::finding::Finding;
use super::policy::{Place, Policy};
use crate::error::Result;
use crate::view::RunView;

/// The tag of a dataset input that says what it was for.
const CONTEXT_TAG: &str = "mlflow.data.context";

/// Asks all links of the policy.
pub(super) fn check(view: &RunView, policy: &Policy, out: &mut Vec<Finding>) -> Result<()> {
    let artifacts: Vec<&Artifact> = view.artifacts.iter().map(|artifact| &artifact.artifact).collect();
    let init = view.init.as_ref().map(|init| (&init.data, view.init_artifacts.iter().collect::<Vec<_>>()));
    for (from, to) in policy.links()? {
        let written = digests(&from, &view.data, &artifacts, init.as_ref());
        let found = digests(&to, &view.data, &artifacts, init.as_ref());
        // The run was not started from another, or that one never had this digest.
        let is_about_nothing = matches!(to, Place::Init(_)) && found.is_empty();
        for digest in written {
            let place = format!("{} to {}", show(&from), show(&to));
            if found.is_empty() && !is_about_nothing {
                let message = format!("the digest {} refers to what is not there", clip(&digest));
                out.push(Finding::new("link.missing", &view.subject(), place, message));
            } else if !found.is_empty() && !found.iter().any(|other| same(&digest, other)) {
                let others: Vec<String> = found.iter().map(|other| clip(other)).collect();
                let message = format!("the digest is {}, found is {}", clip(&digest), others.join(", "));
                out.push(Finding::new("link.differs", &view.subject(), place, message));
            }
        }
    }
    Ok(())
}

fn digests(
    place: &Place,
    data: &RunData,
    artifacts: &[&Artifact],
    init: Option<&(&RunData, Vec<&Artifact>)>,
) -> Vec<String> {
    let at = |path: &str| artifacts.iter().filter(|a| a.path == path).map(|a| a.digest.clone()).collect();
    let one = |text: Option<&str>| text.map(str::to_string).into_iter().collect();
    match place {
        Place::Tag(key) => one(data.tag(key)),
        Place::Param(key) => one(data.param(key)),
        Place::Artifact(path) => at(path),
        Place::ArtifactAt(tag) => data.tag(tag).map(at).unwrap_or_default(),
        Place::Dataset(context) => {
            let inputs = data.inputs.iter().filter(|input| {
                context == "*" || input.tags.iter().any(|tag| tag.key == CONTEXT_TAG && tag.value == *context)
            });
            inputs.map(|input| input.dataset.digest.clone()).collect()
        }
        Place::Init(place) => {
            init.map(|(data, artifacts)| digests(place, data, artifacts, None)).unwrap_or_default()
        }
    }
}

/// Equal, as far as both say how they were computed: `blake3:…` and `sha256:…` of one file differ rightly.
fn same(a: &str, b: &str) -> bool {
    match (a.split_once(':'), b.split_once(':')) {
        (Some((kind_a, digest_a)), Some((kind_b, digest_b))) => {
            kind_a != kind_b || digest_a.eq_ignore_ascii_case(digest_b)
        }
        // Artifacts are written without a name; they are BLAKE3.
        (Some((kind, digest)), None) | (None, Some((kind, digest))) => {
            let bare = if a.contains(':') { b } else { a };
            kind != "blake3" || digest.eq_ignore_ascii_case(bare)
        }
        (None, None) => a.eq_ignore_ascii_case(b),
    }
}

fn show(place: &Place) -> String {
    match place {
        Place::Tag(key) => format!("tag {key}"),
        Place::Param(key) => format!("param {key}"),
        Place::Artifact(path) => format!("artifact {path}"),
        Place::ArtifactAt(tag) => format!("artifact named by tag {tag}"),
        Place::Dataset(context) => format!("dataset for {context}"),
        Place::Init(place) => format!("{} of the run begun with", show(place)),
    }
}

fn clip(digest: &str) -> String {
    match digest.char_indices().nth(24) {
        Some((at, _)) => format!("{}…", &digest[..at]),
        None => digest.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_one_kind_are_compared() {
        for (a, b, expect) in [
            ("ab", "AB", true),
            ("ab", "ac", false),
            ("blake3:ab", "ab", true),
            ("ab", "blake3:ac", false),
            ("sha256:ab", "cd", true),
            ("sha256:ab", "sha256:cd", false),
            ("sha256:ab", "blake3:cd", true),
        ] {
            assert_eq!(same(a, b), expect, "{a} {b}");
        }
    }
}
