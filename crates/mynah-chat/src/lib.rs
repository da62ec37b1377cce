//! Conversations in a model's own format: a chat template turns messages into the prompt, and parsers turn what the
//! model writes back into text, reasoning and tool calls.
