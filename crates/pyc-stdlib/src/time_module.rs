//! `time`, over the host's clock. Programs live in UTC: a zone would be something ambient.

use std::cell::RefCell;
use std::time::Duration;

use pyc_runtime::str::Str;
use pyc_runtime::{Args, Method, PyResult, Value, Vm};

use crate::support::{struct_make, struct_type};

fn now(vm: &Vm) -> PyResult<i64> {
    vm.host.time_ns().map_err(|e| vm.host_error(e, None))
}

fn steady(vm: &Vm) -> PyResult<i64> {
    vm.host.monotonic_ns().map_err(|e| vm.host_error(e, None))
}

const FIELDS: &[&str] = &[
    "tm_year",
    "tm_mon",
    "tm_mday",
    "tm_hour",
    "tm_min",
    "tm_sec",
    "tm_wday",
    "tm_yday",
    "tm_isdst",
    "tm_zone",
    "tm_gmtoff",
];

fn time_type(vm: &Vm) -> PyResult {
    let cell = vm.state("struct_time", || RefCell::new(None::<Value>));
    if let Some(ty) = cell.borrow().clone() {
        return Ok(ty);
    }
    let ty = struct_type(vm, "time", "struct_time", FIELDS, 9)?;
    cell.replace(Some(ty.clone()));
    Ok(ty)
}

/// A moment in parts, as in C's `struct tm` but with the month from 1 and the year in full.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// Monday is 0.
    weekday: i64,
    /// From 1.
    yearday: i64,
    dst: i64,
}

/// Days since 1970-01-01 of a date in the Gregorian calendar; months beyond 1..12 carry over.
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.)
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn parts_of(seconds: i64) -> Parts {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = years + era * 400 + i64::from(month <= 2);
    Parts {
        year,
        month,
        day,
        hour: rest / 3600,
        minute: rest / 60 % 60,
        second: rest % 60,
        weekday: (days + 3).rem_euclid(7),
        yearday: days - days_from_civil(year, 1, 1) + 1,
        dst: 0,
    }
}

fn to_struct(vm: &Vm, p: &Parts) -> PyResult {
    let mut values: Vec<Value> =
        [p.year, p.month, p.day, p.hour, p.minute, p.second, p.weekday, p.yearday, p.dst]
            .iter()
            .map(|n| vm.int(*n))
            .collect();
    values.extend([vm.str("UTC"), Value::from_i32(0)]);
    struct_make(vm, &time_type(vm)?, values)
}

fn seconds_argument(vm: &Vm, value: Option<&Value>) -> PyResult<i64> {
    match value.filter(|v| !v.is_none()) {
        None => Ok(now(vm)?.div_euclid(1_000_000_000)),
        Some(v) if vm.is_int(v) => vm
            .as_i64(v)
            .filter(|n| n.abs() < 1 << 55)
            .ok_or_else(|| vm.overflow_error("timestamp out of range for platform time_t")),
        Some(v) => {
            let f = vm.to_f64(v)?;
            if f.is_nan() {
                return Err(vm.value_error("Invalid value NaN (not a number)"));
            }
            if f.abs() >= 1e17 {
                return Err(vm.overflow_error("timestamp out of range for platform time_t"));
            }
            Ok(f.floor() as i64)
        }
    }
}

fn parts_argument(vm: &Vm, value: &Value) -> PyResult<Parts> {
    if !vm.is_a(value, &vm.types.tuple) {
        return Err(vm.type_error("Tuple or struct_time argument required"));
    }
    let items = vm.to_vec(value)?;
    if items.len() < 9 {
        return Err(vm.type_error("illegal time tuple argument"));
    }
    let mut n = [0i64; 9];
    for (to, item) in n.iter_mut().zip(&items) {
        *to = vm.index(item)?;
    }
    let [year, month, day, hour, minute, second, weekday, yearday, dst] = n;
    Ok(Parts { year, month, day, hour, minute, second, weekday, yearday, dst })
}

/// As [`parts_argument`], with the bounds that formatting needs; zero months and days count as one.
fn checked(vm: &Vm, mut p: Parts) -> PyResult<Parts> {
    if p.month == 0 {
        p.month = 1;
    }
    if p.day == 0 {
        p.day = 1;
    }
    if p.yearday == 0 {
        p.yearday = 1;
    }
    let wrong = |what: &str| Err(vm.value_error(format!("{what} out of range")));
    if !(1..=12).contains(&p.month) {
        return wrong("month");
    }
    if !(1..=31).contains(&p.day) {
        return wrong("day of month");
    }
    if !(0..24).contains(&p.hour) {
        return wrong("hour");
    }
    if !(0..60).contains(&p.minute) {
        return wrong("minute");
    }
    if !(0..62).contains(&p.second) {
        return wrong("seconds");
    }
    if p.weekday < -1 {
        return wrong("day of week");
    }
    p.weekday = p.weekday.rem_euclid(7);
    if !(1..=366).contains(&p.yearday) {
        return wrong("day of year");
    }
    Ok(p)
}

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn ascii_time(p: &Parts) -> String {
    format!(
        "{} {} {:2} {:02}:{:02}:{:02} {}",
        &DAYS[p.weekday as usize][..3],
        &MONTHS[p.month as usize - 1][..3],
        p.day,
        p.hour,
        p.minute,
        p.second,
        p.year
    )
}

/// ISO 8601 year and week.
fn iso_week(p: &Parts) -> (i64, i64) {
    let week = (p.yearday - p.weekday + 9) / 7;
    let long = |year: i64| {
        let weekday = (days_from_civil(year, 12, 31) + 3).rem_euclid(7);
        weekday == 3 || weekday == 4 && days_from_civil(year + 1, 1, 1) - days_from_civil(year, 1, 1) == 366
    };
    let weeks = |year: i64| if long(year) { 53 } else { 52 };
    if week < 1 {
        (p.year - 1, weeks(p.year - 1))
    } else if week > weeks(p.year) {
        (p.year + 1, 1)
    } else {
        (p.year, week)
    }
}

fn format_time(format: &[u32], p: &Parts) -> Vec<u32> {
    let mut out = Vec::new();
    let mut i = 0;
    while i < format.len() {
        if format[i] != u32::from('%') || i + 1 == format.len() {
            out.push(format[i]);
            i += 1;
            continue;
        }
        let mut code = char::from_u32(format[i + 1]).unwrap_or('%');
        let mut used = 2;
        let plain = code == '-';
        if matches!(code, '-' | 'E' | 'O')
            && let Some(next) = format.get(i + 2)
        {
            code = char::from_u32(*next).unwrap_or('%');
            used = 3;
        }
        let two = |n: i64| if plain { n.to_string() } else { format!("{n:02}") };
        let twelve = if p.hour % 12 == 0 { 12 } else { p.hour % 12 };
        let text = match code {
            'a' => DAYS[p.weekday as usize][..3].to_string(),
            'A' => DAYS[p.weekday as usize].to_string(),
            'b' | 'h' => MONTHS[p.month as usize - 1][..3].to_string(),
            'B' => MONTHS[p.month as usize - 1].to_string(),
            'c' => ascii_time(p),
            'C' => two(p.year.div_euclid(100)),
            'd' => two(p.day),
            'D' | 'x' => format!("{:02}/{:02}/{:02}", p.month, p.day, p.year.rem_euclid(100)),
            'e' => format!("{:2}", p.day),
            'F' => format!("{}-{:02}-{:02}", p.year, p.month, p.day),
            'g' => two(iso_week(p).0.rem_euclid(100)),
            'G' => iso_week(p).0.to_string(),
            'H' => two(p.hour),
            'I' => two(twelve),
            'j' => format!("{:03}", p.yearday),
            'k' => format!("{:2}", p.hour),
            'l' => format!("{twelve:2}"),
            'm' => two(p.month),
            'M' => two(p.minute),
            'n' => "\n".to_string(),
            'p' => if p.hour < 12 { "AM" } else { "PM" }.to_string(),
            'r' => format!(
                "{twelve:02}:{:02}:{:02} {}",
                p.minute,
                p.second,
                if p.hour < 12 { "AM" } else { "PM" }
            ),
            'R' => format!("{:02}:{:02}", p.hour, p.minute),
            's' => {
                (days_from_civil(p.year, p.month, p.day) * 86_400 + p.hour * 3600 + p.minute * 60 + p.second)
                    .to_string()
            }
            'S' => two(p.second),
            't' => "\t".to_string(),
            'T' | 'X' => format!("{:02}:{:02}:{:02}", p.hour, p.minute, p.second),
            'u' => (p.weekday + 1).to_string(),
            'U' => two((p.yearday + 6 - (p.weekday + 1) % 7) / 7),
            'V' => two(iso_week(p).1),
            'w' => ((p.weekday + 1) % 7).to_string(),
            'W' => two((p.yearday + 6 - p.weekday) / 7),
            'y' => two(p.year.rem_euclid(100)),
            'Y' => p.year.to_string(),
            'z' => "+0000".to_string(),
            'Z' => "UTC".to_string(),
            '%' => "%".to_string(),
            other => format!("%{other}"),
        };
        out.extend(text.chars().map(u32::from));
        i += used;
    }
    out
}

fn strftime(vm: &Vm, args: Args) -> PyResult {
    let format = vm.expect_str(&args[0], "strftime() argument 1")?.to_points();
    let parts = match args.opt(1) {
        Some(tuple) => checked(vm, parts_argument(vm, tuple)?)?,
        None => parts_of(seconds_argument(vm, None)?),
    };
    Ok(vm.new_str(Str::from_points(format_time(&format, &parts))))
}

fn moment(vm: &Vm, args: Args) -> PyResult {
    to_struct(vm, &parts_of(seconds_argument(vm, args.opt(0))?))
}

fn clock_info(vm: &Vm, args: Args) -> PyResult {
    let name = vm.text(&args[0]).to_string();
    let monotonic = match name.as_str() {
        "time" => false,
        "monotonic" | "perf_counter" | "process_time" | "thread_time" => true,
        _ => return Err(vm.value_error("unknown clock")),
    };
    let info = vm.call_pos(&vm.types.namespace, &[])?;
    for (key, value) in [
        ("implementation", vm.str("clock of the host")),
        ("monotonic", Value::from_bool(monotonic)),
        ("adjustable", Value::from_bool(!monotonic)),
        ("resolution", vm.float(1e-9)),
    ] {
        vm.set_attr_raw(&info, &vm.intern(key), value);
    }
    Ok(info)
}

const FUNCTIONS: &[Method] =
    &[
        ("time", "", |vm, _| Ok(vm.float(now(vm)? as f64 / 1e9))),
        ("time_ns", "", |vm, _| Ok(vm.int(now(vm)?))),
        ("monotonic", "", |vm, _| Ok(vm.float(steady(vm)? as f64 / 1e9))),
        ("monotonic_ns", "", |vm, _| Ok(vm.int(steady(vm)?))),
        ("perf_counter", "", |vm, _| Ok(vm.float(steady(vm)? as f64 / 1e9))),
        ("perf_counter_ns", "", |vm, _| Ok(vm.int(steady(vm)?))),
        ("process_time", "", |vm, _| Ok(vm.float(steady(vm)? as f64 / 1e9))),
        ("process_time_ns", "", |vm, _| Ok(vm.int(steady(vm)?))),
        ("thread_time", "", |vm, _| Ok(vm.float(steady(vm)? as f64 / 1e9))),
        ("thread_time_ns", "", |vm, _| Ok(vm.int(steady(vm)?))),
        ("get_clock_info", "name /", clock_info),
        ("gmtime", "seconds? /", moment),
        ("localtime", "seconds? /", moment),
        ("mktime", "tuple /", |vm, args| {
            let p = parts_argument(vm, &args[0])?;
            let days = days_from_civil(p.year, p.month, p.day);
            Ok(vm.float((days * 86_400 + p.hour * 3600 + p.minute * 60 + p.second) as f64))
        }),
        ("strftime", "format tuple? /", strftime),
        ("strptime", "...", |vm, args: Args| {
            let module = vm.import("_strptime")?;
            let function = vm.get_attr_str(&module, "_strptime_time")?;
            vm.call(&function, args)
        }),
        ("asctime", "tuple? /", |vm, args| {
            let parts = match args.opt(0) {
                Some(tuple) => checked(vm, parts_argument(vm, tuple)?)?,
                None => parts_of(seconds_argument(vm, None)?),
            };
            Ok(vm.str(&ascii_time(&parts)))
        }),
        ("ctime", "seconds? /", |vm, args| {
            Ok(vm.str(&ascii_time(&parts_of(seconds_argument(vm, args.opt(0))?))))
        }),
        ("tzset", "", |_, _| Ok(Value::NONE)),
        ("sleep", "seconds /", |vm, args| {
            let seconds = vm.to_f64(&args[0])?;
            if seconds < 0.0 || seconds.is_nan() {
                return Err(vm.value_error("sleep length must be non-negative"));
            }
            // In slices, so that the time limit is seen.
            let mut left = seconds.min(1e9);
            while left > 0.0 {
                let slice = left.min(0.05);
                vm.host.sleep(Duration::from_secs_f64(slice)).map_err(|e| vm.host_error(e, None))?;
                left -= slice;
                vm.check_limits()?;
            }
            Ok(Value::NONE)
        }),
    ];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("time", FUNCTIONS);
    vm.module_set(&module, "timezone", Value::from_i32(0));
    vm.module_set(&module, "altzone", Value::from_i32(0));
    vm.module_set(&module, "daylight", Value::from_i32(0));
    let zones = vm.tuple(vec![vm.str("UTC"), vm.str("UTC")]);
    vm.module_set(&module, "tzname", zones);
    vm.module_set(&module, "_STRUCT_TM_ITEMS", Value::from_i32(11));
    let ty = time_type(vm)?;
    vm.module_set(&module, "struct_time", ty);
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_their_parts() {
        let check = |seconds: i64, text: &str| assert_eq!(ascii_time(&parts_of(seconds)), text);
        check(0, "Thu Jan  1 00:00:00 1970");
        check(1_700_000_000, "Tue Nov 14 22:13:20 2023");
        check(-1, "Wed Dec 31 23:59:59 1969");
        check(951_782_400, "Tue Feb 29 00:00:00 2000");
        for seconds in [0, 1_700_000_000, -86_401, 253_402_300_799] {
            let p = parts_of(seconds);
            let days = days_from_civil(p.year, p.month, p.day);
            assert_eq!(days * 86_400 + p.hour * 3600 + p.minute * 60 + p.second, seconds);
        }
        assert_eq!(iso_week(&parts_of(1_609_459_200)), (2020, 53));
    }
}
