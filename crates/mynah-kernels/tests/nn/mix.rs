use crate::support::*;
use mynah_kernels::nn::{self, SparseRows, reference};

#[test]
fn gated_add() {
    for (groups, dim) in [(0, 3), (1, 1), (6, 5), (700, 128)] {
        let (v, ve, dy) = (normal(1, groups * dim), normal(2, groups * dim), normal(3, groups * dim));
        let gate = normal(4, groups);
        let mut y = vec![0.0; groups * dim];
        reference::gated_add_forward(&widen(&v), &widen(&gate), &widen(&ve), dim, &mut y);
        let (mut dgate, mut dve) = (vec![0.0; groups], vec![0.0; groups * dim]);
        reference::gated_add_backward(&widen(&gate), &widen(&ve), &widen(&dy), dim, &mut dgate, &mut dve);
        if groups == 6 {
            let loss = |gate: &[f64], ve: &[f64]| {
                let mut y = vec![0.0; groups * dim];
                reference::gated_add_forward(&widen(&v), gate, ve, dim, &mut y);
                dot(&y, &widen(&dy))
            };
            assert_gradient("gate", &widen(&gate), &dgate, |gate| loss(gate, &widen(&ve)));
            assert_gradient("ve", &widen(&ve), &dve, |ve| loss(&widen(&gate), ve));
        }
        for (isa, got) in everywhere(|| {
            let (mut y, mut dgate, mut dve) =
                (vec![0.0; groups * dim], vec![0.0; groups], vec![0.0; groups * dim]);
            nn::gated_add_forward(&v, &gate, &ve, dim, &mut y);
            nn::gated_add_backward(&gate, &ve, &dy, dim, &mut dgate, &mut dve);
            (y, dgate, dve)
        }) {
            assert_close(&format!("y {}", isa.name()), &got.0, &y, 1e-6);
            assert_close(&format!("dgate {}", isa.name()), &got.1, &dgate, 1e-5);
            assert_close(&format!("dve {}", isa.name()), &got.2, &dve, 1e-6);
        }
    }
}

#[test]
fn shift_gated_add() {
    for (batch, tokens, dim) in [(0, 4, 3), (3, 1, 2), (2, 4, 3), (3, 100, 200)] {
        let rows = batch * tokens;
        let (x, dy, gate) = (normal(1, rows * dim), normal(2, rows * dim), normal(3, rows));
        let forward = |x: &[f64], gate: &[f64]| {
            let mut y = vec![0.0; rows * dim];
            reference::shift_gated_add_forward(x, gate, tokens, dim, &mut y);
            y
        };
        let y = forward(&widen(&x), &widen(&gate));
        let (mut dx, mut dgate) = (vec![0.0; rows * dim], vec![0.0; rows]);
        reference::shift_gated_add_backward(
            &widen(&x),
            &widen(&gate),
            &widen(&dy),
            tokens,
            dim,
            &mut dx,
            &mut dgate,
        );
        if rows < 10 {
            let dy = widen(&dy);
            assert_gradient("x", &widen(&x), &dx, |x| dot(&forward(x, &widen(&gate)), &dy));
            assert_gradient("gate", &widen(&gate), &dgate, |gate| dot(&forward(&widen(&x), gate), &dy));
        }
        for (isa, got) in everywhere(|| {
            let (mut y, mut dx, mut dgate) = (vec![0.0; rows * dim], vec![0.0; rows * dim], vec![5.0; rows]);
            nn::shift_gated_add_forward(&x, &gate, tokens, dim, &mut y);
            nn::shift_gated_add_backward(&x, &gate, &dy, tokens, dim, &mut dx, &mut dgate);
            (y, dx, dgate)
        }) {
            assert_close(&format!("y {}", isa.name()), &got.0, &y, 1e-6);
            assert_close(&format!("dx {}", isa.name()), &got.1, &dx, 1e-6);
            assert_close(&format!("dgate {}", isa.name()), &got.2, &dgate, 1e-5);
        }
    }
}

#[test]
fn scaled_sum() {
    for len in [0, 1, 17, 100_003] {
        let (x, z, dy) = (normal(1, len), normal(2, len), normal(3, len));
        let (a, b) = (0.75f32, -1.5f32);
        let mut y = vec![0.0; len];
        reference::scaled_sum_forward(0.75, &widen(&x), -1.5, &widen(&z), &mut y);
        let (mut dx, mut dz) = (vec![0.0; len], vec![0.0; len]);
        let sums =
            reference::scaled_sum_backward(0.75, &widen(&x), -1.5, &widen(&z), &widen(&dy), &mut dx, &mut dz);
        assert!((sums.0 - dot(&widen(&dy), &widen(&x))).abs() < 1e-9);
        assert!((sums.1 - dot(&widen(&dy), &widen(&z))).abs() < 1e-9);
        for (isa, (got, got_dx, got_dz, got_sums)) in everywhere(|| {
            let (mut y, mut dx, mut dz) = (vec![0.0; len], vec![0.0; len], vec![0.0; len]);
            nn::scaled_sum_forward(a, &x, b, &z, &mut y);
            let sums = nn::scaled_sum_backward(a, &x, b, &z, &dy, &mut dx, &mut dz);
            (y, dx, dz, sums)
        }) {
            assert_close(&format!("y {}", isa.name()), &got, &y, 1e-6);
            assert_close(&format!("dx {}", isa.name()), &got_dx, &dx, 1e-6);
            assert_close(&format!("dz {}", isa.name()), &got_dz, &dz, 1e-6);
            // Relative to the size of the terms, not of the sum, which nearly cancels.
            let scale = 1e-6 * (len as f64).sqrt() * 10.0;
            assert!((f64::from(got_sums.0) - sums.0).abs() <= scale, "da {got_sums:?} {sums:?}");
            assert!((f64::from(got_sums.1) - sums.1).abs() <= scale, "db {got_sums:?} {sums:?}");
        }
    }
}

#[test]
fn embedding() {
    let (vocab, dim) = (11, 37);
    for ids in [vec![], vec![3], vec![10, 0, 3, 3, 0, 10, 3, 7], (0..3000).map(|i| i * i % 11).collect()] {
        let table = normal(1, vocab * dim);
        let dy = normal(2, ids.len() * dim);
        let mut want = vec![0.0; ids.len() * dim];
        reference::embedding_forward(&widen(&table), dim, &ids, &mut want);
        let mut rows = SparseRows::default();
        reference::embedding_backward(&ids, &widen(&dy), dim, &mut rows);
        assert!(rows.ids.is_sorted_by(|a, b| a < b), "ids are ascending and unique");
        let mut dense = vec![0.0; vocab * dim];
        for (i, &id) in ids.iter().enumerate() {
            for d in 0..dim {
                dense[id as usize * dim + d] += f64::from(dy[i * dim + d]);
            }
        }
        for (&id, row) in rows.ids.iter().zip(rows.rows.chunks(dim)) {
            assert_eq!(row, &dense[id as usize * dim..][..dim], "row {id}");
        }
        for (isa, (out, grad)) in everywhere(|| {
            let mut out = vec![0.0; ids.len() * dim];
            nn::embedding_forward(&table, dim, &ids, &mut out);
            let mut grad = SparseRows { ids: vec![1, 2], rows: vec![0.5] };
            nn::embedding_backward(&ids, &dy, dim, &mut grad);
            (out, grad)
        }) {
            assert_close(&format!("forward {}", isa.name()), &out, &want, 0.0);
            assert_eq!(grad.ids, rows.ids);
            assert_close(&format!("backward {}", isa.name()), &grad.rows, &rows.rows, 1e-4);
        }
    }
}

#[test]
fn an_id_outside_the_table_is_refused() {
    let refuse = |id| move || nn::embedding_forward(&[0.0; 4], 2, &[0, id], &mut [0.0; 4]);
    assert_panics("id 2 at position 1 is outside 0..2", refuse(2));
    assert_panics("id -1 at position 1", refuse(-1));
}
