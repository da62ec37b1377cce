//! Products against the twin, bit for bit where the processor has fused multiply-add.

use crate::bytes::weights;
use crate::support::{assert_close, everywhere, normal, widen};
use mynah_kernels::cpu::{self, Isa};
use mynah_kernels::quant::{Format, Matrix, Scratch, reference};

fn product(matrix: &Matrix, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len() / matrix.cols() * matrix.rows()];
    matrix.matmul(x, &mut y, &mut Scratch::new());
    y
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn products_are_those_of_the_twin() {
    for format in Format::ALL {
        let block = format.block_len();
        let widths: &[usize] = match block {
            1 => &[1, 7, 64, 300],
            32 => &[32, 96, 1024, 1120],
            _ => &[256, 768, 1280],
        };
        for (case, &cols) in widths.iter().enumerate() {
            for (m, rows) in
                [(1, 1), (1, 70), (2, 33), (3, 16), (4, 48), (5, 31), (7, 65), (13, 40), (26, 20)]
            {
                let bytes = weights(format, rows, cols, case as u64);
                let matrix = Matrix::from_bytes(format, rows, cols, &bytes).expect("a matrix");
                let x = normal(5 + m as u64, m * cols);
                let mut want = vec![0.0; m * rows];
                reference::matmul(format, &bytes, cols, &x, &mut want);
                let what = format!("{} ({m}, {rows}, {cols})", format.name());
                let mut results = everywhere(|| bits(&product(&matrix, &x)));
                let plain = || cpu::without_avx_vnni(|| bits(&product(&matrix, &x)));
                results.extend(Isa::available().iter().map(|&isa| (isa, cpu::with_isa(isa, plain))));
                for (isa, got) in results {
                    let got: Vec<f32> = got.into_iter().map(f32::from_bits).collect();
                    if isa == Isa::Portable && cfg!(not(target_feature = "fma")) {
                        assert_close(&what, &got, &widen(&want), 2e-5);
                    } else {
                        assert_eq!(bits(&got), bits(&want), "{what} on {}", isa.name());
                    }
                }
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let (rows, cols) = (50, 512);
    for format in Format::ALL {
        let matrix =
            Matrix::from_bytes(format, rows, cols, &weights(format, rows, cols, 9)).expect("a matrix");
        let x = normal(21, 600 * cols);
        let all = product(&matrix, &x);
        for (isa, got) in everywhere(|| {
            let all = product(&matrix, &x[..40 * cols]);
            for m in [0, 1, 7, 39] {
                let alone = product(&matrix, &x[m * cols..(m + 1) * cols]);
                assert_eq!(bits(&alone), bits(&all[m * rows..(m + 1) * rows]), "{} row {m}", format.name());
            }
            bits(&all)
        }) {
            if isa == Isa::Avx512 {
                assert_eq!(got, bits(&all[..40 * rows]), "600 rows at once");
            }
        }
    }
}

#[test]
fn stacked_parts_give_what_each_gives() {
    let cols = 256;
    let pieces = || {
        let piece = |(i, format): (usize, Format)| {
            let rows = 5 + 13 * i;
            Matrix::from_bytes(format, rows, cols, &weights(format, rows, cols, i as u64)).expect("a matrix")
        };
        Format::ALL.into_iter().enumerate().map(piece)
    };
    let stack = Matrix::stack(pieces().collect()).expect("one width");
    for m in [1, 9] {
        let x = normal(2, m * cols);
        let whole = product(&stack, &x);
        let mut first = 0;
        for piece in pieces() {
            let alone = product(&piece, &x);
            for i in 0..m {
                let part = &whole[i * stack.rows() + first..][..piece.rows()];
                assert_eq!(
                    bits(part),
                    bits(&alone[i * piece.rows()..][..piece.rows()]),
                    "{:?}",
                    piece.format()
                );
            }
            first += piece.rows();
        }
    }
}

#[test]
fn a_value_that_is_no_number_shows() {
    for format in Format::ALL {
        let cols = 512;
        let matrix = Matrix::from_bytes(format, 20, cols, &weights(format, 20, cols, 9)).expect("a matrix");
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = normal(1, 2 * cols);
            x[cols + 300] = bad;
            let y = product(&matrix, &x);
            assert!(y[..20].iter().all(|y| y.is_finite()), "the other row is untouched");
            assert!(y[20..].iter().all(|y| !y.is_finite()), "{}: {:?}", format.name(), &y[20..]);
        }
    }
    let tiny = Matrix::from_f32(Format::Q8_0, 1, 32, &[1.0; 32]).expect("a matrix");
    assert_eq!(product(&tiny, &[1e-40; 32]), [0.0], "too small to have a scale");
}

/// A corrupt file may hold anything, scales that are no numbers among it.
#[test]
fn any_bytes_are_weights() {
    let mut rng = mynah_base::Rng::new(77);
    for format in Format::ALL {
        let (rows, cols) = (35, 512);
        let len = format.matrix_bytes(rows, cols).expect("a size");
        let bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
        let matrix = Matrix::from_bytes(format, rows, cols, &bytes).expect("a matrix");
        for m in [1, 10] {
            let x = normal(8, m * cols);
            let mut want = vec![0.0; m * rows];
            reference::matmul(format, &bytes, cols, &x, &mut want);
            for &isa in Isa::available().iter().filter(|&&isa| isa > Isa::Portable) {
                let got = cpu::with_isa(isa, || product(&matrix, &x));
                for (got, want) in got.iter().zip(&want) {
                    let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
                    assert!(same, "{got} for {want}, {} on {}", format.name(), isa.name());
                }
            }
            cpu::with_isa(Isa::Portable, || product(&matrix, &x));
        }
    }
}
