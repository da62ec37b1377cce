//! The models that this product trains: their tokenizer and their conversations, which are laid out in ids.

use mynah_chat::{Content, Conversation, RenderOptions, Role};
use mynah_engine::live::Codec;
use mynah_tokenizer::chat::{self, Message};
use mynah_tokenizer::{Special, Tokenizer};

use super::model::{Prompt, Prompter, Tokens};

/// Our tokenizer as the engine wants it.
pub(super) struct OwnTokens {
    tokenizer: Tokenizer,
    end_ids: Vec<u32>,
}

impl OwnTokens {
    pub(super) fn new(tokenizer: Tokenizer) -> OwnTokens {
        let end_ids =
            [Special::AssistantEnd, Special::Bos].map(|special| tokenizer.special(special)).to_vec();
        OwnTokens { tokenizer, end_ids }
    }
}

impl Codec for OwnTokens {
    fn vocab_size(&self) -> usize {
        self.tokenizer.vocab_size()
    }

    fn bytes(&self, id: u32) -> &[u8] {
        self.tokenizer.token(id).unwrap_or_default()
    }

    fn is_special(&self, id: u32) -> bool {
        self.tokenizer.is_special(id)
    }

    fn end_ids(&self) -> &[u32] {
        &self.end_ids
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode_ordinary(text)
    }
}

impl Tokens for OwnTokens {
    fn id_of(&self, name: &str) -> Option<u32> {
        match self.tokenizer.encode_with_special(name).as_slice() {
            [id] if self.tokenizer.is_special(*id) => Some(*id),
            _ => None,
        }
    }

    fn prompt_of_text(&self, text: &str) -> std::result::Result<Vec<u32>, String> {
        let mut ids = vec![self.tokenizer.special(Special::Bos)];
        ids.extend(self.tokenizer.encode_ordinary(text));
        Ok(ids)
    }
}

/// Our conversations: user and assistant take turns, a system message begins the first.
pub(super) struct OwnPrompter(pub(super) Tokenizer);

impl Prompter for OwnPrompter {
    fn prompt(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
    ) -> std::result::Result<Prompt, String> {
        if !conversation.tools.is_empty() {
            return Err("this model has not learned to call tools; send none".to_string());
        }
        if options.continue_final_message || !options.add_generation_prompt || !options.kwargs.is_empty() {
            return Err("this model has no chat template that could be told how to render".to_string());
        }
        let mut messages = Vec::with_capacity(conversation.messages.len());
        for (index, message) in conversation.messages.iter().enumerate() {
            let role = match message.role {
                Role::System | Role::Developer => chat::Role::System,
                Role::User => chat::Role::User,
                Role::Assistant => chat::Role::Assistant,
                Role::Tool => {
                    return Err(format!("messages[{index}]: this model has not learned to call tools"));
                }
            };
            let text = message.content.as_ref().map(Content::plain_text).unwrap_or_default();
            messages.push(Message::text(role, text));
        }
        if messages.last().is_some_and(|last| last.role == chat::Role::Assistant) {
            return Err("the last message is the assistant's; it must be the user's".to_string());
        }
        let laid_out = chat::render_for_completion(&self.0, &chat::Conversation { messages });
        laid_out.map(|ids| Prompt { ids, in_reasoning: false }).map_err(|error| error.to_string())
    }
}
