//! A tiny template language, enough for grammatical small text.
//!
//! `[one|two [red|blue]|three]` picks an alternative, each as likely, also nested. `{name}` puts in the value of
//! a slot, `{Name}` the same with a capital, `{a name}` and `{A name}` with the right article before it. All
//! templates are ours and static, so a mistake in one is a bug: it panics, and a test expands every template.

use mynah_base::Rng;

/// The values of the slots: name and text.
pub type Slots<'a> = [(&'a str, &'a str)];

/// Expands a template.
///
/// # Panics
/// When a bracket does not close or a slot has no value: both are mistakes in our own tables.
pub fn expand(template: &str, slots: &Slots<'_>, rng: &mut Rng) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    expand_into(template, slots, rng, &mut out);
    out
}

/// Expands one of the templates, each as likely.
///
/// # Panics
/// As [`expand`].
pub fn expand_one(templates: &[&str], slots: &Slots<'_>, rng: &mut Rng) -> String {
    let template = templates[rng.index(templates.len())];
    expand(template, slots, rng)
}

fn expand_into(template: &str, slots: &Slots<'_>, rng: &mut Rng, out: &mut String) {
    let mut rest = template;
    while let Some(at) = rest.find(['[', '{']) {
        out.push_str(&rest[..at]);
        if rest.as_bytes()[at] == b'[' {
            let (inside, after) = bracket(&rest[at + 1..]);
            let choices = alternatives(inside);
            expand_into(choices[rng.index(choices.len())], slots, rng, out);
            rest = after;
        } else {
            let end = rest[at..].find('}').unwrap_or_else(|| panic!("unclosed slot in {template:?}")) + at;
            put_slot(&rest[at + 1..end], slots, out);
            rest = &rest[end + 1..];
        }
    }
    out.push_str(rest);
}

/// What is inside the bracket that has just been opened, and what follows it.
fn bracket(text: &str) -> (&str, &str) {
    let mut depth = 1;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (&text[..at], &text[at + 1..]);
        }
    }
    panic!("unclosed bracket in {text:?}")
}

/// The alternatives of a bracket, cut at the bars outside inner brackets.
fn alternatives(inside: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            b'|' if depth == 0 => {
                found.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&inside[start..]);
    found
}

fn put_slot(key: &str, slots: &Slots<'_>, out: &mut String) {
    let (with_article, capital_article, name) = match (key.strip_prefix("a "), key.strip_prefix("A ")) {
        (Some(name), _) => (true, false, name),
        (_, Some(name)) => (true, true, name),
        _ => (false, false, key),
    };
    let exact = slots.iter().find(|(slot, _)| *slot == name);
    let (value, capital) = match exact {
        Some((_, value)) => (*value, false),
        None => {
            let lower = lower_first(name);
            let found = slots.iter().find(|(slot, _)| *slot == lower);
            (found.unwrap_or_else(|| panic!("no slot {name:?}")).1, true)
        }
    };
    if with_article {
        let article = article(value);
        out.push_str(if capital_article { capital_of(article) } else { article });
        out.push(' ');
    }
    if capital {
        out.push_str(&upper_first(value));
    } else {
        out.push_str(value);
    }
}

fn capital_of(article: &str) -> &'static str {
    if article == "an" { "An" } else { "A" }
}

/// `a` or `an`, by the sound that the word begins with.
pub fn article(word: &str) -> &'static str {
    let word = word.to_ascii_lowercase();
    let silent_h = ["hour", "honest", "honor"].iter().any(|p| word.starts_with(p));
    let sounds_like_you = ["uni", "use", "usu", "one", "eu"].iter().any(|p| word.starts_with(p));
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']);
    if silent_h || (vowel && !sounds_like_you) { "an" } else { "a" }
}

/// The text with its first letter as a capital.
pub fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + chars.as_str())
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().collect::<String>() + chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_slots_articles_and_alternatives() {
        let slots = [("name", "Mia"), ("thing", "umbrella"), ("kind", "owl"), ("he", "she")];
        let check = |template: &str, expect: &str| {
            assert_eq!(expand(template, &slots, &mut Rng::new(1)), expect, "{template}");
        };
        check("{name} has {a thing}.", "Mia has an umbrella.");
        check("{A kind} came. {He} sat.", "An owl came. She sat.");
        check("[only]", "only");
        check("", "");
        let mut seen = std::collections::BTreeSet::new();
        let mut rng = Rng::new(2);
        for _ in 0..200 {
            seen.insert(expand("[a|b[1|2]|]", &slots, &mut rng));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["", "a", "b1", "b2"]);
        assert_eq!(
            (article("hour"), article("unicorn"), article("egg"), article("fox")),
            ("an", "a", "an", "a")
        );
    }
}
