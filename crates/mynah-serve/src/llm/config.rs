//! What a model server is told before it starts.

use super::served::ServerTools;
use super::weights::WeightsConfig;
use crate::config::ServerConfig;
use crate::error::Result;

/// Everything besides the models.
#[derive(Clone, Debug)]
pub struct LlmConfig {
    /// Name or address to listen on. Anything but loopback needs an API key.
    pub host: String,
    /// Port to listen on; 0 lets the system choose one.
    pub port: u16,
    /// Keys, one of which a client must present. Empty: only programs on this machine can reach the server.
    pub api_keys: Vec<String>,
    /// Largest body of a request.
    pub body_size_bytes_max: usize,
    /// Requests a minute and client; nothing: no limit.
    pub requests_per_minute: Option<u32>,
    /// Web pages of these origins may call (`https://example.com`, or `*`).
    pub cors_origins: Vec<String>,
    /// How long an answer may take, in seconds; nothing: as long as it needs.
    pub request_seconds_max: Option<u64>,
    /// Whether streams of chats tell of tool calls while they are written, unless a request says (`tool_stream`). By default
    /// a call is one complete delta, which every client understands.
    pub incremental_tool_calls: bool,
    /// Whether clients may load adapters from folders of this machine, and unload them.
    pub adapter_loading: bool,
    /// Answers of `/v1/responses` that are kept for later requests; the oldest make room.
    pub stored_responses_max: usize,
    /// Bytes of JSON that those may have together.
    pub stored_bytes_max: usize,
    /// Tools that the server runs itself, for chats of models that know how to call.
    pub tools: ServerTools,
    /// New weights for the model while it answers; nothing: the calls for that do not exist.
    pub weights: Option<WeightsConfig>,
    /// How long answers under way may take to finish once the server is asked to stop.
    pub shutdown_grace_ms: u64,
}

impl Default for LlmConfig {
    fn default() -> LlmConfig {
        LlmConfig {
            host: "127.0.0.1".to_string(),
            port: 8000,
            api_keys: Vec::new(),
            body_size_bytes_max: 32 << 20,
            requests_per_minute: None,
            cors_origins: Vec::new(),
            request_seconds_max: None,
            incremental_tool_calls: false,
            adapter_loading: false,
            stored_responses_max: 1_000,
            stored_bytes_max: 64 << 20,
            tools: ServerTools::default(),
            weights: None,
            shutdown_grace_ms: 30_000,
        }
    }
}

impl LlmConfig {
    /// Refuses what would be unsafe or could not work, before a model is loaded for it.
    ///
    /// # Errors
    /// `Setting`: the host does not resolve, it is not loopback and there is no key, a key is too short or no printable
    /// ASCII.
    pub fn check(&self) -> Result<()> {
        let admin = self.weights.iter().map(|weights| &weights.admin_key);
        for key in self.api_keys.iter().chain(admin) {
            ServerConfig { token: Some(key.clone()), ..self.listening() }.addresses()?;
        }
        self.listening().addresses().map(drop)
    }

    /// The part that every server of this crate has.
    pub(crate) fn listening(&self) -> ServerConfig {
        ServerConfig {
            host: self.host.clone(),
            port: self.port,
            // The first stands for all: whether there is one decides who can be served.
            token: self.api_keys.first().cloned(),
            body_size_bytes_max: self.body_size_bytes_max,
            shutdown_grace_ms: self.shutdown_grace_ms,
            ..ServerConfig::default()
        }
    }
}
