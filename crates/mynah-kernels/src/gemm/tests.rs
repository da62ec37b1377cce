use super::*;
use crate::pool::with_threads;
use mynah_base::Rng;

fn random(rng: &mut Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| (rng.below(2001) as f32 - 1000.0) / 1000.0).collect()
}

/// A matrix of (rows, cols) laid out in one of several ways, with junk between.
struct Operands {
    data: Vec<f32>,
    row_stride: usize,
    col_stride: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Rows,
    Columns,
    PaddedRows,
    PaddedColumns,
    Strided,
}
use Layout::*;

impl Operands {
    fn new(rng: &mut Rng, rows: usize, cols: usize, layout: Layout) -> Self {
        let (row_stride, col_stride) = match layout {
            Rows => (cols, 1),
            Columns => (1, rows),
            PaddedRows => (cols + 5, 1),
            PaddedColumns => (1, rows + 3),
            Strided => (2 * cols + 1, 2),
        };
        let last = rows.saturating_sub(1) * row_stride + cols.saturating_sub(1) * col_stride;
        Self { data: random(rng, last + 1), row_stride, col_stride }
    }

    fn view(&self, rows: usize, cols: usize) -> MatRef<'_, f32> {
        MatRef::with_strides(&self.data, rows, cols, self.row_stride, self.col_stride)
    }
}

/// Computes one case on every instruction set and compares with the reference in double precision.
fn check(m: usize, n: usize, k: usize, layouts: [Layout; 3], maps: [Map; 2], store: Store<'_, f32>) {
    let mut rng = Rng::new((m * 1_000_000 + n * 1000 + k) as u64);
    let a = Operands::new(&mut rng, m, k, layouts[0]);
    let b = Operands::new(&mut rng, k, n, layouts[1]);
    let c = Operands::new(&mut rng, m, n, layouts[2]);
    let other = random(&mut rng, c.data.len());
    let store = match store {
        Store::Add(_) => Store::Add(&other),
        Store::AddScaled { alpha, beta, .. } => Store::AddScaled { alpha, beta, other: &other },
        Store::MulReluSquareGrad(_) => Store::MulReluSquareGrad(&other),
        plain => plain,
    };

    let wide = |data: &[f32]| data.iter().map(|&x| x as f64).collect::<Vec<_>>();
    let (a64, b64, mut c64, other64) = (wide(&a.data), wide(&b.data), wide(&c.data), wide(&other));
    let store64 = match store {
        Store::Overwrite => Store::Overwrite,
        Store::Accumulate => Store::Accumulate,
        Store::Add(_) => Store::Add(&other64[..]),
        Store::AddScaled { alpha, beta, .. } => {
            Store::AddScaled { alpha: alpha as f64, beta: beta as f64, other: &other64 }
        }
        Store::MulReluSquareGrad(_) => Store::MulReluSquareGrad(&other64[..]),
    };
    let (a_view, b_view) = (
        MatRef::with_strides(&a64, m, k, a.row_stride, a.col_stride),
        MatRef::with_strides(&b64, k, n, b.row_stride, b.col_stride),
    );
    let c_before = c64.clone();
    let c_view = MatMut::with_strides(&mut c64, m, n, c.row_stride, c.col_stride);
    gemm_map_reference(a_view, maps[0], b_view, maps[1], c_view, store64);

    if maps == [Map::Identity; 2] {
        for &isa in Isa::available() {
            let mut out = c_before.clone();
            let c_view = MatMut::with_strides(&mut out, m, n, c.row_stride, c.col_stride);
            cpu::with_isa(isa, || gemm_f64(a_view, b_view, c_view, store64));
            for (at, (got, want)) in out.iter().zip(&c64).enumerate() {
                assert!(
                    (got - want).abs() <= 1e-12 * (k as f64 + 1.0),
                    "f64 {isa:?} at {at}: {got} for {want}"
                );
            }
        }
    }

    for &isa in Isa::available() {
        for threads in [1, 3] {
            let mut out = c.data.clone();
            let c_view = MatMut::with_strides(&mut out, m, n, c.row_stride, c.col_stride);
            cpu::with_isa(isa, || {
                with_threads(threads, || {
                    gemm_map(a.view(m, k), maps[0], b.view(k, n), maps[1], c_view, store)
                })
            });
            let tolerance = 2e-7 * (k as f64 + 20.0);
            for (at, (&got, &want)) in out.iter().zip(&c64).enumerate() {
                assert!(
                    (got as f64 - want).abs() <= tolerance,
                    "{m}x{n}x{k} {layouts:?} {maps:?} {store:?} {isa:?} {threads} threads at {at}: {got} for {want}",
                    store = std::mem::discriminant(&store)
                );
            }
        }
    }
}

const IDENTITY: [Map; 2] = [Map::Identity; 2];
const STORES: [Store<'static, f32>; 5] = [
    Store::Overwrite,
    Store::Accumulate,
    Store::Add(&[]),
    Store::AddScaled { alpha: 0.5, beta: -2.0, other: &[] },
    Store::MulReluSquareGrad(&[]),
];

#[test]
fn shapes_around_every_edge() {
    let near_tiles = [1, 4, 5, 6, 7, 14, 15, 16, 17, 29, 31, 32, 33];
    for &m in &near_tiles {
        for &n in &near_tiles {
            check(m, n, 19, [Rows, Columns, Rows], IDENTITY, Store::Overwrite);
            check(m, n, 8, [Columns, Rows, Rows], IDENTITY, Store::Accumulate);
        }
    }
    for k in [0, 1, 2, 7, 15, 16, 17, 255, 256, 257, 511, 512, 513, 700] {
        check(15, 33, k, [Rows, Columns, Rows], IDENTITY, Store::Overwrite);
        check(15, 33, k, [Columns, Rows, Rows], IDENTITY, Store::MulReluSquareGrad(&[]));
    }
    for (m, n, k) in
        [(0, 5, 5), (5, 0, 5), (5, 5, 0), (0, 0, 0), (200, 150, 300), (1, 500, 300), (500, 1, 300)]
    {
        for store in STORES {
            check(m, n, k, [Rows, Rows, Rows], IDENTITY, store);
        }
    }
}

#[test]
fn every_layout_store_and_map() {
    let layouts = [Rows, Columns, PaddedRows, PaddedColumns, Strided];
    let maps = [Map::Identity, Map::ReluSquare];
    for a in layouts {
        for b in layouts {
            for c in layouts {
                check(30, 37, 41, [a, b, c], IDENTITY, Store::Add(&[]));
                check(17, 33, 300, [a, b, c], IDENTITY, Store::Accumulate);
            }
            for map_a in maps {
                for map_b in maps {
                    check(30, 37, 41, [a, b, Rows], [map_a, map_b], Store::Overwrite);
                }
            }
        }
    }
    for store in STORES {
        for c in layouts {
            for k in [40, 600] {
                check(31, 49, k, [Rows, Columns, c], IDENTITY, store);
            }
        }
    }
}

#[test]
fn few_rows_or_columns() {
    for few in [1, 2, 3, 4, 5, 16, 17] {
        for (many, k) in [(1, 1), (7, 31), (50, 33), (300, 500)] {
            for store in STORES {
                check(few, many, k, [Rows, Columns, Rows], IDENTITY, store);
            }
            check(
                few,
                many,
                k,
                [Strided, PaddedColumns, Strided],
                [Map::ReluSquare, Map::Identity],
                Store::Overwrite,
            );
            check(many, few, k, [PaddedRows, Strided, PaddedRows], IDENTITY, Store::Accumulate);
            check(many, few, k, [Rows, Rows, Columns], [Map::Identity, Map::ReluSquare], Store::Add(&[]));
        }
    }
}

#[test]
fn wide_products_are_cut_into_stretches() {
    // k · n is larger than what is packed at a time.
    for k in [257, 500] {
        check(19, 4100, k, [Rows, Columns, Rows], IDENTITY, Store::Overwrite);
        check(4100, 19, k, [Rows, Columns, Rows], IDENTITY, Store::Accumulate);
    }
    check(30, 300, 4000, [Columns, Rows, Rows], IDENTITY, Store::Overwrite);
}

#[test]
fn the_thread_count_changes_no_bit() {
    let mut rng = Rng::new(7);
    for (m, n, k) in [(211, 333, 517), (40, 700, 500), (3, 900, 300), (30, 3000, 400)] {
        let (a, b) = (random(&mut rng, m * k), random(&mut rng, n * k));
        for &isa in Isa::available() {
            let product = |threads| {
                let mut c = vec![0.0; m * n];
                cpu::with_isa(isa, || {
                    with_threads(threads, || {
                        let (a, b) = (MatRef::new(&a, m, k), MatRef::new(&b, n, k).t());
                        gemm(a, b, MatMut::new(&mut c, m, n), Store::Overwrite)
                    })
                });
                c
            };
            let one = product(1);
            assert!([2, 3, 7].into_iter().all(|threads| product(threads) == one), "{isa:?} {m}x{n}x{k}");
        }
    }
}

#[test]
fn symmetric_products_agree_and_are_symmetric() {
    let mut rng = Rng::new(3);
    for (n, k) in [(1, 1), (5, 9), (14, 14), (33, 20), (100, 300), (256, 64)] {
        let x = random(&mut rng, n * k);
        let other: Vec<f32> = (0..n * n).map(|at| ((at / n) * (at % n)) as f32 / (n * n) as f32).collect();
        for &isa in Isa::available() {
            for store in [
                Store::Overwrite,
                Store::Accumulate,
                Store::AddScaled { alpha: 2.0, beta: 3.0, other: &other },
            ] {
                let rows = MatRef::new(&x, n, k);
                let (mut fast, mut slow) = (other.clone(), other.clone());
                cpu::with_isa(isa, || gemm_symmetric(rows, rows.t(), MatMut::new(&mut fast, n, n), store));
                gemm_reference(rows, rows.t(), MatMut::new(&mut slow, n, n), store);
                for i in 0..n {
                    for j in 0..n {
                        assert_eq!(fast[i * n + j], fast[j * n + i], "{n} {k} ({i}, {j})");
                        let difference = (fast[i * n + j] - slow[i * n + j]).abs();
                        assert!(
                            difference <= 4e-6 * (k as f32 + 4.0),
                            "{isa:?} {n} {k} ({i}, {j}): {difference}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn packed_operands_give_the_same_bits() {
    let mut rng = Rng::new(5);
    for (m, n, k) in [(5, 40, 300), (40, 5, 17), (3, 3, 0), (100, 700, 100)] {
        let (a, b) = (random(&mut rng, m * k), random(&mut rng, n * k));
        for &isa in Isa::available() {
            cpu::with_isa(isa, || {
                let (a, b) = (MatRef::new(&a, m, k), MatRef::new(&b, n, k).t());
                let (mut plain, mut packed) = (vec![1.0; m * n], vec![1.0; m * n]);
                gemm(a, b, MatMut::new(&mut plain, m, n), Store::Accumulate);
                let b = PackedB::new(b);
                gemm_packed(a, &b, MatMut::new(&mut packed, m, n), Store::Accumulate);
                for (plain, packed) in plain.iter().zip(&packed) {
                    assert!((plain - packed).abs() <= 1e-6 * (k as f32 + 1.0), "{isa:?} {m}x{n}x{k}");
                }
            });
        }
    }
}

#[test]
fn nan_and_infinity_propagate() {
    for &isa in Isa::available() {
        for (m, n, k) in [(1, 1, 1), (1, 40, 20), (17, 35, 20), (20, 40, 300)] {
            for bad in [f32::NAN, f32::INFINITY] {
                for map in [Map::Identity, Map::ReluSquare] {
                    // 0 · bad is NaN, in the row or column of the bad element only.
                    let mut a = vec![0.0; m * k];
                    let b = vec![0.0; k * n];
                    a[(m - 1) * k + k - 1] = bad;
                    let mut c = vec![7.0; m * n];
                    cpu::with_isa(isa, || {
                        let (a, b) = (MatRef::new(&a, m, k), MatRef::new(&b, k, n));
                        gemm_map(a, map, b, map, MatMut::new(&mut c, m, n), Store::Overwrite)
                    });
                    let (finite, last) = c.split_at((m - 1) * n);
                    assert!(finite.iter().all(|&x| x == 0.0), "{isa:?} {m}x{n}x{k} {bad}");
                    assert!(last.iter().all(|x| x.is_nan()), "{isa:?} {m}x{n}x{k} {bad}");
                }
            }
        }
        let mut c = vec![1.0f32; 40];
        let pre = vec![f32::NAN; 40];
        cpu::with_isa(isa, || {
            let (a, b) = ([1.0f32], [0.0f32; 40]);
            let (a, b) = (MatRef::new(&a, 1, 1), MatRef::new(&b, 1, 40));
            gemm(a, b, MatMut::new(&mut c, 1, 40), Store::MulReluSquareGrad(&pre))
        });
        assert!(c.iter().all(|x| x.is_nan()), "{isa:?}");
    }
}

/// Says what a call that must panic says.
fn message(body: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = std::panic::catch_unwind(body).expect_err("must panic");
    payload.downcast_ref::<String>().cloned().expect("a formatted message")
}

#[test]
fn sizes_that_do_not_belong_together_are_refused() {
    let data = [0.0f32; 12];
    let cases: [(&str, String); 6] = [
        ("3x5 matrix with strides (5, 1) does not fit in 12", message(move || _ = MatRef::new(&data, 3, 5))),
        (
            "does not fit in 12",
            message(move || _ = MatRef::with_strides(&data, usize::MAX, 2, usize::MAX, 1)),
        ),
        ("overlapping", message(move || _ = MatMut::with_strides(&mut { data }, 3, 3, 2, 1))),
        ("overlapping", message(move || _ = MatMut::with_strides(&mut { data }, 3, 3, 0, 1))),
        (
            "cannot multiply 3x4 by 3x4 into 3x4",
            message(move || {
                let a = MatRef::new(&data, 3, 4);
                gemm(a, a, MatMut::new(&mut { data }, 3, 4), Store::Overwrite)
            }),
        ),
        (
            "does not fit in 3",
            message(move || {
                let (a, mut c) = (MatRef::new(&data, 2, 2), [0.0; 4]);
                gemm(a, a, MatMut::new(&mut c, 2, 2), Store::Add(&data[..3]))
            }),
        ),
    ];
    for (expect, got) in cases {
        assert!(got.contains(expect), "{expect:?} is not in {got:?}");
    }
}

#[test]
fn parts_of_matrices() {
    let data: Vec<f32> = (0..12).map(|x| x as f32).collect();
    let matrix = MatRef::new(&data, 3, 4);
    let part = matrix.row_range(1..3).col_range(2..4);
    assert_eq!((part.rows(), part.cols(), part.at(0, 0), part.at(1, 1)), (2, 2, 6.0, 11.0));
    assert_eq!((matrix.row_range(3..3).rows(), matrix.t().at(3, 1)), (0, 7.0));
}
