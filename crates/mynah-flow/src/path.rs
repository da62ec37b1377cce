//! Paths inside a folder: relative, with `/`, and with one spelling.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const PATH_BYTES_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 255;

/// A path that stays inside the folder it is relative to: no `..`, no root, no `.`, no empty part.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FlowPath(String);

impl FlowPath {
    /// A path from text. One `./` before it and one `/` behind it are dropped.
    ///
    /// # Errors
    /// When it is empty, too long, absolute, leaves the folder or has a second spelling; the message says which.
    pub fn parse(text: &str) -> Result<FlowPath> {
        let refuse = |why: &str| Err(Error::pipeline(format!("the path {:?} {why}", clip(text))));
        let bare = text.strip_prefix("./").unwrap_or(text);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        if text.is_empty() {
            return refuse("is empty");
        }
        if text.len() > PATH_BYTES_MAX {
            return refuse(&format!("is longer than {PATH_BYTES_MAX} bytes"));
        }
        if text.starts_with('/') || Path::new(text).is_absolute() {
            return refuse("is absolute; give one inside the folder");
        }
        if text.contains(['\0', '\\']) || text.contains(char::is_control) {
            return refuse("has a control character or a backslash; parts are separated by '/'");
        }
        for part in bare.split('/') {
            match part {
                ".." => return refuse("leaves the folder"),
                "" | "." => return refuse("has an empty part or '.'; write it without"),
                part if part.len() > NAME_BYTES_MAX => return refuse("has a part of more than 255 bytes"),
                _ => {}
            }
        }
        Ok(FlowPath(bare.to_string()))
    }

    /// The text, with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, at least one.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The path below `folder`.
    pub fn below(&self, folder: &Path) -> PathBuf {
        self.parts().fold(folder.to_path_buf(), |path, part| path.join(part))
    }

    /// Whether `other` is this path or lies below it.
    pub fn contains(&self, other: &FlowPath) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether one contains the other.
    pub fn overlaps(&self, other: &FlowPath) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// Refuses when a folder on the way from `folder` to this path is a symbolic link: it would lead elsewhere.
    pub(crate) fn refuse_links(&self, folder: &Path) -> Result<()> {
        let mut at = folder.to_path_buf();
        for part in self.parts() {
            at.push(part);
            match fs::symlink_metadata(&at) {
                Ok(metadata) if metadata.file_type().is_symlink() => {
                    let message = "is a symbolic link; what it leads to may lie outside or change unseen, \
                                   use the file itself or a copy";
                    return Err(Error::stage(message).in_file(&at));
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(Error::io("look at it", &at, &error)),
            }
        }
        Ok(())
    }
}

// Part by part: a folder then comes right before what is in it.
impl Ord for FlowPath {
    fn cmp(&self, other: &FlowPath) -> std::cmp::Ordering {
        self.parts().cmp(other.parts())
    }
}

impl PartialOrd for FlowPath {
    fn partial_cmp(&self, other: &FlowPath) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for FlowPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FlowPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The beginning of a text, for messages.
pub(crate) fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(120)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_and_never_outside() {
        for (text, expect) in
            [("a", "a"), ("a/b c/ü", "a/b c/ü"), ("./a", "a"), ("a/b/", "a/b"), ("..a/b..", "..a/b..")]
        {
            assert_eq!(FlowPath::parse(text).unwrap().as_str(), expect, "{text}");
        }
        for text in
            ["", "/", "/etc/passwd", "..", "a/../b", "a//b", ".", "././a", "a/.", "a\\b", "a\0", "a\nb", "./"]
        {
            let error = FlowPath::parse(text).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Pipeline, "{text:?}: {error}");
        }
        assert!(FlowPath::parse(&"x/".repeat(600)).is_err());
        assert!(FlowPath::parse(&"x".repeat(256)).is_err());
    }

    #[test]
    fn folders_contain_what_is_below_them() {
        let path = |text| FlowPath::parse(text).unwrap();
        assert!(path("a").contains(&path("a/b")) && path("a").contains(&path("a")));
        assert!(!path("a").contains(&path("ab")) && !path("a/b").contains(&path("a")));
        assert!(path("a/b").overlaps(&path("a")));
        let mut sorted = [path("a.txt"), path("a/b"), path("a")];
        sorted.sort();
        assert_eq!(sorted, [path("a"), path("a/b"), path("a.txt")]);
    }
}
