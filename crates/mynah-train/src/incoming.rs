//! Weights from elsewhere, taken between two steps.

use mynah_nn::{Gpt, StatePolicy};

/// Weights that a run is to go on with.
pub struct Incoming {
    /// A model of the run's configuration; anything else is refused with a warning.
    pub model: Gpt,
    /// What becomes of the optimizer's state.
    pub optimizer: StatePolicy,
    /// What they are known by.
    pub name: String,
    /// Which of a series they are, for the record.
    pub epoch: u64,
}

/// Where weights may come from while a run trains: other trainers, a merge, a push. A run that takes some is repeated
/// only by who gives it the same ones at the same steps.
pub trait WeightSource {
    /// The run begins, or goes on; `taken` are the weights that it took last, by name.
    fn begin(&mut self, taken: Option<&str>);

    /// Asked before each step, `step` of which are done. Must be quick when there is nothing.
    ///
    /// # Errors
    /// One line of what is wrong with weights that are there; the run warns and goes on with what it has.
    fn poll(&mut self, step: u64) -> std::result::Result<Option<Incoming>, String>;
}
