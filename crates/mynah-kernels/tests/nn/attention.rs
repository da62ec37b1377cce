use crate::support::*;
use mynah_kernels::nn::{self, AttentionShape, DecodeShape, Rows, RowsMut, reference};

#[derive(Clone, Copy, Debug)]
struct Case {
    shape: AttentionShape,
    /// Extra values between rows.
    gap: usize,
}

#[expect(clippy::too_many_arguments, reason = "a row of a table")]
fn case(
    batch: usize,
    tokens: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    causal: bool,
    window: Option<usize>,
    gap: usize,
) -> Case {
    let scale = 1.0 / (head_dim as f64).sqrt();
    Case { shape: AttentionShape { batch, tokens, heads, kv_heads, head_dim, causal, window, scale }, gap }
}

fn cases() -> Vec<Case> {
    vec![
        case(1, 1, 1, 1, 1, true, None, 0),
        case(1, 4, 2, 1, 3, true, None, 2),
        case(2, 5, 2, 2, 4, true, Some(0), 0),
        case(1, 6, 2, 1, 2, true, Some(2), 1),
        case(1, 5, 3, 1, 2, false, None, 0),
        case(1, 7, 1, 1, 2, false, Some(2), 0),
        case(0, 5, 2, 2, 4, true, None, 0),
        case(2, 0, 2, 2, 4, true, None, 0),
        case(2, 67, 4, 2, 64, true, None, 8),
        case(1, 200, 2, 2, 128, true, Some(33), 0),
        case(1, 300, 1, 1, 80, true, Some(128), 3),
        case(1, 261, 2, 1, 33, true, None, 0),
        case(1, 150, 2, 1, 24, false, None, 5),
        case(1, 290, 1, 1, 16, false, Some(40), 0),
        case(1, 260, 1, 1, 8, true, Some(usize::MAX), 0),
    ]
}

struct Inputs {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    dout: Vec<f32>,
    stride: usize,
    key_stride: usize,
}

fn inputs(case: &Case) -> Inputs {
    let s = &case.shape;
    let (stride, key_stride) = (s.heads * s.head_dim + case.gap, s.kv_heads * s.head_dim + case.gap);
    let rows = s.batch * s.tokens;
    Inputs {
        q: normal(1, rows * stride).iter().map(|q| 2.0 * q).collect(),
        k: normal(2, rows * key_stride),
        v: normal(3, rows * key_stride),
        dout: normal(4, rows * stride),
        stride,
        key_stride,
    }
}

/// Output, lse, dq, dk, dv of the reference.
fn oracle(case: &Case, i: &Inputs, q: &[f64], k: &[f64], v: &[f64]) -> [Vec<f64>; 5] {
    let s = &case.shape;
    let (mut out, mut lse) = (vec![0.0; q.len()], vec![0.0; s.batch * s.heads * s.tokens]);
    let (q, k, v) = (Rows::new(q, i.stride), Rows::new(k, i.key_stride), Rows::new(v, i.key_stride));
    reference::attention_forward(s, q, k, v, RowsMut::new(&mut out, i.stride), &mut lse);
    let (mut dq, mut dk, mut dv) =
        (vec![0.0; q.data.len()], vec![0.0; k.data.len()], vec![0.0; k.data.len()]);
    reference::attention_backward(
        s,
        q,
        k,
        v,
        Rows::new(&out, i.stride),
        &lse,
        Rows::new(&widen(&i.dout), i.stride),
        RowsMut::new(&mut dq, i.stride),
        RowsMut::new(&mut dk, i.key_stride),
        RowsMut::new(&mut dv, i.key_stride),
    );
    [out, lse, dq, dk, dv]
}

#[test]
fn agrees_with_the_reference() {
    for case in cases() {
        let s = &case.shape;
        let i = inputs(&case);
        let want = oracle(&case, &i, &widen(&i.q), &widen(&i.k), &widen(&i.v));
        for (isa, got) in everywhere(|| {
            let (q, k, v) = (
                Rows::new(&i.q[..], i.stride),
                Rows::new(&i.k[..], i.key_stride),
                Rows::new(&i.v[..], i.key_stride),
            );
            let (mut out, mut lse) = (vec![0.0; i.q.len()], vec![9.0; s.batch * s.heads * s.tokens]);
            nn::attention_forward(s, q, k, v, RowsMut::new(&mut out, i.stride), &mut lse);
            let (mut dq, mut dk, mut dv) = (vec![0.0; i.q.len()], vec![0.0; i.k.len()], vec![0.0; i.k.len()]);
            nn::attention_backward(
                s,
                q,
                k,
                v,
                Rows::new(&out, i.stride),
                &lse,
                Rows::new(&i.dout, i.stride),
                RowsMut::new(&mut dq, i.stride),
                RowsMut::new(&mut dk, i.key_stride),
                RowsMut::new(&mut dv, i.key_stride),
            );
            [out, lse, dq, dk, dv]
        }) {
            for ((name, got), want) in ["out", "lse", "dq", "dk", "dv"].iter().zip(&got).zip(&want) {
                assert_close(&format!("{name} {} {case:?}", isa.name()), got, want, 2e-5);
            }
        }
    }
}

#[test]
fn gradient_of_the_reference() {
    for case in cases().into_iter().filter(|case| (1..10).contains(&case.shape.tokens)) {
        let i = inputs(&case);
        let (q, k, v) = (widen(&i.q), widen(&i.k), widen(&i.v));
        let [_, _, dq, dk, dv] = oracle(&case, &i, &q, &k, &v);
        let loss = |q: &[f64], k: &[f64], v: &[f64]| {
            let [out, ..] = oracle(&case, &i, q, k, v);
            dot(&out, &widen(&i.dout))
        };
        assert_gradient(&format!("dq {case:?}"), &q, &dq, |q| loss(q, &k, &v));
        assert_gradient(&format!("dk {case:?}"), &k, &dk, |k| loss(&q, k, &v));
        assert_gradient(&format!("dv {case:?}"), &v, &dv, |v| loss(&q, &k, v));
    }
}

#[test]
fn decoding_equals_the_rows_of_the_whole() {
    for window in [None, Some(0), Some(20)] {
        for (start, queries) in [(0, 1), (0, 40), (37, 1), (37, 3), (130, 9), (70, 100), (5, 0)] {
            let shape =
                DecodeShape { queries, start, heads: 4, kv_heads: 2, head_dim: 40, window, scale: 0.3 };
            let (width, key_width) = (160, 80);
            let rows = start + queries;
            let q = normal(1, queries * width);
            // A cache is longer than what is filled; the rest is poison.
            let cache = |seed| {
                let mut cache = normal(seed, rows * key_width);
                cache.resize((rows + 4) * key_width, f32::NAN);
                cache
            };
            let (k, v) = (cache(2), cache(3));
            let mut want = vec![0.0; q.len()];
            let (k64, v64) = (widen(&k), widen(&v));
            let (k_rows, v_rows) = (Rows::new(&k64[..], key_width), Rows::new(&v64[..], key_width));
            reference::attention_decode(&shape, &widen(&q), k_rows, v_rows, &mut want);
            for (isa, got) in everywhere(|| {
                let mut out = vec![0.0; q.len()];
                nn::attention_decode(
                    &shape,
                    &q,
                    Rows::new(&k, key_width),
                    Rows::new(&v, key_width),
                    &mut out,
                );
                out
            }) {
                assert_close(&format!("{} {shape:?}", isa.name()), &got, &want, 2e-5);
            }
        }
    }
}

#[test]
fn impossible_shapes_are_refused() {
    let shape = case(1, 2, 3, 2, 4, true, None, 0).shape;
    let x = [0.0f32; 24];
    assert_panics("3 query heads cannot share 2 key heads", move || {
        let (mut out, mut lse) = ([0.0; 24], [0.0; 6]);
        nn::attention_forward(
            &shape,
            Rows::new(&x, 12),
            Rows::new(&x, 8),
            Rows::new(&x, 8),
            RowsMut::new(&mut out, 12),
            &mut lse,
        );
    });
    let shape = case(1, 3, 2, 2, 4, true, None, 0).shape;
    assert_panics("3 rows of 8 at stride 9 do not fit in 24", move || {
        let (mut out, mut lse) = ([0.0; 24], [0.0; 6]);
        let rows = Rows::new(&x[..], 8);
        nn::attention_forward(&shape, rows, Rows::new(&x, 9), rows, RowsMut::new(&mut out, 8), &mut lse);
    });
}
