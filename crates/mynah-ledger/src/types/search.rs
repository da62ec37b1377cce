//! Questions and answers of the searches. Filters and orders are in MLflow's language, see
//! [`search`](crate::search).

/// Which lifecycle a search looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// In use.
    #[default]
    ActiveOnly,
    /// Deleted.
    DeletedOnly,
    /// Both.
    All,
}

/// One page of answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The answers, at most as many as were asked for.
    pub items: Vec<T>,
    /// Give it back to get the next page; nothing when this is the last.
    pub next_page_token: Option<String>,
}

/// Question to [`Ledger::search_runs`](crate::Ledger::search_runs).
#[derive(Clone, Debug)]
pub struct SearchRuns {
    /// In these experiments; empty finds nothing, as in MLflow.
    pub experiment_ids: Vec<String>,
    /// Empty: all.
    pub filter: String,
    /// Active, deleted or both.
    pub view: View,
    /// `metrics.loss ASC`, `attributes.start_time DESC`, …; ties by start time, newest first, then id.
    pub order_by: Vec<String>,
    /// 1 to 50,000.
    pub max_results: usize,
    /// From the page before.
    pub page_token: Option<String>,
    /// Leave out runs in quarantine.
    pub skip_quarantined: bool,
}

impl Default for SearchRuns {
    fn default() -> SearchRuns {
        SearchRuns {
            experiment_ids: Vec::new(),
            filter: String::new(),
            view: View::ActiveOnly,
            order_by: Vec::new(),
            max_results: 1_000,
            page_token: None,
            skip_quarantined: false,
        }
    }
}

/// Which of the keys of a run are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// None of them.
    None,
    /// All of them.
    #[default]
    All,
    /// Those of these that a run has.
    Only(Vec<String>),
}

/// What of each run [`Ledger::search_runs_with`](crate::Ledger::search_runs_with) reads; by default everything.
/// The fewer, the faster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunParts {
    /// Latest values.
    pub metrics: Keys,
    /// Params.
    pub params: Keys,
    /// Tags.
    pub tags: Keys,
    /// Datasets that went in.
    pub inputs: bool,
    /// Logged models that went in and came out.
    pub models: bool,
}

impl Default for RunParts {
    fn default() -> RunParts {
        RunParts { metrics: Keys::All, params: Keys::All, tags: Keys::All, inputs: true, models: true }
    }
}

impl RunParts {
    /// The runs alone, to begin with.
    pub fn none() -> RunParts {
        RunParts { metrics: Keys::None, params: Keys::None, tags: Keys::None, inputs: false, models: false }
    }
}

/// Question to [`Ledger::search_experiments`](crate::Ledger::search_experiments).
#[derive(Clone, Debug)]
pub struct SearchExperiments {
    /// Empty: all.
    pub filter: String,
    /// Active, deleted or both.
    pub view: View,
    /// Empty: `creation_time DESC, experiment_id ASC`.
    pub order_by: Vec<String>,
    /// 1 to 50,000.
    pub max_results: usize,
    /// From the page before.
    pub page_token: Option<String>,
}

impl Default for SearchExperiments {
    fn default() -> SearchExperiments {
        SearchExperiments {
            filter: String::new(),
            view: View::ActiveOnly,
            order_by: Vec::new(),
            max_results: 1_000,
            page_token: None,
        }
    }
}

/// Question to [`Ledger::search_registered_models`](crate::Ledger::search_registered_models) and
/// [`Ledger::search_model_versions`](crate::Ledger::search_model_versions).
#[derive(Clone, Debug)]
pub struct SearchModels {
    /// Empty: all that are not prompts.
    pub filter: String,
    /// Empty: by name; versions: last updated first.
    pub order_by: Vec<String>,
    /// 1 to 1,000 for models, 1 to 200,000 for versions.
    pub max_results: usize,
    /// From the page before.
    pub page_token: Option<String>,
}

impl Default for SearchModels {
    fn default() -> SearchModels {
        SearchModels { filter: String::new(), order_by: Vec::new(), max_results: 100, page_token: None }
    }
}

/// Only metrics on this dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetFilter {
    /// Its name.
    pub name: String,
    /// Its digest; nothing: any.
    pub digest: Option<String>,
}

/// One order of [`SearchLoggedModels`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelOrder {
    /// `creation_timestamp`, `name`, `metrics.accuracy`, …
    pub field: String,
    /// Smallest first.
    pub ascending: bool,
    /// For a metric: only on this dataset.
    pub dataset: Option<DatasetFilter>,
}

/// Question to [`Ledger::search_logged_models`](crate::Ledger::search_logged_models).
#[derive(Clone, Debug)]
pub struct SearchLoggedModels {
    /// In these experiments.
    pub experiment_ids: Vec<String>,
    /// Empty: all.
    pub filter: String,
    /// Metric filters look at these datasets only; empty: all.
    pub datasets: Vec<DatasetFilter>,
    /// Empty: newest first.
    pub order_by: Vec<ModelOrder>,
    /// 1 to 50,000.
    pub max_results: usize,
    /// From the page before.
    pub page_token: Option<String>,
}

impl Default for SearchLoggedModels {
    fn default() -> SearchLoggedModels {
        SearchLoggedModels {
            experiment_ids: Vec::new(),
            filter: String::new(),
            datasets: Vec::new(),
            order_by: Vec::new(),
            max_results: 100,
            page_token: None,
        }
    }
}
