//! Serves a ledger: `cargo run --release -p mynah-serve --example serve -- runs.db 5000 [token]`.

use std::process::ExitCode;

use mynah_ledger::{Ledger, Location, OpenOptions};
use mynah_serve::{Server, ServerConfig};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let store = arguments.next().unwrap_or_else(|| "runs.db".to_string());
    let port = arguments.next().unwrap_or_else(|| "5000".to_string());
    match serve(&store, &port, arguments.next()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(store: &str, port: &str, token: Option<String>) -> Result<(), Box<dyn std::error::Error>> {
    let ledger = Ledger::open(&Location::parse(store)?, OpenOptions::default())?;
    let config = ServerConfig { port: port.parse()?, token, ..ServerConfig::default() };
    let server = Server::bind(config, ledger)?;
    println!("serving {store} at http://{}", server.address());
    server.run()?;
    Ok(())
}
