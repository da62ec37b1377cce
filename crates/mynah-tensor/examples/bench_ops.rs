//! Measures every operation of the table, forward and backward, on arguments as in a training step of a
//! small model, and the cost of an operation that computes almost nothing.
//!
//!     cargo run --release -p mynah-tensor --example bench_ops [--small] [--threads N] [NAME…]

use std::time::{Duration, Instant};

use mynah_tensor::table::{Kind, Op, Sampler, Scale, Value, ops};
use mynah_tensor::{DType, Tensor, no_grad};

struct Settings {
    small: bool,
    names: Vec<String>,
}

fn settings() -> Result<Settings, String> {
    let mut settings = Settings { small: false, names: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--small" => settings.small = true,
            "--threads" => {
                let count =
                    arguments.next().and_then(|n| n.parse().ok()).ok_or("--threads needs a number")?;
                mynah_kernels::pool::set_threads(count);
            }
            name if name.starts_with('-') => return Err(format!("unknown option {name}")),
            name => settings.names.push(name.to_string()),
        }
    }
    Ok(settings)
}

/// The median time of a run, from at least five.
fn median(small: bool, mut run: impl FnMut()) -> Duration {
    let (least, budget) = if small { (1, Duration::ZERO) } else { (5, Duration::from_millis(200)) };
    let (mut times, start) = (Vec::new(), Instant::now());
    while times.len() < least || start.elapsed() < budget {
        let begin = Instant::now();
        run();
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

fn in_f32(op: &Op, values: &[Value], grad: bool) -> mynah_tensor::Result<Vec<Value>> {
    let convert = |x: &Tensor, kind: Kind| -> mynah_tensor::Result<Tensor> {
        if x.dtype() != DType::F64 {
            return Ok(x.clone());
        }
        let x = x.to_dtype(DType::F32)?;
        if grad && matches!(kind, Kind::Tensor | Kind::Tensors) { x.requires_grad_() } else { Ok(x) }
    };
    op.arguments
        .iter()
        .zip(values)
        .map(|(&(_, kind), value)| {
            Ok(match value {
                Value::Tensor(x) => Value::Tensor(convert(x, kind)?),
                Value::Tensors(xs) => {
                    Value::Tensors(xs.iter().map(|x| convert(x, kind)).collect::<mynah_tensor::Result<_>>()?)
                }
                other => other.clone(),
            })
        })
        .collect()
}

fn measure(op: &Op, settings: &Settings) -> mynah_tensor::Result<()> {
    let scale = if settings.small { Scale::Gradient } else { Scale::Benchmark };
    let Some(sample) = (op.samples)(&mut Sampler::new(1, scale)).into_iter().next() else { return Ok(()) };
    if !op.dtypes.contains(&DType::F32) {
        return Ok(());
    }
    let values = in_f32(op, &sample, false)?;
    let args = op.args(&values)?;
    let output = no_grad(|| (op.call)(&args))?;
    let forward = median(settings.small, || {
        std::hint::black_box(no_grad(|| (op.call)(&args)).is_ok());
    });
    let mut line = format!(
        "{:22} forward {:9.1} µs {:8.2} GFLOP/s {:8.2} GB/s",
        op.name,
        forward.as_secs_f64() * 1e6,
        (op.flops)(&args, &output) / forward.as_secs_f64() / 1e9,
        op.bytes(&args, &output) / forward.as_secs_f64() / 1e9,
    );
    if op.differentiable && output.dtype().is_float() {
        let values = in_f32(op, &sample, true)?;
        let args = op.args(&values)?;
        let gradient = output.ones_like()?;
        let both = median(settings.small, || {
            let done = (op.call)(&args).and_then(|y| y.backward_with(Some(&gradient), false));
            std::hint::black_box(done.is_ok());
        });
        line.push_str(&format!("   with backward {:9.1} µs", both.as_secs_f64() * 1e6));
    }
    println!("{line}");
    Ok(())
}

/// What an operation costs beside its arithmetic: additions of single elements.
fn overhead(small: bool) -> mynah_tensor::Result<()> {
    let count = if small { 10 } else { 10_000 };
    let x = Tensor::ones(&[1], DType::F32)?;
    let leaf = Tensor::ones(&[1], DType::F32)?.requires_grad_()?;
    let chain = |start: &Tensor| -> mynah_tensor::Result<Tensor> {
        let mut y = start.clone();
        for _ in 0..count {
            y = y.add(&x)?;
        }
        Ok(y)
    };
    let each = |time: Duration| time.as_secs_f64() * 1e9 / count as f64;
    let forward = median(small, || {
        std::hint::black_box(chain(&x).is_ok());
    });
    let both = median(small, || {
        std::hint::black_box(chain(&leaf).and_then(|y| y.backward()).is_ok());
    });
    println!(
        "overhead of an add: {:.0} ns; recorded, with its backward: {:.0} ns",
        each(forward),
        each(both)
    );
    Ok(())
}

fn main() -> std::process::ExitCode {
    let run = || -> Result<(), String> {
        let settings = settings()?;
        overhead(settings.small).map_err(|e| e.to_string())?;
        for op in
            ops().filter(|op| settings.names.is_empty() || settings.names.iter().any(|name| name == op.name))
        {
            measure(op, &settings).map_err(|e| e.to_string())?;
        }
        Ok(())
    };
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench_ops: {message}");
            std::process::ExitCode::FAILURE
        }
    }
}
