//! The little YAML that MLflow writes into `meta.yaml`: one mapping of scalars, perhaps with mappings of scalars
//! inside. Lists and everything else are passed over; nobody here needs them.

/// A mapping in the order of the file. Keys of inner mappings are `outer.inner`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping(Vec<(String, Option<String>)>);

impl Mapping {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Mapping {
        let mut pairs = Vec::new();
        block(&text.lines().collect::<Vec<_>>(), "", &mut pairs);
        Mapping(pairs)
    }

    /// A value; nothing when it is absent or null.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_deref())
    }

    /// A value as a text, empty when absent.
    pub fn text(&self, key: &str) -> String {
        self.get(key).unwrap_or_default().to_string()
    }

    /// A value that is not empty.
    pub fn filled(&self, key: &str) -> Option<String> {
        self.get(key).filter(|value| !value.is_empty()).map(str::to_string)
    }

    /// A value as a whole number.
    pub fn number(&self, key: &str) -> Option<i64> {
        self.get(key)?.parse().ok()
    }

    /// The pairs of an inner mapping.
    pub fn inner(&self, key: &str) -> impl Iterator<Item = (&str, &str)> {
        let prefix = format!("{key}.");
        self.0.iter().filter_map(move |(name, value)| {
            Some((name.strip_prefix(&prefix)?, value.as_deref().unwrap_or_default()))
        })
    }
}

fn block(lines: &[&str], prefix: &str, pairs: &mut Vec<(String, Option<String>)>) {
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        let Some((key, rest)) = key_of(line) else { continue };
        // What is indented, and blank lines inside, belong to this key.
        let first = at;
        while at < lines.len() && (lines[at].starts_with([' ', '\t']) || lines[at].trim().is_empty()) {
            at += 1;
        }
        let below = &lines[first..at];
        let name = format!("{prefix}{key}");
        let rest = rest.trim();
        if rest.is_empty()
            && prefix.is_empty()
            && below.iter().any(|line| key_of(line.trim_start()).is_some())
        {
            let inner: Vec<&str> = below.iter().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
            block(&inner, &format!("{name}."), pairs);
        } else {
            pairs.push((name, scalar(rest, below)));
        }
    }
}

/// `key: rest`; keys may be quoted.
fn key_of(line: &str) -> Option<(String, &str)> {
    if line.starts_with([' ', '\t', '#', '-']) {
        return None;
    }
    if let Some(quote) = line.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let (key, rest) = line[1..].split_once(quote)?;
        return Some((key.to_string(), rest.strip_prefix(':')?));
    }
    let (key, rest) = line.split_once(": ").or_else(|| line.strip_suffix(':').map(|key| (key, "")))?;
    Some((key.to_string(), rest))
}

fn scalar(first: &str, below: &[&str]) -> Option<String> {
    let mut lines = vec![first];
    lines.extend(below.iter().map(|line| line.trim()));
    match first.chars().next() {
        Some('\'') => Some(quoted(&lines, '\'')),
        Some('"') => Some(quoted(&lines, '"')),
        Some('|') => Some(below.iter().map(|line| line.trim_start()).collect::<Vec<_>>().join("\n")),
        _ => {
            let text = fold(&lines);
            (!matches!(text.as_str(), "" | "null" | "~" | "{}" | "[]")).then_some(text)
        }
    }
}

/// One line break is a space, a blank line a line break.
fn fold(lines: &[&str]) -> String {
    let mut text = String::new();
    let mut breaks = 0;
    for (index, line) in lines.iter().enumerate() {
        if line.is_empty() {
            breaks += 1;
            continue;
        }
        if index > 0 && !text.is_empty() {
            if breaks > 0 { text.extend(std::iter::repeat_n('\n', breaks)) } else { text.push(' ') }
        }
        breaks = 0;
        text.push_str(line);
    }
    text
}

fn quoted(lines: &[&str], quote: char) -> String {
    // A backslash at the end of a line joins without a space.
    let joined = fold(lines).replace("\\ ", if quote == '"' { "" } else { "\\ " });
    let mut text = String::new();
    let mut chars = joined.chars().skip(1).peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if quote == '\'' => match chars.next_if_eq(&'\'') {
                Some(c) => text.push(c),
                None => break,
            },
            '"' if quote == '"' => break,
            '\\' if quote == '"' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('0') => text.push('\0'),
                Some(width @ ('x' | 'u' | 'U')) => {
                    let digits = match width {
                        'x' => 2,
                        'u' => 4,
                        _ => 8,
                    };
                    let code: String = chars.by_ref().take(digits).collect();
                    text.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                }
                Some(other) => text.push(other),
                None => break,
            },
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_of_all_kinds() {
        let text = "a: plain\nb: 'it''s'\nc: \"x\\ty\\u00e9\"\nd: null\ne: ''\nf: 12\ng: key: in value\nlong: 'one\n  two\n\n  three'\n\
                    folded: some words\n  and more\ntags:\n  mlflow.data.context: train\n  n: '1'\nlist:\n- a\n- b\nlast: z\n";
        let map = Mapping::parse(text);
        assert_eq!(map.get("a"), Some("plain"));
        assert_eq!(map.get("b"), Some("it's"));
        assert_eq!(map.get("c"), Some("x\tyé"));
        assert_eq!((map.get("d"), map.get("e"), map.filled("e")), (None, Some(""), None));
        assert_eq!(map.number("f"), Some(12));
        assert_eq!(map.get("g"), Some("key: in value"));
        assert_eq!(map.get("long"), Some("one two\nthree"));
        assert_eq!(map.get("folded"), Some("some words and more"));
        assert_eq!(map.inner("tags").collect::<Vec<_>>(), [("mlflow.data.context", "train"), ("n", "1")]);
        assert_eq!(map.get("last"), Some("z"));
        assert_eq!(Mapping::parse("tags: {}\nx: []").get("tags"), None);
    }

    #[test]
    fn nonsense_is_no_panic() {
        let mut rng = mynah_base::Rng::new(5);
        let pieces = ["a", ":", ": ", "'", "\"", "\\", "\n", " ", "  ", "-", "|", "é", "\\u12", "#"];
        for _ in 0..20_000 {
            let text: String = (0..rng.index(15)).map(|_| *rng.choose::<&str>(&pieces)).collect();
            let _ = Mapping::parse(&text);
        }
    }
}
