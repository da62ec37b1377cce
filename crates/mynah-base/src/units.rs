//! Numbers as people read them.

/// `1536` → `1.5 KiB`.
pub fn bytes(size_bytes: u64) -> String {
    scaled(size_bytes as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"], " ")
}

/// `12_345_678` → `12.3M`.
pub fn count(n: u64) -> String {
    scaled(n as f64, 1000.0, &["", "K", "M", "B", "T"], "")
}

/// `75.2` → `1m 15s`; below a minute one decimal is kept: `7.4s`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_string();
    }
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}h {minutes:02}m") } else { format!("{minutes}m {rest:02}s") }
}

fn scaled(value: f64, step: f64, units: &[&str], space: &str) -> String {
    let mut value = value;
    let mut unit = 0;
    // 999.95 would print as "1000.0": go up where the rounded figure would.
    while value >= step - 0.05 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 99.95);
    format!("{value:.decimals$}{space}{}", units[unit]).trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_people_expect() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
        assert_eq!(count(999), "999");
        assert_eq!(count(12_345_678), "12.3M");
        assert_eq!(count(999_999), "1.0M");
        assert_eq!(duration(7.44), "7.4s");
        assert_eq!(duration(75.2), "1m 15s");
        assert_eq!(duration(3_725.0), "1h 02m");
        assert_eq!(duration(f64::NAN), "?");
    }
}
