//! Argument checks shared by all kernels. A failed check is a programmer's error, hence a panic; user input
//! is refused by the crates above with an error.

/// Panics unless all lengths are equal.
#[track_caller]
pub(crate) fn same_len(what: &str, lens: &[usize]) {
    assert!(lens.windows(2).all(|pair| pair[0] == pair[1]), "{what}: lengths differ: {lens:?}");
}

/// The product of sizes; panics when it overflows, before anything is computed from it.
#[track_caller]
pub(crate) fn volume(what: &str, sizes: &[usize]) -> usize {
    let product = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    product.unwrap_or_else(|| panic!("{what}: sizes {sizes:?} are too large"))
}

/// The number of rows of `dim` in `len`; panics unless it divides.
#[track_caller]
pub(crate) fn rows_of(what: &str, len: usize, dim: usize) -> usize {
    assert!(dim > 0, "{what}: row length is 0");
    assert!(len.is_multiple_of(dim), "{what}: {len} values are not whole rows of {dim}");
    len / dim
}

/// Panics unless `rows` rows of `width` values, `stride` apart, lie in `len` values.
#[track_caller]
pub(crate) fn strided(what: &str, len: usize, rows: usize, width: usize, stride: usize) {
    assert!(
        stride >= width || rows <= 1,
        "{what}: row stride {stride} is less than the row's {width} values"
    );
    let need = if rows == 0 {
        Some(0)
    } else {
        (rows - 1).checked_mul(stride).and_then(|offset| offset.checked_add(width))
    };
    assert!(
        need.is_some_and(|need| need <= len),
        "{what}: {rows} rows of {width} at stride {stride} do not fit in {len} values"
    );
}

/// Panics unless every id names a row of the table.
#[track_caller]
pub(crate) fn ids_below(what: &str, ids: &[i64], vocab: usize) {
    for (position, &id) in ids.iter().enumerate() {
        assert!(
            usize::try_from(id).is_ok_and(|id| id < vocab),
            "{what}: id {id} at position {position} is outside 0..{vocab}"
        );
    }
}

/// Panics unless the ids ascend, each once, and name rows of the table.
#[track_caller]
pub(crate) fn ids_ascend(what: &str, ids: &[i64], vocab: usize) {
    ids_below(what, ids, vocab);
    assert!(ids.is_sorted_by(|a, b| a < b), "{what}: ids are not ascending and unique");
}
