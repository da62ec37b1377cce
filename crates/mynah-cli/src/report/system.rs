//! Facts about the machine, without a crate for it.

use std::fs;

/// (name, value): processor, cores, memory, system, the program's version and what kernels it uses.
pub fn facts() -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_string(), value));
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    fact("processor", field(&info, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_string()));
    fact("cores", std::thread::available_parallelism().map_or(1, usize::from).to_string());
    fact("threads used", mynah_kernels::pool::threads().to_string());
    fact("kernels", format!("{:?}", mynah_kernels::cpu::isa()));
    if let Some(kib) = kib(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal") {
        fact("memory", mynah_base::units::bytes(kib << 10));
    }
    if let Some(peak) = peak_memory_bytes() {
        fact("peak memory of this run", mynah_base::units::bytes(peak));
    }
    fact("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    fact("mynah", env!("CARGO_PKG_VERSION").to_string());
    fact("build", if cfg!(debug_assertions) { "development" } else { "release" }.to_string());
    facts
}

/// The most memory this process has held so far; only Linux says it.
pub fn peak_memory_bytes() -> Option<u64> {
    kib(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM").map(|kib| kib << 10)
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

fn kib(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_says() {
        assert_eq!(field("a: 1\nmodel name\t: Xeon\n", "model name").unwrap(), "Xeon");
        assert_eq!(kib("VmHWM:\t  2048 kB\n", "VmHWM"), Some(2048));
        assert_eq!(kib("", "VmHWM"), None);
    }
}
