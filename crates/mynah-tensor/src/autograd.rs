//! Gradients, PyTorch-style: operations on tensors that require a gradient leave nodes behind, and
//! [`Tensor::backward`] walks them once, newest first.
//!
//! A node keeps what its gradient needs and nothing else; its memory is freed as soon as its gradient
//! has been computed. Creation numbers order the walk: a node's inputs are always older, so a heap of
//! pending nodes is a topological order, and no recursion can overflow the stack.

use std::cell::Cell;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::dims::Dims;
use crate::dtype::{DType, Element, dispatch};
use crate::error::{Error, Result};
use crate::memory::Recycled;
use crate::rows::RowGrad;
use crate::tensor::Tensor;

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(true) };
}

/// Whether operations on this thread record what a gradient needs.
pub fn grad_enabled() -> bool {
    ENABLED.get()
}

/// Runs `body` without recording: results require no gradient and keep nothing alive.
pub fn no_grad<R>(body: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ENABLED.set(self.0);
        }
    }
    let _restore = Restore(ENABLED.replace(false));
    body()
}

/// Whether an operation on these inputs is to be recorded.
pub(crate) fn wants_grad(inputs: &[&Tensor]) -> bool {
    grad_enabled() && inputs.iter().any(|input| input.requires_grad())
}

/// Where a leaf collects its gradient.
pub(crate) struct Leaf {
    grad: Mutex<Option<Grad>>,
    shape: Dims,
    dtype: DType,
}

#[derive(Clone)]
enum Grad {
    Dense(Tensor),
    Rows(RowGrad),
}

impl Leaf {
    pub fn new(shape: Dims, dtype: DType) -> Self {
        Self { grad: Mutex::new(None), shape, dtype }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Grad>> {
        self.grad.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Computes the gradients of an operation's inputs from that of its output and hands them to the sink.
pub(crate) type Backward = Box<dyn Fn(Tensor, &mut Sink<'_>) -> Result<()> + Send + Sync>;

/// A recorded operation.
pub(crate) struct Node {
    id: u64,
    op: &'static str,
    edges: Vec<Edge>,
    shape: Dims,
    dtype: DType,
    backward: Mutex<Option<Arc<Backward>>>,
}

/// Where the gradient of one input goes.
enum Edge {
    /// Nobody wants it.
    None,
    Leaf(Arc<Leaf>),
    Node(Arc<Node>),
}

impl Node {
    pub fn op(&self) -> &'static str {
        self.op
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A chain of nodes owns itself link by link; dropping it by recursion would overflow the stack.
        let mut waiting: Vec<Edge> = std::mem::take(&mut self.edges);
        while let Some(edge) = waiting.pop() {
            if let Edge::Node(node) = edge
                && let Some(mut node) = Arc::into_inner(node)
            {
                waiting.append(&mut node.edges);
            }
        }
    }
}

/// Records that `output` was made by `op` from `inputs`.
pub(crate) fn record(
    output: Tensor,
    op: &'static str,
    inputs: &[&Tensor],
    backward: impl Fn(Tensor, &mut Sink<'_>) -> Result<()> + Send + Sync + 'static,
) -> Tensor {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let edges = inputs
        .iter()
        .map(|input| match (&input.0.node, input.0.leaf.get()) {
            (Some(node), _) => Edge::Node(Arc::clone(node)),
            (None, Some(leaf)) => Edge::Leaf(Arc::clone(leaf)),
            (None, None) => Edge::None,
        })
        .collect();
    let node = Arc::new(Node {
        id: NEXT.fetch_add(1, Ordering::Relaxed),
        op,
        edges,
        shape: output.dims(),
        dtype: output.dtype(),
        backward: Mutex::new(Some(Arc::new(Box::new(backward)))),
    });
    let mut output = output;
    match Arc::get_mut(&mut output.0) {
        Some(inner) => {
            inner.node = Some(node);
            output
        }
        None => {
            let mut view = output.detach();
            if let Some(inner) = Arc::get_mut(&mut view.0) {
                inner.node = Some(node);
            }
            view
        }
    }
}

/// A tensor kept for a backward pass, with the version it had.
pub(crate) struct Saved {
    tensor: Tensor,
    version: u64,
}

impl Saved {
    pub fn new(tensor: &Tensor) -> Self {
        // Detached: keeping the node of an input would tie the graph into knots and chains.
        Self { tensor: tensor.detach(), version: tensor.version() }
    }

    /// The tensor, unless somebody wrote to it since.
    pub fn get(&self, op: &'static str) -> Result<&Tensor> {
        let now = self.tensor.version();
        if now == self.version {
            return Ok(&self.tensor);
        }
        Err(Error::gradient(
            op,
            format!(
                "a tensor of shape {:?} that its gradient needs was modified in place after the forward pass \
                 (version {now}, saved at {}): write to a copy, or after backward()",
                self.tensor.shape(),
                self.version
            ),
        ))
    }
}

/// A value that the last backward pass may take out instead of copying.
pub(crate) struct Kept<T>(Mutex<Option<T>>);

impl<T: Clone> Kept<T> {
    pub fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    pub fn take(&self, op: &'static str, sink: &Sink<'_>) -> Result<T> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = if sink.keep_graph { place.clone() } else { place.take() };
        value.ok_or_else(|| used_up(op))
    }
}

fn used_up(op: &'static str) -> Error {
    Error::gradient(
        op,
        "backward has already used and freed this part of the graph: run the forward pass again, \
         or keep the graph with backward_with(gradient, true)",
    )
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ById(u64);

/// The state of one backward pass.
#[derive(Default)]
struct Engine {
    heap: BinaryHeap<ById>,
    pending: HashMap<u64, (Arc<Node>, Tensor)>,
}

/// Takes the gradients of an operation's inputs, by their positions in `record`.
pub(crate) struct Sink<'a> {
    edges: &'a [Edge],
    engine: &'a mut Engine,
    op: &'static str,
    keep_graph: bool,
}

impl Sink<'_> {
    /// Whether anybody wants the gradient of this input.
    pub fn wants(&self, input: usize) -> bool {
        !matches!(self.edges[input], Edge::None)
    }

    /// Adds a gradient.
    pub fn add(&mut self, input: usize, grad: Tensor) -> Result<()> {
        match &self.edges[input] {
            Edge::None => Ok(()),
            Edge::Leaf(leaf) => add_to_leaf(self.op, leaf, grad),
            Edge::Node(node) => self.engine.add(self.op, node, grad),
        }
    }

    /// Adds a gradient that is zero outside of some rows.
    pub fn add_rows(&mut self, input: usize, grad: RowGrad) -> Result<()> {
        let Edge::Leaf(leaf) = &self.edges[input] else {
            return if self.wants(input) { self.add(input, grad.to_dense()?) } else { Ok(()) };
        };
        let mut place = leaf.lock();
        let sum = match place.take() {
            None => Grad::Rows(grad),
            Some(Grad::Rows(old)) => Grad::Rows(old.merge(&grad)?),
            Some(Grad::Dense(old)) => {
                grad.add_to(&old)?;
                Grad::Dense(old)
            }
        };
        *place = Some(sum);
        Ok(())
    }

    /// Lets `fill` write a gradient straight to where it is collected. With `true` it must add to what is
    /// there; with `false` the content is unspecified and must be overwritten wholly.
    pub fn write<T: Element>(
        &mut self,
        input: usize,
        fill: impl FnOnce(&mut [T], bool) -> Result<()>,
    ) -> Result<()> {
        let (op, engine) = (self.op, &mut *self.engine);
        match &self.edges[input] {
            Edge::None => Ok(()),
            Edge::Leaf(leaf) => {
                let mut place = leaf.lock();
                let old = match place.take() {
                    Some(Grad::Rows(rows)) => Some(rows.to_dense()?),
                    Some(Grad::Dense(old)) => Some(old),
                    None => None,
                };
                *place = Some(Grad::Dense(write_or_make(op, old, &leaf.shape, fill)?));
                Ok(())
            }
            Edge::Node(node) => {
                let old = match engine.pending.get(&node.id) {
                    Some((_, old)) if is_sole_owner(old) && old.is_contiguous() => Some(old.clone()),
                    // Others hold the sum so far (or it is a view): leave it to them and go on with a copy.
                    Some((_, old)) => Some(old.copy()?),
                    None => None,
                };
                let sum = write_or_make(op, old, &node.shape, fill)?;
                engine.set(node, sum);
                Ok(())
            }
        }
    }
}

fn write_or_make<T: Element>(
    op: &'static str,
    old: Option<Tensor>,
    shape: &[usize],
    fill: impl FnOnce(&mut [T], bool) -> Result<()>,
) -> Result<Tensor> {
    match old {
        Some(old) => {
            old.with_slice_mut(|data| fill(data, true))??;
            Ok(old)
        }
        None => {
            let mut buffer = Recycled::<T>::unfilled(op, shape.iter().product())?;
            fill(&mut buffer, false)?;
            Tensor::from_buffer(op, buffer, shape)
        }
    }
}

/// Whether this handle alone reaches the data.
fn is_sole_owner(tensor: &Tensor) -> bool {
    Arc::strong_count(&tensor.0) == 1 && Arc::strong_count(&tensor.0.storage) == 1
}

fn check_grad(op: &'static str, grad: &Tensor, shape: &[usize], dtype: DType) -> Result<()> {
    if grad.shape() == shape && grad.dtype() == dtype {
        return Ok(());
    }
    Err(Error::gradient(
        op,
        format!(
            "its backward made a gradient of {} {:?} for an input of {dtype} {shape:?}",
            grad.dtype(),
            grad.shape()
        ),
    ))
}

fn add_to_leaf(op: &'static str, leaf: &Leaf, grad: Tensor) -> Result<()> {
    check_grad(op, &grad, &leaf.shape, leaf.dtype)?;
    let mut place = leaf.lock();
    let sum = match place.take() {
        // A view of something larger would keep all of it alive.
        None if is_sole_owner(&grad) && grad.is_contiguous() && grad.0.storage.len() == grad.len() => grad,
        None => grad.copy()?,
        Some(Grad::Dense(old)) => {
            add_in_place(&old, &grad)?;
            old
        }
        Some(Grad::Rows(rows)) => {
            let dense = grad.copy()?;
            rows.add_to(&dense)?;
            dense
        }
    };
    *place = Some(Grad::Dense(sum));
    Ok(())
}

/// target += grad, in the target's memory.
fn add_in_place(target: &Tensor, grad: &Tensor) -> Result<()> {
    let grad = grad.contiguous()?;
    dispatch!(target.dtype(), T => {
        grad.with_slice(|grad: &[T]| target.with_slice_mut(|target: &mut [T]| T::add_assign(target, grad)))?
    })
}

impl Engine {
    fn set(&mut self, node: &Arc<Node>, grad: Tensor) {
        if self.pending.insert(node.id, (Arc::clone(node), grad)).is_none() {
            self.heap.push(ById(node.id));
        }
    }

    fn add(&mut self, op: &'static str, node: &Arc<Node>, grad: Tensor) -> Result<()> {
        check_grad(op, &grad, &node.shape, node.dtype)?;
        let Some((_, old)) = self.pending.get(&node.id) else {
            self.set(node, grad);
            return Ok(());
        };
        let sum = if is_sole_owner(old) && old.is_contiguous() {
            add_in_place(old, &grad)?;
            return Ok(());
        } else if is_sole_owner(&grad) && grad.is_contiguous() {
            add_in_place(&grad, old)?;
            grad
        } else {
            old.add(&grad)?
        };
        self.set(node, sum);
        Ok(())
    }

    fn run(&mut self, keep_graph: bool) -> Result<()> {
        while let Some(ById(id)) = self.heap.pop() {
            let Some((node, grad)) = self.pending.remove(&id) else { continue };
            let backward = {
                let mut place = node.backward.lock().unwrap_or_else(PoisonError::into_inner);
                if keep_graph { place.clone() } else { place.take() }
            };
            let backward = backward.ok_or_else(|| used_up(node.op))?;
            let mut sink = Sink { edges: &node.edges, engine: self, op: node.op, keep_graph };
            backward(grad, &mut sink)?;
            // What the node kept is freed here, before the next node allocates.
        }
        Ok(())
    }
}

impl Tensor {
    /// Computes the gradients of this one-element tensor with respect to every leaf it depends on, adding
    /// to the gradients they have. Frees the graph on the way.
    ///
    /// # Errors
    /// When there is not exactly one element, nothing requires a gradient, the graph was used before, or a
    /// value it needs was modified in place.
    pub fn backward(&self) -> Result<()> {
        self.backward_with(None, false)
    }

    /// [`Tensor::backward`] from a given gradient of this tensor; with `keep_graph` it can be used again.
    ///
    /// # Errors
    /// As [`Tensor::backward`]; the gradient must have this tensor's shape and type.
    pub fn backward_with(&self, gradient: Option<&Tensor>, keep_graph: bool) -> Result<()> {
        const OP: &str = "backward";
        if !self.requires_grad() {
            return Err(Error::gradient(
                OP,
                "nothing here requires a gradient: call requires_grad_() on the parameters, outside of no_grad()",
            ));
        }
        let gradient = match gradient {
            Some(gradient) => gradient.detach(),
            None if self.len() == 1 => self.ones_like()?,
            None => {
                return Err(Error::gradient(
                    OP,
                    format!(
                        "a tensor of shape {:?} needs a gradient of its shape: use backward_with",
                        self.shape()
                    ),
                ));
            }
        };
        no_grad(|| match (&self.0.node, self.0.leaf.get()) {
            (Some(node), _) => {
                let mut engine = Engine::default();
                engine.add(OP, node, gradient)?;
                engine.run(keep_graph)
            }
            (None, Some(leaf)) => add_to_leaf(OP, leaf, gradient),
            (None, None) => Ok(()),
        })
    }

    /// The gradient collected so far. It shares its data with the collected one, except where that is kept
    /// as rows, which come back filled up with zeros.
    ///
    /// # Errors
    /// When rows are to be filled up and the memory does not exist.
    pub fn grad(&self) -> Result<Option<Tensor>> {
        let Some(leaf) = self.0.leaf.get() else { return Ok(None) };
        match &*leaf.lock() {
            None => Ok(None),
            Some(Grad::Dense(grad)) => Ok(Some(grad.clone())),
            Some(Grad::Rows(rows)) => Ok(Some(rows.to_dense()?)),
        }
    }

    /// The gradient collected so far where it is kept as rows of a table: see [`RowGrad`].
    pub fn grad_rows(&self) -> Option<RowGrad> {
        match &*self.0.leaf.get()?.lock() {
            Some(Grad::Rows(rows)) => Some(rows.clone()),
            _ => None,
        }
    }

    /// Forgets the gradient and recycles its memory.
    pub fn zero_grad(&self) {
        if let Some(leaf) = self.0.leaf.get() {
            *leaf.lock() = None;
        }
    }

    /// Replaces the collected gradient.
    ///
    /// # Errors
    /// When this is no leaf that requires a gradient, or shape or type differ.
    pub fn set_grad(&self, grad: &Tensor) -> Result<()> {
        const OP: &str = "set_grad";
        let leaf =
            self.0.leaf.get().ok_or_else(|| Error::gradient(OP, "the tensor does not require a gradient"))?;
        check_grad(OP, grad, &leaf.shape, leaf.dtype)?;
        let copy = no_grad(|| grad.detach().copy())?;
        *leaf.lock() = Some(Grad::Dense(copy));
        Ok(())
    }
}
