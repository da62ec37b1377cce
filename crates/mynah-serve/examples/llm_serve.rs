//! A model server of a few lines: `cargo run --example llm_serve -- MODEL_DIR [NAME=ADAPTER_DIR…]`. Prints its address; it
//! lets clients load adapters, so that every call can be tried.

use std::path::Path;

use mynah_serve::{LlmConfig, LlmServer, ModelSource, Models};

fn main() -> mynah_serve::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(model) = arguments.next() else {
        eprintln!("name a model's folder");
        return Ok(());
    };
    let source = ModelSource { model, ..ModelSource::default() };
    let mut models = Models::default();
    if source.is_embedder()? {
        models.embedders.push(source.load_embedder()?);
    } else {
        models.generators.push(source.load()?);
    }
    for argument in arguments {
        if let Some((name, folder)) = argument.split_once('=') {
            let adapted = models.generators[0].with_adapter(name, Path::new(folder))?;
            models.generators.push(adapted);
        }
    }
    let config = LlmConfig { port: 0, adapter_loading: true, ..LlmConfig::default() };
    let server = LlmServer::bind(config, models)?;
    println!("http://{}", server.address());
    server.run()
}
