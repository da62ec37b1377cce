//! Views and strides against a naive model, and broadcasting.

use mynah_base::Rng;
use mynah_tensor::{DType, ErrorKind, Tensor, ops};

/// A list of values with a shape: what a tensor is when nothing is clever.
#[derive(Clone, Debug, PartialEq)]
struct Naive {
    shape: Vec<usize>,
    data: Vec<i64>,
}

impl Naive {
    fn build(shape: &[usize], value: impl Fn(&[usize]) -> i64) -> Self {
        let count = shape.iter().product();
        let data = (0..count)
            .map(|place| {
                let (mut rest, mut index) = (place, vec![0; shape.len()]);
                for axis in (0..shape.len()).rev() {
                    index[axis] = rest % shape[axis];
                    rest /= shape[axis];
                }
                value(&index)
            })
            .collect();
        Self { shape: shape.to_vec(), data }
    }

    fn at(&self, index: &[usize]) -> i64 {
        let place = index.iter().zip(&self.shape).fold(0, |place, (&i, &size)| place * size + i);
        self.data[place]
    }

    /// The array with one axis rebuilt: its new size and where each element comes from.
    fn along(&self, axis: usize, len: usize, from: impl Fn(usize) -> usize) -> Self {
        let mut shape = self.shape.clone();
        shape[axis] = len;
        Self::build(&shape, |index| {
            let mut source = index.to_vec();
            source[axis] = from(index[axis]);
            self.at(&source)
        })
    }
}

/// One random view operation on both.
fn step(rng: &mut Rng, tensor: &Tensor, naive: &Naive) -> (Tensor, Naive) {
    let rank = naive.shape.len();
    let axis = if rank > 0 { rng.index(rank) } else { 0 };
    let dim = if rng.chance(0.5) { axis as isize } else { axis as isize - rank as isize };
    match rng.below(9) {
        0 if rank > 0 => {
            let mut order: Vec<usize> = (0..rank).collect();
            rng.shuffle(&mut order);
            let signed: Vec<isize> = order.iter().map(|&axis| axis as isize).collect();
            let shape: Vec<usize> = order.iter().map(|&axis| naive.shape[axis]).collect();
            let moved = Naive::build(&shape, |index| {
                let mut source = vec![0; rank];
                for (&axis, &i) in order.iter().zip(index) {
                    source[axis] = i;
                }
                naive.at(&source)
            });
            (tensor.permute(&signed).unwrap(), moved)
        }
        1 if rank > 0 => {
            let size = naive.shape[axis];
            let start = rng.index(size + 1);
            let len = rng.index(size - start + 1);
            (tensor.narrow(dim, start, len).unwrap(), naive.along(axis, len, |i| start + i))
        }
        2 if rank > 0 => {
            let size = naive.shape[axis];
            let (start, step) = (rng.index(size + 1), 1 + rng.index(3));
            let len = (size - start).div_ceil(step);
            let view = tensor.slice(dim, start as isize, isize::MAX, step).unwrap();
            (view, naive.along(axis, len, |i| start + i * step))
        }
        3 if rank > 0 => {
            let size = naive.shape[axis];
            (tensor.flip(dim).unwrap(), naive.along(axis, size, |i| size - 1 - i))
        }
        4 if rank < 6 => {
            let at = rng.index(rank + 1);
            let mut shape = naive.shape.clone();
            shape.insert(at, 1);
            (tensor.unsqueeze(at as isize).unwrap(), Naive { shape, data: naive.data.clone() })
        }
        5 if rank > 0 && naive.shape[axis] > 0 => {
            let index = rng.index(naive.shape[axis]);
            let mut picked = naive.along(axis, 1, |_| index);
            picked.shape.remove(axis);
            (tensor.select(dim, index).unwrap(), picked)
        }
        6 if naive.shape.contains(&1) && naive.data.len() < 200 => {
            let axis = naive.shape.iter().position(|&size| size == 1).unwrap();
            let mut shape = naive.shape.clone();
            shape[axis] = 2;
            (tensor.expand(&shape).unwrap(), naive.along(axis, 2, |_| 0))
        }
        7 => {
            // Merge or split dimensions at random places; copies where it must.
            let count: usize = naive.data.len();
            let divisors: Vec<usize> = (1..=count.max(1)).filter(|d| count.is_multiple_of(*d)).collect();
            let first = *rng.choose(&divisors);
            let shape = [first, count / first];
            let signed = [first as isize, -1];
            if count == 0 {
                (tensor.reshape(&[0, 3]).unwrap(), Naive { shape: vec![0, 3], data: vec![] })
            } else {
                (tensor.reshape(&signed).unwrap(), Naive { shape: shape.to_vec(), data: naive.data.clone() })
            }
        }
        _ => (tensor.clone(), naive.clone()),
    }
}

#[test]
fn random_views_match_a_naive_model() {
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let shape: Vec<usize> = (0..1 + rng.index(4)).map(|_| 1 + rng.index(4)).collect();
        let count: usize = shape.iter().product();
        let data: Vec<i64> = (0..count as i64).collect();
        let mut tensor = Tensor::from_vec(data.clone(), &shape).unwrap();
        let mut naive = Naive { shape, data };
        for _ in 0..12 {
            let (next, model) = step(&mut rng, &tensor, &naive);
            assert_eq!(
                next.shape(),
                model.shape,
                "seed {seed}: from {tensor:?} with strides {:?}",
                tensor.strides()
            );
            assert_eq!(next.to_vec::<i64>().unwrap(), model.data, "seed {seed}: shape {:?}", model.shape);
            assert_eq!(next.contiguous().unwrap().to_vec::<i64>().unwrap(), model.data, "seed {seed}");
            (tensor, naive) = (next, model);
        }
    }
}

/// Gradients through random chains of views: each element gets the number of places it is seen at.
#[test]
fn gradients_pass_through_random_views() {
    for seed in 0..200 {
        let mut rng = Rng::new(1000 + seed);
        let shape: Vec<usize> = (0..1 + rng.index(3)).map(|_| 1 + rng.index(4)).collect();
        let count: usize = shape.iter().product();
        let data: Vec<i64> = (0..count as i64).collect();
        let leaf = Tensor::zeros(&shape, DType::F64).unwrap().requires_grad_().unwrap();
        let mut tensor = leaf.clone();
        let mut naive = Naive { shape, data };
        for _ in 0..8 {
            (tensor, naive) = step(&mut rng, &tensor, &naive);
        }
        // Weight the places, so that a wrong permutation shows.
        let weights: Vec<f64> = (0..tensor.len()).map(|i| (i % 17) as f64 + 1.0).collect();
        let mut wanted = vec![0.0; count];
        for (&source, weight) in naive.data.iter().zip(&weights) {
            wanted[source as usize] += weight;
        }
        let gradient = Tensor::from_vec(weights, tensor.shape()).unwrap();
        tensor.backward_with(Some(&gradient), false).unwrap();
        let found = leaf.grad().unwrap().unwrap().to_vec::<f64>().unwrap();
        assert_eq!(found, wanted, "seed {seed}");
    }
}

#[test]
fn reshape_views_where_strides_allow() {
    let x = Tensor::arange(0.0, 24.0, 1.0, DType::I64).unwrap().reshape(&[2, 3, 4]).unwrap();
    let sees =
        |t: &Tensor, shape: &[isize]| t.view(shape).map(|v| v.shares_storage_with(&x)).unwrap_or(false);
    assert!(sees(&x, &[6, 4]) && sees(&x, &[24]) && sees(&x, &[2, 12]) && sees(&x, &[1, 2, 3, 2, 2]));
    let rows = x.narrow(2, 0, 2).unwrap();
    assert!(sees(&rows, &[6, 2]) && sees(&rows, &[6, 1, 2]) && !sees(&rows, &[12]));
    let turned = x.transpose(0, 1).unwrap();
    assert!(sees(&turned, &[3, 2, 2, 2]) && !sees(&turned, &[6, 4]));
    assert!(sees(&turned, &[3, 1, 2, 4]));
    let error = turned.view(&[6, 4]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.to_string().contains("use reshape"), "{error}");
    assert_eq!(turned.reshape(&[6, 4]).unwrap().to_vec::<i64>().unwrap()[..8], [0, 1, 2, 3, 12, 13, 14, 15]);
}

#[test]
fn broadcasting_follows_numpy() {
    let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32).unwrap();
    let cases: [(&[usize], &[usize], &[usize]); 8] = [
        (&[3], &[2, 3], &[2, 3]),
        (&[2, 1], &[3], &[2, 3]),
        (&[], &[4], &[4]),
        (&[1], &[0], &[0]),
        (&[0, 1], &[1, 5], &[0, 5]),
        (&[8, 1, 6, 1], &[7, 1, 5], &[8, 7, 6, 5]),
        (&[1, 1], &[], &[1, 1]),
        (&[2, 3], &[2, 3], &[2, 3]),
    ];
    for (a, b, wanted) in cases {
        assert_eq!(ones(a).add(&ones(b)).unwrap().shape(), wanted, "{a:?} + {b:?}");
        assert_eq!(ones(b).add(&ones(a)).unwrap().shape(), wanted, "{b:?} + {a:?}");
    }
    for (a, b) in [(&[3][..], &[4][..]), (&[2, 3], &[3, 2]), (&[0], &[2])] {
        let error = ones(a).add(&ones(b)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
        assert!(error.to_string().contains("do not broadcast"), "{error}");
    }
}

#[test]
fn empty_and_scalar_tensors_work() {
    let empty = Tensor::zeros(&[0, 3], DType::F32).unwrap();
    assert_eq!(empty.sum(&[], false).unwrap().item().unwrap(), 0.0);
    assert_eq!(empty.sum(&[0], false).unwrap().to_vec::<f32>().unwrap(), [0.0; 3]);
    assert_eq!(empty.max(&[0], false).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(empty.t().unwrap().matmul(&empty).unwrap().to_vec::<f32>().unwrap(), [0.0; 9]);
    assert_eq!(ops::cat(&[&empty, &Tensor::ones(&[1, 3], DType::F32).unwrap()], 0).unwrap().shape(), [1, 3]);
    let scalar = Tensor::scalar(2.5f64);
    assert_eq!((scalar.rank(), scalar.len(), scalar.item().unwrap()), (0, 1, 2.5));
    assert_eq!(scalar.mul(&scalar).unwrap().exp().unwrap().item().unwrap(), 6.25f64.exp());
    assert_eq!(Tensor::zeros(&[usize::MAX, 0], DType::F32).unwrap().len(), 0);
}

#[test]
fn mistakes_are_errors_that_say_what_to_do() {
    let x = Tensor::ones(&[2, 3], DType::F32).unwrap();
    let ids = Tensor::from_vec(vec![0i64, 7], &[2]).unwrap();
    let cases = [
        (x.add(&x.to_dtype(DType::F64).unwrap()), ErrorKind::DType, "to_dtype"),
        (x.matmul(&x), ErrorKind::Shape, "do not multiply"),
        (x.reshape(&[4, -1]), ErrorKind::Shape, "not a whole number"),
        (x.reshape(&[-1, -1]), ErrorKind::Shape, "only one size"),
        (x.permute(&[0, 0]), ErrorKind::Shape, "twice"),
        (x.transpose(0, 2), ErrorKind::Index, "dimension 2 does not exist"),
        (x.narrow(1, 2, 2), ErrorKind::Index, "does not fit"),
        (x.narrow(1, usize::MAX, 2), ErrorKind::Index, "too long"),
        (x.expand(&[2, 4]), ErrorKind::Shape, "cannot be expanded"),
        (x.index_select(0, &ids), ErrorKind::Index, "index 7 at position 1 is not in 0..2"),
        (x.sum(&[0, 0], false), ErrorKind::Argument, "named twice"),
        (ops::embedding(&x, &ids), ErrorKind::Index, "id 7 at position 1"),
        (ops::linear(&x, &x.t().unwrap()), ErrorKind::Shape, "last sizes must agree"),
        (ops::cat(&[], 0), ErrorKind::Argument, "no tensors"),
        (Tensor::zeros(&[usize::MAX, 2], DType::F32), ErrorKind::Shape, "more elements"),
        (Tensor::zeros(&[1; 9], DType::F32), ErrorKind::Shape, "at most 8"),
        (Tensor::from_vec(vec![1.0f32], &[2]), ErrorKind::Shape, "1 values given"),
        (ids.log(), ErrorKind::DType, "to_dtype"),
        (ids.div(&ids), ErrorKind::DType, "float type"),
        (Tensor::arange(0.0, 1.0, 0.0, DType::F32), ErrorKind::Argument, "steps of 0"),
        (ops::cross_entropy(&x, &ids, ops::Reduction::Mean), ErrorKind::Index, "target 7"),
    ];
    for (number, (result, kind, part)) in cases.into_iter().enumerate() {
        let error = result.expect_err(&format!("case {number}"));
        assert_eq!(error.kind(), kind, "case {number}: {error}");
        assert!(error.to_string().contains(part), "case {number}: {error}");
    }
}

#[test]
fn writes_in_place_reach_views() {
    let x = Tensor::zeros(&[2, 3], DType::F32).unwrap();
    x.select(0, 1).unwrap().fill_(5.0).unwrap();
    x.t()
        .unwrap()
        .narrow(0, 0, 1)
        .unwrap()
        .copy_(&Tensor::from_vec(vec![7i64, 8], &[1, 2]).unwrap())
        .unwrap();
    assert_eq!(x.to_vec::<f32>().unwrap(), [7.0, 0.0, 0.0, 8.0, 5.0, 5.0]);
    // A copy onto an overlapping view of itself sees the old values.
    x.narrow(1, 1, 2).unwrap().copy_(&x.narrow(1, 0, 2).unwrap()).unwrap();
    assert_eq!(x.to_vec::<f32>().unwrap(), [7.0, 7.0, 0.0, 8.0, 8.0, 5.0]);
    assert_eq!(x.expand(&[2, 2, 3]).unwrap().fill_(1.0).unwrap_err().kind(), ErrorKind::Argument);
    let error = x.with_f32(|_| x.with_f32_mut(|_| ())).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InUse);
    let error = x.with_f32_mut(|_| x.exp().map(|_| ())).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InUse);
}

#[test]
fn conversions_round_truncate_and_saturate() {
    let x = Tensor::from_vec(vec![-1.75f32, 0.0, 2.9, 300.0, f32::NAN], &[5]).unwrap();
    assert_eq!(x.to_dtype(DType::I64).unwrap().to_vec::<i64>().unwrap(), [-1, 0, 2, 300, 0]);
    assert_eq!(x.to_dtype(DType::U8).unwrap().to_vec::<u8>().unwrap(), [0, 0, 2, 255, 0]);
    assert_eq!(x.to_dtype(DType::Bool).unwrap().to_vec::<bool>().unwrap(), [true, false, true, true, true]);
    let big = Tensor::from_vec(vec![i64::MAX, i64::MIN, (1 << 53) + 1], &[3]).unwrap();
    assert_eq!(big.to_vec::<i64>().unwrap(), [i64::MAX, i64::MIN, (1 << 53) + 1]);
    assert_eq!(big.max(&[], false).unwrap().to_vec::<i64>().unwrap(), [i64::MAX]);
    assert_eq!(big.to_dtype(DType::U8).unwrap().to_vec::<u8>().unwrap(), [255, 0, 255]);
}

#[test]
fn nan_is_not_lost() {
    let x = Tensor::from_vec(vec![1.0f32, f32::NAN, 3.0], &[3]).unwrap();
    assert!(x.max(&[], false).unwrap().item().unwrap().is_nan());
    assert!(x.min(&[], false).unwrap().item().unwrap().is_nan());
    assert_eq!(x.argmax(0, false).unwrap().item().unwrap(), 1.0);
    assert!(x.relu().unwrap().to_vec::<f32>().unwrap()[1].is_nan());
    let zeros = x.zeros_like().unwrap();
    for found in
        [x.maximum(&zeros), zeros.maximum(&x), x.minimum(&zeros), zeros.minimum(&x), x.clamp(0.0, 2.0)]
    {
        assert!(found.unwrap().to_vec::<f32>().unwrap()[1].is_nan());
    }
}
