//! What the formats mean, and that a matrix keeps it.

use crate::bytes::weights;
use mynah_kernels::ErrorKind;
use mynah_kernels::quant::{Format, Matrix, reference};

fn dequantized(format: Format, bytes: &[u8], len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    reference::dequantize(format, bytes, &mut values);
    values
}

fn row_of(matrix: &Matrix, i: usize) -> Vec<f32> {
    let mut row = vec![0.0; matrix.cols()];
    matrix.row(i, &mut row);
    row
}

/// Golden values of the `gguf` package, made by tests/golden/blocks.py.
#[test]
fn blocks_mean_what_ggml_means() {
    let mut seen = 0;
    for line in include_str!("../golden/blocks.txt").lines() {
        let mut words = line.split(' ');
        let name = words.next().expect("a name");
        let format = Format::ALL.into_iter().find(|format| format.name() == name).expect("a known format");
        let hex = words.next().expect("bytes");
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal"))
            .collect();
        let want: Vec<f32> =
            words.map(|bits| f32::from_bits(u32::from_str_radix(bits, 16).expect("hexadecimal"))).collect();
        assert_eq!(dequantized(format, &bytes, want.len()), want, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn a_matrix_keeps_the_values_of_the_file() {
    for format in Format::ALL {
        for (rows, blocks) in [(1, 1), (15, 2), (16, 3), (33, 1), (50, 5)] {
            let cols = format.block_len().max(8) * blocks;
            let bytes = weights(format, rows, cols, 7);
            let matrix = Matrix::from_bytes(format, rows, cols, &bytes).expect("a matrix");
            let row_bytes = format.row_bytes(cols).expect("whole blocks");
            for i in 0..rows {
                let want = dequantized(format, &bytes[i * row_bytes..][..row_bytes], cols);
                assert_eq!(row_of(&matrix, i), want, "{} row {i} of {rows} × {cols}", format.name());
            }
        }
    }
}

#[test]
fn rows_can_be_reordered_selected_and_stacked() {
    let cols = 256;
    for format in Format::ALL {
        let bytes = weights(format, 20, cols, 3);
        let all = Matrix::from_bytes(format, 20, cols, &bytes).expect("a matrix");
        let order = [3, 19, 0, 3, 7];
        let some = Matrix::from_rows(format, cols, &bytes, &order).expect("a selection");
        assert_eq!(some.rows(), 5);
        let floats = weights(Format::F32, 3, cols, 4);
        let floats = Matrix::from_bytes(Format::F32, 3, cols, &floats).expect("a matrix");
        let last = row_of(&floats, 2);
        let stack = Matrix::stack(vec![some, floats]).expect("one width");
        for (i, &row) in order.iter().enumerate() {
            assert_eq!(row_of(&stack, i), row_of(&all, row as usize), "{}", format.name());
        }
        assert_eq!((stack.rows(), row_of(&stack, 7)), (8, last));
    }
}

#[test]
fn rounding_to_eight_and_four_bits_stays_within_half_a_step() {
    let cols = 96;
    let bytes = weights(Format::F32, 17, cols, 11);
    let values = dequantized(Format::F32, &bytes, 17 * cols);
    for (to, steps) in [(Format::Q8_0, 127.0), (Format::Q4_0, 8.0)] {
        let matrix = Matrix::from_f32(to, 17, cols, &values).expect("a matrix");
        for i in 0..17 {
            let (row, want) = (row_of(&matrix, i), &values[i * cols..][..cols]);
            for (got, want) in row.chunks(32).zip(want.chunks(32)) {
                let peak = want.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
                let step = peak / steps;
                // The scale itself is rounded (one part in 2048); in Q4_0 the value opposite to the peak has no code.
                for (got, want) in got.iter().zip(want) {
                    let slack = if to == Format::Q4_0 && want.abs() > 7.0 * step { 1.0 } else { 0.5 };
                    let error = (got - want).abs();
                    assert!(error <= step * slack + peak / 1000.0, "{got} for {want}, step {step}");
                }
            }
        }
    }
    let zeros = Matrix::from_f32(Format::Q8_0, 1, 32, &[0.0; 32]).expect("a matrix");
    assert_eq!(row_of(&zeros, 0), [0.0; 32]);
}

#[test]
fn narrower_floats_are_the_nearest() {
    let values: Vec<f32> = (0..64).map(|i| (i as f32 - 31.0) / 3.0).collect();
    let bf16 = Matrix::from_f32(Format::Bf16, 2, 32, &values).expect("a matrix");
    let f16 = Matrix::from_f32(Format::F16, 2, 32, &values).expect("a matrix");
    for (i, &value) in values.iter().enumerate() {
        assert_eq!(row_of(&bf16, i / 32)[i % 32], half::bf16::from_f32(value).to_f32());
        assert_eq!(row_of(&f16, i / 32)[i % 32], half::f16::from_f32(value).to_f32());
    }
}

#[test]
fn bad_sizes_and_values_are_refused() {
    let refused = |result: mynah_kernels::Result<Matrix>, kind: ErrorKind, text: &str| {
        let error = result.expect_err(text);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error} does not say {text}");
    };
    let bytes = weights(Format::Q8_0, 2, 64, 1);
    refused(Matrix::from_bytes(Format::Q8_0, 2, 63, &bytes), ErrorKind::Shape, "whole blocks of 32");
    refused(Matrix::from_bytes(Format::Q8_0, 3, 64, &bytes), ErrorKind::Shape, "are 204 bytes");
    refused(Matrix::from_bytes(Format::Q8_0, 2, 64, &bytes[1..]), ErrorKind::Shape, "there are 135");
    refused(Matrix::from_bytes(Format::Q6K, 1, 0, &[]), ErrorKind::Shape, "whole blocks of 256");
    refused(Matrix::from_bytes(Format::F32, 0, 64, &[]), ErrorKind::Shape, "0 rows");
    refused(Matrix::from_bytes(Format::F32, usize::MAX, 64, &[]), ErrorKind::Shape, "too large");
    refused(Matrix::from_rows(Format::Q8_0, 64, &bytes, &[2]), ErrorKind::Shape, "row 2 of 2");
    refused(Matrix::from_rows(Format::Q8_0, 64, &bytes[1..], &[0]), ErrorKind::Shape, "whole rows");
    refused(Matrix::quantize(Format::Q8_0, Format::Q4_0, 2, 64, &bytes), ErrorKind::Shape, "cannot turn");
    refused(Matrix::from_f32(Format::Q4K, 1, 256, &[0.0; 256]), ErrorKind::Shape, "cannot turn");
    refused(Matrix::from_f32(Format::Q8_0, 1, 40, &[0.0; 40]), ErrorKind::Shape, "whole blocks");
    let mut values = [0.0; 64];
    values[40] = f32::NAN;
    refused(Matrix::from_f32(Format::Q8_0, 2, 32, &values), ErrorKind::Value, "row 1");
    values[40] = 1e9;
    refused(Matrix::from_f32(Format::Q8_0, 2, 32, &values), ErrorKind::Value, "too large");
    refused(Matrix::from_f32(Format::F16, 2, 32, &values), ErrorKind::Value, "65504");
    refused(Matrix::stack(Vec::new()), ErrorKind::Shape, "do not stack");
}
