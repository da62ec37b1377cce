//! Chat templates, rendered as transformers' `apply_chat_template` renders them.
//!
//! A template is a program that came with the weights, so it runs with a budget of steps, of depth and of output. Texts
//! that it builds without printing them are not counted: a template that doubles a text in a loop can still take all
//! memory, as it can under transformers. Steps do not bound it (thirty doublings are thirty steps), and the engine has no
//! hook where it would have to be: `+` and `~` on texts are instructions of its machine, which no filter, formatter or
//! callback sees and which give no error; only `*` has a limit of its own. Checking the value of every `set` would catch
//! the plain loop, but not arguments of macros, captured blocks or chains of filters, and so would promise what it does
//! not keep. Who serves weights of strangers should limit the memory of the process.
//!
//! Known differences: a loop over `none` runs zero times where Jinja fails, and text joined to a value marked `safe` is
//! not escaped.

mod options;
mod prepare;
mod probe;
mod python;
mod rewrite;

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind as JinjaKind, UndefinedBehavior, Value as JinjaValue};
use serde_json::{Map, Value};

pub use options::{Now, RenderOptions, TokenTexts};
pub use probe::{Arguments, Capabilities};

use crate::conversation::Conversation;
use crate::error::{Error, ErrorKind, Result};

/// A template larger than this is refused; the largest published ones have 30 KB.
const SOURCE_BYTES_MAX: usize = 1 << 20;
/// Steps of the template's program. A turn takes some hundred, so this is enough for 10,000 of them.
const STEPS_MAX: u64 = 20_000_000;
/// Steps for each of the small conversations at load.
const PROBE_STEPS_MAX: u64 = 200_000;
/// Nesting of macros (which count ten) and blocks.
const DEPTH_MAX: usize = 400;
/// The longest prompt text a template may write.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// What ChatML models use, for models that come without a template: `<|im_start|>role`, the text, `<|im_end|>`.
pub const CHATML: &str = "{%- for message in messages -%}\
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\
{%- endfor -%}\
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}";

/// A model's chat template, compiled, with what it was found to expect.
pub struct Template {
    plain: Compiled,
    with_tools: Option<Compiled>,
    tokens: TokenTexts,
}

/// One source of a template.
struct Compiled {
    source: String,
    environment: Environment<'static>,
    capabilities: Capabilities,
}

impl Template {
    /// Compiles a template and finds out, by rendering small conversations, what it expects ([`Capabilities`]).
    ///
    /// # Errors
    /// [`ErrorKind::TemplateSyntax`] with the line, when it is not a Jinja template that can be run here or larger than
    /// 1 MiB.
    pub fn new(source: &str, tokens: TokenTexts) -> Result<Self> {
        let plain = Compiled::new(source, &tokens)?;
        Ok(Self { plain, with_tools: None, tokens })
    }

    /// Compiles the templates of a model that has several (`chat_template` as a list in tokenizer_config.json):
    /// `tool_use` is used for conversations with tools, `default` for the others.
    ///
    /// # Errors
    /// As [`Template::new`]; also when none is called `default`.
    pub fn from_named<'a>(
        templates: impl IntoIterator<Item = (&'a str, &'a str)>,
        tokens: TokenTexts,
    ) -> Result<Self> {
        let (mut plain, mut with_tools, mut names) = (None, None, Vec::new());
        for (name, source) in templates {
            match name {
                "default" => plain = Some(Compiled::new(source, &tokens)?),
                "tool_use" => with_tools = Some(Compiled::new(source, &tokens)?),
                _ => {}
            }
            names.push(name);
        }
        let Some(plain) = plain else {
            return Err(Error::new(
                ErrorKind::TemplateSyntax,
                format!("the model has chat templates called {names:?}, but none called 'default'"),
            ));
        };
        Ok(Self { plain, with_tools, tokens })
    }

    /// The template's text, by which [`ToolFormat::detect`](crate::ToolFormat::detect) and
    /// [`Thinking::detect`](crate::Thinking::detect) know the model's format: the one used with tools, if there are two.
    pub fn source(&self) -> &str {
        &self.with_tools.as_ref().unwrap_or(&self.plain).source
    }

    /// What the template expects, for conversations with tools or without.
    pub fn capabilities(&self, has_tools: bool) -> &Capabilities {
        &self.compiled(has_tools).capabilities
    }

    fn compiled(&self, has_tools: bool) -> &Compiled {
        match &self.with_tools {
            Some(compiled) if has_tools => compiled,
            _ => &self.plain,
        }
    }

    /// The prompt for a conversation.
    ///
    /// The messages reach the template as the client sent them, but for what [`Capabilities`] says it cannot take; each
    /// such change is described there.
    ///
    /// # Errors
    /// [`ErrorKind::TemplateRender`] when the template fails or refuses the conversation, [`ErrorKind::TemplateLimit`]
    /// when it asks for too much, [`ErrorKind::Conversation`] for options that do not fit the conversation.
    pub fn render(&self, conversation: &Conversation, options: &RenderOptions) -> Result<String> {
        let compiled = self.compiled(!conversation.tools.is_empty());
        let messages = prepare::messages(conversation, &compiled.capabilities)?;
        let tools: Vec<Value> = conversation.tools.iter().map(|tool| tool.definition().clone()).collect();
        compiled.render_values(messages, tools, conversation.documents.clone(), &self.tokens, options)
    }
}

impl Compiled {
    fn new(source: &str, tokens: &TokenTexts) -> Result<Self> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::TemplateSyntax,
                format!("the chat template has {} bytes, more than {SOURCE_BYTES_MAX}", source.len()),
            ));
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| syntax_error(&error))?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_recursion_limit(DEPTH_MAX);
        environment.set_fuel(Some(PROBE_STEPS_MAX));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        python::install(&mut environment);
        environment
            .add_template_owned("chat", rewrite::generation_blocks(source))
            .map_err(|error| syntax_error(&error))?;
        let mut compiled =
            Self { source: source.to_string(), environment, capabilities: Capabilities::default() };
        compiled.capabilities = probe::probe(&compiled, tokens);
        compiled.environment.set_fuel(Some(STEPS_MAX));
        Ok(compiled)
    }

    /// Renders what transformers would pass to the template: the messages, tools or none, documents or none, the texts
    /// of the special tokens, and the caller's own variables over them.
    fn render_values(
        &self,
        mut messages: Vec<Value>,
        tools: Vec<Value>,
        documents: Vec<Value>,
        tokens: &TokenTexts,
        options: &RenderOptions,
    ) -> Result<String> {
        let continued =
            if options.continue_final_message { Some(prepare::mark_end(&mut messages)?) } else { None };
        let some_or_none = |list: Vec<Value>| if list.is_empty() { Value::Null } else { Value::Array(list) };
        let mut variables = Map::new();
        tokens.put_into(&mut variables);
        if let Some(enable) = options.enable_thinking {
            // Two names are about: `enable_thinking` (Qwen, GLM) and `thinking` (DeepSeek, Granite).
            variables.insert("enable_thinking".to_string(), Value::Bool(enable));
            variables.insert("thinking".to_string(), Value::Bool(enable));
        }
        for (name, value) in &options.kwargs {
            variables.insert(name.clone(), value.clone());
        }
        variables.insert("messages".to_string(), Value::Array(messages));
        variables.insert("tools".to_string(), some_or_none(tools));
        variables.insert("documents".to_string(), some_or_none(documents));
        let generation = options.add_generation_prompt && !options.continue_final_message;
        variables.insert("add_generation_prompt".to_string(), Value::Bool(generation));
        let mut context: Vec<(String, JinjaValue)> =
            variables.iter().map(|(name, value)| (name.clone(), python::from_json(value))).collect();
        if let Some(now) = options.now {
            context.push(("strftime_now".to_string(), python::strftime_function(now)));
        }
        let template = self.environment.get_template("chat").map_err(|error| render_error(&error))?;
        let mut output = Bounded::default();
        let result = template.render_captured_to(JinjaValue::from_pairs(context), &mut output).map(drop);
        if output.is_full {
            let message = format!("the chat template wrote more than {OUTPUT_BYTES_MAX} bytes");
            return Err(Error::new(ErrorKind::TemplateLimit, message));
        }
        result.map_err(|error| render_error(&error))?;
        let text = String::from_utf8(output.bytes)
            .map_err(|_| Error::new(ErrorKind::TemplateRender, "the chat template wrote invalid UTF-8"))?;
        match continued {
            Some(last_text) => prepare::cut_at_mark(text, &last_text),
            None => Ok(text),
        }
    }
}

/// A buffer that refuses to grow beyond the limit.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_BYTES_MAX {
            self.is_full = true;
            return Err(std::io::Error::other("the output is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The message of a Jinja error, with its line and its causes.
fn describe(what: &str, error: &minijinja::Error) -> String {
    let mut message =
        format!("{what}: {}", error.detail().map_or_else(|| error.kind().to_string(), str::to_string));
    if let Some(line) = error.line() {
        // Writing to a string cannot fail.
        let _ = write!(message, " (line {line} of the template)");
    }
    message
}

fn syntax_error(error: &minijinja::Error) -> Error {
    Error::new(ErrorKind::TemplateSyntax, describe("the chat template does not compile", error))
}

fn render_error(error: &minijinja::Error) -> Error {
    let kind = match error.kind() {
        JinjaKind::OutOfFuel => ErrorKind::TemplateLimit,
        _ => ErrorKind::TemplateRender,
    };
    Error::new(kind, describe("the chat template failed on this conversation", error))
}
