//! What models get wrong in ways that leave no doubt about what they meant, put right by pure functions; each says why
//! it exists. Whatever could have been meant as it stands, stays.

/// Nine letters and digits for any call id: the id itself if it is of that kind.
///
/// Mistral's templates refuse every other id, and a conversation may hold ids that another model or client has made.
/// The same id always gives the same text, so calls and results still match (FNV-1a, 64 bits, in base 62).
pub fn mistral_call_id(id: &str) -> String {
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.to_string();
    }
    const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    // The low bits of FNV alone mix too little.
    hash ^= hash >> 29;
    let mut text = String::with_capacity(9);
    for _ in 0..9 {
        text.push(char::from(DIGITS[(hash % 62) as usize]));
        hash /= 62;
    }
    text
}

/// The function's name in a Kimi call id: `functions.get_weather:0` is a call of `get_weather`.
///
/// Kimi K2 writes no name but this id, and its template wants the id back as it was.
pub fn kimi_name(id: &str) -> &str {
    let id = id.trim();
    let id = id.strip_prefix("functions.").unwrap_or(id);
    match id.rsplit_once(':') {
        Some((name, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            name
        }
        _ => id,
    }
}

/// JSON text with the braces and brackets it lacks at its end, if that makes it an object.
///
/// Small Qwen and Hermes models forget the last brace before `</tool_call>`. Only closing marks are added, nothing that
/// the model wrote is changed, and text cut off in the middle of a value stays invalid.
pub fn close_json(text: &str) -> Option<String> {
    let (mut open, mut in_string, mut escaped) = (Vec::new(), false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' if open.pop() != Some(c) => return None,
            _ => {}
        }
    }
    if in_string {
        return None;
    }
    let mut closed = text.trim_end().to_string();
    closed.extend(open.into_iter().rev());
    is_object(&closed).then_some(closed)
}

/// Arguments that were given as text holding a JSON object, as that object.
///
/// Some models copy OpenAI's wire form, where `arguments` is a string, into formats where it is an object. A text that
/// holds anything but an object is not touched (and is not a call).
pub fn arguments_in_text(arguments: &str) -> Option<String> {
    let text: String = serde_json::from_str(arguments).ok()?;
    let text = text.trim();
    if text.is_empty() {
        return Some("{}".to_string());
    }
    is_object(text).then(|| text.to_string())
}

/// Arguments nested deeper are refused: JSON readers stop at 128.
pub(crate) const DEPTH_MAX: usize = 120;

/// Whether a text is a JSON object that any reader can take. Numbers too large for a float pass, as they do in JSON: their
/// text is handed on unread.
pub(crate) fn is_object(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return false;
        }
    }
    text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistral_ids_are_nine_letters_and_stay_apart() {
        assert_eq!(mistral_call_id("aB3dE6gH9"), "aB3dE6gH9");
        let ids: std::collections::HashSet<String> =
            (0..1000).map(|i| mistral_call_id(&format!("call_{i}"))).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())));
    }

    #[test]
    fn kimi_ids_name_the_function() {
        for (id, name) in [
            ("functions.get_weather:0", "get_weather"),
            ("get_weather:12", "get_weather"),
            ("functions.a.b:3", "a.b"),
            ("plain", "plain"),
            ("odd:name", "odd:name"),
        ] {
            assert_eq!(kimi_name(id), name);
        }
    }

    #[test]
    fn only_closing_marks_are_added() {
        assert_eq!(close_json("{\"a\": {\"b\": [1]}").as_deref(), Some("{\"a\": {\"b\": [1]}}"));
        assert_eq!(close_json("{\"a\": \"}").as_deref(), None);
        assert_eq!(close_json("{\"a\": ").as_deref(), None);
        assert_eq!(close_json("{\"a\": 1]").as_deref(), None);
        assert_eq!(close_json("[1").as_deref(), None);
    }

    #[test]
    fn objects_are_known_by_their_form() {
        for text in ["{}", " {\"a\": [1e999]}", "{\"a\": \"[[[\"}"] {
            assert!(is_object(text), "{text}");
        }
        for text in ["[]", "{", "{'a': 1}", "{\"a\": 01}", "{} x", ""] {
            assert!(!is_object(text), "{text}");
        }
        assert!(!is_object(&format!("{{\"a\": {}{}}}", "[".repeat(200), "]".repeat(200))));
    }

    #[test]
    fn text_is_unwrapped_only_when_it_is_an_object() {
        assert_eq!(arguments_in_text("\"{\\\"a\\\": 1}\"").as_deref(), Some("{\"a\": 1}"));
        assert_eq!(arguments_in_text("\"\"").as_deref(), Some("{}"));
        assert_eq!(arguments_in_text("\"Artist - Song.mp3\""), None);
        assert_eq!(arguments_in_text("\"[1]\""), None);
    }
}
