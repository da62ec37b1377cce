//! What may be called what, and how long it may be. The limits are those of MLflow's server.

use crate::error::{Error, Result};
use crate::types::{Batch, DatasetInput, Metric, Param, Tag};

/// Characters of a metric's, param's or tag's key.
pub const KEY_CHARS_MAX: usize = 250;
/// Characters of a param's value.
pub const PARAM_CHARS_MAX: usize = 6_000;
/// Characters of a run's tag.
pub const TAG_CHARS_MAX: usize = 8_000;
/// Characters of an experiment's tag.
pub const EXPERIMENT_TAG_CHARS_MAX: usize = 20_000;
/// Characters of a tag in the registry.
pub const MODEL_TAG_CHARS_MAX: usize = 100_000;
/// Metrics in one batch.
pub const BATCH_METRICS_MAX: usize = 1_000;
/// Params in one batch, and tags.
pub const BATCH_PARAMS_MAX: usize = 100;
/// Metrics, params and tags together in one batch.
pub const BATCH_ENTITIES_MAX: usize = 1_000;
/// Experiments in one question.
const EXPERIMENTS_MAX: usize = 10_000;
/// Datasets in one call.
const DATASETS_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 500;
const MODEL_NAME_CHARS_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 5_000;
const URI_CHARS_MAX: usize = 2_048;

/// A key of a metric, param or tag: letters, digits, `_ - . : /` and spaces, and as a path it must stay what it
/// is (no `..`, no `//`, no leading `/`), because clients use keys as file names.
pub fn key(what: &str, key: &str) -> Result<()> {
    let shown = || clip(key);
    if key.is_empty() {
        return Err(Error::invalid(format!("a {what} needs a key")));
    }
    length(&format!("the key of a {what}"), key, KEY_CHARS_MAX)?;
    if !key.chars().all(|c| c.is_alphanumeric() || "_-.: /".contains(c)) {
        return Err(Error::invalid(format!(
            "the {what} key '{}' may only have letters, digits, '_', '-', '.', ':', '/' and spaces",
            shown()
        )));
    }
    if key.starts_with("..") || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Error::invalid(format!(
            "the {what} key '{}' does not stay what it is when used as a path; take out '.', '..' and '//'",
            shown()
        )));
    }
    Ok(())
}

/// At most that many characters.
pub fn length(what: &str, text: &str, chars_max: usize) -> Result<()> {
    // Never more characters than bytes: most texts need no counting.
    if text.len() <= chars_max {
        return Ok(());
    }
    let chars = text.chars().count();
    if chars <= chars_max {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} has {chars} characters, {chars_max} at most: '{}'", clip(text))))
}

/// Text that a database in C and a page can both hold.
fn no_nul(what: &str, text: &str) -> Result<()> {
    if text.contains('\0') { Err(Error::invalid(format!("{what} holds a NUL character"))) } else { Ok(()) }
}

/// One point.
pub fn metric(metric: &Metric) -> Result<()> {
    key("metric", &metric.key)?;
    if metric.timestamp_ms < 0 {
        return Err(Error::invalid(format!(
            "the metric '{}' has the timestamp {}; it must be milliseconds since 1970",
            metric.key, metric.timestamp_ms
        )));
    }
    for text in [&metric.model_id, &metric.dataset_name, &metric.dataset_digest].into_iter().flatten() {
        length("a metric's model or dataset", text, NAME_CHARS_MAX)?;
    }
    Ok(())
}

/// One param.
pub fn param(param: &Param) -> Result<()> {
    key("param", &param.key)?;
    length(&format!("the param '{}'", param.key), &param.value, PARAM_CHARS_MAX)?;
    no_nul("a param", &param.value)
}

/// One tag, with the limit of what it is pinned to.
pub fn tag(tag: &Tag, chars_max: usize) -> Result<()> {
    key("tag", &tag.key)?;
    length(&format!("the tag '{}'", tag.key), &tag.value, chars_max)?;
    no_nul("a tag", &tag.value)
}

/// A whole batch.
pub fn batch(batch: &Batch) -> Result<()> {
    let few = |what: &str, count: usize, max: usize| {
        if count <= max {
            return Ok(());
        }
        Err(Error::invalid(format!("one batch may have {max} {what}, this one has {count}; split it")))
    };
    few("metrics", batch.metrics.len(), BATCH_METRICS_MAX)?;
    few("params", batch.params.len(), BATCH_PARAMS_MAX)?;
    few("tags", batch.tags.len(), BATCH_PARAMS_MAX)?;
    let all = batch.metrics.len() + batch.params.len() + batch.tags.len();
    few("metrics, params and tags together", all, BATCH_ENTITIES_MAX)?;
    batch.metrics.iter().try_for_each(metric)?;
    batch.params.iter().try_for_each(param)?;
    batch.tags.iter().try_for_each(|one| tag(one, TAG_CHARS_MAX))?;
    let mut keys: Vec<&str> = batch.params.iter().map(|param| param.key.as_str()).collect();
    keys.sort_unstable();
    if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::invalid(format!("the param '{}' is in the batch twice", pair[0])));
    }
    Ok(())
}

/// Datasets that go into a run.
pub fn datasets(inputs: &[DatasetInput]) -> Result<()> {
    if inputs.len() > DATASETS_MAX {
        return Err(Error::invalid(format!(
            "one call may have {DATASETS_MAX} datasets, this one has {}; split it",
            inputs.len()
        )));
    }
    for input in inputs {
        let dataset = &input.dataset;
        for (what, text, max) in [
            ("name", &dataset.name, NAME_CHARS_MAX),
            ("digest", &dataset.digest, 128),
            ("source type", &dataset.source_type, 128),
            ("source", &dataset.source, 65_535),
        ] {
            if text.is_empty() {
                return Err(Error::invalid(format!("a dataset needs a {what}")));
            }
            length(&format!("a dataset's {what}"), text, max)?;
        }
        length("a dataset's schema", dataset.schema.as_deref().unwrap_or(""), 1_048_575)?;
        length("a dataset's profile", dataset.profile.as_deref().unwrap_or(""), 16_777_215)?;
        for tag in &input.tags {
            length("the key of a dataset's tag", &tag.key, 255)?;
            length("a dataset's tag", &tag.value, 500)?;
        }
    }
    Ok(())
}

/// The name of an experiment, a run or a logged model.
pub fn name(what: &str, name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(Error::invalid(format!("{what} needs a name")));
    }
    no_nul(what, name)?;
    length(&format!("the name of {what}"), name, NAME_CHARS_MAX)
}

/// The name of a registered model.
pub fn model_name(name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(Error::invalid("a registered model needs a name"));
    }
    no_nul("a model name", name)?;
    length("the name of a registered model", name, MODEL_NAME_CHARS_MAX)?;
    if name.contains(['/', ':']) || name.starts_with("..") || name == "." {
        return Err(Error::invalid(format!(
            "the model name '{}' may not contain '/' or ':' and may not be a path like '..'",
            clip(name)
        )));
    }
    Ok(())
}

/// The name of a logged model.
pub fn logged_model_name(name: &str) -> Result<()> {
    self::name("a logged model", name)?;
    if name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(Error::invalid(format!(
            "the logged model name '{}' may not contain / : . % \" or '",
            clip(name)
        )));
    }
    Ok(())
}

/// An alias of a model version.
pub fn alias(alias: &str) -> Result<()> {
    if alias.is_empty() {
        return Err(Error::invalid("an alias needs a name"));
    }
    length("an alias", alias, 255)?;
    if !alias.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        return Err(Error::invalid(format!(
            "the alias '{}' may only have letters, digits, '_' and '-'",
            clip(alias)
        )));
    }
    let digits = alias
        .strip_prefix(['v', 'V'])
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()));
    if digits || alias.eq_ignore_ascii_case("latest") {
        return Err(Error::invalid(format!(
            "the alias '{alias}' is reserved; 'latest' and 'v1' mean themselves"
        )));
    }
    Ok(())
}

/// A description of a model.
pub fn description(text: Option<&str>) -> Result<()> {
    length("a description", text.unwrap_or(""), DESCRIPTION_CHARS_MAX)
}

/// A place outside, kept as text.
pub fn uri(what: &str, uri: &str) -> Result<()> {
    no_nul(what, uri)?;
    length(what, uri, URI_CHARS_MAX)
}

/// An id that a client brings itself.
pub fn run_id(id: &str) -> Result<()> {
    if id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(Error::invalid(format!("the run id '{}' is not 32 hexadecimal characters", clip(id))))
}

/// The number behind an experiment's id.
pub fn experiment_id(id: &str) -> Result<i64> {
    let digits = !id.is_empty() && id.len() <= 18 && id.bytes().all(|byte| byte.is_ascii_digit());
    if digits && let Ok(number) = id.parse() {
        return Ok(number);
    }
    Err(Error::invalid(format!("the experiment id '{}' is not a number", clip(id))))
}

/// The numbers behind the experiments of one question, none twice.
pub fn experiment_ids(ids: &[String]) -> Result<Vec<i64>> {
    if ids.len() > EXPERIMENTS_MAX {
        return Err(Error::invalid(format!(
            "one question may be about {EXPERIMENTS_MAX} experiments, this one is about {}",
            ids.len()
        )));
    }
    let mut numbers = ids.iter().map(|id| experiment_id(id)).collect::<Result<Vec<_>>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// A text that fits into an error.
pub fn clip(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_names_and_not_paths() {
        for good in ["loss", "val/loss", "a.b-c_d e:f", "größe", "a..b", "x/.hidden"] {
            assert!(key("metric", good).is_ok(), "{good}");
        }
        for bad in
            ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "..a", "a;b", "a'b", "a\nb", "a\0"]
        {
            assert!(key("metric", bad).is_err(), "{bad:?}");
        }
        assert!(key("metric", &"k".repeat(250)).is_ok());
        assert!(key("metric", &"k".repeat(251)).is_err());
        assert!(key("metric", &"ü".repeat(250)).is_ok(), "characters count, not bytes");
    }

    #[test]
    fn values_are_refused_rather_than_cut() {
        assert!(param(&Param::new("p", "x".repeat(6_000))).is_ok());
        let error = param(&Param::new("p", "x".repeat(6_001))).unwrap_err();
        assert!(error.to_string().contains("6001 characters, 6000 at most"), "{error}");
        assert!(tag(&Tag::new("t", "x".repeat(8_001)), TAG_CHARS_MAX).is_err());
        assert!(tag(&Tag::new("t", "a\0b"), TAG_CHARS_MAX).is_err());
    }

    #[test]
    fn batches_have_limits() {
        let point = || Metric::new("m", 1.0, 0, 0);
        let params = |n: usize| (0..n).map(|i| Param::new(format!("p{i}"), "v")).collect::<Vec<_>>();
        let metrics = |n: usize| vec![point(); n];
        assert!(batch(&Batch { metrics: metrics(1_000), ..Batch::default() }).is_ok());
        assert!(batch(&Batch { metrics: metrics(1_001), ..Batch::default() }).is_err());
        assert!(batch(&Batch { params: params(101), ..Batch::default() }).is_err());
        assert!(batch(&Batch { metrics: metrics(901), params: params(100), ..Batch::default() }).is_err());
        let twice = vec![Param::new("p", "1"), Param::new("p", "1")];
        assert!(batch(&Batch { params: twice, ..Batch::default() }).is_err());
    }

    #[test]
    fn models_and_aliases() {
        assert!(model_name("a model").is_ok());
        for bad in ["", " ", "a/b", "a:b", "..", "."] {
            assert!(model_name(bad).is_err(), "{bad:?}");
        }
        assert!(alias("champion-2").is_ok());
        for bad in ["", "latest", "Latest", "v1", "V22", "a b", "a/b"] {
            assert!(alias(bad).is_err(), "{bad:?}");
        }
        assert!(logged_model_name("my-model_1").is_ok() && logged_model_name("a.b").is_err());
    }

    #[test]
    fn ids() {
        assert_eq!(experiment_id("12").unwrap(), 12);
        for bad in ["", "-1", "1a", "1;DROP", "99999999999999999999"] {
            assert!(experiment_id(bad).is_err(), "{bad:?}");
        }
        let texts = |list: &[&str]| list.iter().map(|id| id.to_string()).collect::<Vec<_>>();
        assert_eq!(experiment_ids(&texts(&["3", "1", "3"])).unwrap(), [1, 3]);
        assert!(experiment_ids(&texts(&["1", "x"])).is_err());
        assert!(experiment_ids(&vec!["1".to_string(); 10_001]).is_err());
        assert!(run_id(&"0".repeat(32)).is_ok());
        assert!(run_id(&"G".repeat(32)).is_err() && run_id("../..").is_err());
    }
}
