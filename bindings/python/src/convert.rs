//! What Python gives, as figures: anything that is one number, and an error that names key and type otherwise.

use pyo3::exceptions::{PyException, PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyString};

/// Characters of a value that an error shows.
const SHOWN: usize = 80;

/// The figures of a dict or another mapping, all of them or an error.
pub fn figures(metrics: &Bound<'_, PyAny>) -> PyResult<Vec<(String, f64)>> {
    let one = |key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>| {
        let key = key_text(key)?;
        let value = number(&key, value)?;
        Ok((key, value))
    };
    if let Ok(dict) = metrics.cast::<PyDict>() {
        return dict.iter().map(|(key, value)| one(&key, &value)).collect();
    }
    let Ok(items) = metrics.call_method0("items") else {
        let kind = type_name(metrics);
        return Err(PyTypeError::new_err(format!("metrics are a dict of numbers by name, not {kind}")));
    };
    let mut figures = Vec::new();
    for item in items.try_iter()? {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        figures.push(one(&key, &value)?);
    }
    Ok(figures)
}

/// The key of a metric.
pub fn key_text(key: &Bound<'_, PyAny>) -> PyResult<String> {
    let Ok(text) = key.cast::<PyString>() else {
        let message = format!("the key of a metric is text, not {}: {}", type_name(key), shown(key));
        return Err(PyTypeError::new_err(message));
    };
    match text.to_str() {
        Ok(text) => Ok(text.to_string()),
        Err(_) => {
            Err(PyValueError::new_err(format!("the key of a metric is not valid Unicode: {}", shown(key))))
        }
    }
}

/// One number: what `float()` takes except text, and arrays and tensors of one element.
pub fn number(key: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(float) = value.cast_exact::<PyFloat>() {
        return Ok(float.value());
    }
    let error = match value.extract::<f64>() {
        Ok(number) => return Ok(number),
        Err(error) => error,
    };
    let py = value.py();
    // An interrupt while a tensor is fetched from a device is not about this value.
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    let is_text = value.is_instance_of::<PyString>();
    if !is_text
        && let Ok(item) = value.getattr("item").and_then(|item| item.call0())
        && let Ok(number) = item.extract::<f64>()
    {
        return Ok(number);
    }
    let is_number = value.hasattr("__float__")? || value.hasattr("__index__")?;
    let message =
        format!("the metric '{key}' is {}, which is not one number: {}", type_name(value), shown(value));
    let refused = if error.is_instance_of::<PyOverflowError>(py) || is_number {
        PyValueError::new_err(message)
    } else {
        PyTypeError::new_err(message)
    };
    refused.set_cause(py, Some(error));
    Err(refused)
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    match value.get_type().name() {
        Ok(name) => format!("a {name}"),
        Err(_) => "of an unknown type".to_string(),
    }
}

/// The value on one short line.
fn shown(value: &Bound<'_, PyAny>) -> String {
    let text = match value.repr() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => return "(its repr() fails)".to_string(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
