//! What a run says: lines from the worker, counts, tables, the ratchet.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pyc_host::Error;

use super::{Status, Test};

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Ended by an error or a bound.
    pub errors: usize,
    /// Did not apply.
    pub skipped: usize,
}

impl Counts {
    /// Counts tests.
    pub fn of<'a>(tests: impl IntoIterator<Item = &'a Test>) -> Counts {
        let mut counts = Counts::default();
        for test in tests {
            *match test.status {
                Status::Passed => &mut counts.passed,
                Status::Failed => &mut counts.failed,
                Status::Error => &mut counts.errors,
                Status::Skipped => &mut counts.skipped,
            } += 1;
        }
        counts
    }

    /// Those that applied.
    pub fn run(&self) -> usize {
        self.passed + self.failed + self.errors
    }

    /// Of those that applied, the share that passed, in percent.
    pub fn share(&self) -> f64 {
        if self.run() == 0 { 0.0 } else { 100.0 * self.passed as f64 / self.run() as f64 }
    }

    fn add(&mut self, other: &Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.errors += other.errors;
        self.skipped += other.skipped;
    }
}

/// A table in Markdown with a row for each module and one for all.
pub fn markdown_table(modules: &[(String, Counts)]) -> String {
    let mut out =
        String::from("| module | passed | failed | errors | skipped | share |\n|---|--:|--:|--:|--:|--:|\n");
    let mut all = Counts::default();
    let mut row = |name: &str, c: &Counts| {
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {:.1}% |",
            c.passed,
            c.failed,
            c.errors,
            c.skipped,
            c.share()
        );
    };
    for (name, counts) in modules {
        row(name, counts);
        all.add(counts);
    }
    row("**all**", &all);
    out
}

/// Passes by module, that may only grow: a line `module passed run` for each, the Python's version first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ratchet {
    /// The CPython whose tests these are.
    pub version: String,
    /// Passed, and all that applied.
    pub modules: BTreeMap<String, (usize, usize)>,
}

impl Ratchet {
    /// Reads the file's text.
    ///
    /// # Errors
    /// A line that is none.
    pub fn parse(text: &str) -> Result<Ratchet, Error> {
        let mut ratchet = Ratchet::default();
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["python", version] => ratchet.version = version.to_string(),
                [module, passed, run] => {
                    let number = |word: &str| {
                        word.parse().map_err(|_| Error::new(format!("'{line}' is no line of the ratchet")))
                    };
                    ratchet.modules.insert(module.to_string(), (number(passed)?, number(run)?));
                }
                _ => return Err(Error::new(format!("'{line}' is no line of the ratchet"))),
            }
        }
        Ok(ratchet)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut out = String::from(
            "# Test methods of CPython's own tests that pass, by module: passed, and all that applied. Passes may only grow.\n",
        );
        let _ = writeln!(out, "python {}", self.version);
        for (module, (passed, run)) in &self.modules {
            let _ = writeln!(out, "{module} {passed} {run}");
        }
        out
    }

    /// What got worse: a line for each module with fewer passes.
    pub fn losses(&self, modules: &[(String, Counts)]) -> Vec<String> {
        let lost = |(name, counts): &(String, Counts)| {
            let (before, _) = *self.modules.get(name)?;
            (counts.passed < before).then(|| format!("{name}: {} pass, {before} did", counts.passed))
        };
        modules.iter().filter_map(lost).collect()
    }
}

/// A line of the worker: a JSON object whose values are strings.
pub(super) fn parse_line(line: &[u8]) -> Option<BTreeMap<String, String>> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let mut chars = text.strip_prefix('{')?.strip_suffix('}')?.chars().peekable();
    let mut found = BTreeMap::new();
    let string = |chars: &mut std::iter::Peekable<std::str::Chars>| -> Option<String> {
        (chars.next()? == '"').then_some(())?;
        let mut out = String::new();
        loop {
            match chars.next()? {
                '"' => return Some(out),
                '\\' => match chars.next()? {
                    'u' => {
                        let digits: String = (0..4).filter_map(|_| chars.next()).collect();
                        let point = u32::from_str_radix(&digits, 16).ok()?;
                        out.push(char::from_u32(point).unwrap_or('\u{fffd}'));
                    }
                    other => out.push(other),
                },
                c => out.push(c),
            }
        }
    };
    while chars.peek().is_some() {
        let key = string(&mut chars)?;
        (chars.next()? == ':').then_some(())?;
        found.insert(key, string(&mut chars)?);
        if chars.peek() == Some(&',') {
            chars.next();
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_worker_are_read() {
        let line = br#"{"event":"end","id":"a.B.c","why":"say \"\u00e9\\\""}"#;
        let parsed = parse_line(line).unwrap();
        assert_eq!(parsed["id"], "a.B.c");
        assert_eq!(parsed["why"], "say \"\u{e9}\\\"");
        assert!(parse_line(b"{\"a\":1}").is_none());
        assert!(parse_line(b"{\"a\":\"b").is_none());
    }

    #[test]
    fn a_ratchet_names_what_got_worse() {
        let text = "# x\npython 3.13.0\ntest_a 3 4\ntest_b 1 1\n";
        let ratchet = Ratchet::parse(text).unwrap();
        assert_eq!(Ratchet::parse(&ratchet.text()).unwrap(), ratchet);
        let counts = |passed| Counts { passed, failed: 1, ..Counts::default() };
        let now = [("test_a".to_string(), counts(2)), ("test_b".to_string(), counts(5))];
        assert_eq!(ratchet.losses(&now), ["test_a: 2 pass, 3 did"]);
        assert!(Ratchet::parse("test_a many 4").is_err());
        assert!((counts(3).share() - 75.0).abs() < 1e-9);
    }
}
