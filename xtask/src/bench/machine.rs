//! The machine's name, for people who compare figures.

use std::fs;

/// Processor, cores and memory in one line, from what Linux says; other systems are named less well.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model(&info).unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory_gib(&memory).map(|gib| format!(", {gib:.0} GiB")).unwrap_or_default();
    format!("{model}, {cores} cores{memory}, {}", std::env::consts::OS)
}

/// The processor's name with the vector instructions that matter to us.
fn model(info: &str) -> Option<String> {
    let field = |name: &str| {
        info.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_string())
    };
    let name = field("model name")?;
    let flags = field("flags").unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
    let vectors: Vec<&str> = [("avx2", "AVX2"), ("avx512f", "AVX-512"), ("avx512_vnni", "VNNI")]
        .into_iter()
        .filter_map(|(flag, text)| has(flag).then_some(text))
        .collect();
    Some(if vectors.is_empty() { name } else { format!("{name} ({})", vectors.join(", ")) })
}

fn memory_gib(info: &str) -> Option<f64> {
    let line = info.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / (1024.0 * 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_processor() {
        let info = "processor : 0\nmodel name\t: Xeon 2.5GHz\nflags\t\t: fpu avx2 avx512f\n";
        assert_eq!(model(info).unwrap(), "Xeon 2.5GHz (AVX2, AVX-512)");
        assert_eq!(model(""), None);
        assert_eq!(memory_gib("MemTotal:       8388608 kB\n"), Some(8.0));
    }
}
