//! Agreement with PyTorch on the cases of `golden/ops.json` (written by `golden/make_golden.py`).

use mynah_tensor::table::{Kind, Value, find};
use mynah_tensor::{DType, Tensor};
use serde_json::Value as Json;

fn numbers(json: &Json) -> Vec<f64> {
    json.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn sizes(json: &Json) -> Vec<usize> {
    json.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

fn tensor(json: &Json, dtype: DType) -> Tensor {
    let shape = sizes(&json["shape"]);
    if let Some(ids) = json.get("ids") {
        let ids: Vec<i64> = ids.as_array().unwrap().iter().map(|x| x.as_i64().unwrap()).collect();
        return Tensor::from_vec(ids, &shape).unwrap();
    }
    if let Some(mask) = json.get("mask") {
        let mask: Vec<bool> = mask.as_array().unwrap().iter().map(|x| x.as_bool().unwrap()).collect();
        return Tensor::from_vec(mask, &shape).unwrap();
    }
    Tensor::from_vec(numbers(&json["data"]), &shape).unwrap().to_dtype(dtype).unwrap()
}

/// The argument, and the leaves in it.
fn argument(kind: Kind, json: &Json, dtype: DType, leaves: &mut Vec<Tensor>) -> Value {
    let mut leaf = |x: Tensor| {
        if x.dtype().is_float() && matches!(kind, Kind::Tensor | Kind::Tensors) {
            leaves.push(x.requires_grad_().unwrap());
        }
        x
    };
    match kind {
        _ if json.is_null() => Value::None,
        Kind::Tensors => {
            let list = json["tensors"].as_array().unwrap();
            Value::Tensors(list.iter().map(|x| leaf(tensor(x, dtype))).collect())
        }
        Kind::Tensor | Kind::Constant | Kind::OptionalConstant | Kind::Ids | Kind::Mask => {
            Value::Tensor(leaf(tensor(json, dtype)))
        }
        Kind::Int | Kind::OptionalInt => Value::Int(json.as_i64().unwrap()),
        Kind::Ints => Value::Ints(json.as_array().unwrap().iter().map(|x| x.as_i64().unwrap()).collect()),
        Kind::Float | Kind::OptionalFloat => Value::Float(json.as_f64().unwrap()),
        Kind::Flag => Value::Flag(json.as_bool().unwrap()),
        Kind::DType | Kind::Reduction => {
            let known = ["mean", "sum", "none"];
            Value::Name(known.into_iter().find(|name| Some(*name) == json.as_str()).unwrap())
        }
    }
}

#[track_caller]
fn check(what: &str, found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1.0f64, |max, x| max.max(x.abs()));
    for (place, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!(
            (found - wanted).abs() <= tolerance * scale,
            "{what}: element {place} is {found}, PyTorch says {wanted}"
        );
    }
}

#[test]
fn agrees_with_pytorch() {
    let cases: Json = serde_json::from_str(include_str!("../golden/ops.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 60);
    for (number, case) in cases.iter().enumerate() {
        let op = find(case["op"].as_str().unwrap()).unwrap();
        for (dtype, tolerance) in [(DType::F64, 2e-9), (DType::F32, 5e-6)] {
            let what = format!("case {number}, {} in {dtype}", op.name);
            let mut leaves = Vec::new();
            let values: Vec<Value> = op
                .arguments
                .iter()
                .zip(case["args"].as_array().unwrap())
                .map(|(&(_, kind), json)| argument(kind, json, dtype, &mut leaves))
                .collect();
            let output = (op.call)(&op.args(&values).unwrap()).unwrap();
            assert_eq!(output.shape(), sizes(&case["output"]["shape"]), "{what}");
            check(&what, &output.to_vec::<f64>().unwrap(), &numbers(&case["output"]["data"]), tolerance);
            let grads = case["grads"].as_array().unwrap();
            if grads.is_empty() {
                continue;
            }
            let count = output.len();
            let factors = (0..count).map(|i| ((i * 7919 + 13) % 101) as f64 / 50.0 - 1.0).collect();
            let factors = Tensor::from_vec::<f64>(factors, output.shape()).unwrap().to_dtype(dtype).unwrap();
            output.backward_with(Some(&factors), false).unwrap();
            assert_eq!(leaves.len(), grads.len(), "{what}");
            for (which, (leaf, wanted)) in leaves.iter().zip(grads).enumerate() {
                let found = leaf.grad().unwrap().map_or(vec![0.0; leaf.len()], |g| g.to_vec().unwrap());
                check(&format!("{what}, gradient {which}"), &found, &numbers(wanted), 4.0 * tolerance);
            }
        }
    }
}
