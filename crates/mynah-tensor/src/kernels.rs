//! The two types that kernels compute in, and which kernel each of them uses: f32 the fast ones, f64 the
//! readable references. 16-bit floats are computed in f32.

use mynah_kernels::float::Float;
use mynah_kernels::gemm::{self, Map, MatMut, MatRef, Store};
use mynah_kernels::nn::{self, AttentionShape, CrossEntropyShape, LossScale, RopeNorm, Rows, RowsMut};
use mynah_kernels::pool;

use crate::dtype::Element;
use crate::error::Result;
use crate::rows::RowGrad;
use crate::tensor::Tensor;

/// Elements that one task of a cheap elementwise loop handles: enough to pay for handing it out.
pub(crate) const GRAIN: usize = 1 << 14;

macro_rules! kernels {
    ($(fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        /// f32 and f64.
        #[allow(clippy::too_many_arguments)]
        pub(crate) trait Real: Element + Float {
            $(fn $name($($arg: $type),*) $(-> $result)?;)*
            fn gemm(a: MatRef<'_, Self>, b: MatRef<'_, Self>, c: MatMut<'_, Self>, store: Store<'_, Self>) {
                Self::gemm_map(a, Map::Identity, b, Map::Identity, c, store);
            }
            fn gemm_map(a: MatRef<'_, Self>, map_a: Map, b: MatRef<'_, Self>, map_b: Map, c: MatMut<'_, Self>, store: Store<'_, Self>);
            fn sum_rows(ids: &[i64], dy: &[Self], table_rows: usize, dim: usize) -> RowGrad;
        }
        impl Real for f32 {
            $(fn $name($($arg: $type),*) $(-> $result)? { nn::$name($($arg),*) })*
            fn gemm_map(a: MatRef<'_, Self>, map_a: Map, b: MatRef<'_, Self>, map_b: Map, c: MatMut<'_, Self>, store: Store<'_, Self>) {
                gemm::gemm_map(a, map_a, b, map_b, c, store);
            }
            fn sum_rows(ids: &[i64], dy: &[Self], table_rows: usize, dim: usize) -> RowGrad {
                RowGrad::sum_f32(ids, dy, table_rows, dim)
            }
        }
        impl Real for f64 {
            $(fn $name($($arg: $type),*) $(-> $result)? { nn::reference::$name($($arg),*) })*
            fn gemm(a: MatRef<'_, Self>, b: MatRef<'_, Self>, c: MatMut<'_, Self>, store: Store<'_, Self>) {
                gemm::gemm_f64(a, b, c, store);
            }
            fn gemm_map(a: MatRef<'_, Self>, map_a: Map, b: MatRef<'_, Self>, map_b: Map, c: MatMut<'_, Self>, store: Store<'_, Self>) {
                gemm::gemm_map_reference(a, map_a, b, map_b, c, store);
            }
            fn sum_rows(ids: &[i64], dy: &[Self], table_rows: usize, dim: usize) -> RowGrad {
                RowGrad::sum_f64(ids, dy, table_rows, dim)
            }
        }
    };
}

kernels! {
    fn exp(x: &[Self], y: &mut [Self]);
    fn log(x: &[Self], y: &mut [Self]);
    fn tanh(x: &[Self], y: &mut [Self]);
    fn tanh_backward(y: &[Self], dy: &[Self], dx: &mut [Self]);
    fn sigmoid(x: &[Self], y: &mut [Self]);
    fn sigmoid_backward(y: &[Self], dy: &[Self], dx: &mut [Self]);
    fn silu(x: &[Self], y: &mut [Self]);
    fn silu_backward(x: &[Self], dy: &[Self], dx: &mut [Self]);
    fn gelu(x: &[Self], y: &mut [Self]);
    fn gelu_backward(x: &[Self], dy: &[Self], dx: &mut [Self]);
    fn relu_square_forward(x: &[Self], y: &mut [Self]);
    fn relu_square_backward(x: &[Self], dy: &[Self], dx: &mut [Self]);
    fn rms_norm_forward(x: &[Self], dim: usize, eps: Self, y: &mut [Self], inv_rms: &mut [Self]);
    fn rms_norm_backward(y: &[Self], inv_rms: &[Self], dy: &[Self], dim: usize, dx: &mut [Self], accumulate: bool);
    fn rope_norm_forward(config: &RopeNorm<'_, Self>, x: &[Self], x_row_stride: usize, y: &mut [Self], inv_rms: &mut [Self]);
    fn rope_norm_backward(config: &RopeNorm<'_, Self>, y: &[Self], inv_rms: &[Self], dy: &[Self], dx: &mut [Self], dx_row_stride: usize);
    fn gated_add_forward(v: &[Self], gate: &[Self], ve: &[Self], dim: usize, y: &mut [Self]);
    fn gated_add_backward(gate: &[Self], ve: &[Self], dy: &[Self], dim: usize, dgate: &mut [Self], dve: &mut [Self]);
    fn shift_gated_add_forward(x: &[Self], gate: &[Self], tokens: usize, dim: usize, y: &mut [Self]);
    fn shift_gated_add_backward(x: &[Self], gate: &[Self], dy: &[Self], tokens: usize, dim: usize, dx: &mut [Self], dgate: &mut [Self]);
    fn scaled_sum_forward(a: Self, x: &[Self], b: Self, z: &[Self], y: &mut [Self]);
    fn scaled_sum_backward(a: Self, x: &[Self], b: Self, z: &[Self], dy: &[Self], dx: &mut [Self], dz: &mut [Self]) -> (Self, Self);
    fn attention_forward(shape: &AttentionShape, q: Rows<'_, Self>, k: Rows<'_, Self>, v: Rows<'_, Self>, out: RowsMut<'_, Self>, lse: &mut [Self]);
    fn attention_backward(shape: &AttentionShape, q: Rows<'_, Self>, k: Rows<'_, Self>, v: Rows<'_, Self>, out: Rows<'_, Self>, lse: &[Self], dout: Rows<'_, Self>, dq: RowsMut<'_, Self>, dk: RowsMut<'_, Self>, dv: RowsMut<'_, Self>);
    fn embedding_forward(table: &[Self], dim: usize, ids: &[i64], out: &mut [Self]);
    fn linear_cross_entropy_forward(shape: &CrossEntropyShape, x: &[Self], w: &[Self], targets: &[i64], losses: &mut [Self]);
    fn linear_cross_entropy(shape: &CrossEntropyShape, x: &[Self], w: &[Self], targets: &[i64], scale: LossScale<'_, Self>, losses: &mut [Self], dx: &mut [Self], dw: &mut [Self], accumulate: bool);
    fn softmax_rows(x: &[Self], cols: usize, y: &mut [Self]);
    fn log_softmax_rows(x: &[Self], cols: usize, y: &mut [Self]);
    fn softmax_backward_rows(y: &[Self], dy: &[Self], cols: usize, dx: &mut [Self]);
    fn log_softmax_backward_rows(y: &[Self], dy: &[Self], cols: usize, dx: &mut [Self]);
}

/// Runs a body with `$T` bound to f32 or f64; other types are refused for `$op`.
macro_rules! dispatch_real {
    ($op:expr, $tensor:expr, $T:ident => $body:expr) => {
        match $tensor.dtype() {
            $crate::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::DType::F64 => {
                type $T = f64;
                $body
            }
            _ => {
                Err($crate::error::expect_dtype($op, &$tensor, &$crate::DType::FLOATS).err().unwrap_or_else(
                    || $crate::Error::dtype($op, "16-bit floats are not supported here: convert to f32"),
                ))
            }
        }
    };
}
pub(crate) use dispatch_real;

/// Runs an operation on 16-bit floats in f32 and rounds its result. The conversions are recorded, so
/// gradients inside stay in f32.
pub(crate) fn via_f32(inputs: &[&Tensor], body: impl FnOnce(&[&Tensor]) -> Result<Tensor>) -> Result<Tensor> {
    let dtype = inputs[0].dtype();
    let wide: Vec<Tensor> =
        inputs
            .iter()
            .map(|input| {
                if input.dtype() == dtype { input.to_dtype(crate::DType::F32) } else { Ok((*input).clone()) }
            })
            .collect::<Result<_>>()?;
    body(&wide.iter().collect::<Vec<_>>())?.to_dtype(dtype)
}

/// y = f(x) for each element, over the compute threads.
pub(crate) fn map<A: Copy + Sync, B: Send>(x: &[A], y: &mut [B], f: impl Fn(A) -> B + Sync) {
    over(y, &|start, y| {
        for (y, &x) in y.iter_mut().zip(&x[start..]) {
            *y = f(x);
        }
    });
}

/// y = f(a, b) for each pair of elements, over the compute threads.
pub(crate) fn map2<A: Copy + Sync, B: Copy + Sync, C: Send>(
    a: &[A],
    b: &[B],
    y: &mut [C],
    f: impl Fn(A, B) -> C + Sync,
) {
    over(y, &|start, y| {
        for ((y, &a), &b) in y.iter_mut().zip(&a[start..]).zip(&b[start..]) {
            *y = f(a, b);
        }
    });
}

/// y = f(y, x) for each element, over the compute threads.
pub(crate) fn update<A: Copy + Sync, B: Copy + Send>(y: &mut [B], x: &[A], f: impl Fn(B, A) -> B + Sync) {
    over(y, &|start, y| {
        for (y, &x) in y.iter_mut().zip(&x[start..]) {
            *y = f(*y, x);
        }
    });
}

/// Calls `body(start, piece)` for pieces of y. The body is a trait object, so that the machinery around it
/// is compiled once a type and not once an operation.
pub(crate) fn over<T: Send>(y: &mut [T], body: &(dyn Fn(usize, &mut [T]) + Sync)) {
    pool::run_chunks_mut(y, GRAIN, |i, y| body(i * GRAIN, y));
}

/// Σ x in a fixed order that does not depend on the number of threads: sixteen running sums a block, the
/// blocks added in double precision.
pub(crate) fn sum<T: Real>(x: &[T]) -> f64 {
    const LANES: usize = 16;
    const BLOCK: usize = 1024;
    let serial = |x: &[T]| {
        let mut total = 0.0;
        for block in x.chunks(BLOCK) {
            let mut lanes = [<T as Float>::ZERO; LANES];
            let chunks = block.chunks_exact(LANES);
            let rest = chunks.remainder();
            for chunk in chunks {
                for (lane, &value) in lanes.iter_mut().zip(chunk) {
                    *lane += value;
                }
            }
            for (lane, &value) in lanes.iter_mut().zip(rest) {
                *lane += value;
            }
            total += lanes.iter().map(|lane| Float::to_f64(*lane)).sum::<f64>();
        }
        total
    };
    const PIECE: usize = 1 << 16;
    if x.len() <= PIECE {
        return serial(x);
    }
    let pieces = x.len().div_ceil(PIECE);
    pool::run_map(pieces, |i| serial(&x[i * PIECE..((i + 1) * PIECE).min(x.len())])).iter().sum()
}
