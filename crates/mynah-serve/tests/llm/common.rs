//! A server with a toy model, and a client that speaks plain HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use mynah_chat::{Conversation, RenderOptions, Thinking, ToolFormat};
use mynah_engine::live::{Codec, Engine, EngineOptions, StepModel};
use mynah_models::{Logits, Segment};
use mynah_serve::{LlmConfig, LlmServer, Meter, Prompt, Prompter, RunningServer, ServedModel, Tokens};
use serde_json::Value;

/// Ends an answer.
const END: u32 = 256;
/// Ends the prompt of a conversation.
const ANSWER: u32 = 257;
/// Ends a call of our own models.
const CODE_END: u32 = 258;
const VOCABULARY: usize = 259;
/// What the model says after [`ANSWER`], for ever and ever.
const SAYS: &[u8] = b"<think>two birds</think>A bird and a bird make two. ";
/// Positions of a sequence.
pub const CONTEXT: usize = 512;
const PAGE: usize = 16;

/// After a letter comes the next of the alphabet; after [`ANSWER`] the model recites [`SAYS`].
struct Toy {
    /// What each position of each page holds.
    pages: Vec<[u32; PAGE]>,
    says: Vec<u32>,
    /// What it says instead once this token is in the text.
    later: Option<(u32, Vec<u32>)>,
}

impl StepModel for Toy {
    fn vocab_size(&self) -> usize {
        VOCABULARY
    }

    fn context_length(&self) -> usize {
        CONTEXT
    }

    fn page_tokens(&self) -> usize {
        PAGE
    }

    fn page_count(&self) -> usize {
        self.pages.len()
    }

    fn slot_count(&self) -> usize {
        1
    }

    fn has_recurrent_state(&self) -> bool {
        false
    }

    fn step(&mut self, segments: &[Segment<'_>], logits: &mut Vec<f32>) -> mynah_engine::Result<()> {
        logits.clear();
        for segment in segments {
            for (offset, token) in segment.tokens.iter().enumerate() {
                let position = segment.start + offset;
                self.pages[segment.pages[position / PAGE] as usize][position % PAGE] = *token;
                let is_last = offset + 1 == segment.tokens.len();
                let wanted = match segment.logits {
                    Logits::None => false,
                    Logits::Last => is_last,
                    Logits::All => true,
                };
                if wanted {
                    let at = |position: usize| {
                        self.pages[segment.pages[position / PAGE] as usize][position % PAGE]
                    };
                    let said = (0..=position)
                        .rev()
                        .find(|&before| at(before) == ANSWER)
                        .map(|start| position - start);
                    let says = match &self.later {
                        Some((mark, later)) if (0..=position).any(|before| at(before) == *mark) => later,
                        _ => &self.says,
                    };
                    let next = match said {
                        Some(said) => says[said % says.len()],
                        None => u32::from(b'a') + (*token + 1) % 26,
                    };
                    let row = (0..VOCABULARY as u32)
                        .map(|id| if id == next { 9.0 } else { -(id as f32) / 1_000.0 });
                    logits.extend(row);
                }
            }
        }
        Ok(())
    }

    fn copy_page(&mut self, from: u32, to: u32) -> mynah_engine::Result<()> {
        self.pages[to as usize] = self.pages[from as usize];
        Ok(())
    }

    fn clear_slot(&mut self, _: u32) -> mynah_engine::Result<()> {
        Ok(())
    }
}

/// A token a byte.
struct Bytes(Vec<Vec<u8>>);

impl Codec for Bytes {
    fn vocab_size(&self) -> usize {
        VOCABULARY
    }

    fn bytes(&self, id: u32) -> &[u8] {
        self.0.get(id as usize).map_or(&[], Vec::as_slice)
    }

    fn is_special(&self, id: u32) -> bool {
        id >= END
    }

    fn end_ids(&self) -> &[u32] {
        &[END]
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }
}

impl Tokens for Bytes {
    fn id_of(&self, name: &str) -> Option<u32> {
        (name == "<|python_end|>").then_some(CODE_END)
    }

    fn prompt_of_text(&self, text: &str) -> Result<Vec<u32>, String> {
        Ok(self.encode(text))
    }
}

/// Messages one after the other, then [`ANSWER`].
struct Plain;

impl Prompter for Plain {
    fn prompt(&self, conversation: &Conversation, _: &RenderOptions) -> Result<Prompt, String> {
        let text: String = conversation.messages.iter().map(|message| message.plain_text() + "\n").collect();
        let ids = text.bytes().map(u32::from).chain([ANSWER]).collect();
        Ok(Prompt { ids, in_reasoning: false })
    }
}

/// The toy as a model of a server.
pub fn generator() -> ServedModel {
    toy(SAYS.iter().map(|&byte| u32::from(byte)).collect(), None)
}

/// The toy that says one text, and once the mark is in the conversation another; both end.
pub fn generator_saying(first: &str, mark: u8, later: &str) -> ServedModel {
    let ids = |text: &str| text.bytes().map(u32::from).chain([END]).collect();
    toy(ids(first), Some((u32::from(mark), ids(later))))
}

/// A toy that calls as our own models do: text, then code, and once the mark is in the conversation another text.
pub fn generator_computing(text: &str, code: &str, mark: u8, later: &str) -> ServedModel {
    let ids = |text: &str, end: u32| text.bytes().map(u32::from).chain([end]).collect();
    let first = ids(&format!("{text}<|python_start|>{code}"), CODE_END);
    let toy = toy(first, Some((u32::from(mark), ids(later, END))));
    ServedModel { tool_format: ToolFormat::Mynah, thinking: None, ..toy }
}

fn toy(says: Vec<u32>, later: Option<(u32, Vec<u32>)>) -> ServedModel {
    let names = (0..=255u8).map(|byte| vec![byte]).chain([
        b"<end>".to_vec(),
        b"<answer>".to_vec(),
        b"<|python_end|>".to_vec(),
    ]);
    let tokens = Arc::new(Bytes(names.collect()));
    let toy = Toy { pages: vec![[0; PAGE]; 256], says, later };
    let engine = Engine::start(Box::new(toy), tokens.clone(), EngineOptions::default()).expect("an engine");
    ServedModel {
        name: "toy".to_string(),
        created_s: 0,
        engine,
        tokens,
        prompter: Some(Arc::new(Plain)),
        tool_format: ToolFormat::Hermes,
        thinking: Some(Thinking::think_tags()),
        adapter: None,
        meter: Meter::default(),
    }
}

/// A running server.
pub fn serve(config: LlmConfig) -> RunningServer {
    LlmServer::bind(LlmConfig { port: 0, ..config }, vec![generator()])
        .expect("an address")
        .start()
        .expect("a server")
}

/// Status, head and body of an answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The data of server-sent events.
    pub fn events(&self) -> Vec<String> {
        self.body.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_string).collect()
    }
}

/// One request on a connection of its own.
pub fn call(server: &RunningServer, method: &str, path: &str, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{head}\r\n",
        server.address(),
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("a request");
    // A server that refuses may answer before it has read all.
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
        unchunked(body)
    } else {
        body.to_string()
    };
    Answer { status, head: head.to_string(), body }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        whole.push_str(&rest[..size]);
        body = &rest[(size + 2).min(rest.len())..];
        if size == 0 {
            break;
        }
    }
    whole
}

pub fn post(server: &RunningServer, path: &str, body: &Value) -> Answer {
    call(server, "POST", path, "", body.to_string().as_bytes())
}
