//! How a caller watches a run: all methods do nothing unless overridden.

use std::path::Path;

use mynah_nn::Gpt;

use crate::config::TrainConfig;
use crate::metrics::MetricsRow;

/// Where a run is after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The figures of the step.
    pub row: MetricsRow,
    /// All steps of the run.
    pub steps: u64,
    /// Estimated seconds to the end; none in the first steps.
    pub seconds_left: Option<f64>,
    /// Where the data is, as the source tells it (`epoch 2`), for people.
    pub position: String,
}

/// Watches a run.
pub trait Observer {
    /// The run begins, at step 0 or where it was resumed.
    fn started(&mut self, _config: &TrainConfig, _step: u64) {}

    /// A step is done. When it also validated, the row has the bits per byte.
    fn step(&mut self, _progress: &Progress) {}

    /// The weights after a step; the last one of the run is told apart.
    fn weights(&mut self, _step: u64, _is_last: bool, _model: &Gpt) {}

    /// The run goes on with weights from elsewhere.
    fn taken(&mut self, _step: u64, _name: &str) {}

    /// Time to sample from the model, if one likes.
    fn sample(&mut self, _step: u64, _model: &Gpt) {}

    /// A checkpoint was saved.
    fn saved(&mut self, _step: u64, _path: &Path) {}

    /// Something that does not stop the run but that people should know.
    fn warning(&mut self, _message: &str) {}
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
