//! Requests of OpenAI's API.

use mynah_engine::live::{SAMPLES_MAX, STOP_TEXTS_MAX};
use serde_json::{Value, json};

use super::build::{
    Field, TOKENS_MAX, count, flag, free, integer, is, list, noted, number, object, one_of, or_null, share,
    string, text, words,
};

const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];

fn model() -> Field {
    ("model", text("Which model; may be left out where there is only one."))
}

/// One text or a list of them.
fn texts(what: &str) -> Value {
    let some = json!({"type": "string", "minLength": 1});
    one_of(vec![some.clone(), json!({"type": "array", "items": some, "maxItems": STOP_TEXTS_MAX})], what)
}

/// How tokens are chosen: OpenAI's fields, and those that vLLM has added.
fn sampling() -> Vec<Field> {
    vec![
        ("temperature", number(0.0, 2.0, "0 takes the likeliest token; default 1.")),
        ("top_p", share("Only the likeliest tokens that together have this probability; default 1.")),
        ("top_k", integer(-1, i64::from(u32::MAX), "Only this many likeliest tokens; -1 and 0 for all.")),
        ("min_p", number(0.0, 1.0, "Only tokens at least this likely, relative to the likeliest.")),
        ("typical_p", share("Locally typical sampling; default 1.")),
        ("repetition_penalty", number(0.01, 100.0, "Divides logits of tokens that were there; default 1.")),
        ("presence_penalty", number(-2.0, 2.0, "Taken off logits of tokens that were written.")),
        ("frequency_penalty", number(-2.0, 2.0, "The same for each time a token was written.")),
        (
            "logit_bias",
            json!({
                "description": "Added to logits, by token id.",
                "anyOf": [
                    {"type": "object", "propertyNames": {"pattern": "^[0-9]{1,5}$"},
                        "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}},
                    {"type": "array", "maxItems": 0}, {"type": "null"},
                ],
            }),
        ),
        ("seed", integer(i64::MIN, i64::MAX, "The same seed gives the same text, alone and in company.")),
        ("stop", texts("Texts that end the answer.")),
        (
            "stop_token_ids",
            list(json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}), "Tokens that do."),
        ),
        ("ignore_eos", flag("Goes on after the model's end token.")),
        ("include_stop_str_in_output", flag("The stop text is part of the answer.")),
        ("skip_special_tokens", flag("Special tokens do not appear in the text; default true.")),
        ("priority", integer(-100, 100, "Greater goes first.")),
    ]
}

fn stream() -> Vec<Field> {
    let options = vec![
        ("include_usage", flag("A last chunk with usage.")),
        ("include_obfuscation", only_false("Nothing is added here.")),
    ];
    vec![
        ("stream", flag("Server-sent events instead of one answer.")),
        ("stream_options", or_null(object(&[], options))),
    ]
}

fn only_false(what: &str) -> Value {
    json!({"type": ["boolean", "null"], "enum": [false, null], "description": what})
}

/// What the chat template is told.
fn template() -> Vec<Field> {
    vec![
        ("chat_template_kwargs", free("Variables for the chat template.")),
        ("reasoning_effort", words(&EFFORTS, "For templates that know it; none switches thinking off.")),
        ("add_generation_prompt", flag("The prompt ends where an answer begins; default true.")),
        ("continue_final_message", flag("The last message is gone on with.")),
    ]
}

/// Messages and tools, which are read by the conversation itself.
fn conversation() -> Vec<Field> {
    let part = one_of(
        vec![string(), object(&["type", "text"], vec![("type", is("text")), ("text", string())])],
        "A part of a text.",
    );
    let call = object(
        &["type", "function"],
        vec![
            ("id", string()),
            ("type", is("function")),
            ("function", object(&["name"], vec![("name", string()), ("arguments", string())])),
        ],
    );
    let message = json!({
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
            "content": {"anyOf": [{"type": "string"}, {"type": "null"}, {"type": "array", "items": part}]},
            "name": text("The speaker's name."),
            "reasoning_content": text("What an assistant thought."),
            "tool_calls": {"type": ["array", "null"], "items": call},
            "tool_call_id": text("The call that a tool's message answers."),
        },
    });
    let function = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "pattern": "^[a-zA-Z0-9_.-]{1,256}$"},
            "description": {"type": "string"},
            "parameters": {"type": "object"},
        },
    });
    let tool = json!({"type": "object", "required": ["type", "function"],
        "properties": {"type": is("function"), "function": function}});
    vec![
        ("messages", json!({"type": "array", "minItems": 1, "items": message})),
        ("tools", list(tool, "Functions that the model may call.")),
        ("documents", list(json!({"type": "object"}), "For templates with retrieval.")),
    ]
}

fn choice_of_tools() -> Value {
    let named = json!({"type": "object", "required": ["type", "function"], "properties": {
        "type": is("function"), "function": {"type": "object", "required": ["name"],
            "properties": {"name": string()}}}});
    one_of(vec![json!({"enum": ["none", "auto", "required"]}), named], "Whether and which tool is called.")
}

/// `/v1/chat/completions`
pub(super) fn chat() -> Value {
    let format = one_of(
        vec![
            object(&["type"], vec![("type", json!({"enum": ["text", "json_object"]}))]),
            object(
                &["type", "json_schema"],
                vec![
                    ("type", is("json_schema")),
                    (
                        "json_schema",
                        object(
                            &["schema"],
                            vec![
                                ("name", noted("The schema's name.")),
                                ("description", noted("What it is for.")),
                                ("strict", noted("The answer matches the schema in any case.")),
                                ("schema", json!({"type": "object"})),
                            ],
                        ),
                    ),
                ],
            ),
        ],
        "What the text must look like.",
    );
    let mut fields = vec![model()];
    fields.extend(conversation());
    fields.extend(sampling());
    fields.extend(stream());
    fields.extend(template());
    fields.extend([
        ("max_completion_tokens", count(1, TOKENS_MAX, "The longest answer.")),
        ("max_tokens", count(1, TOKENS_MAX, "The same, by its older name.")),
        ("n", count(1, SAMPLES_MAX as u64, "Answers to the one prompt; default 1.")),
        ("logprobs", flag("Log probabilities of the tokens.")),
        ("top_logprobs", count(0, 20, "And of this many others a token.")),
        ("tool_choice", choice_of_tools()),
        ("parallel_tool_calls", flag("More than one call an answer; default true.")),
        ("return_weights", flag("Choices tell which version of the weights wrote which tokens.")),
        ("tool_stream", words(&["complete", "incremental"], "Calls whole or while they are written.")),
        ("response_format", format),
        ("guided_json", one_of(vec![json!({"type": "object"}), string()], "A JSON schema.")),
        ("guided_regex", text("A regular expression.")),
        ("guided_grammar", text("A grammar in Lark's form.")),
        ("guided_choice", texts("The answer is one of these.")),
        ("store", only_false("Chat answers are not kept; /v1/responses are.")),
        ("modalities", list(is("text"), "Only text.")),
        ("service_tier", words(&["auto", "default"], "There is one.")),
        ("verbosity", words(&["medium"], "The models have no such setting.")),
        ("user", noted("Whose request it is.")),
        ("metadata", noted("Of the client's own.")),
        ("safety_identifier", noted("Whose request it is.")),
        ("prompt_cache_key", noted("What requests share is cached without it.")),
        ("prompt_cache_retention", noted("What is cached stays as long as there is room.")),
    ]);
    object(&["messages"], fields)
}

/// `/v1/completions`
pub(super) fn completions() -> Value {
    let mut fields = vec![model(), ("prompt", text_or_ids("What to go on with."))];
    fields.extend(sampling());
    fields.extend(stream());
    fields.extend([
        ("max_tokens", count(0, TOKENS_MAX, "The longest answer; default 16. 0 goes with echo.")),
        ("n", count(1, SAMPLES_MAX as u64, "Answers a prompt; default 1.")),
        ("best_of", count(1, SAMPLES_MAX as u64, "Must equal n.")),
        ("return_weights", flag("Choices tell which version of the weights wrote which tokens.")),
        ("echo", flag("The prompt is part of the answer.")),
        ("logprobs", count(0, 20, "Log probabilities of the tokens and of this many others.")),
        ("user", noted("Whose request it is.")),
    ]);
    object(&["prompt"], fields)
}

/// A text, token ids, or a list of either.
fn text_or_ids(what: &str) -> Value {
    let ids = json!({"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}});
    let kinds = vec![
        json!({"type": "string", "minLength": 1}),
        json!({"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}),
        ids.clone(),
        json!({"type": "array", "minItems": 1, "items": ids}),
    ];
    json!({"anyOf": kinds, "description": what})
}

/// `/v1/embeddings`
pub(super) fn embeddings() -> Value {
    let fields = vec![
        model(),
        ("input", text_or_ids("What to embed; each text on its own.")),
        (
            "encoding_format",
            words(&["float", "base64"], "Numbers, or little-endian 32-bit floats in base64."),
        ),
        ("dimensions", count(1, TOKENS_MAX, "The first so many, made to have length 1 again.")),
        ("user", noted("Whose request it is.")),
    ];
    object(&["input"], fields)
}

/// What `/v1/responses` and the count of its tokens share.
fn response_conversation() -> Vec<Field> {
    let status = || words(&["in_progress", "completed", "incomplete"], "As it was given.");
    let given = || {
        let breakpoint = noted("What requests share is cached without it.");
        let fields =
            vec![("type", is("input_text")), ("text", string()), ("prompt_cache_breakpoint", breakpoint)];
        object(&["type", "text"], fields)
    };
    let part = || {
        one_of(
            vec![
                given(),
                object(
                    &["type", "text"],
                    vec![
                        ("type", is("output_text")),
                        ("text", string()),
                        ("annotations", noted("Of the answer that is sent back.")),
                        ("logprobs", noted("Of the answer that is sent back.")),
                    ],
                ),
                object(&["type", "refusal"], vec![("type", is("refusal")), ("refusal", string())]),
            ],
            "A part of a message; the last two of the assistant's.",
        )
    };
    let content = || json!({"anyOf": [{"type": "string"}, {"type": "array", "items": part()}]});
    let of_text =
        |kind| list(object(&["type", "text"], vec![("type", is(kind)), ("text", string())]), "Texts.");
    let made_by = noted("Who made the call.");
    let items = vec![
        object(
            &["role", "content"],
            vec![
                ("type", or_null(is("message"))),
                ("id", text("Its name.")),
                ("role", json!({"enum": ["user", "assistant", "system", "developer"]})),
                ("content", content()),
                ("status", status()),
                ("phase", words(&["commentary", "final_answer"], "Of an assistant's message.")),
            ],
        ),
        object(
            &["type", "call_id", "name", "arguments"],
            vec![
                ("type", is("function_call")),
                ("id", text("Its name.")),
                ("call_id", string()),
                ("name", string()),
                ("arguments", string()),
                ("status", status()),
                ("caller", made_by.clone()),
                ("created_by", made_by.clone()),
            ],
        ),
        object(
            &["type", "call_id", "output"],
            vec![
                ("type", is("function_call_output")),
                ("id", text("Its name.")),
                ("call_id", string()),
                ("output", json!({"anyOf": [{"type": "string"}, {"type": "array", "items": given()}]})),
                ("name", noted("The function's.")),
                ("status", status()),
                ("caller", made_by.clone()),
                ("created_by", made_by),
            ],
        ),
        object(
            &["type"],
            vec![
                ("type", is("reasoning")),
                ("id", text("Its name.")),
                ("summary", of_text("summary_text")),
                ("content", of_text("reasoning_text")),
                ("status", status()),
            ],
        ),
        object(
            &["id"],
            vec![("type", or_null(is("item_reference"))), ("id", string()), ("status", status())],
        ),
    ];
    let tool = object(
        &["type", "name"],
        vec![
            ("type", is("function")),
            ("name", json!({"type": "string", "pattern": "^[a-zA-Z0-9_.-]{1,256}$"})),
            ("description", text("What it does.")),
            ("parameters", free("The JSON schema of its arguments.")),
            ("strict", flag("Told to the template.")),
        ],
    );
    let one_tool = || object(&["type", "name"], vec![("type", is("function")), ("name", string())]);
    let choice = one_of(
        vec![
            json!({"enum": ["none", "auto", "required"]}),
            one_tool(),
            object(
                &["type", "mode", "tools"],
                vec![
                    ("type", is("allowed_tools")),
                    ("mode", json!({"enum": ["auto", "required"]})),
                    ("tools", json!({"type": "array", "items": one_tool()})),
                ],
            ),
        ],
        "Whether and which tool is called.",
    );
    let format = one_of(
        vec![
            object(&["type"], vec![("type", json!({"enum": ["text", "json_object"]}))]),
            object(
                &["type", "name", "schema"],
                vec![
                    ("type", is("json_schema")),
                    ("name", string()),
                    ("description", text("What it is for.")),
                    ("strict", flag("The answer matches the schema in any case.")),
                    ("schema", json!({"type": "object"})),
                ],
            ),
        ],
        "What the text must look like.",
    );
    vec![
        model(),
        ("input", json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": items}}]})),
        ("previous_response_id", text("The kept response that this one goes on from.")),
        ("instructions", text("A system message of this response alone.")),
        ("tools", list(tool, "Functions that the model may call.")),
        ("tool_choice", choice),
        ("parallel_tool_calls", flag("More than one call an answer; default true.")),
        (
            "text",
            or_null(object(
                &[],
                vec![
                    ("format", format),
                    ("verbosity", words(&["medium"], "The models have no such setting.")),
                ],
            )),
        ),
        (
            "reasoning",
            or_null(object(
                &[],
                vec![
                    ("effort", words(&EFFORTS, "For templates that know it; none switches thinking off.")),
                    ("summary", words(&["auto"], "Reasoning is given whole.")),
                    ("generate_summary", words(&["auto"], "The same, by its older name.")),
                    ("context", words(&["auto"], "The template decides.")),
                    ("mode", words(&["standard"], "There is one.")),
                ],
            )),
        ),
        ("chat_template_kwargs", free("Variables for the chat template.")),
        ("truncation", words(&["disabled"], "Nothing is ever cut.")),
    ]
}

/// `/v1/responses`
pub(super) fn responses() -> Value {
    let mut fields = response_conversation();
    fields.extend(sampling());
    fields.extend([
        ("max_output_tokens", count(1, TOKENS_MAX, "The longest answer, reasoning included.")),
        ("include", list(is("message.output_text.logprobs"), "What answers hold besides.")),
        ("top_logprobs", count(0, 20, "Others a token, with their log probabilities.")),
        ("stream", flag("Server-sent events instead of one answer.")),
        (
            "stream_options",
            or_null(object(&[], vec![("include_obfuscation", only_false("Nothing is added here."))])),
        ),
        ("store", flag("Keeps the response for later requests; default true.")),
        ("max_tool_calls", count(1, TOKENS_MAX, "Counts tools of the provider's own, of which there are none.")),
        ("metadata", json!({"type": ["object", "null"], "maxProperties": 16,
            "propertyNames": {"maxLength": 64}, "additionalProperties": {"type": "string", "maxLength": 512}})),
        ("background", only_false("An answer ends when its client goes away.")),
        ("service_tier", words(&["auto", "default"], "There is one.")),
        ("user", text("Whose request it is.")),
        ("safety_identifier", text("Whose request it is.")),
        ("prompt_cache_key", text("What requests share is cached without it.")),
        ("prompt_cache_retention", noted("What is cached stays as long as there is room.")),
    ]);
    object(&["input"], fields)
}

/// `/v1/responses/input_tokens`
pub(super) fn response_tokens() -> Value {
    object(&["input"], response_conversation())
}

/// `/tokenize`
pub(super) fn tokenize() -> Value {
    let mut fields = vec![
        model(),
        ("prompt", text("A text.")),
        ("add_special_tokens", flag("What the tokenizer puts before every text; default true.")),
        ("return_token_strs", flag("The tokens' texts, too.")),
    ];
    fields.extend(conversation());
    fields.extend(template());
    let mut schema = object(&[], fields);
    schema["anyOf"] = json!([{"required": ["prompt"]}, {"required": ["messages"]}]);
    schema
}

/// `/detokenize`
pub(super) fn detokenize() -> Value {
    let ids = json!({"type": "array", "items": {"type": "integer", "minimum": 0}});
    object(&["tokens"], vec![model(), ("tokens", ids)])
}

/// `/v1/load_lora_adapter`
pub(super) fn load_adapter() -> Value {
    let fields = vec![
        ("lora_name", json!({"type": "string", "minLength": 1, "maxLength": 256})),
        ("lora_path", string()),
        ("base_model_name", text("The model that it changes, where there are several.")),
        ("load_inplace", flag("Replaces the adapter of this name.")),
    ];
    object(&["lora_name", "lora_path"], fields)
}

/// `/v1/unload_lora_adapter`
pub(super) fn unload_adapter() -> Value {
    let number = count(1, TOKENS_MAX, "Only if it has this number.");
    object(&["lora_name"], vec![("lora_name", string()), ("lora_int_id", number)])
}
