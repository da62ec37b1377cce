//! `/v1/messages` and `/v1/messages/count_tokens`: Anthropic's API.

mod answer;
mod ask;

pub(crate) use answer::{answer, count_tokens};
