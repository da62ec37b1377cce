//! Walks the op table: agreement with the references, gradients, completeness.

use mynah_kernels::cpu::{Isa, with_isa};
use mynah_tensor::table::{Array, Kind, Op, Sampler, Scale, Value, docs, ops};
use mynah_tensor::{DType, Result, Tensor, no_grad};

/// The float tensors of a sample in another type; views stay views.
fn in_type(values: &[Value], dtype: DType) -> Vec<Value> {
    let convert = |tensor: &Tensor| -> Tensor {
        if tensor.dtype() != DType::F64 || dtype == DType::F64 {
            return tensor.clone();
        }
        // Whole numbers need some spread to differ at all.
        let spread = if dtype.is_float() { tensor.clone() } else { tensor.mul_scalar(10.0).unwrap() };
        if tensor.rank() == 2 && !tensor.is_contiguous() {
            return spread.t().unwrap().contiguous().unwrap().to_dtype(dtype).unwrap().t().unwrap();
        }
        spread.to_dtype(dtype).unwrap()
    };
    values
        .iter()
        .map(|value| match value {
            Value::Tensor(tensor) => Value::Tensor(convert(tensor)),
            Value::Tensors(tensors) => Value::Tensors(tensors.iter().map(convert).collect()),
            other => other.clone(),
        })
        .collect()
}

/// The sample with its differentiable tensors as leaves, and those leaves.
fn with_leaves(op: &Op, values: &[Value]) -> (Vec<Value>, Vec<Tensor>) {
    let mut leaves = Vec::new();
    let mut leaf = |tensor: &Tensor| {
        let leaf = tensor.detach().requires_grad_().unwrap();
        leaves.push(leaf.clone());
        leaf
    };
    let values = op
        .arguments
        .iter()
        .zip(values)
        .map(|((_, kind), value)| match (kind, value) {
            (Kind::Tensor, Value::Tensor(tensor)) if tensor.dtype().is_float() => Value::Tensor(leaf(tensor)),
            (Kind::Tensors, Value::Tensors(tensors)) => {
                Value::Tensors(tensors.iter().map(&mut leaf).collect())
            }
            (_, other) => other.clone(),
        })
        .collect();
    (values, leaves)
}

fn run(op: &Op, values: &[Value]) -> Result<Tensor> {
    (op.call)(&op.args(values)?)
}

/// Fixed pseudo-random factors, so that the loss depends on every element in its own way.
fn factors(shape: &[usize], dtype: DType) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|i| ((i * 7919 + 13) % 101) as f64 / 50.0 - 1.0).collect();
    Tensor::from_vec(values, shape).unwrap().to_dtype(dtype).unwrap()
}

/// The gradients of Σ factors·op(values).
fn gradients(op: &Op, values: &[Value]) -> Vec<Array> {
    let (values, leaves) = with_leaves(op, values);
    let output = run(op, &values).unwrap();
    if output.requires_grad() {
        output.backward_with(Some(&factors(output.shape(), output.dtype())), false).unwrap();
    }
    leaves
        .iter()
        .map(|leaf| match leaf.grad().unwrap() {
            Some(grad) => Array::of(&grad).unwrap(),
            None => Array::build(leaf.shape(), |_| 0.0),
        })
        .collect()
}

#[track_caller]
fn assert_close(what: &str, found: &Array, wanted: &Array, tolerance: f64) {
    assert_eq!(found.shape, wanted.shape, "{what}: shape");
    let scale = wanted.data.iter().fold(1.0f64, |max, x| max.max(x.abs()));
    for (place, (&found, &wanted)) in found.data.iter().zip(&wanted.data).enumerate() {
        let same = (found - wanted).abs() <= tolerance * scale || (found.is_nan() && wanted.is_nan());
        assert!(
            same,
            "{what}: element {place} is {found}, the reference says {wanted} (tolerance {tolerance}, scale {scale})"
        );
    }
}

fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 3e-6,
        DType::F64 => 1e-11,
        // A few roundings to 8 and 11 bits.
        DType::BF16 => 2e-2,
        DType::F16 => 3e-3,
        DType::I64 | DType::U8 | DType::Bool => 0.0,
    }
}

#[test]
fn values_agree_with_the_references() {
    for op in ops() {
        for (number, sample) in (op.samples)(&mut Sampler::new(1, Scale::Agreement)).iter().enumerate() {
            for &dtype in op.dtypes {
                let values = in_type(sample, dtype);
                let wanted = (op.reference)(&op.args(&values).unwrap()).unwrap();
                let levels = if dtype == DType::F32 { Isa::available() } else { &Isa::available()[..1] };
                for &isa in levels {
                    let what = format!("{} sample {number} in {dtype} on {isa:?}", op.name);
                    let output = with_isa(isa, || run(op, &values)).unwrap_or_else(|e| panic!("{what}: {e}"));
                    let tolerance = tolerance(dtype).max(tolerance(output.dtype()));
                    assert_close(&what, &Array::of(&output).unwrap(), &wanted, tolerance);
                }
            }
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    const STEP: f64 = 1e-5;
    for op in ops().filter(|op| op.differentiable) {
        for (number, values) in (op.samples)(&mut Sampler::new(2, Scale::Gradient)).iter().enumerate() {
            let (values, leaves) = with_leaves(op, values);
            let loss = || -> f64 {
                let output = no_grad(|| run(op, &values)).unwrap();
                let factors = factors(output.shape(), output.dtype());
                output.mul(&factors).unwrap().to_vec::<f64>().unwrap().iter().sum()
            };
            for (which, (leaf, found)) in leaves.iter().zip(gradients(op, &values)).enumerate() {
                let numeric = no_grad(|| {
                    // A view is moved through its own place in the storage.
                    let original = leaf.copy().unwrap();
                    let flat = original.to_vec::<f64>().unwrap();
                    let differences = (0..flat.len()).map(|i| {
                        let at = |delta: f64| {
                            let mut moved = flat.clone();
                            moved[i] += delta;
                            leaf.copy_(&Tensor::from_vec(moved, leaf.shape()).unwrap()).unwrap();
                            loss()
                        };
                        (at(STEP) - at(-STEP)) / (2.0 * STEP)
                    });
                    let data = differences.collect();
                    leaf.copy_(&original).unwrap();
                    Array { shape: leaf.shape().to_vec(), data }
                });
                assert_close(
                    &format!("{} sample {number}, gradient {which}", op.name),
                    &found,
                    &numeric,
                    2e-8,
                );
            }
        }
    }
}

#[test]
fn fast_gradients_agree_with_double_precision() {
    for op in ops().filter(|op| op.differentiable && op.dtypes.contains(&DType::F32)) {
        for (number, sample) in (op.samples)(&mut Sampler::new(3, Scale::Agreement)).iter().enumerate() {
            // A conversion's gradient is as exact as the type it converts to.
            if op.name == "to_dtype" && !matches!(sample[1], Value::Name("f32" | "f64")) {
                continue;
            }
            let narrow = in_type(sample, DType::F32);
            let wide = narrow
                .iter()
                .map(|value| match value {
                    Value::Tensor(x) if x.dtype() == DType::F32 => {
                        Value::Tensor(x.to_dtype(DType::F64).unwrap())
                    }
                    Value::Tensors(xs) => {
                        Value::Tensors(xs.iter().map(|x| x.to_dtype(DType::F64).unwrap()).collect())
                    }
                    other => other.clone(),
                })
                .collect::<Vec<_>>();
            let wanted = gradients(op, &wide);
            for &isa in Isa::available() {
                let found = with_isa(isa, || gradients(op, &narrow));
                for (which, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                    let what = format!("{} sample {number}, gradient {which} on {isa:?}", op.name);
                    assert_close(&what, found, wanted, 2e-5);
                }
            }
        }
    }
}

#[test]
fn half_gradients_agree_roughly() {
    for op in ops().filter(|op| op.differentiable && op.dtypes.contains(&DType::BF16)) {
        for (number, sample) in (op.samples)(&mut Sampler::new(4, Scale::Gradient)).iter().enumerate() {
            let narrow = in_type(sample, DType::BF16);
            let wide = narrow
                .iter()
                .map(|value| match value {
                    Value::Tensor(x) if x.dtype() == DType::BF16 => {
                        Value::Tensor(x.to_dtype(DType::F64).unwrap())
                    }
                    Value::Tensors(xs) => {
                        Value::Tensors(xs.iter().map(|x| x.to_dtype(DType::F64).unwrap()).collect())
                    }
                    other => other.clone(),
                })
                .collect::<Vec<_>>();
            for (which, (found, wanted)) in
                gradients(op, &narrow).iter().zip(&gradients(op, &wide)).enumerate()
            {
                assert_close(
                    &format!("{} sample {number}, gradient {which} in bf16", op.name),
                    found,
                    wanted,
                    5e-2,
                );
            }
        }
    }
}

/// Every public function of the ops modules has a row, and every row a function.
#[test]
fn every_public_op_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops");
    let mut public = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in source.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("pub fn ") {
                let name = rest.split(['(', '<']).next().unwrap();
                // The macros that make families of methods take the names from the lines below.
                if !name.starts_with('$') {
                    public.insert(name.to_string());
                }
            }
            if let Some((name, rest)) = line.split_once(" => ")
                && rest.ends_with(';')
                && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            {
                public.insert(name.to_string());
            }
            if let Some((name, rest)) = line.split_once(": |a, b| ")
                && rest.ends_with(';')
            {
                public.insert(name.to_string());
            }
        }
    }
    public.retain(|name| name != "name" && name != "from_name");
    let rows: std::collections::BTreeSet<String> = ops().map(|op| op.name.to_string()).collect();
    assert_eq!(ops().count(), rows.len(), "two rows with one name");
    assert!(public.len() > 60, "the search found only {public:?}");
    assert_eq!(
        public.difference(&rows).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "operations without a row"
    );
    assert_eq!(
        rows.difference(&public).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "rows without an operation"
    );
}

#[test]
fn rows_describe_themselves() {
    let text = docs();
    for op in ops() {
        assert!(!op.doc.is_empty() && !op.shapes.is_empty() && !op.dtypes.is_empty(), "{}", op.name);
        assert!(text.contains(&format!("| {} |", op.name)));
        for sample in (op.samples)(&mut Sampler::new(5, Scale::Gradient)) {
            let args = op.args(&sample).unwrap();
            let output = (op.call)(&args).unwrap();
            assert!((op.flops)(&args, &output) >= 0.0 && op.bytes(&args, &output) >= 0.0);
        }
    }
}

#[test]
fn calls_by_name_are_checked() {
    use mynah_tensor::table::call;
    let x = Value::Tensor(Tensor::ones(&[2], DType::F32).unwrap());
    assert_eq!(call("add", &[x.clone(), x.clone()]).unwrap().to_vec::<f32>().unwrap(), [2.0, 2.0]);
    let message = |result: Result<Tensor>| result.unwrap_err().to_string();
    assert!(message(call("addd", &[])).contains("no operation \"addd\""));
    assert!(message(call("add", std::slice::from_ref(&x))).contains("1 arguments given, it takes 2: a, b"));
    assert!(message(call("add", &[x, Value::Int(1)])).contains("argument b must be a Tensor"));
}
