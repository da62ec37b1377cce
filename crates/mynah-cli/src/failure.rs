//! The program's error: one line that says what, where and what to do.

use std::fmt;
use std::path::Path;

/// A failed command. Printed as `error: what; where; what to do`, without the parts that are empty.
#[derive(Debug, Default)]
pub struct Failure {
    what: String,
    place: String,
    advice: String,
}

/// What every command returns.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// What went wrong, in words that need no knowledge of the program's inside.
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), ..Failure::default() }
    }

    /// Where: a file, a folder, an option.
    pub fn at(mut self, place: impl fmt::Display) -> Failure {
        self.place = place.to_string();
        self
    }

    /// Where, when it is a file or folder.
    pub fn at_path(self, path: &Path) -> Failure {
        self.at(path.display())
    }

    /// What to do about it.
    pub fn advice(mut self, advice: impl Into<String>) -> Failure {
        self.advice = advice.into();
        self
    }

    /// An answer of the operating system about a file, with advice for the usual ones.
    pub fn io(what: &str, path: &Path, error: &std::io::Error) -> Failure {
        use std::io::ErrorKind;
        let advice = match error.kind() {
            ErrorKind::NotFound => "check the path",
            ErrorKind::PermissionDenied => "check the permissions, or choose another folder",
            ErrorKind::StorageFull => "free some space, or choose a folder on another disk",
            ErrorKind::ReadOnlyFilesystem => "choose a folder that can be written",
            _ => "",
        };
        Failure::new(format!("{what}: {error}")).at_path(path).advice(advice)
    }
}

/// The library crates say what, where and what to do in one message of their own.
macro_rules! from_library {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::new(error.to_string())
            }
        })*
    };
}

from_library!(
    mynah_data::Error,
    mynah_engine::Error,
    mynah_flow::Error,
    mynah_govern::Error,
    mynah_ledger::Error,
    mynah_nn::Error,
    mynah_serve::Error,
    mynah_swap::Error,
    mynah_tokenizer::Error,
    mynah_train::Error,
    mynah_trust::Error
);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut first = true;
        for part in [&self.what, &self.place, &self.advice] {
            if part.is_empty() {
                continue;
            }
            // One line, whatever a library put into its message.
            let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
            write!(f, "{}{part}", if first { "" } else { "; " })?;
            first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_with_the_parts_that_are_known() {
        let failure = Failure::new("no such\nfile").at("a.txt").advice("check the path");
        assert_eq!(failure.to_string(), "no such file; a.txt; check the path");
        assert_eq!(Failure::new("broken").to_string(), "broken");
        assert_eq!(Failure::new("broken").advice("mend it").to_string(), "broken; mend it");
    }

    #[test]
    fn a_full_disk_has_advice() {
        let error = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let text = Failure::io("cannot write", Path::new("out/model"), &error).to_string();
        assert!(text.contains("out/model") && text.ends_with("on another disk"), "{text}");
    }
}
