//! `/v1/responses`: OpenAI's Responses API.

mod answer;
mod ask;
mod assembly;
mod items;
mod store;
mod stored;

pub(crate) use answer::{answer, count_tokens};
pub(crate) use store::Store;
pub(crate) use stored::{delete, input_items, stored};
