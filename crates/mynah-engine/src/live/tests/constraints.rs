//! Whatever the model would rather say, what comes out is valid; what cannot be enforced is refused.

use mynah_base::Rng;
use serde_json::{Value, json};

use super::schema::is_valid;
use super::toy::{END, Toy, ToyCodec};
use super::*;
use crate::live::{Codec, Constraint, ConstraintSource, PromptLookup, Sampling, StopCause, TokenMask};
use crate::{ErrorKind, SamplingOptions};

/// The toy's tokens and longer ones, as JSON is cut by real tokenizers.
struct PieceCodec(Vec<Vec<u8>>);

impl PieceCodec {
    fn new() -> Self {
        let toy = ToyCodec::new();
        let mut pieces: Vec<Vec<u8>> =
            (0..toy.vocab_size() as u32).map(|id| toy.bytes(id).to_vec()).collect();
        let longer = [
            "{\"", "\"}", "\":", "\": ", "\",", "\", \"", "\":\"", "\": \"", "[]", "{}", "[\"", "\"]", "],",
            "},", "}}", "true", "false", "null", "name", "age", " a", "the", "12", "00", "2024", "-01",
            "\\\"", "\\n", "\\u00", "fo", "ob", "ar", "red", "gre", "é", " \n", "\n  ", "    ", "@", ".com",
            "x-", "one", "celsius", "location", "🐦",
        ];
        pieces.extend(longer.iter().map(|piece| piece.as_bytes().to_vec()));
        Self(pieces)
    }
}

impl Codec for PieceCodec {
    fn vocab_size(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self, id: u32) -> &[u8] {
        self.0.get(id as usize).map_or(&[], Vec::as_slice)
    }

    fn is_special(&self, id: u32) -> bool {
        (256..260).contains(&id)
    }

    fn end_ids(&self) -> &[u32] {
        &[END]
    }

    /// The longest piece each time.
    fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let fits = |id: &u32| !self.is_special(*id) && rest.starts_with(self.bytes(*id));
            let id = (0..self.0.len() as u32).filter(fits).max_by_key(|&id| self.bytes(id).len()).unwrap();
            rest = &rest[self.bytes(id).len()..];
            ids.push(id);
        }
        ids
    }
}

/// A text that random choices give under a constraint; `None` when it is not done after many tokens.
fn write(constraint: &mut dyn Constraint, codec: &dyn Codec, rng: &mut Rng) -> Option<String> {
    let mut mask = TokenMask::new(codec.vocab_size());
    let mut bytes = Vec::new();
    for _ in 0..1500 {
        constraint.mask(&mut mask).unwrap();
        let allowed: Vec<u32> = (0..codec.vocab_size() as u32).filter(|&id| mask.allows(id)).collect();
        // Random choices alone seldom close what they open.
        let closes = |id: &&u32| **id == END || b"\"]}".contains(&codec.bytes(**id)[0]);
        let closing: Vec<u32> = allowed.iter().filter(closes).copied().collect();
        let id =
            *if rng.chance(0.4) && !closing.is_empty() { rng.choose(&closing) } else { rng.choose(&allowed) };
        if id == END {
            return Some(String::from_utf8(bytes).unwrap());
        }
        constraint.commit(id).unwrap();
        bytes.extend_from_slice(if codec.is_special(id) { b"" } else { codec.bytes(id) });
        if constraint.is_finished() {
            return Some(String::from_utf8(bytes).unwrap());
        }
    }
    None
}

#[test]
fn every_schema_gives_valid_json_from_random_choices() {
    let codec = Arc::new(PieceCodec::new());
    let compiler = GrammarCompiler::new(codec.clone()).unwrap();
    let mut rng = Rng::new(1);
    let schemas = include_str!("../../../testdata/schemas.jsonl");
    let (mut count, mut texts) = (0, 0);
    for line in schemas.lines() {
        let schema: Value = serde_json::from_str(line).unwrap();
        let mut whole =
            compiler.compile(ConstraintSource::JsonSchema(schema.clone())).unwrap_or_else(|error| {
                panic!("{line}: {error}");
            });
        count += 1;
        let mut done = 0;
        for _ in 0..5 {
            let mut constraint = whole.fork();
            let Some(text) = write(constraint.as_mut(), codec.as_ref(), &mut rng) else { continue };
            let value: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {text:?}: {error}"));
            assert!(is_valid(&value, &schema, &schema), "{line}: {text}");
            done += 1;
        }
        assert!(done > 0, "{line}: never done");
        texts += done;
        // The original has not moved.
        let mut mask = TokenMask::new(codec.vocab_size());
        whole.mask(&mut mask).unwrap();
        assert!(!mask.is_empty());
    }
    assert!(count >= 50 && texts > count * 4, "{texts} texts of {count} schemas");
}

#[test]
fn other_grammars_are_matched_whole() {
    let codec = Arc::new(PieceCodec::new());
    let compiler = GrammarCompiler::new(codec.clone()).unwrap();
    let mut rng = Rng::new(2);
    let mut check = |source: &dyn Fn() -> ConstraintSource, holds: &dyn Fn(&str) -> bool| {
        for _ in 0..10 {
            let mut constraint = compiler.compile(source()).unwrap();
            let text = write(constraint.as_mut(), codec.as_ref(), &mut rng).unwrap();
            assert!(holds(&text), "{text:?} from {:?}", source());
        }
    };
    check(&|| ConstraintSource::Regex("[a-c]{2}-(x|yy)/".into()), &|text| {
        let (letters, rest) = text.split_once('-').unwrap();
        letters.len() == 2
            && letters.bytes().all(|byte| (b'a'..=b'c').contains(&byte))
            && ["x/", "yy/"].contains(&rest)
    });
    let choices = ["yes", "no", "with \"quotes\" and \\", "né 🐦"];
    check(&|| ConstraintSource::Choice(choices.map(String::from).to_vec()), &|text| choices.contains(&text));
    check(&|| ConstraintSource::JsonObject, &|text| {
        serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object())
    });
    let call = r#"start: <|call|> "f(" /[0-9]+/ ")" <|a|>"#;
    check(&|| ConstraintSource::Lark(call.into()), &|text| text.starts_with("f(") && text.ends_with(')'));
    let embedded =
        crate::live::bounded_schema(&json!({"type": "array", "items": {"type": "boolean"}})).unwrap();
    let grammar = format!("start: \"<call>\" args \"</call>\"\nargs: %json {embedded}");
    check(&|| ConstraintSource::Lark(grammar.clone()), &|text| {
        let inner = text.strip_prefix("<call>").and_then(|text| text.strip_suffix("</call>")).unwrap();
        serde_json::from_str::<Vec<bool>>(inner).is_ok()
    });
}

#[test]
fn what_cannot_be_enforced_is_named() {
    let compiler = compiler().unwrap();
    let check = |source: ConstraintSource, named: &str| {
        let error = compiler.compile(source).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Constraint);
        let message = error.to_string();
        assert!(message.contains(named) && !message.contains('\n'), "{message}");
    };
    for (schema, named) in [
        (json!({"not": {"type": "null"}}), "\"not\""),
        (json!({"type": "array", "uniqueItems": true}), "\"uniqueItems\""),
        (json!({"type": "array", "contains": {"type": "null"}}), "\"contains\""),
        (json!({"if": {"type": "null"}, "then": {}}), "\"if\""),
        (json!({"type": "object", "propertyNames": {"maxLength": 3}}), "\"propertyNames\""),
        (json!({"type": "object", "dependentRequired": {"a": ["b"]}}), "\"dependentRequired\""),
        (json!({"type": "object", "unevaluatedProperties": false}), "\"unevaluatedProperties\""),
        (json!({"oneOf": [{"minimum": 1}, {"maximum": 3}]}), "oneOf"),
        (json!({"type": "string", "format": "no-such-format"}), "no-such-format"),
        (json!({"type": "sting"}), "sting"),
        (json!({"$ref": "#/nowhere"}), "nowhere"),
        (json!({"$ref": "https://example.com/schema.json"}), "example.com"),
        (json!({"type": "integer", "minimum": 3, "maximum": 2}), "schema"),
        (json!({"type": "string", "x-guidance": {"lenient": true}}), "x-guidance"),
        (json!(false), "false"),
        (json!(3), "object"),
        (json!({"type": "string", "minLength": -1}), "minLength"),
    ] {
        check(ConstraintSource::JsonSchema(schema), named);
    }
    let mut deep = json!({"type": "null"});
    for _ in 0..200 {
        deep = json!({"type": "array", "items": deep});
    }
    check(ConstraintSource::JsonSchema(deep), "nested deeper than 100");
    check(ConstraintSource::Regex("(".into()), "regular expression");
    check(ConstraintSource::Regex(String::new()), "0 bytes");
    check(ConstraintSource::Lark("start: nowhere".into()), "nowhere");
    check(ConstraintSource::Choice(vec![]), "0 choices");
    check(ConstraintSource::Choice(vec!["a".into(), String::new()]), "empty text");
}

/// A request to the toy, whose closing tokens are more likely so that it comes to an end.
fn request(constraint: ConstraintSource, seed: u64) -> Request {
    let options = SamplingOptions { seed, ..SamplingOptions::default() };
    let logit_bias = b"\"}],:".iter().map(|&byte| (u32::from(byte), 3.0)).collect();
    Request {
        max_tokens: Some(400),
        sampling: Sampling { options, logit_bias, ..Sampling::default() },
        constraint: Some(constraint),
        logprobs: Some(1),
        ..Request::new(vec![65, 66])
    }
}

fn toy() -> Toy {
    let mut toy = Toy::new(200, 4);
    toy.context = 500;
    toy
}

#[test]
fn constrained_requests_run_together_and_are_valid() {
    let schema = json!({
        "type": "object",
        "properties": {"kind": {"enum": ["bird", "fish"]}, "legs": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["kind", "legs"],
        "additionalProperties": false
    });
    let mut core = core(toy(), EngineOptions { running_max: 6, ..EngineOptions::default() });
    let make =
        |seed: u64| Request { samples: 3, ..request(ConstraintSource::JsonSchema(schema.clone()), seed) };
    let tickets: Vec<Ticket> = (0..6).map(|seed| submit(&mut core, make(seed))).collect();
    finish(&mut core);
    for (seed, ticket) in tickets.iter().enumerate() {
        let seen = ticket.seen();
        assert_eq!(seen.texts, alone(toy(), make(seed as u64)).texts, "seed {seed}");
        for (text, finish) in seen.texts.iter().zip(&seen.finishes) {
            assert!(
                matches!(finish, Some(Finish::Stop(StopCause::Constraint | StopCause::End(_)))),
                "{seen:?}"
            );
            assert!(is_valid(&serde_json::from_str(text).unwrap(), &schema, &schema), "{text}");
        }
    }
    check_pages(&mut core);
}

#[test]
fn forced_tokens_are_read_together() {
    let schema = json!({
        "type": "object",
        "properties": {"a_long_property_name": {"const": "and a long value"}},
        "required": ["a_long_property_name"],
        "additionalProperties": false
    });
    let run = |draft_tokens_max: usize| {
        let options = EngineOptions { draft_tokens_max, ..EngineOptions::default() };
        let mut core = core(toy(), options);
        let ticket = submit(&mut core, request(ConstraintSource::JsonSchema(schema.clone()), 1));
        finish(&mut core);
        (ticket.seen().texts, core.metrics.steps, core.metrics.accepted_tokens)
    };
    let (texts, steps, accepted) = run(0);
    assert_eq!(accepted, 0);
    let (same, fewer_steps, accepted) = run(8);
    assert_eq!(texts, same);
    assert!(accepted > 20 && fewer_steps + 20 < steps, "{fewer_steps} of {steps} steps, {accepted} at once");
}

#[test]
fn a_constraint_without_end_token_ends_by_itself() {
    struct Endless(ToyCodec);
    impl Codec for Endless {
        fn vocab_size(&self) -> usize {
            256
        }
        fn bytes(&self, id: u32) -> &[u8] {
            self.0.bytes(id)
        }
        fn is_special(&self, _: u32) -> bool {
            false
        }
        fn end_ids(&self) -> &[u32] {
            &[]
        }
        fn encode(&self, text: &str) -> Vec<u32> {
            self.0.encode(text)
        }
    }
    let codec = Arc::new(Endless(ToyCodec::new()));
    let compiler = GrammarCompiler::new(codec.clone()).unwrap();
    let constraint = compiler.compile(ConstraintSource::Choice(vec!["done".into()])).unwrap();
    let mut core = Core::new(Box::new(toy()), codec, EngineOptions::default());
    let ticket = submit(&mut core, request(ConstraintSource::Custom(constraint), 1));
    finish(&mut core);
    assert_eq!(ticket.seen().texts, ["done"]);
    assert_eq!(ticket.seen().finishes, [Some(Finish::Stop(StopCause::Constraint))]);
}

#[test]
fn a_constraint_that_fails_or_panics_fails_its_request_only() {
    struct Broken(bool);
    impl Constraint for Broken {
        fn mask(&mut self, _: &mut TokenMask) -> crate::Result<()> {
            assert!(!self.0, "this constraint panics");
            Ok(())
        }
        fn commit(&mut self, _: u32) -> crate::Result<()> {
            Ok(())
        }
        fn is_finished(&self) -> bool {
            false
        }
        fn fork(&self) -> Box<dyn Constraint> {
            Box::new(Self(self.0))
        }
    }
    let options = EngineOptions { prompt_lookup: Some(PromptLookup::default()), ..EngineOptions::default() };
    let mut core = core(toy(), options);
    let broken = [true, false]
        .map(|panics| submit(&mut core, request(ConstraintSource::Custom(Box::new(Broken(panics))), 1)));
    let good = submit(&mut core, request(ConstraintSource::Choice(vec!["fine".into()]), 1));
    finish(&mut core);
    assert!(broken[0].seen().error.unwrap().contains("panicked"));
    assert!(broken[1].seen().error.unwrap().contains("allows no token"));
    assert_eq!(good.seen().texts, ["fine"]);
    check_pages(&mut core);
}

#[test]
fn a_token_that_is_named_by_its_number_is_forced_whether_special_or_not() {
    let codec = Arc::new(PieceCodec::new());
    let compiler = GrammarCompiler::new(codec.clone()).unwrap();
    let the = codec.encode("the")[0];
    for id in [the, 257] {
        let grammar = format!("start: <[{id}]> \"x-\" /[0-9]/");
        let mut constraint = compiler.compile(ConstraintSource::Lark(grammar)).unwrap();
        let mut mask = TokenMask::new(codec.vocab_size());
        constraint.mask(&mut mask).unwrap();
        let allowed: Vec<u32> = (0..codec.vocab_size() as u32).filter(|&id| mask.allows(id)).collect();
        assert_eq!(allowed, [id]);
        constraint.commit(id).unwrap();
        let text = write(constraint.as_mut(), codec.as_ref(), &mut Rng::new(3)).unwrap();
        assert!(text.starts_with("x-") && text.len() == 3, "{text}");
    }
}

#[test]
fn properties_come_in_the_order_of_the_schema() {
    let schema = r#"{"type": "object", "properties": {"z": {"const": 1}, "a": {"const": 2}, "m": {"const": 3}},
        "required": ["a", "m", "z"], "additionalProperties": false}"#;
    let source = ConstraintSource::JsonSchema(serde_json::from_str(schema).unwrap());
    let mut constraint = compiler().unwrap().compile(source).unwrap();
    let text = write(constraint.as_mut(), &ToyCodec::new(), &mut Rng::new(4)).unwrap();
    let packed: String = text.split_whitespace().collect();
    assert_eq!(packed, r#"{"z":1,"a":2,"m":3}"#);
}
