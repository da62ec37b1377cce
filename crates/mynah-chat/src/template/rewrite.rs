//! `{% generation %} … {% endgeneration %}` marks what the model is trained on. The engine knows no such block, so its
//! tags become those of a block that only opens a scope, and the whitespace around them stays as it was.

/// Replaces the tags of generation blocks by those of `with` blocks, outside strings, comments and raw blocks.
pub(super) fn generation_blocks(source: &str) -> String {
    if !source.contains("generation") {
        return source.to_string();
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find('{') {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let end = match tag.as_bytes().get(1) {
            Some(b'#') => tag.find("#}").map(|at| at + 2),
            Some(b'{') => end_of_tag(tag, "}}"),
            Some(b'%') => match inside_of(tag) {
                Some((inside, end)) => {
                    let replacement = match inside.trim() {
                        "generation" => Some("with"),
                        "endgeneration" => Some("endwith"),
                        _ => None,
                    };
                    if let Some(word) = replacement {
                        out.push_str(&tag[..end].replacen(inside.trim(), word, 1));
                        rest = &tag[end..];
                        continue;
                    }
                    if inside.trim() == "raw" { end_of_raw(tag, end) } else { Some(end) }
                }
                None => None,
            },
            _ => Some(1),
        };
        // An unfinished tag: the engine's parser will say so.
        let end = end.unwrap_or(tag.len());
        out.push_str(&tag[..end]);
        rest = &tag[end..];
    }
    out.push_str(rest);
    out
}

/// Of a text that begins with `{%`: what is between the marks, and where the tag ends.
fn inside_of(tag: &str) -> Option<(&str, usize)> {
    let end = end_of_tag(tag, "%}")?;
    let inside = &tag[2..end - 2];
    Some((inside.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']), end))
}

/// Where a tag ends that closes with `close`, which strings may contain.
fn end_of_tag(tag: &str, close: &str) -> Option<usize> {
    let bytes = tag.as_bytes();
    let (mut at, mut quote) = (2, None);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'\'' | b'"')) => quote = Some(byte),
            (None, _) if bytes[at..].starts_with(close.as_bytes()) => return Some(at + close.len()),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the `endraw` tag ends that closes the raw block whose opening tag has `after` bytes.
fn end_of_raw(tag: &str, after: usize) -> Option<usize> {
    let mut at = after;
    while let Some(found) = tag[at..].find("{%") {
        at += found;
        match inside_of(&tag[at..]) {
            Some((inside, end)) if inside.trim() == "endraw" => return Some(at + end),
            _ => at += 2,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::generation_blocks;

    fn check(input: &str, expect: &str) {
        assert_eq!(generation_blocks(input), expect);
    }

    #[test]
    fn tags_become_scopes_and_keep_their_whitespace_marks() {
        check("a {% generation %}b{%- endgeneration -%} c", "a {% with %}b{%- endwith -%} c");
        check("{%-generation-%}x{%endgeneration%}", "{%-with-%}x{%endwith%}");
    }

    #[test]
    fn strings_comments_and_raw_blocks_stay() {
        for text in [
            "{{ '{% generation %}' }}",
            "{# {% generation %} #}",
            "{% raw %}{% generation %}{% endraw %}",
            "{% if add_generation_prompt %}{% endif %}",
            "{% set a = '%} {% generation %}' %}",
            "{ generation",
            "{% generation",
        ] {
            check(text, text);
        }
    }
}
