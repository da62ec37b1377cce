//! A run goes on with weights from elsewhere: `mynah weights agent` keeps them in a folder, this takes them from there.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mynah_nn::{GptConfig, StatePolicy, checkpoint};
use mynah_swap::Hash;
use mynah_swap::host::Store;
use mynah_train::{Incoming, WeightSource};

use crate::failure::{Failure, Result};

/// Where other weights come from while a run trains.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Taking weights from elsewhere")]
pub struct TakeOptions {
    /// Between two steps, go on with each version that `mynah weights agent --dir DIR` makes live
    #[arg(long, value_name = "DIR")]
    take_from: Option<PathBuf>,
    /// What becomes of the optimizer's state then
    #[arg(long, value_name = "HOW", default_value = "preserve", requires = "take_from")]
    take_optimizer: State,
    /// How much the momentum counts after it was attenuated, from 0 to 1
    #[arg(long, value_name = "X", default_value_t = 0.1, requires = "take_from", value_parser = factor)]
    take_momentum: f32,
}

/// What `--take-optimizer` names.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum State {
    /// It stays as it is
    #[default]
    Preserve,
    /// It begins anew
    Reset,
    /// Momentum counts less
    Attenuate,
}

fn factor(text: &str) -> std::result::Result<f32, String> {
    let found = text.parse::<f32>().ok().filter(|factor| (0.0..=1.0).contains(factor));
    found.ok_or_else(|| "a number between 0 and 1".to_string())
}

impl TakeOptions {
    /// What looks for weights, if some are to be taken.
    ///
    /// # Errors
    /// When the folder is not there.
    pub fn start(&self, config: &GptConfig) -> Result<Option<Taker>> {
        let Some(folder) = &self.take_from else { return Ok(None) };
        if !folder.join("versions").is_dir() {
            return Err(Failure::new("no agent keeps versions here").at_path(folder).advice(
                "give the folder of a running agent: mynah weights agent --listen ADDR --id N --dir DIR",
            ));
        }
        let optimizer = match self.take_optimizer {
            State::Preserve => StatePolicy::Preserve,
            State::Reset => StatePolicy::Reset,
            State::Attenuate => StatePolicy::Attenuate(self.take_momentum),
        };
        Ok(Some(Taker { store: Store::look(folder), optimizer, config: config.clone(), seen: None }))
    }
}

/// Looks at the version that is live in an agent's folder.
pub struct Taker {
    store: Store,
    optimizer: StatePolicy,
    config: GptConfig,
    /// The version that was taken or refused last.
    seen: Option<Hash>,
}

impl WeightSource for Taker {
    fn begin(&mut self, taken: Option<&str>) {
        self.seen = taken.and_then(|name| name.parse().ok());
    }

    fn poll(&mut self, _: u64) -> std::result::Result<Option<Incoming>, String> {
        let Some(live) = self.store.pointed().filter(|live| Some(*live) != self.seen) else {
            return Ok(None);
        };
        // One that cannot be used is told of once.
        self.seen = Some(live);
        let manifest = self.store.check(&live).map_err(|error| error.to_string())?;
        let path = self.store.path(&live).join("model.safetensors");
        let model =
            checkpoint::load_weights(self.config.clone(), &path).map_err(|error| error.to_string())?;
        let (name, epoch) = (live.to_string(), manifest.head().epoch);
        Ok(Some(Incoming { model, optimizer: self.optimizer, name, epoch }))
    }
}
