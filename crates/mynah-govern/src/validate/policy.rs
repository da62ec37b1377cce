//! What validation expects, as a file that people write: TOML or JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalogue;
use super::finding::Severity;
use crate::error::{Error, Result};
use crate::gate::{Hook, check_hooks};

/// A policy file may not be larger.
const POLICY_BYTES_MAX: usize = 1 << 20;

/// What a rule's findings count as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The rule is not asked.
    Off,
    /// [`Severity::Info`].
    Info,
    /// [`Severity::Warning`].
    Warning,
    /// [`Severity::Error`].
    Error,
    /// [`Severity::Critical`].
    Critical,
}

impl Level {
    /// Nothing for off.
    pub fn severity(self) -> Option<Severity> {
        match self {
            Level::Off => None,
            Level::Info => Some(Severity::Info),
            Level::Warning => Some(Severity::Warning),
            Level::Error => Some(Severity::Error),
            Level::Critical => Some(Severity::Critical),
        }
    }
}

/// What must be there in a run that has finished.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Required {
    /// Keys of params.
    pub params: Vec<String>,
    /// Keys of tags.
    pub tags: Vec<String>,
    /// Keys of metrics.
    pub metrics: Vec<String>,
    /// Paths of artifacts.
    pub artifacts: Vec<String>,
    /// At least one dataset.
    pub dataset: bool,
}

/// What a param's text must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// Decimal digits with an optional sign.
    Integer,
    /// Anything that is a number, NaN and infinity excluded.
    Number,
    /// `true` or `false`, in any case.
    Boolean,
    /// 64 hexadecimal characters, with or without the algorithm before a colon.
    Digest,
}

/// Which values may be NaN or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NonFinite {
    /// All.
    Allow,
    /// All but the last of a history: it is what filters, gates and promotion read.
    #[default]
    Latest,
    /// None.
    Any,
}

/// Times and steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// Clocks of machines may differ by this, milliseconds.
    pub clock_tolerance_ms: i64,
    /// A run that says it is running and was silent for this long is stale, milliseconds.
    pub stale_after_ms: i64,
    /// A stride this many times its neighbours' is a gap.
    pub gap_factor: f64,
    /// Uploads and contents without a name are left alone until they are this old, milliseconds.
    pub orphan_after_ms: i64,
}

impl Default for Timing {
    fn default() -> Timing {
        const DAY_MS: i64 = 24 * 3_600 * 1_000;
        Timing {
            clock_tolerance_ms: 60_000,
            stale_after_ms: 2 * DAY_MS,
            gap_factor: 4.0,
            orphan_after_ms: 7 * DAY_MS,
        }
    }
}

/// What a metric or a run may use at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// In the unit of the metric.
    pub max: f64,
}

/// Two places whose digests must agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where the digest is written; a run without it is not asked.
    pub from: String,
    /// What it is the digest of.
    pub to: String,
}

/// One end of a [`Link`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `tag:KEY`.
    Tag(String),
    /// `param:KEY`.
    Param(String),
    /// `artifact:PATH`.
    Artifact(String),
    /// `artifact-at:TAG`: the artifact whose path the tag holds.
    ArtifactAt(String),
    /// `dataset:CONTEXT`: any dataset of that context; `dataset:*` any at all.
    Dataset(String),
    /// `init:` and a place: of the run that the tag `mynah.init.run` names.
    Init(Box<Place>),
}

impl Place {
    /// Reads a place.
    ///
    /// # Errors
    /// `Argument` when it is none.
    pub fn parse(text: &str) -> Result<Place> {
        let bad = || {
            Error::argument(format!(
                "'{text}' is no place of a digest; write tag:KEY, param:KEY, artifact:PATH, artifact-at:TAG, \
                 dataset:CONTEXT, or init: before one of these"
            ))
        };
        let (kind, rest) = text.split_once(':').filter(|(_, rest)| !rest.is_empty()).ok_or_else(bad)?;
        Ok(match kind {
            "tag" => Place::Tag(rest.to_string()),
            "param" => Place::Param(rest.to_string()),
            "artifact" => Place::Artifact(rest.to_string()),
            "artifact-at" => Place::ArtifactAt(rest.to_string()),
            "dataset" => Place::Dataset(rest.to_string()),
            "init" => match Place::parse(rest)? {
                Place::Init(_) => return Err(bad()),
                place => Place::Init(Box::new(place)),
            },
            _ => return Err(bad()),
        })
    }
}

/// Somebody who may overrule a refused promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// For people; also said in the record.
    pub name: String,
    /// Ed25519, SPKI PEM.
    pub public_key: String,
}

/// What validation expects. [`Policy::default`] asks for what every honest run satisfies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// A finding of this severity or above puts its run into quarantine.
    pub quarantine_at: Severity,
    /// A finding of this severity or above keeps a run from promotion.
    pub block_promotion_at: Severity,
    /// Read artifacts and compute their digests, not only their lengths.
    pub check_contents: bool,
    /// Severity by rule.
    pub levels: BTreeMap<String, Level>,
    /// What must be there.
    pub required: Required,
    /// Type by param; `*` stands for any characters.
    pub types: BTreeMap<String, ParamType>,
    /// Times and steps.
    pub timing: Timing,
    /// Which values may be NaN or infinite.
    pub non_finite: NonFinite,
    /// Metrics of any value; `*` stands for any characters.
    pub non_finite_allowed: Vec<String>,
    /// Largest value by metric; `*` stands for any characters.
    pub budgets: BTreeMap<String, Budget>,
    /// Points of one metric at most.
    pub points_max: Option<u64>,
    /// Bytes of a run's artifacts at most.
    pub artifact_bytes_max: Option<u64>,
    /// Digests that must agree, besides the default ones.
    pub links: Vec<Link>,
    /// Gates that a run must pass to be promoted, see [`crate::gate::Gate`].
    pub gates: Vec<String>,
    /// Who may overrule.
    pub approvers: Vec<Approver>,
    /// When everything is validated by itself: five fields of cron, in UTC, see [`crate::schedule::Cron`].
    pub schedule: Option<String>,
    /// Who is told, and how.
    pub hooks: Vec<Hook>,
    /// Findings of this severity or above are told.
    pub notify_at: Severity,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            quarantine_at: Severity::Error,
            block_promotion_at: Severity::Error,
            check_contents: true,
            levels: BTreeMap::new(),
            required: Required::default(),
            types: BTreeMap::new(),
            timing: Timing::default(),
            non_finite: NonFinite::default(),
            non_finite_allowed: Vec::new(),
            budgets: BTreeMap::new(),
            points_max: None,
            artifact_bytes_max: None,
            links: Vec::new(),
            gates: Vec::new(),
            approvers: Vec::new(),
            schedule: None,
            hooks: Vec::new(),
            notify_at: Severity::Error,
        }
    }
}

/// Links that are always asked: each only where its first end is written.
const LINKS: &[(&str, &str)] = &[
    ("tag:mynah.checkpoint.digest", "artifact-at:mynah.checkpoint.manifest"),
    ("tag:mynah.tokenizer.digest", "artifact-at:mynah.tokenizer.path"),
    ("tag:mynah.data.digest", "dataset:train"),
    ("tag:mynah.init.digest", "init:tag:mynah.checkpoint.digest"),
    ("tag:mynah.tokenizer.digest", "init:tag:mynah.tokenizer.digest"),
];

impl Policy {
    /// Reads a policy; a text that begins with `{` is JSON, any other TOML.
    ///
    /// # Errors
    /// `Argument` for what is no policy: an unknown field, rule, place or gate, a value out of range.
    pub fn parse(text: &str) -> Result<Policy> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(Error::argument(format!(
                "the policy has {} bytes, {POLICY_BYTES_MAX} at most",
                text.len()
            )));
        }
        let bad = |error: String| Error::argument(format!("the policy cannot be read: {}", error.trim()));
        let policy: Policy = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| bad(error.to_string()))?
        } else {
            toml::from_str(text).map_err(|error| bad(error.to_string()))?
        };
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<()> {
        let bad = |message: String| Err(Error::argument(format!("the policy {message}")));
        if let Some(unknown) = self.levels.keys().find(|id| catalogue::rule(id).is_none()) {
            return bad(format!("gives a level to '{unknown}', which is no rule"));
        }
        let timing = &self.timing;
        if timing.clock_tolerance_ms < 0 || timing.stale_after_ms < 0 || timing.orphan_after_ms < 0 {
            return bad("has a negative time".to_string());
        }
        if !timing.gap_factor.is_finite() || timing.gap_factor <= 1.0 {
            return bad(format!("has the gap factor {}; it must be above 1", timing.gap_factor));
        }
        if let Some((key, _)) = self.budgets.iter().find(|(_, budget)| budget.max.is_nan()) {
            return bad(format!("gives '{key}' a budget that is no number"));
        }
        self.links()?;
        self.gates.iter().try_for_each(|gate| gate.parse::<crate::gate::Gate>().map(drop))?;
        for approver in &self.approvers {
            mynah_trust::keys::Ed25519VerifyingKey::from_pem(&approver.public_key)?;
        }
        if let Some(schedule) = &self.schedule {
            schedule.parse::<crate::schedule::Cron>()?;
        }
        check_hooks(&self.hooks)
    }

    /// What a finding of this rule counts as; nothing when the rule is off.
    pub fn severity(&self, rule: &str) -> Option<Severity> {
        match self.levels.get(rule) {
            Some(level) => level.severity(),
            None => catalogue::rule(rule).map(|rule| rule.severity),
        }
    }

    /// All links, the default ones first.
    pub(super) fn links(&self) -> Result<Vec<(Place, Place)>> {
        let own = self.links.iter().map(|link| (link.from.as_str(), link.to.as_str()));
        LINKS
            .iter()
            .copied()
            .chain(own)
            .map(|(from, to)| Ok((Place::parse(from)?, Place::parse(to)?)))
            .collect()
    }
}

/// Whether a key fits a pattern in which `*` stands for any characters.
pub fn matches(pattern: &str, key: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| key.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, key, expect) in [
            ("loss", "loss", true),
            ("loss", "loss2", false),
            ("*", "", true),
            ("grad*", "grad/norm", true),
            ("*norm", "grad/norm", true),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("a*a", "a", false),
            ("*/x/*", "q/x/y", true),
        ] {
            assert_eq!(matches(pattern, key), expect, "{pattern} {key}");
        }
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = "
            quarantine_at = 'critical'
            gates = ['val_bpb:min within 1%']
            [levels]
            'metric.gap' = 'off'
            [required]
            params = ['seed']
            [types]
            seed = 'integer'
            [budgets]
            'system.memory_bytes' = { max = 1e9 }
            [[links]]
            from = 'param:tokenizer_digest'
            to = 'init:param:tokenizer_digest'
            [[hooks]]
            name = 'team'
            on = ['gate.regressed']
            call = { webhook = { url = 'https://example.com/hook' } }
        ";
        let policy = Policy::parse(toml).unwrap();
        assert_eq!(policy.severity("metric.gap"), None);
        assert_eq!(policy.severity("artifact.changed"), Some(Severity::Critical));
        assert_eq!(policy.required.params, ["seed"]);
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(Policy::parse(&json).unwrap(), policy);
        assert_eq!(Policy::parse("").unwrap(), Policy::default());
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in [
            "unknown = 1",
            "quarantine_at = 'sometimes'",
            "[levels]\n'no.rule' = 'off'",
            "[timing]\ngap_factor = 1.0",
            "[timing]\nstale_after_ms = -1",
            "gates = ['val_bpb within 1%']",
            "[[links]]\nfrom = 'nowhere'\nto = 'tag:x'",
            "[[links]]\nfrom = 'tag:x'\nto = 'init:init:tag:x'",
            "[[approvers]]\nname = 'a'\npublic_key = 'x'",
            "{\"levels\": 3}",
            "[budgets]\nx = { max = nan }",
            "schedule = 'daily'",
            "[[hooks]]\nname = 'x'\ncall = { command = { argv = [] } }",
        ] {
            let error = Policy::parse(text).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Argument, "{text}: {error}");
        }
        assert!(Policy::parse(&"#".repeat(POLICY_BYTES_MAX + 1)).is_err());
    }
}
