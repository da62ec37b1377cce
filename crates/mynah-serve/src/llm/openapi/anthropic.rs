//! Requests of Anthropic's API.

use mynah_engine::live::STOP_TEXTS_MAX;
use serde_json::{Value, json};

use super::build::{
    Field, TOKENS_MAX, count, flag, free, integer, is, list, noted, number, object, one_of, or_null, share,
    string, text, words,
};

fn cached() -> Field {
    ("cache_control", noted("What requests share is cached without it."))
}

fn cited() -> Field {
    ("citations", noted("Of the answer that is sent back."))
}

fn text_block() -> Value {
    object(&["type", "text"], vec![("type", is("text")), ("text", string()), cached(), cited()])
}

fn message() -> Value {
    let blocks = vec![
        text_block(),
        object(
            &["type", "id", "name"],
            vec![
                ("type", is("tool_use")),
                ("id", string()),
                ("name", string()),
                ("input", free("The arguments.")),
                ("caller", noted("Who made the call.")),
                cached(),
                cited(),
            ],
        ),
        object(
            &["type", "thinking"],
            vec![
                ("type", is("thinking")),
                ("thinking", string()),
                ("signature", noted("There is nobody to check it.")),
                cached(),
                cited(),
            ],
        ),
        object(
            &["type"],
            vec![
                ("type", is("redacted_thinking")),
                ("data", noted("Nobody can read it.")),
                cached(),
                cited(),
            ],
        ),
        object(
            &["type", "tool_use_id"],
            vec![
                ("type", is("tool_result")),
                ("tool_use_id", string()),
                ("is_error", flag("The call failed.")),
                (
                    "content",
                    one_of(vec![string(), json!({"type": "array", "items": text_block()})], "What it gave."),
                ),
                cached(),
                cited(),
            ],
        ),
    ];
    let content = json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": blocks}}]});
    object(
        &["role", "content"],
        vec![("role", json!({"enum": ["user", "assistant", "system"]})), ("content", content)],
    )
}

/// What both calls share.
fn conversation() -> Vec<Field> {
    let system = one_of(vec![string(), json!({"type": "array", "items": text_block()})], "Instructions.");
    let tool = object(
        &["name", "input_schema"],
        vec![
            ("type", or_null(is("custom"))),
            ("name", json!({"type": "string", "pattern": "^[a-zA-Z0-9_.-]{1,256}$"})),
            ("description", text("What it does.")),
            ("input_schema", json!({"type": "object"})),
            cached(),
            ("strict", noted("Forced calls match the schema in any case.")),
            ("eager_input_streaming", noted("Calls come whole.")),
            ("input_examples", noted("Not told to the template.")),
            ("defer_loading", noted("All tools are told.")),
            ("allowed_callers", noted("The model calls.")),
        ],
    );
    let choice = object(
        &["type"],
        vec![
            ("type", json!({"enum": ["auto", "any", "tool", "none"]})),
            ("name", text("The tool, where the type is tool.")),
            ("disable_parallel_tool_use", flag("At most one call.")),
        ],
    );
    let thinking = object(
        &["type"],
        vec![
            ("type", json!({"enum": ["enabled", "disabled", "adaptive"]})),
            ("budget_tokens", count(1_024, TOKENS_MAX, "Told to templates that know it.")),
            ("display", noted("Thinking is given whole.")),
        ],
    );
    vec![
        ("model", text("Which model; may be left out where there is only one.")),
        ("messages", json!({"type": "array", "minItems": 1, "items": message()})),
        ("system", system),
        ("tools", list(tool, "Functions that the model may call.")),
        ("tool_choice", or_null(choice)),
        ("thinking", or_null(thinking)),
        ("service_tier", words(&["auto", "standard_only"], "There is one.")),
        ("metadata", noted("Of the client's own.")),
        ("inference_geo", noted("The answer is computed here.")),
        cached(),
    ]
}

/// `/v1/messages`
pub(super) fn messages() -> Value {
    let stop = json!({"type": "string", "minLength": 1});
    let stops = json!({"type": "array", "items": stop.clone(), "maxItems": STOP_TEXTS_MAX});
    let mut fields = conversation();
    fields.extend([
        ("max_tokens", json!({"type": "integer", "minimum": 1, "maximum": TOKENS_MAX})),
        ("temperature", number(0.0, 1.0, "0 takes the likeliest token; default 1.")),
        ("top_p", share("Only the likeliest tokens that together have this probability.")),
        ("top_k", integer(-1, i64::from(u32::MAX), "Only this many likeliest tokens.")),
        ("stop_sequences", one_of(vec![stop, stops], "Texts that end the answer.")),
        ("stream", flag("Named events instead of one answer.")),
    ]);
    object(&["messages", "max_tokens"], fields)
}

/// `/v1/messages/count_tokens`
pub(super) fn count_tokens() -> Value {
    object(&["messages"], conversation())
}
