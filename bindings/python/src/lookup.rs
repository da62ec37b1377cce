//! Experiments and runs by what people call them.

use mynah_ledger::{
    Error, ErrorKind, Ledger, NewExperiment, Result, RunRecord, SearchExperiments, SearchRuns, View,
};

/// The fewest characters of an id that name a run.
const ID_LEAST: usize = 4;

/// The id of the experiment with this name, which is made when it is absent.
pub fn experiment_id(ledger: &Ledger, name: &str) -> Result<String> {
    let new = NewExperiment { name: name.to_string(), ..NewExperiment::default() };
    match ledger.experiment_by_name(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => match ledger.create_experiment(new) {
            // Another process was quicker.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(ledger.experiment_by_name(name)?.id),
            made => Ok(made?.id),
        },
        found => Ok(found?.id),
    }
}

/// All experiments as (id, name).
pub fn experiments(ledger: &Ledger, view: View) -> Result<Vec<(String, String)>> {
    let mut search = SearchExperiments { view, max_results: 50_000, ..SearchExperiments::default() };
    let mut all = Vec::new();
    loop {
        let page = ledger.search_experiments(&search)?;
        all.extend(page.items.into_iter().map(|experiment| (experiment.id, experiment.name)));
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            return Ok(all);
        }
    }
}

/// The run that is meant by its id, the first characters of it, or its name.
pub fn run(ledger: &Ledger, named: &str) -> Result<RunRecord> {
    let missing = || Error::new(ErrorKind::NotFound, format!("no run is called '{}'", clip(named)));
    let hexadecimal = named.len() >= ID_LEAST && named.bytes().all(|b| b.is_ascii_hexdigit());
    if hexadecimal && named.len() == 32 {
        return ledger.run(named);
    }
    // The language of filters has no escape for a quote in both kinds of quotes.
    let quote = if named.contains('\'') { '"' } else { '\'' };
    if named.is_empty() || named.contains(quote) {
        return Err(missing());
    }
    let mut filters = vec![format!("attributes.run_name = {quote}{named}{quote}")];
    if hexadecimal {
        filters.insert(0, format!("attributes.run_id LIKE '{}%'", named.to_ascii_lowercase()));
    }
    let experiment_ids: Vec<String> = experiments(ledger, View::All)?.into_iter().map(|(id, _)| id).collect();
    for filter in filters {
        let search = SearchRuns {
            experiment_ids: experiment_ids.clone(),
            filter,
            view: View::All,
            max_results: 5,
            ..SearchRuns::default()
        };
        let mut found = ledger.search_runs(&search)?.items;
        match found.len() {
            0 => continue,
            1 => return Ok(found.remove(0)),
            _ => {
                let ids: Vec<&str> = found.iter().map(|record| &record.run.id[..12]).collect();
                let message =
                    format!("more than one run is called '{}': {}; give an id", clip(named), ids.join(", "));
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        }
    }
    Err(missing())
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}
