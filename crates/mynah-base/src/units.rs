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

/// Milliseconds since 1970 → `2026-11-21 15:04:05`, in UTC.
pub fn timestamp(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March put the leap day last: every 400 of them have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
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
        assert_eq!(timestamp(0), "1970-01-01 00:00:00");
        assert_eq!(timestamp(951_827_696_789), "2000-02-29 12:34:56");
        assert_eq!(timestamp(1_795_273_445_000), "2026-11-21 15:04:05");
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59");
    }
}
