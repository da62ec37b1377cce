//! How a test ended, and JUnit's form of it.

use std::fmt::Write as _;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// An assertion or an exception.
    Failed,
    /// It, or its file, could not be set up.
    Error,
    /// It was left out.
    Skipped,
    /// It failed as expected.
    XFailed,
    /// It passed though a failure was expected.
    XPassed,
    /// A limit ended it.
    Limit,
}

impl Outcome {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Error => "error",
            Outcome::Skipped => "skipped",
            Outcome::XFailed => "xfailed",
            Outcome::XPassed => "xpassed",
            Outcome::Limit => "limit",
        }
    }

    pub(super) fn from_word(word: &str) -> Outcome {
        match word {
            "passed" => Outcome::Passed,
            "failed" => Outcome::Failed,
            "skipped" => Outcome::Skipped,
            "xfailed" => Outcome::XFailed,
            "xpassed" => Outcome::XPassed,
            _ => Outcome::Error,
        }
    }

    /// Whether it makes the run fail.
    pub fn is_failure(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::Error | Outcome::Limit)
    }
}

/// A test that was run, or a file that could not be.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file.
    pub file: String,
    /// The test's name in it, as `Class::test[parameters]`; empty for the file itself.
    pub test: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Wall time.
    pub seconds: f64,
    /// Why: one line, or the values of an assertion.
    pub message: String,
    /// The traceback of a failure.
    pub traceback: String,
    /// What it wrote to stdout and stderr.
    pub output: String,
}

/// All reports as JUnit's XML.
pub fn junit(reports: &[Report]) -> String {
    let count = |wanted: &dyn Fn(Outcome) -> bool| reports.iter().filter(|r| wanted(r.outcome)).count();
    let seconds: f64 = reports.iter().map(|r| r.seconds).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites><testsuite name=\"mynah\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">",
        reports.len(),
        count(&|o| o == Outcome::Failed),
        count(&|o| matches!(o, Outcome::Error | Outcome::Limit)),
        count(&|o| matches!(o, Outcome::Skipped | Outcome::XFailed)),
    );
    for report in reports {
        let (class, name) = match report.test.rsplit_once("::") {
            Some((class, name)) => (format!("{}.{class}", report.file), name),
            None => (report.file.clone(), report.test.as_str()),
        };
        let _ = write!(
            out,
            "<testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            escape(&class),
            escape(name),
            report.seconds
        );
        let element = match report.outcome {
            Outcome::Passed | Outcome::XPassed => {
                out.push_str("/>\n");
                continue;
            }
            Outcome::Failed => "failure",
            Outcome::Error | Outcome::Limit => "error",
            Outcome::Skipped | Outcome::XFailed => "skipped",
        };
        let _ = writeln!(
            out,
            "><{element} message=\"{}\">{}</{element}></testcase>",
            escape(&report.message),
            escape(&report.traceback)
        );
    }
    out.push_str("</testsuite></testsuites>\n");
    out
}

/// XML's five, and nothing that XML forbids.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push('\t'),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_is_escaped() {
        let report = Report {
            file: "a.py".into(),
            test: "T::test_x[<&\u{1}]".into(),
            outcome: Outcome::Failed,
            seconds: 0.25,
            message: "a \"b\"\nc".into(),
            traceback: "line".into(),
            output: String::new(),
        };
        let text = junit(&[report]);
        assert!(
            text.contains("classname=\"a.py.T\" name=\"test_x[&lt;&amp;\u{fffd}]\" time=\"0.250\""),
            "{text}"
        );
        assert!(text.contains("<failure message=\"a &quot;b&quot;&#10;c\">line</failure>"), "{text}");
        assert!(text.contains("tests=\"1\" failures=\"1\" errors=\"0\""), "{text}");
    }
}
