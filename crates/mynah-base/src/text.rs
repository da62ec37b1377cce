//! Texts that other programs read: markup and tables.

/// Text for XML and HTML, between tags and in quoted attributes. Control characters that XML forbids become
/// U+FFFD: a model or a client may write anything.
pub fn escape_markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A field of CSV (RFC 4180). What a spreadsheet would take for a formula, and is no number, gets a quote before
/// it.
pub fn csv_field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@']) && text.parse::<f64>().is_err();
    let text = if is_formula { format!("'{text}") } else { text.to_string() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_says_what_the_text_said() {
        assert_eq!(escape_markup("<a href=\"x\">'&'"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;");
        assert_eq!(escape_markup("a\n\tb\u{1}"), "a\n\tb\u{fffd}");
    }

    #[test]
    fn fields_are_quoted_and_no_formulas() {
        for (text, expect) in [
            ("plain", "plain"),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("-1.5e-3", "-1.5e-3"),
            ("=1+1", "'=1+1"),
            ("-x", "'-x"),
            ("@a,b", "\"'@a,b\""),
        ] {
            assert_eq!(csv_field(text), expect);
        }
    }
}
