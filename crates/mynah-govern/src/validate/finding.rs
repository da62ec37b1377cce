//! One thing that is wrong.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::catalogue;
use crate::repair::Action;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// May be right, and should be looked at.
    Warning,
    /// What the run says cannot be relied on.
    Error,
    /// Evidence was lost or changed.
    Critical,
}

impl Severity {
    /// `info`, `warning`, `error` or `critical`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

/// One thing that is wrong, where, and what can be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// 16 hexadecimal characters: the same thing found again has the same id.
    pub id: String,
    /// Which rule, see [`super::RULES`].
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// `run:ID`, `model:NAME`, `audit`, `store`.
    pub subject: String,
    /// Where in it: `metric loss step 5`, `artifact model.safetensors`.
    pub place: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What puts it right; nothing when people must.
    pub repair: Option<Action>,
}

impl Finding {
    /// A finding with the rule's own severity.
    pub(crate) fn new(
        rule: &'static str,
        subject: &str,
        place: impl Into<String>,
        message: impl Into<String>,
    ) -> Finding {
        let (place, message) = (place.into(), message.into());
        let severity = catalogue::rule(rule).map_or(Severity::Error, |rule| rule.severity);
        let id = crate::short_id(&[rule, subject, &place]);
        Finding { id, rule, severity, subject: subject.to_string(), place, message, repair: None }
    }

    /// With what puts it right.
    pub(crate) fn with(self, repair: Action) -> Finding {
        Finding { repair: Some(repair), ..self }
    }

    /// Whether [`crate::repair`] can put it right.
    pub fn is_repairable(&self) -> bool {
        self.repair.is_some()
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id, "rule": self.rule, "severity": self.severity.as_str(), "subject": self.subject,
            "place": self.place, "message": self.message, "repairable": self.is_repairable(),
        })
    }
}
