//! The one error of this crate: what was asked, what was found, what to do.

use std::fmt;

use crate::{DType, Tensor};

/// What went wrong, for callers that want to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Shapes do not fit the operation or each other.
    Shape,
    /// The element type does not fit the operation, or two tensors differ in it.
    DType,
    /// An index, id or dimension number lies outside its range.
    Index,
    /// Something about gradients: none wanted, a graph used twice, a saved value changed in between.
    Gradient,
    /// The data are being written (or read, where a write was asked) at this moment.
    InUse,
    /// The memory asked for does not exist.
    Memory,
    /// Another argument has a value the operation cannot work with.
    Argument,
}

/// An error with the name of the operation that met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    op: &'static str,
    message: String,
}

/// The result of every fallible function here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, op: &'static str, message: impl Into<String>) -> Self {
        Self { kind, op, message: message.into() }
    }

    pub(crate) fn shape(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Shape, op, message)
    }

    pub(crate) fn dtype(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::DType, op, message)
    }

    pub(crate) fn index(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Index, op, message)
    }

    pub(crate) fn gradient(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Gradient, op, message)
    }

    pub(crate) fn argument(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Argument, op, message)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The operation that refused, as it is called in the op table.
    pub fn op(&self) -> &'static str {
        self.op
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.message)
    }
}

impl std::error::Error for Error {}

/// Refuses tensors whose element type is none of `allowed`.
pub(crate) fn expect_dtype(op: &'static str, tensor: &Tensor, allowed: &[DType]) -> Result<()> {
    if allowed.contains(&tensor.dtype()) {
        return Ok(());
    }
    let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    Err(Error::dtype(
        op,
        format!(
            "got a tensor of {} with shape {:?}; it takes {}: convert with to_dtype",
            tensor.dtype(),
            tensor.shape(),
            names.join(", ")
        ),
    ))
}

/// Refuses two tensors of different element types. There is no silent promotion.
pub(crate) fn expect_same_dtype(op: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() == b.dtype() {
        return Ok(());
    }
    Err(Error::dtype(
        op,
        format!(
            "the tensors have different types, {} {:?} and {} {:?}: convert one with to_dtype",
            a.dtype(),
            a.shape(),
            b.dtype(),
            b.shape()
        ),
    ))
}

/// Refuses a tensor without exactly this many dimensions.
pub(crate) fn expect_rank(op: &'static str, name: &str, tensor: &Tensor, rank: usize) -> Result<()> {
    if tensor.rank() == rank {
        return Ok(());
    }
    Err(Error::shape(op, format!("{name} needs {rank} dimensions, found shape {:?}", tensor.shape())))
}

/// Refuses a tensor without exactly this shape.
pub(crate) fn expect_shape(op: &'static str, name: &str, tensor: &Tensor, shape: &[usize]) -> Result<()> {
    if tensor.shape() == shape {
        return Ok(());
    }
    Err(Error::shape(op, format!("{name} needs shape {shape:?}, found {:?}", tensor.shape())))
}
