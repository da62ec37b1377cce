//! `/tokenize` and `/detokenize`: text and ids into each other, as the model sees them.

use axum::body::Body;
use axum::http::Response;
use serde_json::json;

use super::catalogue::Entry;
use super::failure::{Failure, Outcome};
use super::input::Input;
use super::model::Tokens;
use super::{App, chat, json_response, turn};

/// A text or a conversation into ids.
pub(crate) async fn tokenize(app: &App, mut body: Input) -> Outcome<Response<Body>> {
    let model = app.named(&mut body)?;
    app.work(move || {
        let (tokens, context) = codec(&model);
        let with_texts = body.flag("return_token_strs")?.unwrap_or(false);
        let ids = if body.has("messages") {
            let Entry::Generator(model) = &model else {
                return Err(Failure::field(
                    "messages",
                    "an embedding model has no conversations; give prompt",
                ));
            };
            let options = chat::render_options(&mut body)?;
            let conversation = chat::conversation(&mut body)?;
            turn::prompt(&conversation, &options, model)?.ids
        } else {
            let text = body.text_needed("prompt")?;
            match body.flag("add_special_tokens")?.unwrap_or(true) {
                true => tokens.prompt_of_text(&text).map_err(|why| Failure::field("prompt", why))?,
                false => tokens.encode(&text),
            }
        };
        body.finish()?;
        let texts: Option<Vec<_>> = with_texts
            .then(|| ids.iter().map(|id| String::from_utf8_lossy(tokens.bytes(*id)).into_owned()).collect());
        let count = ids.len();
        Ok(json_response(&json!({
            "tokens": ids, "count": count, "max_model_len": context, "token_strs": texts,
        })))
    })
    .await
}

/// A model's tokenizer, and the most tokens that it reads.
fn codec(model: &Entry) -> (&dyn Tokens, usize) {
    match model {
        Entry::Generator(model) => (model.tokens.as_ref(), model.engine.context_length()),
        Entry::Embedder(model) => (model.tokens.as_ref(), model.context_length),
    }
}

/// Ids into text.
pub(crate) async fn detokenize(app: &App, mut body: Input) -> Outcome<Response<Body>> {
    let model = app.named(&mut body)?;
    let (tokens, _) = codec(&model);
    let ids = body.list("tokens")?.ok_or_else(|| body.absent("tokens"))?;
    body.finish()?;
    let mut bytes = Vec::new();
    for id in ids {
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let id = id.filter(|id| (*id as usize) < tokens.vocab_size());
        let id = id.ok_or_else(|| {
            let most = tokens.vocab_size().saturating_sub(1);
            Failure::field("tokens", format!("tokens must hold token ids, here 0 to {most}"))
        })?;
        bytes.extend_from_slice(tokens.bytes(id));
    }
    Ok(json_response(&json!({"prompt": String::from_utf8_lossy(&bytes)})))
}
