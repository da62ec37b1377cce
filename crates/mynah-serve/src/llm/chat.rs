//! `/v1/chat/completions`.

mod answer;
mod ask;

pub(crate) use answer::answer;
pub(crate) use ask::{conversation, render_options};
