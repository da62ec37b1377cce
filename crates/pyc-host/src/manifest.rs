//! What a built program is and may do: lines of `key value`.

use std::fmt::Write as _;
use std::time::Duration;

use pyc_runtime::host::Limits;

use crate::capabilities::Capabilities;
use crate::error::Error;

/// A built program's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The module that runs first is always `__main__`; this is its file's name.
    pub filename: String,
    /// Hash of the names and texts of the program's own modules.
    pub source_hash: String,
    /// Hash of the executable that the program was appended to.
    pub runtime_hash: String,
    /// How it was built to run: `interp`, or `native` or `auto` where machine code is packed.
    pub tier: String,
    /// Everything is allowed.
    pub trusted: bool,
    /// Capabilities as they were granted.
    pub allow: Vec<String>,
    /// Wall time.
    pub time_ms: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Steps.
    pub steps: Option<u64>,
    /// Bytes of output.
    pub output_bytes: Option<u64>,
}

impl Manifest {
    /// The text form.
    pub fn print(&self) -> String {
        let mut out = String::new();
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(out, "{key} {value}");
        };
        line("filename", &self.filename);
        line("source_hash", &self.source_hash);
        line("runtime_hash", &self.runtime_hash);
        line("tier", &self.tier);
        if self.trusted {
            line("trusted", "1");
        }
        for item in &self.allow {
            line("allow", item);
        }
        for (key, limit) in [
            ("time_ms", self.time_ms),
            ("memory_bytes", self.memory_bytes),
            ("steps", self.steps),
            ("output_bytes", self.output_bytes),
        ] {
            if let Some(limit) = limit {
                line(key, &limit.to_string());
            }
        }
        out
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// Names the line that cannot be read.
    pub fn parse(text: &str) -> Result<Manifest, Error> {
        let mut m = Manifest::default();
        for line in text.lines() {
            let bad =
                || Error::new(format!("the program's manifest has the line '{line}', which cannot be read"));
            let (key, value) = line.split_once(' ').ok_or_else(bad)?;
            let number = || value.parse().map(Some).map_err(|_| bad());
            match key {
                "filename" => m.filename = value.into(),
                "source_hash" => m.source_hash = value.into(),
                "runtime_hash" => m.runtime_hash = value.into(),
                "tier" => m.tier = value.into(),
                "trusted" => m.trusted = value == "1",
                "allow" => m.allow.push(value.into()),
                "time_ms" => m.time_ms = number()?,
                "memory_bytes" => m.memory_bytes = number()?,
                "steps" => m.steps = number()?,
                "output_bytes" => m.output_bytes = number()?,
                // A key of a later version may restrict; it is not passed over.
                _ => return Err(bad()),
            }
        }
        Ok(m)
    }

    /// The capabilities; relative paths count from the current folder.
    ///
    /// # Errors
    /// A capability that does not exist.
    pub fn capabilities(&self) -> Result<Capabilities, Error> {
        let mut capabilities = Capabilities { trusted: self.trusted, ..Capabilities::default() };
        for item in &self.allow {
            capabilities.grant(item)?;
        }
        Ok(capabilities)
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        limits.time = self.time_ms.map(Duration::from_millis);
        limits.memory_bytes = self.memory_bytes;
        limits.steps = self.steps;
        limits.output_bytes = self.output_bytes;
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_round_trips() {
        let manifest = Manifest {
            filename: "my app.py".into(),
            tier: "interp".into(),
            allow: vec!["fs.read=a b".into(), "clock".into()],
            steps: Some(7),
            ..Manifest::default()
        };
        assert_eq!(Manifest::parse(&manifest.print()).unwrap(), manifest);
        assert!(Manifest::parse("steps many").is_err());
        assert!(Manifest::parse("forbid network").is_err());
    }
}
