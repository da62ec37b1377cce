//! The product: how work is cut, and what a kernel of an instruction set brings.
//!
//! A unit of work is 32 rows of weights with all rows of x. With a few rows of x the weights are used as they
//! are read ([`Kernel::few`]); with more, the codes of the unit are first unpacked to bytes and their scales
//! to f32 (a *panel*, which stays in the cache), and register tiles of x rows go over it. Both compute the
//! same chain of operations for each element.

use super::activations::{Activations, Left};
use super::blocks::{GROUP, Kind};
use super::format::Format;
use super::layout::{FLOAT_ROWS, ROWS};
use super::matrix::{Matrix, Part};
use crate::nn::scratch;
use crate::pool::{self, Shared};
use std::ops::Range;

use super::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};
use crate::cpu;

/// Rows of weights of a unit of work.
const UNIT: usize = 32;

/// Groups of a panel: 32 rows × 1024 columns of codes are 32 KiB and leave room for x in the first cache.
const PANEL_GROUPS: usize = 32;

/// Rows of x that go over all weights before the next: their codes stay in the second cache.
const LEFT_ROWS: usize = 512;

/// Bytes of weights from which on the work is shared between threads (some 10 µs).
const PARALLEL_MIN: usize = 1 << 17;

/// Buffers of [`Matrix::matmul`], kept from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    activations: Activations,
}

impl Scratch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Matrix {
    /// y = x · Wᵀ for x (M, K) and y (M, N), row-major.
    ///
    /// With weights in a block format, each group of 32 values of x is rounded to int8 with an f32 scale
    /// max|x|/127 first (as ggml does, except that its scale is an f16); integer dot products are exact, and
    /// groups are added in order in f32. A NaN or infinity in a group makes the row's results NaN. With float
    /// weights the products are summed in the order of the columns in f32.
    ///
    /// A row of y has the same bits whatever M is and however many threads there are; see
    /// [`reference::matmul`](super::reference::matmul) for each operation.
    ///
    /// # Panics
    /// If x is not whole rows of K values or y is not as many rows of N values.
    pub fn matmul(&self, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        let (rows, cols) = (self.rows(), self.cols());
        assert!(x.len().is_multiple_of(cols), "matmul: {} values are not whole rows of {cols}", x.len());
        let m = x.len() / cols;
        assert_eq!(y.len(), m * rows, "matmul: y for {m} rows of x and {rows} rows of weights");
        if m == 0 {
            return;
        }
        if self.parts.iter().any(|part| !part.format.is_float()) {
            scratch.activations.set(x, cols);
        }
        let mut prepared: Vec<Kind> = Vec::new();
        for part in self.parts.iter().filter(|part| !part.format.is_float()) {
            let kind = Kind::of(part.format);
            if !prepared.contains(&kind) {
                scratch.activations.prepare(kind);
                prepared.push(kind);
            }
        }
        let work = Work { matrix: self, x, m, y: Shared::new(y), activations: &scratch.activations };
        let units: usize = self.parts.iter().map(|part| part.rows.div_ceil(UNIT)).sum();
        // Asked here: what holds on this thread holds for the tasks.
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
        let (isa, vnni, avx_vnni) = (cpu::isa(), cpu::vnni(), cpu::avx_vnni());
        let body = |units: Range<usize>| {
            // SAFETY: these three say what the machine has; units are disjoint rows of
            // weights, and so disjoint columns of y.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    cpu::Isa::Avx512 if vnni => work.units::<Avx512>(units),
                    #[cfg(target_arch = "x86_64")]
                    cpu::Isa::Avx512 | cpu::Isa::Avx2 if avx_vnni => work.units::<Avx2<true>>(units),
                    #[cfg(target_arch = "x86_64")]
                    cpu::Isa::Avx512 | cpu::Isa::Avx2 => work.units::<Avx2<false>>(units),
                    _ => work.units::<Portable>(units),
                }
            }
        };
        if self.size_bytes().saturating_mul(m) < PARALLEL_MIN {
            body(0..units);
        } else {
            pool::run_ranges(units, 1, body);
        }
    }
}

struct Work<'a> {
    matrix: &'a Matrix,
    x: &'a [f32],
    m: usize,
    y: Shared<f32>,
    activations: &'a Activations,
}

impl Work<'_> {
    /// # Safety
    /// The machine has the kernel's instructions; no other thread has these units.
    unsafe fn units<K: Kernel>(&self, units: Range<usize>) {
        let mut cold = true;
        for first in (0..self.m).step_by(LEFT_ROWS) {
            let rows = first..(first + LEFT_ROWS).min(self.m);
            let (mut unit, mut part_row) = (0, 0);
            for part in &self.matrix.parts {
                let count = part.rows.div_ceil(UNIT);
                let here = units.start.max(unit)..units.end.min(unit + count);
                for u in here {
                    let row = (u - unit) * UNIT;
                    if std::mem::take(&mut cold) {
                        ask_for(&part.data.bytes()[row / part.block_rows() * part.block_bytes()..]);
                    }
                    // SAFETY: the caller's promise.
                    unsafe { self.unit::<K>(part, row, part_row + row, rows.clone()) };
                }
                unit += count;
                part_row += part.rows;
            }
        }
    }

    /// Rows `row..row + UNIT` of a part, for `lefts` rows of x; `col` is their column of y.
    ///
    /// # Safety
    /// As [`Work::units`].
    unsafe fn unit<K: Kernel>(&self, part: &Part, row: usize, col: usize, lefts: Range<usize>) {
        let stride = self.matrix.rows();
        let target = |m: Range<usize>, skip: usize, fresh: bool| Target {
            y: self.y.pointer().wrapping_add(m.start * stride + col + skip),
            stride,
            rows: m.len(),
            cols: (part.rows - row - skip).min(UNIT),
            fresh,
        };
        let cols = part.cols;
        let block_bytes = part.block_bytes();
        let block = |index: usize| &part.data.bytes()[index * block_bytes..][..block_bytes];
        if part.format.is_float() {
            let block = block(row / FLOAT_ROWS);
            for m in tiles(lefts, K::FLOAT_ROWS_MAX) {
                let left = FloatLeft { x: self.x[m.start * cols..].as_ptr(), stride: cols };
                // SAFETY: block and x have `cols` columns; the rows and columns of y are this unit's.
                unsafe { K::float_tile(part.format, block.as_ptr(), left, cols, target(m, 0, true)) };
            }
            return;
        }
        let kind = Kind::of(part.format);
        let left = self.activations.left(kind);
        let first_block = row / ROWS;
        let blocks = (part.rows - row).min(UNIT).div_ceil(ROWS);
        if lefts.len() <= FEW {
            let done = (0..blocks).all(|b| {
                let (left, target) = (left.from(lefts.start, 0, kind), target(lefts.clone(), b * ROWS, true));
                // SAFETY: as above, for the block's rows.
                unsafe { K::few(part.format, block(first_block + b), left, cols / GROUP, target) }
            });
            if done {
                return;
            }
        }
        with_panels(|panels| {
            let panels = &panels[..blocks];
            let groups = cols / GROUP;
            for g in (0..groups).step_by(PANEL_GROUPS) {
                let here = g..(g + PANEL_GROUPS).min(groups);
                for (b, panel) in panels.iter().enumerate() {
                    // SAFETY: a panel holds PANEL_GROUPS groups.
                    unsafe { K::unpack(part.format, block(first_block + b), here.clone(), *panel) };
                }
                for m in tiles(lefts.clone(), K::ROWS_MAX) {
                    let left = left.from(m.start, g, kind);
                    // SAFETY: as above.
                    unsafe { K::tile(kind, panels, left, here.len(), target(m, 0, g == 0)) };
                }
            }
        });
    }
}

/// At most this many rows of x use the weights as they are read.
const FEW: usize = 8;

/// Asks for the first bytes that a task will read, which no one has asked for ahead of time.
fn ask_for(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64).take(super::avx512::AHEAD / 64) {
        // SAFETY: a prefetch reads nothing.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(line.as_ptr().cast())
        };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// Pieces of at most `len` rows, as even as they can be.
fn tiles(rows: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.len().div_ceil(len);
    let edge = move |i: usize| rows.start + rows.len() * i / count;
    (0..count).map(move |i| edge(i)..edge(i + 1))
}

/// Runs `body` with two panels.
fn with_panels(body: impl FnOnce(&[Panel; 2])) {
    const FLOATS: usize = PANEL_GROUPS * (GROUP * ROWS / 4 + 2 * ROWS);
    scratch::with(2 * FLOATS, |space| {
        let start = space.as_mut_ptr();
        let panel = |i: usize| {
            let scales = start.wrapping_add(i * FLOATS);
            Panel { scales: scales.cast(), codes: scales.wrapping_add(PANEL_GROUPS * 2 * ROWS).cast() }
        };
        body(&[panel(0), panel(1)]);
    });
}

/// Unpacked groups of sixteen rows, aligned to a cache line.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    codes: *mut [u8; GROUP * ROWS],
    scales: *mut [[f32; ROWS]; 2],
}

impl Panel {
    /// Codes of group `i` of the panel: eight quads of columns, each 16 rows × 4 columns.
    #[inline(always)]
    pub(super) fn codes(&self, i: usize) -> *mut [u8; GROUP * ROWS] {
        self.codes.wrapping_add(i)
    }

    /// Scales of group `i`, then those of its second half, or the minima with their signs changed.
    #[inline(always)]
    pub(super) fn scales(&self, i: usize) -> *mut [[f32; ROWS]; 2] {
        self.scales.wrapping_add(i)
    }
}

/// Rows of x in f32.
#[derive(Clone, Copy)]
pub(super) struct FloatLeft {
    pub x: *const f32,
    /// Values from one row to the next.
    pub stride: usize,
}

/// A tile of y.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub y: *mut f32,
    /// Values from one row to the next.
    pub stride: usize,
    /// Rows, of x.
    pub rows: usize,
    /// Columns that are there, rows of weights; at least one, and a tile may be wider.
    pub cols: usize,
    /// Whether the sums begin at 0, not at what y holds.
    pub fresh: bool,
}

impl Target {
    /// Row `m` of the tile from column `col` on, as a tile.
    pub(super) fn block(self, m: usize, col: usize) -> Target {
        let y = self.y.wrapping_add(m * self.stride + col);
        Target { y, rows: 1, cols: self.cols.saturating_sub(col), ..self }
    }

    /// What the sums of the first row begin with.
    ///
    /// # Safety
    /// The tile is inside y.
    pub(super) unsafe fn load<const N: usize>(&self) -> [f32; N] {
        // SAFETY: j is less than the columns that are there.
        std::array::from_fn(|j| if self.fresh || j >= self.cols { 0.0 } else { unsafe { *self.y.add(j) } })
    }

    /// Stores the sums of the first row.
    ///
    /// # Safety
    /// The tile is inside y and only this thread has it.
    pub(super) unsafe fn store<const N: usize>(&self, sums: &[f32; N]) {
        for (j, sum) in sums.iter().enumerate().take(self.cols) {
            // SAFETY: j is less than the columns that are there.
            unsafe { *self.y.add(j) = *sum };
        }
    }
}

/// The part of the product that depends on the instruction set.
///
/// # Safety
/// All functions need the instruction set the implementor is named after, pointers that cover what the
/// comments say, and a target that only this thread has.
pub(super) trait Kernel {
    /// The most rows of a [`Kernel::tile`].
    const ROWS_MAX: usize;
    /// The most rows of a [`Kernel::float_tile`].
    const FLOAT_ROWS_MAX: usize;

    /// Unpacks `groups` of a block into a panel.
    unsafe fn unpack(format: Format, block: &[u8], groups: Range<usize>, panel: Panel);

    /// Multiplies `target.rows` rows of x with one or two panels of `groups` groups, 16 columns of y each.
    unsafe fn tile(kind: Kind, panels: &[Panel], left: Left, groups: usize, target: Target);

    /// Multiplies up to [`FEW`] rows of x with a block as it is; false when this kernel has no such form.
    unsafe fn few(format: Format, block: &[u8], left: Left, groups: usize, target: Target) -> bool;

    /// Multiplies `target.rows` rows of x with a block of 32 rows of float weights of `cols` columns.
    unsafe fn float_tile(format: Format, block: *const u8, left: FloatLeft, cols: usize, target: Target);
}
