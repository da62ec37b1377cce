//! Globs over paths: `*` and `?` within a part, `**` as a part for any number of parts.

use crate::error::{Error, Result};
use crate::path::FlowPath;

/// A pattern over relative paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(FlowPath);

impl Glob {
    /// Whether a text is a pattern and not a plain path.
    pub fn is_glob(text: &str) -> bool {
        text.contains(['*', '?'])
    }

    /// A pattern from text.
    ///
    /// # Errors
    /// As [`FlowPath::parse`]; when `**` is only a part of a part, or there are more than eight of them.
    pub fn parse(text: &str) -> Result<Glob> {
        let path = FlowPath::parse(text)?;
        if path.parts().any(|part| part.contains("**") && part != "**") {
            return Err(Error::pipeline(format!("in the glob {text:?} '**' must stand alone between '/'")));
        }
        if path.parts().filter(|part| *part == "**").count() > 8 {
            return Err(Error::pipeline(format!("the glob {text:?} has too many '**'")));
        }
        Ok(Glob(path))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The folder below which everything matching lies; nothing for the root.
    pub fn base(&self) -> Option<FlowPath> {
        let parts: Vec<&str> = self.0.parts().take_while(|part| !Glob::is_glob(part)).collect();
        FlowPath::parse(&parts.join("/")).ok()
    }

    /// Whether a path matches.
    pub fn matches(&self, path: &FlowPath) -> bool {
        let pattern: Vec<&str> = self.0.parts().collect();
        let parts: Vec<&str> = path.parts().collect();
        all(&pattern, &parts)
    }

    /// Whether something that matches may be `path`, lie in it or contain it.
    pub fn meets(&self, path: &FlowPath) -> bool {
        for (pattern, part) in self.0.parts().zip(path.parts()) {
            if pattern == "**" {
                return true;
            }
            if !one(pattern.as_bytes(), part.as_bytes()) {
                return false;
            }
        }
        true
    }
}

/// Parts against parts. A row of flags instead of recursion, so that no pattern takes exponential time.
fn all(pattern: &[&str], parts: &[&str]) -> bool {
    // reach[i]: the pattern so far matches the first i parts.
    let mut reach = vec![false; parts.len() + 1];
    reach[0] = true;
    for piece in pattern {
        let mut next = vec![false; parts.len() + 1];
        for i in 0..=parts.len() {
            next[i] = match *piece {
                "**" => reach[i] || (i > 0 && next[i - 1]),
                piece => i > 0 && reach[i - 1] && one(piece.as_bytes(), parts[i - 1].as_bytes()),
            };
        }
        reach = next;
    }
    reach[parts.len()]
}

/// One part: `*` any bytes, `?` one character.
fn one(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += 1;
                while text.get(t).is_some_and(|byte| byte & 0xC0 == 0x80) {
                    t += 1;
                }
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, path: &str, matches: bool, meets: bool) {
        let (glob, path) = (Glob::parse(glob).unwrap(), FlowPath::parse(path).unwrap());
        assert_eq!(glob.matches(&path), matches, "{glob:?} matches {path}");
        assert_eq!(glob.meets(&path), meets, "{glob:?} meets {path}");
    }

    #[test]
    fn patterns() {
        check("*.txt", "a.txt", true, true);
        check("*.txt", "a/b.txt", false, false);
        check("data/*.txt", "data", false, true);
        check("data/*.txt", "data/a.txt/deep", false, true);
        check("data/*.txt", "other", false, false);
        check("**/*.txt", "a/b/c.txt", true, true);
        check("**/*.txt", "c.txt", true, true);
        check("a/**", "a", true, true);
        check("a/**/z", "a/b/c/z", true, true);
        check("a/**/z", "b/z", false, false);
        check("?.bin", "ü.bin", true, true);
        check("?.bin", "ab.bin", false, false);
        check("a*b*c", "axxbyybzc", true, true);
        check("a*b*c", "axxbyybz", false, false);
        assert!(Glob::parse("a**/b").is_err());
        assert!(Glob::parse("../*").is_err());
        assert_eq!(Glob::parse("a/b/*/c").unwrap().base().unwrap().as_str(), "a/b");
        assert!(Glob::parse("*").unwrap().base().is_none());
    }

    #[test]
    fn no_pattern_takes_for_ever() {
        let glob = Glob::parse(&format!("{}b", "*a".repeat(100))).unwrap();
        assert!(!glob.matches(&FlowPath::parse(&"a".repeat(250)).unwrap()));
        let deep = Glob::parse(&format!("{}x", "**/".repeat(8))).unwrap();
        assert!(!deep.matches(&FlowPath::parse(&format!("{}y", "a/".repeat(400))).unwrap()));
    }
}
