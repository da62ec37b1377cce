//! `/v1/chat/completions`.

mod answer;
mod ask;

pub(crate) use answer::{answer, scores};
pub(crate) use ask::{conversation, render_options};
