//! Cron expressions: five fields, in UTC.
//!
//! `MINUTE HOUR DAY MONTH WEEKDAY`, each `*`, a number, a range `a-b`, a step `*/n` or `a-b/n`, or a list of
//! these; months and weekdays also by their first three letters; Sunday is 0 and 7. Where both day and weekday
//! are restricted, one of them is enough, as in the cron of Unix. `@hourly`, `@daily`, `@weekly`, `@monthly` and
//! `@yearly` are short for what they say. UTC, so that no slot happens twice or never when clocks are changed.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use mynah_base::time::civil;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1_440 * MINUTE_MS;
/// The longest pause between two slots: 29 February on one weekday, across a year that is no leap year
/// (2100), with room.
const DAYS_MAX: i64 = 366 * 41;

/// A cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    is_any_day: bool,
    is_any_weekday: bool,
}

struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, words: &[] },
    Field { name: "hour", min: 0, max: 23, words: &[] },
    Field { name: "day", min: 1, max: 31, words: &[] },
    Field {
        name: "month",
        min: 1,
        max: 12,
        words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field { name: "weekday", min: 0, max: 7, words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

const SHORTCUTS: &[(&str, &str)] = &[
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl FromStr for Cron {
    type Err = Error;

    fn from_str(text: &str) -> Result<Cron> {
        let text = text.trim();
        let bad = |why: String| Error::argument(format!("'{text}' is no cron expression: {why}"));
        if text.len() > 1_000 {
            return Err(Error::argument("a cron expression has at most 1,000 characters"));
        }
        let long = SHORTCUTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, long)| *long);
        if text.starts_with('@') && long.is_none() {
            return Err(bad(
                "there is no such shortcut; use @hourly, @daily, @weekly, @monthly or @yearly".into()
            ));
        }
        let parts: Vec<&str> = long.unwrap_or(text).split_whitespace().collect();
        if parts.len() != FIELDS.len() {
            let count = parts.len();
            return Err(bad(format!("it has {count} fields; write MINUTE HOUR DAY MONTH WEEKDAY")));
        }
        let mut sets = [0u64; 5];
        for ((part, field), set) in parts.iter().zip(&FIELDS).zip(&mut sets) {
            *set = field.parse(part).map_err(|why| bad(format!("the {} '{part}' {why}", field.name)))?;
        }
        // 7 is another name of Sunday.
        sets[4] = (sets[4] | (sets[4] >> 7)) & 0x7f;
        let cron = Cron {
            text: text.to_string(),
            minutes: sets[0],
            hours: sets[1],
            days: sets[2],
            months: sets[3],
            weekdays: sets[4],
            is_any_day: parts[2].starts_with('*'),
            is_any_weekday: parts[4].starts_with('*'),
        };
        match cron.next(0) {
            Some(_) => Ok(cron),
            None => Err(bad("no such day ever comes".into())),
        }
    }
}

impl Field {
    fn parse(&self, text: &str) -> std::result::Result<u64, String> {
        let mut set = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => {
                    let step = step.parse::<u32>().ok().filter(|step| (1..=self.max).contains(step));
                    (range, step.ok_or(format!("has a step that is not 1 to {}", self.max))?)
                }
                None => (part, 1),
            };
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (self.min, self.max),
                Some((from, to)) => (self.number(from)?, self.number(to)?),
                // `5/10` means from 5 on, in steps of 10.
                None if part.contains('/') => (self.number(range)?, self.max),
                None => (self.number(range)?, self.number(range)?),
            };
            if from > to {
                return Err(format!("has the range {from}-{to}, which ends before it begins"));
            }
            (from..=to).step_by(step as usize).for_each(|value| set |= 1 << value);
        }
        Ok(set)
    }

    fn number(&self, text: &str) -> std::result::Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = self.words.iter().position(|word| *word == lower) {
            return Ok(at as u32 + self.min);
        }
        let digits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number =
            text.parse::<u32>().ok().filter(|number| digits && (self.min..=self.max).contains(number));
        number.ok_or(format!("has '{text}', which is not {} to {}", self.min, self.max))
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Cron {
    /// The first slot after this time, both in milliseconds since the Unix epoch.
    pub fn next(&self, after_ms: i64) -> Option<i64> {
        let from = after_ms.div_euclid(MINUTE_MS).checked_add(1)?.checked_mul(MINUTE_MS)?;
        let first_day = from.div_euclid(DAY_MS);
        (0..DAYS_MAX).find_map(|offset| {
            let day = first_day.checked_add(offset)?;
            let minute = if offset == 0 { from.rem_euclid(DAY_MS) / MINUTE_MS } else { 0 };
            let slot = self.minutes_of(day, minute..1_440).next()?;
            day.checked_mul(DAY_MS)?.checked_add(slot * MINUTE_MS)
        })
    }

    /// The last slot that is not after this time.
    pub fn latest(&self, until_ms: i64) -> Option<i64> {
        let until = until_ms.div_euclid(MINUTE_MS);
        let last_day = until.div_euclid(1_440);
        (0..DAYS_MAX).find_map(|offset| {
            let day = last_day.checked_sub(offset)?;
            let minute = if offset == 0 { until.rem_euclid(1_440) } else { 1_439 };
            let slot = self.minutes_of(day, 0..minute + 1).next_back()?;
            day.checked_mul(DAY_MS)?.checked_add(slot * MINUTE_MS)
        })
    }

    /// The minutes of a day (since the epoch) that are slots.
    fn minutes_of(&self, day: i64, range: std::ops::Range<i64>) -> impl DoubleEndedIterator<Item = i64> + '_ {
        let range = if self.has_day(day) { range } else { 0..0 };
        range.filter(|minute| self.hours >> (minute / 60) & 1 == 1 && self.minutes >> (minute % 60) & 1 == 1)
    }

    fn has_day(&self, day: i64) -> bool {
        let (_, month, day_of_month) = civil(day);
        // 1 January 1970 was a Thursday.
        let weekday = (day + 4).rem_euclid(7);
        let (by_day, by_weekday) = (self.days >> day_of_month & 1 == 1, self.weekdays >> weekday & 1 == 1);
        let fits =
            if self.is_any_day || self.is_any_weekday { by_day && by_weekday } else { by_day || by_weekday };
        fits && self.months >> month & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2024-02-28 23:59:30 UTC, a Wednesday.
    const NOW_MS: i64 = 1_709_164_770_000;

    /// Expected times come from Python's `datetime`, in minutes since the epoch.
    #[test]
    fn next_and_latest() {
        const FEB_29_0000: i64 = 28_486_080;
        for (text, next, latest) in [
            ("* * * * *", FEB_29_0000, FEB_29_0000 - 1),
            ("*/15 * * * *", FEB_29_0000, FEB_29_0000 - 15),
            ("59 23 * * *", FEB_29_0000 + 1_439, FEB_29_0000 - 1),
            ("30 4 1,15 * 5", FEB_29_0000 + 1_440 + 270, FEB_29_0000 - 5 * 1_440 - 1_440 + 270),
            ("0 12 29 feb *", FEB_29_0000 + 720, 26_382_960),
            ("0 0 * * sun", FEB_29_0000 + 3 * 1_440, FEB_29_0000 - 4 * 1_440),
            ("0 0 * * 7", FEB_29_0000 + 3 * 1_440, FEB_29_0000 - 4 * 1_440),
            ("0 9-17/4 * * mon-fri", FEB_29_0000 + 540, FEB_29_0000 - 1_440 + 1_020),
            ("5/20 22 * * *", FEB_29_0000 + 1_325, FEB_29_0000 - 1_440 + 1_365),
            ("@weekly", FEB_29_0000 + 3 * 1_440, FEB_29_0000 - 4 * 1_440),
            ("@YEARLY", 28_928_160, 28_401_120),
        ] {
            let cron: Cron = text.parse().unwrap();
            assert_eq!(cron.next(NOW_MS).unwrap() / MINUTE_MS, next, "next of {text}");
            assert_eq!(cron.latest(NOW_MS).unwrap() / MINUTE_MS, latest, "latest of {text}");
            assert_eq!(cron.to_string(), text);
        }
    }

    #[test]
    fn slots_follow_each_other_without_holes() {
        for text in ["7 */5 * * *", "0 0 13 * 5", "*/25 1,22 28-31 2,8 *", "0 0 29 2 1"] {
            let cron: Cron = text.parse().unwrap();
            let mut at = 0;
            for _ in 0..40 {
                let next = cron.next(at).unwrap();
                assert!(next > at, "{text}");
                assert_eq!(cron.latest(next), Some(next), "{text}");
                assert_eq!(cron.latest(next + 59_999), Some(next), "{text}");
                if let Some(before) = cron.latest(next - 1) {
                    assert_eq!(cron.next(before), Some(next), "{text}");
                }
                at = next;
            }
        }
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "*/x * * * *",
            "a * * * *",
            "1,,2 * * * *",
            "-1 * * * *",
            "+1 * * * *",
            "0 0 31 feb *",
            "@often",
            "* * * jan-foo *",
            "1- * * * *",
        ] {
            assert!(text.parse::<Cron>().is_err(), "{text}");
        }
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let cron: Cron = "0 0 1 1 *".parse().unwrap();
        assert_eq!(cron.next(i64::MAX), None);
        assert!(cron.latest(i64::MAX).is_some());
        assert!(cron.next(i64::MIN).is_some());
        assert_eq!(cron.latest(i64::MIN + 1), None);
    }
}
