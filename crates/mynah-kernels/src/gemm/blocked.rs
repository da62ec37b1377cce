//! The blocked product: how the loops are cut for caches and threads.
//!
//! For a stretch of columns that keeps packed b within [`B_LEN`], all of b is packed (in parallel), then
//! c is cut into tasks. A task goes through the blocks of the inner dimension in order; for each it
//! packs its rows of a into its thread's own buffer (L2), and for each panel of b (L1) runs the tile
//! kernel down the panels of a. So an element of c is summed by one thread, over blocks and steps that
//! depend on k alone: the result is the same for every thread count and every m and n around it.

use super::kernel::{Finish, K_BLOCK, Kernel, Operand, Tile, a_panel_len};
use super::matrix::Store;
use crate::float::Float;
use crate::pool;
use std::cell::Cell;
use std::ops::Range;

/// Elements of packed b held at a time (4 MiB of f32).
const B_LEN: usize = 1 << 20;

/// Panels of a that a task packs at a time: 24 × 14 × 272 floats are 366 kB, which leaves room in L2.
const A_PANELS: usize = 24;

/// Products below this many multiply-adds (some 10 µs) stay on the calling thread.
const PARALLEL_MIN: usize = 1 << 20;

/// The sizes of c (m, n) and the inner dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub m: usize,
    pub n: usize,
    pub k: usize,
}

impl Shape {
    /// Number of blocks the inner dimension is cut into (1 for k = 0: c must still be written), and
    /// their length.
    fn k_blocks(&self) -> (usize, usize) {
        let blocks = self.k.div_ceil(K_BLOCK).max(1);
        (blocks, self.k.div_ceil(blocks).next_multiple_of(8).min(K_BLOCK))
    }
}

/// Where the product goes: c and the store's other matrix, under the same strides.
#[derive(Clone, Copy)]
pub(super) struct Target<'a, T> {
    pub c: *mut T,
    pub row_stride: usize,
    pub col_stride: usize,
    pub store: Store<'a, T>,
}

impl<T: Float> Target<'_, T> {
    /// What to do with a block's sums, the blocks before having been stored by this very rule.
    fn finish(&self, first: bool, last: bool) -> Finish<T> {
        let partial = !first;
        match self.store {
            Store::Accumulate => Finish::Accumulate,
            Store::Overwrite if first => Finish::Set,
            Store::Overwrite => Finish::Accumulate,
            _ if !last => {
                if first {
                    Finish::Set
                } else {
                    Finish::Accumulate
                }
            }
            Store::Add(_) => Finish::AddScaled { partial, alpha: T::ONE, beta: T::ONE },
            Store::AddScaled { alpha, beta, .. } => Finish::AddScaled { partial, alpha, beta },
            Store::MulReluSquareGrad(_) => Finish::MulReluSquareGrad { partial },
        }
    }
}

/// Which part of c is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    All,
    /// Elements on and below the diagonal; some above it are written too.
    Lower,
}

/// The right operand: as it is, or packed before.
#[derive(Clone, Copy)]
pub(super) enum Right<'a, T> {
    Plain(Operand<T>),
    Packed(&'a Packed<T>),
}

/// All of a right operand in panels, blocks of the inner dimension outermost.
#[derive(Debug)]
pub(super) struct Packed<T> {
    space: Space<T>,
}

/// Packs all of b for kernel `K`.
///
/// # Safety
/// The machine has `K`'s instruction set, and b is a (shape.k, shape.n) matrix.
pub(super) unsafe fn pack<K: Kernel>(shape: Shape, b: &Operand<K::T>) -> Packed<K::T> {
    let mut space = Space::new();
    // SAFETY: the caller's promise, and a buffer of the length asked for.
    unsafe { pack_columns::<K>(shape, b, 0..shape.n, space.of(packed_len::<K>(shape))) };
    Packed { space }
}

fn packed_len<K: Kernel>(shape: Shape) -> usize {
    shape.n.next_multiple_of(K::NR) * shape.k
}

/// # Safety
/// As [`pack`]; `packed` has room for `packed_len` of these columns.
unsafe fn pack_columns<K: Kernel>(shape: Shape, b: &Operand<K::T>, columns: Range<usize>, packed: *mut K::T) {
    let panels = columns.len().div_ceil(K::NR);
    let (blocks, block_len) = shape.k_blocks();
    let work = Packing { b: *b, packed };
    let pack = |unit: usize| {
        let work = &work;
        let (block, panel) = (unit / panels, unit % panels);
        let p = block * block_len;
        let kc = (shape.k - p).min(block_len);
        let j = columns.start + panel * K::NR;
        let cols = (columns.end - j).min(K::NR);
        // SAFETY: blocks before this one hold panels · NR · p elements, panels before it NR · kc each;
        // every unit writes its own panel.
        unsafe {
            let out = work.packed.add(K::NR * (panels * p + panel * kc));
            K::pack_b(&work.b, p, kc, j, cols, out);
        }
    };
    // A panel is 8192 elements, one or two microseconds of work.
    let grain = if shape.m * shape.n * shape.k < PARALLEL_MIN { blocks * panels } else { 8 };
    pool::run_ranges(blocks * panels, grain, |units| units.for_each(pack));
}

/// c = a · b for one kernel.
///
/// # Safety
/// The machine has `K`'s instruction set; a is (m, k), b is (k, n) (a packed b was packed by `K`), c and
/// the store's other matrix are (m, n) as `shape` says, and nothing else uses c.
pub(super) unsafe fn multiply<K: Kernel>(
    shape: Shape,
    a: Operand<K::T>,
    b: Right<'_, K::T>,
    target: Target<'_, K::T>,
    part: Part,
) {
    if shape.m == 0 || shape.n == 0 {
        return;
    }
    match b {
        Right::Packed(packed) => {
            // SAFETY: the caller's promise.
            unsafe { compute::<K>(shape, &a, 0..shape.n, packed.space.start(), &target, part) }
        }
        Right::Plain(b) => {
            let wide = (B_LEN / shape.k.max(1) / K::NR).max(4) * K::NR;
            let stretches = shape.n.div_ceil(wide);
            let wide = shape.n.div_ceil(stretches).next_multiple_of(K::NR);
            with_space(&RIGHT, |space| {
                let packed = space.of(wide * shape.k);
                for start in (0..shape.n).step_by(wide) {
                    let columns = start..(start + wide).min(shape.n);
                    // SAFETY: the caller's promise; the buffer has room for `wide` columns.
                    unsafe {
                        pack_columns::<K>(shape, &b, columns.clone(), packed);
                        compute::<K>(shape, &a, columns, packed, &target, part);
                    }
                }
            });
        }
    }
}

/// The tasks of one stretch of columns.
///
/// # Safety
/// As [`multiply`]; `packed` holds these columns as `pack_columns` leaves them.
unsafe fn compute<K: Kernel>(
    shape: Shape,
    a: &Operand<K::T>,
    columns: Range<usize>,
    packed: *const K::T,
    target: &Target<'_, K::T>,
    part: Part,
) {
    let (row_panels, col_panels) = (shape.m.div_ceil(K::MR), columns.len().div_ceil(K::NR));
    let grid = Grid::choose(shape, row_panels, col_panels, part);
    let work = Work { shape, a: *a, columns, col_panels, packed, target: *target, part };
    pool::run(grid.rows * grid.cols, |task| {
        let work = &work;
        // The last rows of a triangle are the longest: begin with them.
        let task = grid.rows * grid.cols - 1 - task;
        let rows = cut(row_panels, grid.rows, task / grid.cols);
        let cols = cut(col_panels, grid.cols, task % grid.cols);
        for start in rows.clone().step_by(A_PANELS) {
            let rows = start..(start + A_PANELS).min(rows.end);
            // SAFETY: tasks have disjoint rows or columns of c; the rest is the caller's promise.
            unsafe { work.block::<K>(rows, cols.clone()) };
        }
    });
}

/// How c is cut into tasks.
#[derive(Debug, PartialEq)]
struct Grid {
    rows: usize,
    cols: usize,
}

impl Grid {
    fn choose(shape: Shape, row_panels: usize, col_panels: usize, part: Part) -> Grid {
        let threads = pool::threads();
        if threads == 1 || shape.m * shape.n * shape.k < PARALLEL_MIN {
            return Grid { rows: 1, cols: 1 };
        }
        // Four tasks a thread, so that one slow thread does not hold up the rest for long; a multiple of
        // the thread count, so that none is idle at the end. Below six panels of rows a task would spend
        // its time fetching b.
        let multiple = |count: usize| count / threads * threads;
        if part == Part::Lower {
            return Grid { rows: (row_panels / 2).clamp(1, 8 * threads), cols: 1 };
        }
        let rows = (row_panels / 6).clamp(1, 4 * threads);
        if rows >= 4 * threads {
            return Grid { rows, cols: 1 };
        }
        if rows >= 2 * threads {
            return Grid { rows: multiple(rows), cols: 1 };
        }
        let cols = multiple((4 * threads).div_ceil(rows)).max(threads).min(col_panels.div_ceil(2));
        Grid { rows, cols }
    }
}

/// Piece `i` of `0..len` cut into `parts` nearly equal ones.
fn cut(len: usize, parts: usize, i: usize) -> Range<usize> {
    len * i / parts..len * (i + 1) / parts
}

/// What the packing tasks share.
struct Packing<T> {
    b: Operand<T>,
    packed: *mut T,
}

// SAFETY: the tasks read b, which nothing writes meanwhile, and each writes its own panels.
unsafe impl<T: Sync + Send> Sync for Packing<T> {}

/// What the computing tasks share.
struct Work<'a, T> {
    shape: Shape,
    a: Operand<T>,
    columns: Range<usize>,
    col_panels: usize,
    packed: *const T,
    target: Target<'a, T>,
    part: Part,
}

// SAFETY: the tasks read a and packed b, which nothing writes meanwhile, and each writes its own
// elements of c.
unsafe impl<T: Sync + Send> Sync for Work<'_, T> {}

impl<T: Float> Work<'_, T> {
    /// One thread's share: the panels `rows` of a by the panels `cols` of b.
    ///
    /// # Safety
    /// As [`compute`], and no other thread has these elements of c.
    unsafe fn block<K: Kernel<T = T>>(&self, rows: Range<usize>, cols: Range<usize>) {
        let Shape { m, k, .. } = self.shape;
        let (blocks, block_len) = self.shape.k_blocks();
        let panel_len = a_panel_len(K::MR);
        let k_major = self.a.k_major();
        with_space(&LEFT, |space| {
            let a_panels: *mut T = space.of(rows.len() * panel_len);
            let panel_rows = |row: usize| (m - row * K::MR).min(K::MR);
            for block in 0..blocks {
                let p = block * block_len;
                let kc = (k - p).min(block_len);
                let finish = self.target.finish(block == 0, block + 1 == blocks);
                for (slot, row) in rows.clone().enumerate() {
                    // SAFETY: the rows and steps are inside a, the slot inside the buffer.
                    unsafe {
                        let panel = a_panels.add(slot * panel_len);
                        K::pack_a(&self.a, row * K::MR, panel_rows(row), p, kc, panel);
                    }
                }
                for col in cols.clone() {
                    let j = self.columns.start + col * K::NR;
                    for (slot, row) in rows.clone().enumerate() {
                        let i = row * K::MR;
                        let tile_rows = panel_rows(row);
                        if self.part == Part::Lower && j >= i + tile_rows {
                            continue;
                        }
                        let at = i * self.target.row_stride + j * self.target.col_stride;
                        // SAFETY: (i, j) is inside c and the other matrix; the panels were packed above
                        // and by `pack_columns`.
                        unsafe {
                            let tile = Tile {
                                c: self.target.c.add(at),
                                other: self
                                    .target
                                    .store
                                    .other()
                                    .map_or(std::ptr::null(), |o| o.as_ptr().add(at)),
                                row_stride: self.target.row_stride,
                                col_stride: self.target.col_stride,
                                rows: tile_rows,
                                cols: (self.columns.end - j).min(K::NR),
                                finish,
                            };
                            let a = a_panels.add(slot * panel_len);
                            let next = if row + 1 < rows.end { a.add(panel_len) } else { a_panels };
                            let b = self.packed.add(K::NR * (self.col_panels * p + col * kc));
                            K::tile(kc, a, k_major, b, next, &tile);
                        }
                    }
                }
            }
        });
    }
}

thread_local! {
    static LEFT: Cell<Lines> = const { Cell::new(Vec::new()) };
    static RIGHT: Cell<Lines> = const { Cell::new(Vec::new()) };
}

/// Memory in whole cache lines.
type Lines = Vec<Line>;

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line(#[allow(dead_code)] [u8; 64]);

/// A buffer that grows to what is asked of it, starts at a cache line and is never uninitialised.
#[derive(Debug)]
struct Space<T> {
    lines: Lines,
    element: std::marker::PhantomData<T>,
}

impl<T: Float> Space<T> {
    fn new() -> Self {
        Self { lines: Vec::new(), element: std::marker::PhantomData }
    }

    /// Room for `len` elements; what it held before may be lost.
    fn of(&mut self, len: usize) -> *mut T {
        let lines = (len * size_of::<T>()).div_ceil(64);
        if self.lines.len() < lines {
            self.lines = vec![Line([0; 64]); lines];
        }
        self.lines.as_mut_ptr().cast()
    }

    fn start(&self) -> *const T {
        self.lines.as_ptr().cast()
    }
}

/// Lends `body` this thread's buffer. A call from within finds none and makes its own.
fn with_space<T: Float, R>(
    home: &'static std::thread::LocalKey<Cell<Lines>>,
    body: impl FnOnce(&mut Space<T>) -> R,
) -> R {
    let mut space = Space { lines: home.take(), element: std::marker::PhantomData };
    let result = body(&mut space);
    home.set(space.lines);
    result
}
