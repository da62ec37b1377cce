//! The op table: one row an operation, with everything that can be known of it without running it.
//!
//! Tests walk the table: each row's fast path against its reference on every instruction set, each
//! gradient against finite differences, and every public operation for its row. `bench_ops` measures by
//! it, [`docs`] prints it, and [`call`] runs an operation by name, which is all that a binding needs.

mod array;
mod elementwise;
mod fused;
mod movement;
mod samples;
mod sums;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::Reduction;
use crate::tensor::Tensor;

pub use array::Array;
pub use samples::{Sampler, Scale};

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tensor that gradients flow to, if it holds floats.
    Tensor,
    /// Several tensors that gradients flow to.
    Tensors,
    /// A tensor of floats that is constant for gradients.
    Constant,
    /// The same, or none.
    OptionalConstant,
    /// A tensor of i64 ids or indices.
    Ids,
    /// A tensor of bool.
    Mask,
    /// A whole number.
    Int,
    /// Several whole numbers.
    Ints,
    /// A whole number or none.
    OptionalInt,
    /// A number.
    Float,
    /// A number or none.
    OptionalFloat,
    /// True or false.
    Flag,
    /// The name of an element type.
    DType,
    /// `mean`, `sum` or `none`.
    Reduction,
}

/// An argument of a call by name.
#[derive(Clone, Debug)]
pub enum Value {
    /// One tensor.
    Tensor(Tensor),
    /// Several tensors.
    Tensors(Vec<Tensor>),
    /// A whole number.
    Int(i64),
    /// Several whole numbers.
    Ints(Vec<i64>),
    /// A number.
    Float(f64),
    /// True or false.
    Flag(bool),
    /// A name.
    Name(&'static str),
    /// Nothing, for an optional argument.
    None,
}

/// What kind of operation a row describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Each element on its own, with broadcasting.
    Elementwise,
    /// Comparisons and choice.
    Comparison,
    /// Sums and the like over dimensions.
    Reduction,
    /// Products of matrices.
    Matrix,
    /// Other shapes and orders of the same elements.
    View,
    /// Picking by index and putting together.
    Index,
    /// Kernels of the language model.
    Fused,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Op {
    /// The name, also that of the method or function.
    pub name: &'static str,
    /// The kind of operation.
    pub group: Group,
    /// Names and kinds of the arguments, in order.
    pub arguments: &'static [(&'static str, Kind)],
    /// Shapes in and out.
    pub shapes: &'static str,
    /// What it computes, with its source where it has one.
    pub doc: &'static str,
    /// The element types it takes for its tensors.
    pub dtypes: &'static [DType],
    /// Whether gradients flow through it.
    pub differentiable: bool,
    /// Runs it.
    pub call: fn(&Args<'_>) -> Result<Tensor>,
    /// The same, written for a reader, in f64.
    pub reference: fn(&Args<'_>) -> Result<Array>,
    /// Argument lists to try it with; float tensors in f64.
    pub samples: fn(&mut Sampler) -> Vec<Vec<Value>>,
    /// Floating point operations of the forward pass, given arguments and result.
    pub flops: fn(&Args<'_>, &Tensor) -> f64,
}

impl Op {
    /// Bytes read and written at least by the forward pass.
    pub fn bytes(&self, args: &Args<'_>, output: &Tensor) -> f64 {
        let size = |tensor: &Tensor| tensor.len() * tensor.dtype().size_bytes();
        let read: usize = args
            .values
            .iter()
            .map(|value| match value {
                Value::Tensor(tensor) => size(tensor),
                Value::Tensors(tensors) => tensors.iter().map(size).sum(),
                _ => 0,
            })
            .sum();
        (read + size(output)) as f64
    }

    /// The arguments, checked against the kinds that the row names.
    ///
    /// # Errors
    /// When their number or a kind does not fit.
    pub fn args<'a>(&self, values: &'a [Value]) -> Result<Args<'a>> {
        if values.len() != self.arguments.len() {
            let names: Vec<&str> = self.arguments.iter().map(|(name, _)| *name).collect();
            return Err(Error::argument(
                self.name,
                format!("{} arguments given, it takes {}: {}", values.len(), names.len(), names.join(", ")),
            ));
        }
        for (&(name, kind), value) in self.arguments.iter().zip(values) {
            let fits = matches!(
                (kind, value),
                (Kind::Tensor | Kind::Constant | Kind::OptionalConstant, Value::Tensor(_))
                    | (Kind::Ids | Kind::Mask, Value::Tensor(_))
                    | (Kind::Tensors, Value::Tensors(_))
                    | (Kind::Int | Kind::OptionalInt, Value::Int(_))
                    | (Kind::Ints, Value::Ints(_))
                    | (Kind::Float | Kind::OptionalFloat, Value::Float(_))
                    | (Kind::Flag, Value::Flag(_))
                    | (Kind::DType | Kind::Reduction, Value::Name(_))
                    | (Kind::OptionalConstant | Kind::OptionalInt | Kind::OptionalFloat, Value::None)
            );
            if !fits {
                return Err(Error::argument(
                    self.name,
                    format!("argument {name} must be a {kind:?}, found {value:?}"),
                ));
            }
        }
        Ok(Args { op: self.name, values })
    }
}

/// Every row, group by group.
pub fn ops() -> impl Iterator<Item = &'static Op> {
    [elementwise::OPS, sums::OPS, movement::OPS, fused::OPS].into_iter().flatten()
}

/// The row with this name.
pub fn find(name: &str) -> Option<&'static Op> {
    ops().find(|op| op.name == name)
}

/// Runs an operation by name.
///
/// # Errors
/// When there is no such operation, an argument does not fit, or the operation refuses.
pub fn call(name: &str, values: &[Value]) -> Result<Tensor> {
    let op = find(name).ok_or_else(|| Error::argument("call", format!("there is no operation {name:?}")))?;
    (op.call)(&op.args(values)?)
}

/// The table as Markdown: name, arguments, shapes, types, gradient, meaning.
pub fn docs() -> String {
    let mut text =
        String::from("| op | arguments | shapes | types | gradient | meaning |\n|---|---|---|---|---|---|\n");
    for op in ops() {
        let arguments: Vec<&str> = op.arguments.iter().map(|(name, _)| *name).collect();
        let types: Vec<&str> = op.dtypes.iter().map(|dtype| dtype.name()).collect();
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            op.name,
            arguments.join(", "),
            op.shapes,
            types.join(" "),
            if op.differentiable { "yes" } else { "no" },
            op.doc
        ));
    }
    text
}

/// The arguments of one call.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    op: &'static str,
    values: &'a [Value],
}

impl Args<'_> {
    fn wrong(&self, index: usize, wanted: &str) -> Error {
        Error::argument(
            self.op,
            format!("argument {index} must be {wanted}, found {:?}", self.values.get(index)),
        )
    }

    /// Argument `index` as a tensor.
    ///
    /// # Errors
    /// When it is none.
    pub fn tensor(&self, index: usize) -> Result<&Tensor> {
        match self.values.get(index) {
            Some(Value::Tensor(tensor)) => Ok(tensor),
            _ => Err(self.wrong(index, "a tensor")),
        }
    }

    /// Argument `index` as a tensor or none.
    ///
    /// # Errors
    /// When it is neither.
    pub fn optional_tensor(&self, index: usize) -> Result<Option<&Tensor>> {
        if matches!(self.values.get(index), Some(Value::None)) {
            Ok(None)
        } else {
            self.tensor(index).map(Some)
        }
    }

    /// Argument `index` as several tensors.
    ///
    /// # Errors
    /// When it is something else.
    pub fn tensors(&self, index: usize) -> Result<Vec<&Tensor>> {
        match self.values.get(index) {
            Some(Value::Tensors(tensors)) => Ok(tensors.iter().collect()),
            _ => Err(self.wrong(index, "tensors")),
        }
    }

    /// Argument `index` as the reference sees it: a tensor's values in f64.
    ///
    /// # Errors
    /// When it is no tensor.
    pub fn array(&self, index: usize) -> Result<Array> {
        Array::of(self.tensor(index)?)
    }

    /// Argument `index` as a whole number.
    ///
    /// # Errors
    /// When it is none.
    pub fn int(&self, index: usize) -> Result<isize> {
        match self.values.get(index) {
            Some(&Value::Int(value)) => Ok(value as isize),
            _ => Err(self.wrong(index, "a whole number")),
        }
    }

    /// Argument `index` as a whole number that is not negative.
    ///
    /// # Errors
    /// When it is none.
    pub fn size(&self, index: usize) -> Result<usize> {
        usize::try_from(self.int(index)?).map_err(|_| self.wrong(index, "a whole number, 0 or more"))
    }

    /// Argument `index` as a whole number or none.
    ///
    /// # Errors
    /// When it is neither.
    pub fn optional_size(&self, index: usize) -> Result<Option<usize>> {
        if matches!(self.values.get(index), Some(Value::None)) {
            Ok(None)
        } else {
            self.size(index).map(Some)
        }
    }

    /// Argument `index` as whole numbers.
    ///
    /// # Errors
    /// When it is something else.
    pub fn ints(&self, index: usize) -> Result<Vec<isize>> {
        match self.values.get(index) {
            Some(Value::Ints(values)) => Ok(values.iter().map(|&value| value as isize).collect()),
            _ => Err(self.wrong(index, "whole numbers")),
        }
    }

    /// Argument `index` as sizes.
    ///
    /// # Errors
    /// When it is something else.
    pub fn sizes(&self, index: usize) -> Result<Vec<usize>> {
        let convert = |value| usize::try_from(value).map_err(|_| self.wrong(index, "sizes, 0 or more"));
        self.ints(index)?.into_iter().map(convert).collect()
    }

    /// Argument `index` as a number.
    ///
    /// # Errors
    /// When it is none.
    pub fn float(&self, index: usize) -> Result<f64> {
        match self.values.get(index) {
            Some(&Value::Float(value)) => Ok(value),
            _ => Err(self.wrong(index, "a number")),
        }
    }

    /// Argument `index` as a number or none.
    ///
    /// # Errors
    /// When it is neither.
    pub fn optional_float(&self, index: usize) -> Result<Option<f64>> {
        if matches!(self.values.get(index), Some(Value::None)) {
            Ok(None)
        } else {
            self.float(index).map(Some)
        }
    }

    /// Argument `index` as true or false.
    ///
    /// # Errors
    /// When it is neither.
    pub fn flag(&self, index: usize) -> Result<bool> {
        match self.values.get(index) {
            Some(&Value::Flag(value)) => Ok(value),
            _ => Err(self.wrong(index, "true or false")),
        }
    }

    /// Argument `index` as an element type.
    ///
    /// # Errors
    /// When it names none.
    pub fn dtype(&self, index: usize) -> Result<DType> {
        match self.values.get(index) {
            Some(&Value::Name(name)) => DType::from_name(name),
            _ => None,
        }
        .ok_or_else(|| self.wrong(index, "the name of an element type"))
    }

    /// Argument `index` as a reduction.
    ///
    /// # Errors
    /// When it names none.
    pub fn reduction(&self, index: usize) -> Result<Reduction> {
        match self.values.get(index) {
            Some(&Value::Name(name)) => Reduction::from_name(name),
            _ => None,
        }
        .ok_or_else(|| self.wrong(index, "mean, sum or none"))
    }
}

/// What rows have in common; each names what differs.
const BASE: Op = Op {
    name: "",
    group: Group::Elementwise,
    arguments: &[("x", Kind::Tensor)],
    shapes: "(…) → (…)",
    doc: "",
    dtypes: &DType::FLOATS,
    differentiable: true,
    call: |args| Ok(args.tensor(0)?.clone()),
    reference: |args| args.array(0),
    samples: samples::one_tensor,
    flops: |_, output| output.len() as f64,
};
