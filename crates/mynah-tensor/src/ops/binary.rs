//! Elementwise functions of two tensors, with NumPy's broadcasting.

use mynah_kernels::float::Float;

use crate::autograd::{Saved, record, wants_grad};
use crate::dims::broadcast_shapes;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result, expect_same_dtype};
use crate::kernels::{Real, over, via_f32};
use crate::layout::walk;
use crate::memory::Recycled;
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Maximum,
    Minimum,
    Power,
}

impl Binary {
    fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Maximum => "maximum",
            Binary::Minimum => "minimum",
            Binary::Power => "power",
        }
    }

    fn forward<T: Real>(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let op = self.name();
        match self {
            Binary::Add => zip(op, a, b, |a: T, b: T| a + b),
            Binary::Sub => zip(op, a, b, |a: T, b: T| a - b),
            Binary::Mul => zip(op, a, b, |a: T, b: T| a * b),
            Binary::Div => zip(op, a, b, |a: T, b: T| a / b),
            // A NaN on either side comes out.
            Binary::Maximum => zip(op, a, b, |a: T, b: T| if a > b || Float::is_nan(a) { a } else { b }),
            Binary::Minimum => zip(op, a, b, |a: T, b: T| if a < b || Float::is_nan(a) { a } else { b }),
            Binary::Power => zip(op, a, b, |a: T, b: T| Float::powf(a, b)),
        }
    }

    fn forward_i64(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let op = self.name();
        match self {
            Binary::Add => zip(op, a, b, i64::wrapping_add),
            Binary::Sub => zip(op, a, b, i64::wrapping_sub),
            Binary::Mul => zip(op, a, b, i64::wrapping_mul),
            Binary::Maximum => zip(op, a, b, i64::max),
            Binary::Minimum => zip(op, a, b, i64::min),
            Binary::Div | Binary::Power => Err(not_for_integers(op, a)),
        }
    }

    fn forward_u8(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let op = self.name();
        match self {
            Binary::Add => zip(op, a, b, u8::wrapping_add),
            Binary::Sub => zip(op, a, b, u8::wrapping_sub),
            Binary::Mul => zip(op, a, b, u8::wrapping_mul),
            Binary::Maximum => zip(op, a, b, u8::max),
            Binary::Minimum => zip(op, a, b, u8::min),
            Binary::Div | Binary::Power => Err(not_for_integers(op, a)),
        }
    }
}

fn not_for_integers(op: &'static str, a: &Tensor) -> Error {
    Error::dtype(
        op,
        format!("{} is not a type it can compute with: convert to a float type with to_dtype", a.dtype()),
    )
}

/// f over two tensors of one type, broadcast; the result is contiguous.
pub(crate) fn zip<A: Element, B: Element>(
    op: &'static str,
    a: &Tensor,
    b: &Tensor,
    f: impl Fn(A, A) -> B + Sync,
) -> Result<Tensor> {
    zip_slices::<A, B>(op, a, b, &|xs, ys, out| {
        for ((o, &x), &y) in out.iter_mut().zip(xs).zip(ys) {
            *o = f(x, y);
        }
    })
}

/// An inner loop over as many elements as the result has.
type Inner<'f, A, B> = dyn Fn(&[A], &[A], &mut [B]) + Sync + 'f;

/// [`zip`] with the inner loop as a trait object: everything around it is compiled once a type. Operands
/// that do not lie in order are brought into order a piece at a time.
fn zip_slices<A: Element, B: Element>(
    op: &'static str,
    a: &Tensor,
    b: &Tensor,
    f: &Inner<'_, A, B>,
) -> Result<Tensor> {
    const PIECE: usize = 256;
    let shape = broadcast_shapes(op, a.shape(), b.shape())?;
    let len = crate::dims::element_count(op, &shape)?;
    let mut out = Recycled::<B>::unfilled(op, len)?;
    let (reader_a, reader_b) = (a.reader(op)?, b.reader(op)?);
    let (xs, ys) = (reader_a.all::<A>()?, reader_b.all::<A>()?);
    let whole = |t: &Tensor| t.shape() == &shape[..] && t.is_contiguous();
    // One value against many is the same piece again and again.
    let constant = |t: &Tensor, all: &[A]| (t.len() == 1).then(|| [all[t.layout().offset]; PIECE]);
    if len == 0 {
        return Tensor::from_buffer(op, out, &shape);
    }
    if whole(a) && whole(b) {
        let (xs, ys) = (&xs[a.range()], &ys[b.range()]);
        over(&mut out, &|start, out| f(&xs[start..], &ys[start..], out));
    } else if whole(a)
        && let Some(y) = constant(b, ys)
    {
        let xs = &xs[a.range()];
        over(&mut out, &|start, out| {
            for (out, xs) in out.chunks_mut(PIECE).zip(xs[start..].chunks(PIECE)) {
                f(xs, &y, out);
            }
        });
    } else if whole(b)
        && let Some(x) = constant(a, xs)
    {
        let ys = &ys[b.range()];
        over(&mut out, &|start, out| {
            for (out, ys) in out.chunks_mut(PIECE).zip(ys[start..].chunks(PIECE)) {
                f(&x, ys, out);
            }
        });
    } else {
        let (la, lb) = (a.layout().expand(op, &shape)?, b.layout().expand(op, &shape)?);
        let mut rest = &mut out[..];
        let (mut piece_a, mut piece_b) = ([A::default(); PIECE], [A::default(); PIECE]);
        let layouts = [(&la.strides[..], la.offset), (&lb.strides[..], lb.offset)];
        walk(&shape, layouts, |[at_a, at_b], len, [da, db]| {
            let (here, behind) = std::mem::take(&mut rest).split_at_mut(len);
            rest = behind;
            for (number, here) in here.chunks_mut(PIECE).enumerate() {
                let start = number * PIECE;
                let left = in_order(xs, at_a, da, start, &mut piece_a[..here.len()]);
                let right = in_order(ys, at_b, db, start, &mut piece_b[..here.len()]);
                f(left, right, here);
            }
        });
    }
    Tensor::from_buffer(op, out, &shape)
}

/// Elements `start..` of a run in `all` that begins at `at`: a slice of it where the stride is 1, else
/// copied into `piece`, whose length is the number wanted.
fn in_order<'a, T: Copy>(
    all: &'a [T],
    at: usize,
    stride: isize,
    start: usize,
    piece: &'a mut [T],
) -> &'a [T] {
    let first = (at as isize + start as isize * stride) as usize;
    match stride {
        1 => &all[first..first + piece.len()],
        0 => {
            piece.fill(all[first]);
            piece
        }
        _ => {
            for (i, place) in piece.iter_mut().enumerate() {
                *place = all[(first as isize + i as isize * stride) as usize];
            }
            piece
        }
    }
}

fn apply(op: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let name = op.name();
    expect_same_dtype(name, a, b)?;
    let output = match a.dtype() {
        DType::F32 => op.forward::<f32>(a, b)?,
        DType::F64 => op.forward::<f64>(a, b)?,
        DType::BF16 | DType::F16 => return via_f32(&[a, b], |wide| apply(op, wide[0], wide[1])),
        DType::I64 => op.forward_i64(a, b)?,
        DType::U8 => op.forward_u8(a, b)?,
        DType::Bool => return Err(not_for_integers(name, a)),
    };
    if !wants_grad(&[a, b]) {
        return Ok(output);
    }
    let (dims_a, dims_b) = (a.dims(), b.dims());
    let save = |t: &Tensor, needed: bool| needed.then(|| Saved::new(t));
    let (keep_a, keep_b) = match op {
        Binary::Add | Binary::Sub => (false, false),
        Binary::Mul => (b.requires_grad(), a.requires_grad()),
        Binary::Div => (b.requires_grad(), true),
        Binary::Maximum | Binary::Minimum | Binary::Power => (true, true),
    };
    let (kept_a, kept_b) = (save(a, keep_a), save(b, keep_b));
    Ok(record(output, name, &[a, b], move |grad, sink| {
        let get = |kept: &Option<Saved>| match kept {
            Some(kept) => kept.get(name).cloned(),
            None => Err(Error::gradient(name, "a factor its gradient needs was not kept")),
        };
        if sink.wants(0) {
            let da = match op {
                Binary::Add | Binary::Sub => grad.clone(),
                Binary::Mul => grad.mul(&get(&kept_b)?)?,
                Binary::Div => grad.div(&get(&kept_b)?)?,
                Binary::Maximum => grad.mul(&share(&get(&kept_a)?, &get(&kept_b)?)?)?,
                Binary::Minimum => grad.mul(&share(&get(&kept_b)?, &get(&kept_a)?)?)?,
                Binary::Power => {
                    let (a, b) = (get(&kept_a)?, get(&kept_b)?);
                    grad.mul(&b)?.mul(&a.power(&b.sub_scalar(1.0)?)?)?
                }
            };
            sink.add(0, da.sum_to(&dims_a)?)?;
        }
        if sink.wants(1) {
            let db = match op {
                Binary::Add => grad,
                Binary::Sub => grad.neg()?,
                Binary::Mul => grad.mul(&get(&kept_a)?)?,
                Binary::Div => {
                    let b = get(&kept_b)?;
                    grad.mul(&get(&kept_a)?)?.div(&b.square()?)?.neg()?
                }
                Binary::Maximum => grad.mul(&share(&get(&kept_b)?, &get(&kept_a)?)?)?,
                Binary::Minimum => grad.mul(&share(&get(&kept_a)?, &get(&kept_b)?)?)?,
                Binary::Power => {
                    let (a, b) = (get(&kept_a)?, get(&kept_b)?);
                    grad.mul(&a.power(&b)?)?.mul(&a.log()?)?
                }
            };
            sink.add(1, db.sum_to(&dims_b)?)?;
        }
        Ok(())
    }))
}

/// The share of the gradient that goes to `a` in max(a, b): all, half where equal, none.
fn share(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    fn of<T: Real>(a: T, b: T) -> T {
        <T as Float>::from_f64(if a > b {
            1.0
        } else if a == b {
            0.5
        } else {
            0.0
        })
    }
    if a.dtype() == DType::F64 { zip("maximum", a, b, of::<f64>) } else { zip("maximum", a, b, of::<f32>) }
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $name:ident => $op:ident;)*) => {
        impl Tensor {
            $($(#[$doc])*
            ///
            /// # Errors
            /// When the types differ or do not fit, the shapes do not broadcast, or memory is short.
            pub fn $name(&self, other: &Tensor) -> Result<Tensor> {
                apply(Binary::$op, self, other)
            })*
        }
    };
}

binary_methods! {
    /// a + b.
    add => Add;
    /// a − b.
    sub => Sub;
    /// a·b.
    mul => Mul;
    /// a/b, for float types.
    div => Div;
    /// The greater of two; where equal, each gets half of the gradient.
    maximum => Maximum;
    /// The smaller of two; where equal, each gets half of the gradient.
    minimum => Minimum;
    /// a to the power b.
    power => Power;
}
