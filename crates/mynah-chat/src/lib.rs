//! Conversations in a model's own format: a chat template turns messages into the prompt, and parsers turn what the
//! model writes back into text, reasoning and tool calls.
//!
//! # The key decision
//!
//! Everything here is a pure function of text. [`Template`] renders messages as transformers does; [`Parser`] splits an
//! answer into [`Event`]s, the same ones however the text arrives; [`grammar`] writes the constraint under which a model
//! can only write calls that the parser reads. The three meet in [`ToolFormat`], which is detected from the template: a
//! model's format is a property of what it was trained on, and the template is the only file that tells.
//!
//! A call is reported whole. Passing its arguments on while they arrive looks quicker, but a call that turns out to be
//! none cannot be taken back from a client, and text that speaks about tool calls is as common as calls. So the parser
//! waits for the end of the call, and whatever is no call comes out as text, to the last byte.
//!
//! Where a client waits for long arguments (a file that is written), [`Parser::incremental`] passes them on once the call
//! is certain: the events are the same, in smaller pieces ([`Event::CallStart`], several [`Event::CallArguments`],
//! [`Event::CallEnd`]), for the formats whose arguments are plain JSON; others come whole as ever. A call that breaks off
//! then has a start and no end, and the server should end the answer as one cut off.
//!
//! The example `parse_lines` runs the parser over JSON Lines.
//!
//! # What was rejected
//!
//! - A table of model names. Fine-tunes keep the name and change the format, so [`Capabilities`] are found by rendering
//!   small conversations, and formats by the marks in the template.
//! - Regular expressions over the whole answer: they have to start over with every piece, and cannot tell a closing tag
//!   inside an argument from the one that ends it.
//! - Repairing arguments. The functions in [`fixes`] only undo what leaves no doubt; JSON that is wrong stays text, and a
//!   value that could have been meant stays as it is.
//!
//! # What a template may do
//!
//! It is a program of whoever made the weights. Its steps, depth and output are bounded, its memory is not
//! (`template/mod.rs` says why): a server of unknown weights should run with a limit on memory.
//!
//! # Models without a template
//!
//! [`CHATML`] serves models that bring none. Our own GPT has no text template: its turns are marked by token ids, which
//! `mynah_tokenizer::render_for_completion` lays out, and text cannot forge them. A server should use that for models
//! whose tokenizer has `<|user_start|>`, the model's template where there is one, and [`CHATML`] where there is
//! none and the tokenizer knows `<|im_start|>`; otherwise a model has no chat form, and the API should say so.

mod conversation;
mod error;
pub mod fixes;
mod format;
mod grammar;
mod parser;
mod schema;
mod template;
mod thinking;

pub use conversation::{Content, Conversation, Message, Part, Role, Tool, ToolCall};
pub use error::{Error, ErrorKind, Result};
pub use format::ToolFormat;
pub use grammar::{Choice, GrammarOptions, grammar};
pub use parser::{Event, Parser};
pub use template::{Arguments, CHATML, Capabilities, Now, RenderOptions, Template, TokenTexts};
pub use thinking::Thinking;
