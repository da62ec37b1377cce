//! `mynah sample`: a base model continues a text.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use mynah_engine::{Limits, Request};
use mynah_tokenizer::Special;

use super::Sampling;
use crate::failure::Result;
use crate::model::{LoadedModel, Voice};

#[derive(Args)]
#[command(
    after_help = "Example:\n  mynah sample --model my-run/base -p \"Once upon a time\" --rows 3 --temperature 0.8"
)]
pub struct Arguments {
    /// A run's folder or a model's own (default: the last speedrun)
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Another tokenizer than the one beside the model
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// The text to continue; without it the model begins a new document
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    prompt: String,
    /// How many continuations
    #[arg(long, value_name = "N", default_value_t = 1)]
    rows: usize,
    #[command(flatten)]
    sampling: Sampling,
    /// One JSON object a row: {"prompt","text","tokens","finish"}
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let model = LoadedModel::open(arguments.model.as_deref(), arguments.tokenizer.as_deref())?;
    let voice = Voice::new(&model.gpt, &model.tokenizer);
    let bos = model.tokenizer.special(Special::Bos);
    let mut prompt = vec![bos];
    prompt.extend(model.tokenizer.encode_ordinary(&arguments.prompt));
    let request = Request {
        prompt,
        rows: arguments.rows.max(1),
        first_row: 0,
        options: arguments.sampling.options(0.8),
        limits: Limits {
            max_tokens: arguments.sampling.max_tokens,
            // A new document begins with this token, so the old one has ended.
            stop_ids: vec![bos],
            stop_texts: arguments.sampling.stop.clone(),
        },
    };
    let streaming = request.rows == 1 && !arguments.json;
    let mut out = std::io::stdout().lock();
    if streaming {
        let _ = write!(out, "{}", arguments.prompt);
    }
    let rows = voice.plain_generator().generate(&request, &mut |_, piece| {
        let written =
            if streaming { write!(out, "{}", piece.text).and_then(|()| out.flush()) } else { Ok(()) };
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    for row in &rows {
        // A reader who has gone away is no failure.
        let _ = if arguments.json {
            let finish = crate::commands::chat::finish_name(&row.finish);
            let line = serde_json::json!({
                "prompt": arguments.prompt, "text": row.text, "tokens": row.ids.len(), "finish": finish,
            });
            writeln!(out, "{line}")
        } else if streaming {
            writeln!(out)
        } else {
            writeln!(out, "{}{}\n", arguments.prompt, row.text)
        };
    }
    Ok(())
}
