//! The blocked product: how the loops are cut for caches and threads.
//!
//! c is cut into tasks, a range of rows by a range of columns each. A task takes its columns in
//! stretches, the inner dimension in blocks, its rows in groups of panels. The block of b under a stretch
//! is packed and stays in L2; a group of a is packed just before use and stays in L1 or L2; the tile
//! kernel runs over all pairs of panels. While it runs, the lines of the next group are fetched, a few
//! before each tile, so that the packing does not wait for memory. (Fetching the next block of b in the
//! same way made products with a 50 MB b slower, and fetching the next panel into L1 inside the tile kernel
//! gained nothing: the processor's own prefetcher already does both.)
//!
//! Every thread packs for itself, so threads meet only at the end. A b that is small enough is packed
//! whole, each panel when first needed, and kept through all tasks that a thread gets.
//!
//! An element of c is summed by one thread, over blocks and steps that depend on k alone: the result is
//! the same for every thread count and every m and n around it.

use super::kernel::{Finish, K_BLOCK, Kernel, Operand, Tile, a_panel_len};
use super::matrix::Store;
use crate::float::Float;
use crate::pool;
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Elements of b that a thread packs whole (4 MiB of f32).
const B_WHOLE: usize = 1 << 20;

/// Elements of b in a block (1 MiB of f32, half of a large L2).
const B_BLOCK: usize = 1 << 18;

/// Panels of a packed together: one when its rows are contiguous, for then it is read straight
/// into L1; eight when its columns are, for then neighbouring panels share cache lines.
const GROUP_ROWS: usize = 1;
const GROUP_K_MAJOR: usize = 8;

/// Elements of c that are finished together, over all blocks of the inner dimension, so that unfinished sums
/// stay in L2 (512 KiB of f32).
const SUMS_TOGETHER: usize = 1 << 17;

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

    /// Multiply-adds.
    fn work(&self) -> usize {
        self.m.saturating_mul(self.n).saturating_mul(self.k)
    }

    /// Whether b is so small that a thread packs it whole and keeps it.
    fn keeps_b<K: Kernel>(&self) -> bool {
        self.n.next_multiple_of(K::NR).saturating_mul(self.k) <= B_WHOLE
    }

    /// Where a block begins and how long it is.
    fn k_block(&self, block: usize) -> (usize, usize) {
        let (_, len) = self.k_blocks();
        let start = block * len;
        (start, self.k.saturating_sub(start).min(len))
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
    /// The transposed target.
    pub fn transposed(self) -> Self {
        Self { row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// What to do with a block's sums, the blocks before having been stored by this very rule.
    pub fn finish(&self, first: bool, last: bool) -> Finish<T> {
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
    let layout = Panels::whole::<K>(shape);
    let len = (layout.count * K::NR).checked_mul(shape.k).expect("a packed matrix fits in memory");
    let packing = Packing { b: *b, out: space.of(len) };
    let (blocks, _) = shape.k_blocks();
    // A panel is up to 12288 elements, one or two microseconds of work.
    pool::run_ranges(blocks * layout.count, 8, |units| {
        let packing = &packing;
        for unit in units {
            let (block, panel) = (unit / layout.count, unit % layout.count);
            // SAFETY: the caller's promise; every unit writes its own panel.
            unsafe { layout.pack::<K>(shape, &packing.b, block, panel, packing.out) };
        }
    });
    Packed { space }
}

/// What the packing tasks share.
struct Packing<T> {
    b: Operand<T>,
    out: *mut T,
}

// SAFETY: the tasks read b, which nothing writes meanwhile, and each writes its own panels.
unsafe impl<T: Sync + Send> Sync for Packing<T> {}

/// Where the panels of a stretch of columns lie in a packed b.
#[derive(Clone, Copy, Debug)]
struct Panels {
    /// First column.
    start: usize,
    /// Number of panels.
    count: usize,
    /// Whether the buffer holds one block of the inner dimension only.
    one_block: bool,
}

impl Panels {
    fn whole<K: Kernel>(shape: Shape) -> Self {
        Self { start: 0, count: shape.n.div_ceil(K::NR), one_block: false }
    }

    /// Where a panel begins: blocks before it hold count · NR · p elements, panels before it NR · kc each.
    fn at<K: Kernel>(&self, shape: Shape, block: usize, panel: usize) -> usize {
        let (p, kc) = shape.k_block(block);
        let before = if self.one_block { 0 } else { self.count * p };
        K::NR * (before + panel * kc)
    }

    /// Packs one panel into its place after `out`.
    ///
    /// # Safety
    /// The panel's columns are inside b and its place inside the buffer at `out`.
    unsafe fn pack<K: Kernel>(
        &self,
        shape: Shape,
        b: &Operand<K::T>,
        block: usize,
        panel: usize,
        out: *mut K::T,
    ) {
        let (p, kc) = shape.k_block(block);
        let j = self.start + panel * K::NR;
        // SAFETY: the caller's promise.
        unsafe {
            K::pack_b(b, p, kc, j, (shape.n - j).min(K::NR), out.add(self.at::<K>(shape, block, panel)))
        }
    }
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
    static PRODUCTS: AtomicU64 = AtomicU64::new(1);
    let (row_panels, col_panels) = (shape.m.div_ceil(K::MR), shape.n.div_ceil(K::NR));
    let grid = Grid::choose::<K>(shape, row_panels, col_panels, part);
    let product = PRODUCTS.fetch_add(1, Ordering::Relaxed);
    let together = panels_together::<K>(shape);
    let keep_b = shape.keeps_b::<K>() && (grid.rows > 1 || row_panels > together);
    let work = Work { shape, a, b, target, part, product, together, keep_b };
    pool::run(grid.rows * grid.cols, |task| {
        // The last rows of a triangle are the longest: begin with them.
        let task = grid.rows * grid.cols - 1 - task;
        let rows = cut(row_panels, grid.rows, task / grid.cols);
        let cols = cut(col_panels, grid.cols, task % grid.cols);
        // SAFETY: tasks have disjoint rows or columns of c; the rest is the caller's promise.
        unsafe { work.task::<K>(rows, cols) };
    });
}

/// Panels of b in a stretch of columns.
fn stretch_panels<K: Kernel>(shape: Shape) -> usize {
    let (_, block_len) = shape.k_blocks();
    (B_BLOCK / block_len.max(1) / K::NR).max(4)
}

/// Panels of a that meet a block of b before the next block is packed: all if there is one block.
fn panels_together<K: Kernel>(shape: Shape) -> usize {
    let (blocks, _) = shape.k_blocks();
    if blocks == 1 {
        return shape.m.div_ceil(K::MR);
    }
    let cols = shape.n.min(stretch_panels::<K>(shape) * K::NR);
    // A b that is not kept is packed again for each lot of rows: the fewer lots, the better.
    let least = if shape.keeps_b::<K>() { 24 } else { 48 };
    (SUMS_TOGETHER / cols / K::MR).max(least)
}

/// How c is cut into tasks.
#[derive(Debug, PartialEq)]
struct Grid {
    rows: usize,
    cols: usize,
}

impl Grid {
    fn choose<K: Kernel>(shape: Shape, row_panels: usize, col_panels: usize, part: Part) -> Grid {
        let threads = pool::threads();
        if threads == 1 || shape.work() < PARALLEL_MIN {
            return Grid { rows: 1, cols: 1 };
        }
        // Four tasks a thread, so that one slow thread does not hold up the rest for long; a multiple of
        // the thread count, so that none is idle at the end.
        let tasks = 4 * threads;
        if part == Part::Lower {
            return Grid { rows: (row_panels / 2).clamp(1, 2 * tasks), cols: 1 };
        }
        // Tasks of different columns pack different parts of b, tasks of different rows each the same: with
        // eight panels of columns or more for each task, cut columns.
        if col_panels >= 8 * tasks {
            return Grid { rows: 1, cols: tasks };
        }
        if !shape.keeps_b::<K>() {
            return Grid { rows: 1, cols: threads.min(col_panels) };
        }
        // Below six panels of rows a task would spend its time fetching b.
        let rows = (row_panels / 6).clamp(1, tasks);
        if rows >= 2 * threads {
            return Grid { rows: rows / threads * threads, cols: 1 };
        }
        let cols = (tasks.div_ceil(rows) / threads * threads).max(threads).min(col_panels.div_ceil(2));
        Grid { rows, cols }
    }
}

/// Piece `i` of `0..len` cut into `parts` nearly equal ones.
fn cut(len: usize, parts: usize, i: usize) -> Range<usize> {
    len * i / parts..len * (i + 1) / parts
}

/// What the tasks share.
struct Work<'a, T> {
    shape: Shape,
    a: Operand<T>,
    b: Right<'a, T>,
    target: Target<'a, T>,
    part: Part,
    /// A number that no other product of the process has: whose b a thread's buffer holds.
    product: u64,
    /// Panels of a that meet a block of b before the next block is packed.
    together: usize,
    /// Whether b is packed whole: it is met again. A b that is met once is better packed a block at a time,
    /// into memory that stays in L2.
    keep_b: bool,
}

// SAFETY: the tasks read a and b, which nothing writes meanwhile, and each writes its own elements of c.
unsafe impl<T: Sync + Send> Sync for Work<'_, T> {}

impl<T: Float> Work<'_, T> {
    /// One thread's share: the panels `rows` of a by the panels `cols` of b.
    ///
    /// # Safety
    /// As [`multiply`], and no other thread has these elements of c.
    unsafe fn task<K: Kernel<T = T>>(&self, rows: Range<usize>, cols: Range<usize>) {
        let shape = self.shape;
        let (blocks, block_len) = shape.k_blocks();
        let whole = Panels::whole::<K>(shape);
        let keep = self.keep_b;
        let stretches = cols.len().div_ceil(stretch_panels::<K>(shape));
        with_space(&LEFT, |left| {
            with_space(&RIGHT, |right| {
                for rows in pieces(rows, self.together) {
                    for stretch in 0..stretches {
                        let part = cut(cols.len(), stretches, stretch);
                        let cols = cols.start + part.start..cols.start + part.end;
                        for block in 0..blocks {
                            // SAFETY: the caller's promise.
                            unsafe {
                                let panels = match &self.b {
                                    Right::Packed(packed) => {
                                        packed.space.start().add(whole.at::<K>(shape, block, cols.start))
                                    }
                                    Right::Plain(b) if keep => {
                                        let out = right.kept(
                                            self.product,
                                            whole.count * K::NR * shape.k,
                                            blocks * whole.count,
                                        );
                                        for panel in cols.clone() {
                                            if right.first(block * whole.count + panel) {
                                                whole.pack::<K>(shape, b, block, panel, out);
                                            }
                                        }
                                        out.add(whole.at::<K>(shape, block, cols.start)).cast_const()
                                    }
                                    Right::Plain(b) => {
                                        let layout = Panels {
                                            start: cols.start * K::NR,
                                            count: cols.len(),
                                            one_block: true,
                                        };
                                        let out = right.of(cols.len() * K::NR * block_len);
                                        for panel in 0..layout.count {
                                            layout.pack::<K>(shape, b, block, panel, out);
                                        }
                                        out.cast_const()
                                    }
                                };
                                self.block::<K>(left, panels, rows.clone(), cols.clone(), block);
                            }
                        }
                    }
                }
            })
        });
    }

    /// One block of the inner dimension for some panels of rows and columns, whose packed b begins at
    /// `panels`.
    ///
    /// # Safety
    /// As [`Work::task`]; `panels` holds this block of these columns.
    unsafe fn block<K: Kernel<T = T>>(
        &self,
        left: &mut Space<T>,
        panels: *const T,
        rows: Range<usize>,
        cols: Range<usize>,
        block: usize,
    ) {
        let Shape { m, n, .. } = self.shape;
        let (blocks, _) = self.shape.k_blocks();
        let (p, kc) = self.shape.k_block(block);
        let finish = self.target.finish(block == 0, block + 1 == blocks);
        let k_major = self.a.k_major();
        let group = if k_major { GROUP_K_MAJOR } else { GROUP_ROWS };
        let panel_len = a_panel_len(K::MR);
        let a_panels = left.of(group * panel_len);
        let panel_rows = |row: usize| (m - row * K::MR).min(K::MR);
        for rows in pieces(rows.clone(), group) {
            for (slot, row) in rows.clone().enumerate() {
                // SAFETY: the rows and steps are inside a, the slot inside the buffer.
                unsafe {
                    K::pack_a(&self.a, row * K::MR, panel_rows(row), p, kc, a_panels.add(slot * panel_len))
                };
            }
            let ahead_rows = (rows.end * K::MR).min(m)..((rows.end + group) * K::MR).min(m);
            let mut ahead = Ahead::new(&self.a, ahead_rows, p..p + kc, cols.len() * rows.len());
            for (col, b) in
                cols.clone().enumerate().map(|(slot, col)| (col, panels.wrapping_add(slot * K::NR * kc)))
            {
                let j = col * K::NR;
                for (slot, row) in rows.clone().enumerate() {
                    let i = row * K::MR;
                    let tile_rows = panel_rows(row);
                    if self.part == Part::Lower && j >= i + tile_rows {
                        continue;
                    }
                    ahead.fetch();
                    let at = i * self.target.row_stride + j * self.target.col_stride;
                    // SAFETY: (i, j) is inside c and the other matrix; the panels have been packed.
                    unsafe {
                        let tile = Tile {
                            c: self.target.c.add(at),
                            other: self.target.store.other().map_or(std::ptr::null(), |o| o.as_ptr().add(at)),
                            row_stride: self.target.row_stride,
                            col_stride: self.target.col_stride,
                            rows: tile_rows,
                            cols: (n - j).min(K::NR),
                            finish,
                        };
                        let a = a_panels.add(slot * panel_len).cast_const();
                        K::tile(kc, a, k_major, b, &tile);
                    }
                }
            }
        }
    }
}

/// `range` in pieces of `len`, the last perhaps shorter.
fn pieces(range: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(len).map(move |start| start..(start + len).min(range.end))
}

/// Fetches a part of an operand into L2, some lines at a time.
struct Ahead<T> {
    start: *const T,
    /// Elements between the lines of memory that the part's contiguous runs begin with.
    stride: usize,
    runs: usize,
    lines_per_run: usize,
    /// Lines each call fetches, and the next.
    lines_at_once: usize,
    next: usize,
}

impl<T: Float> Ahead<T> {
    /// Rows and columns of `operand`, to be fetched in `calls` calls.
    fn new(operand: &Operand<T>, rows: Range<usize>, cols: Range<usize>, calls: usize) -> Self {
        let k_major = operand.k_major();
        let (runs, len, stride) = match k_major {
            true => (cols.len(), rows.len(), operand.col_stride),
            false => (rows.len(), cols.len(), operand.row_stride),
        };
        let lines_per_run = (len * size_of::<T>()).div_ceil(64);
        let usable = k_major || operand.col_stride == 1;
        Self {
            start: operand
                .data
                .wrapping_add(rows.start * operand.row_stride + cols.start * operand.col_stride),
            stride,
            runs: if usable && len > 0 { runs } else { 0 },
            lines_per_run,
            lines_at_once: (runs * lines_per_run).div_ceil(calls.max(1)),
            next: 0,
        }
    }

    fn fetch(&mut self) {
        for _ in 0..self.lines_at_once {
            let (run, line) = (self.next / self.lines_per_run.max(1), self.next % self.lines_per_run.max(1));
            if run >= self.runs {
                return;
            }
            let at = self.start.wrapping_add(run * self.stride).wrapping_byte_add(line * 64);
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
                // SAFETY: a prefetch of any address is harmless, and SSE is part of x86-64.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
            }
            let _ = at;
            self.next += 1;
        }
    }
}

thread_local! {
    static LEFT: Cell<Buffer> = const { Cell::new(Buffer::NEW) };
    static RIGHT: Cell<Buffer> = const { Cell::new(Buffer::NEW) };
}

/// Memory in whole cache lines, and which panels of whose b it holds.
#[derive(Debug, Default)]
struct Buffer {
    lines: Vec<Line>,
    product: u64,
    packed: Vec<bool>,
}

impl Buffer {
    const NEW: Buffer = Buffer { lines: Vec::new(), product: 0, packed: Vec::new() };
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line(#[allow(dead_code)] [u8; 64]);

/// A buffer that grows to what is asked of it, starts at a cache line and is never uninitialised.
#[derive(Debug)]
pub(super) struct Space<T> {
    buffer: Buffer,
    element: std::marker::PhantomData<T>,
}

impl<T: Float> Space<T> {
    fn new() -> Self {
        Self { buffer: Buffer::NEW, element: std::marker::PhantomData }
    }

    /// Room for `len` elements; what it held before may be lost.
    pub fn of(&mut self, len: usize) -> *mut T {
        self.buffer.product = 0;
        self.room(len)
    }

    /// Room for `len` elements in `panels` panels, which stay as long as the same product asks.
    fn kept(&mut self, product: u64, len: usize, panels: usize) -> *mut T {
        if self.buffer.product != product {
            self.buffer.product = product;
            self.buffer.packed.clear();
            self.buffer.packed.resize(panels, false);
        }
        self.room(len)
    }

    /// Whether this is the first time that the panel is asked for.
    fn first(&mut self, panel: usize) -> bool {
        !std::mem::replace(&mut self.buffer.packed[panel], true)
    }

    fn room(&mut self, len: usize) -> *mut T {
        let lines = len.checked_mul(size_of::<T>()).expect("a buffer fits in memory").div_ceil(64);
        if self.buffer.lines.len() < lines {
            self.buffer.lines = vec![Line([0; 64]); lines];
        }
        self.buffer.lines.as_mut_ptr().cast()
    }

    fn start(&self) -> *const T {
        self.buffer.lines.as_ptr().cast()
    }
}

/// Lends `body` this thread's buffer for the left operand.
pub(super) fn with_left_space<T: Float, R>(body: impl FnOnce(&mut Space<T>) -> R) -> R {
    with_space(&LEFT, body)
}

/// Lends `body` this thread's buffer. A call from within finds none and makes its own.
fn with_space<T: Float, R>(
    home: &'static std::thread::LocalKey<Cell<Buffer>>,
    body: impl FnOnce(&mut Space<T>) -> R,
) -> R {
    let mut space = Space { buffer: home.take(), element: std::marker::PhantomData };
    let result = body(&mut space);
    home.set(space.buffer);
    result
}
