//! Matrix multiplication: c = a · b with maps on the way in and stores on the way out.
//!
//! One blocked product ([`blocked`]) serves every layout: the strides of the operands say whether a
//! matrix is transposed, and packing straightens them out. Each instruction set brings a tile kernel and
//! its packing routines ([`kernel`]). Products with a handful of rows or columns go another way
//! ([`skinny`]). [`gemm_reference`] is the definition that all are tested against.
//!
//! All functions check shapes and strides first and panic when they do not belong together. Rust's
//! borrows make aliasing impossible: c is mutable, so no operand can share memory with it. NaN and
//! infinity propagate as IEEE 754 says: nothing is skipped because a factor is zero.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocked;
mod kernel;
mod matrix;
mod reference;
mod skinny;

use crate::cpu::{self, Isa};
use crate::float::Float;
use blocked::{Part, Right, Shape, Target};
use kernel::Operand;
use matrix::{check_bounds, check_product};

pub use matrix::{Map, MatMut, MatRef, Store};
pub use reference::{gemm_map_reference, gemm_reference};

/// c = a · b, finished as `store` says. Shapes: a (m, k), b (k, n), c (m, n).
///
/// # Panics
/// If the shapes do not belong together or a matrix of `store` does not fit c.
pub fn gemm(a: MatRef<'_, f32>, b: MatRef<'_, f32>, c: MatMut<'_, f32>, store: Store<'_, f32>) {
    gemm_map(a, Map::Identity, b, Map::Identity, c, store);
}

/// [`gemm`] of `map_a(a)` and `map_b(b)`, the maps applied while the operands are read.
///
/// # Panics
/// As [`gemm`].
pub fn gemm_map(
    a: MatRef<'_, f32>,
    map_a: Map,
    b: MatRef<'_, f32>,
    map_b: Map,
    c: MatMut<'_, f32>,
    store: Store<'_, f32>,
) {
    check_product(&a, &b, &c, &store);
    if c.row_stride() == 1 && c.col_stride() != 1 {
        // The kernels write along rows of c: compute cᵀ = bᵀ·aᵀ instead.
        return product_f32(&b.t(), map_b, &a.t(), map_a, c.t(), store, Part::All);
    }
    product_f32(&a, map_a, &b, map_b, c, store, Part::All);
}

/// c = a · b where the product is known to be symmetric (x·xᵀ, xᵀ·x, or a·a with a = aᵀ): the elements
/// on and below the diagonal are computed and mirrored. Shapes: a (n, k), b (k, n), c (n, n). A matrix
/// in `store`, and c for [`Store::Accumulate`], must be symmetric: only its lower half counts.
///
/// # Panics
/// As [`gemm`], and if c is not square.
pub fn gemm_symmetric(a: MatRef<'_, f32>, b: MatRef<'_, f32>, mut c: MatMut<'_, f32>, store: Store<'_, f32>) {
    check_product(&a, &b, &c, &store);
    assert_eq!(c.rows(), c.cols(), "a symmetric product is square");
    product_f32(&a, Map::Identity, &b, Map::Identity, c.reborrow(), store, Part::Lower);
    mirror_lower(c);
}

/// [`gemm`] in double precision.
///
/// # Panics
/// As [`gemm`].
pub fn gemm_f64(a: MatRef<'_, f64>, b: MatRef<'_, f64>, mut c: MatMut<'_, f64>, store: Store<'_, f64>) {
    check_product(&a, &b, &c, &store);
    let shape = Shape { m: c.rows(), n: c.cols(), k: a.cols() };
    let (a, b) = (operand(&a, Map::Identity), Right::Plain(operand(&b, Map::Identity)));
    let c = target(&mut c, store);
    // SAFETY: `isa` says what the machine has; shapes were checked; c is borrowed mutably.
    unsafe {
        match cpu::isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => blocked::multiply::<avx512::Avx512F64>(shape, a, b, c, Part::All),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => blocked::multiply::<avx2::Avx2F64>(shape, a, b, c, Part::All),
            _ => blocked::multiply::<kernel::PortableF64>(shape, a, b, c, Part::All),
        }
    }
}

/// A right operand in the form the kernels read, for use in several products.
///
/// Worth it when one b meets many short a's: packing costs about as much as 16 rows of a.
#[derive(Debug)]
pub struct PackedB {
    packed: blocked::Packed<f32>,
    rows: usize,
    cols: usize,
    isa: Isa,
}

impl PackedB {
    /// Packs b (k, n).
    pub fn new(b: MatRef<'_, f32>) -> Self {
        // There is no m here: any large one makes the packing run in parallel.
        let shape = Shape { m: 256, n: b.cols(), k: b.rows() };
        let isa = cpu::isa();
        let right = operand(&b, Map::Identity);
        // SAFETY: `isa` says what the machine has; the operand has this shape.
        let packed = unsafe {
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => blocked::pack::<avx512::Avx512>(shape, &right),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => blocked::pack::<avx2::Avx2>(shape, &right),
                _ => blocked::pack::<kernel::Portable>(shape, &right),
            }
        };
        Self { packed, rows: b.rows(), cols: b.cols(), isa }
    }

    /// Number of rows of b: the inner dimension of a product with it.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns of b.
    pub fn cols(&self) -> usize {
        self.cols
    }
}

/// [`gemm`] with b packed before. Runs on the instruction set that was current when b was packed.
///
/// # Panics
/// As [`gemm`].
pub fn gemm_packed(a: MatRef<'_, f32>, b: &PackedB, mut c: MatMut<'_, f32>, store: Store<'_, f32>) {
    let shape = Shape { m: c.rows(), n: c.cols(), k: a.cols() };
    assert!(
        a.cols() == b.rows && a.rows() == c.rows() && b.cols == c.cols(),
        "cannot multiply {}x{} by packed {}x{} into {}x{}",
        a.rows(),
        a.cols(),
        b.rows,
        b.cols,
        c.rows(),
        c.cols()
    );
    if let Some(other) = store.other() {
        check_bounds(other.len(), c.rows(), c.cols(), c.row_stride(), c.col_stride());
    }
    let a = operand(&a, Map::Identity);
    let c = target(&mut c, store);
    // SAFETY: b was packed on an instruction set this machine has, by the same kernel.
    unsafe { multiply_f32(b.isa, shape, a, Right::Packed(&b.packed), c, Part::All) }
}

fn product_f32(
    a: &MatRef<'_, f32>,
    map_a: Map,
    b: &MatRef<'_, f32>,
    map_b: Map,
    mut c: MatMut<'_, f32>,
    store: Store<'_, f32>,
    part: Part,
) {
    let shape = Shape { m: c.rows(), n: c.cols(), k: a.cols() };
    let (a, b) = (operand(a, map_a), operand(b, map_b));
    let c = target(&mut c, store);
    if part == Part::All && shape.m <= skinny::ROWS_MAX && b.row_stride == 1 && map_b == Map::Identity {
        // SAFETY: the callers checked the shapes; c is borrowed mutably.
        return unsafe { skinny::multiply(shape, a, b, c) };
    }
    if part == Part::All && shape.n <= skinny::ROWS_MAX && a.col_stride == 1 && map_a == Map::Identity {
        let shape = Shape { m: shape.n, n: shape.m, k: shape.k };
        // SAFETY: as above, all three matrices transposed.
        return unsafe { skinny::multiply(shape, b.transposed(), a.transposed(), c.transposed()) };
    }
    // SAFETY: `isa` says what the machine has; the rest as above.
    unsafe { multiply_f32(cpu::isa(), shape, a, Right::Plain(b), c, part) }
}

/// # Safety
/// As [`blocked::multiply`] for the kernel of `isa`.
unsafe fn multiply_f32(
    isa: Isa,
    shape: Shape,
    a: Operand<f32>,
    b: Right<'_, f32>,
    c: Target<'_, f32>,
    part: Part,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => blocked::multiply::<avx512::Avx512>(shape, a, b, c, part),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => blocked::multiply::<avx2::Avx2>(shape, a, b, c, part),
            _ => blocked::multiply::<kernel::Portable>(shape, a, b, c, part),
        }
    }
}

fn operand<T: Float>(matrix: &MatRef<'_, T>, map: Map) -> Operand<T> {
    let (row_stride, col_stride) = (matrix.row_stride(), matrix.col_stride());
    Operand { data: matrix.data().as_ptr(), row_stride, col_stride, map }
}

fn target<'a, T: Float>(c: &mut MatMut<'_, T>, store: Store<'a, T>) -> Target<'a, T> {
    let (row_stride, col_stride) = (c.row_stride(), c.col_stride());
    Target { c: c.data_mut().as_mut_ptr(), row_stride, col_stride, store }
}

/// Copies the elements below the diagonal to their places above it.
fn mirror_lower(mut c: MatMut<'_, f32>) {
    const BLOCK: usize = 16;
    let (n, row_stride, col_stride) = (c.rows(), c.row_stride(), c.col_stride());
    let data = c.data_mut();
    // In blocks, so that the lines of a column are still in the cache for its neighbour.
    for i in (0..n).step_by(BLOCK) {
        for j in (0..=i).step_by(BLOCK) {
            if col_stride == 1 && i > j && i + BLOCK <= n {
                let mut block = [[0.0; BLOCK]; BLOCK];
                for (r, line) in block.iter_mut().enumerate() {
                    line.copy_from_slice(&data[(i + r) * row_stride + j..][..BLOCK]);
                }
                for q in 0..BLOCK {
                    let out = &mut data[(j + q) * row_stride + i..][..BLOCK];
                    out.iter_mut().zip(&block).for_each(|(out, line)| *out = line[q]);
                }
                continue;
            }
            for i in i..(i + BLOCK).min(n) {
                for j in j..(j + BLOCK).min(i) {
                    data[j * row_stride + i * col_stride] = data[i * row_stride + j * col_stride];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
