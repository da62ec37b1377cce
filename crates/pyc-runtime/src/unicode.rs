//! Properties of code points.

use unicode_general_category::{GeneralCategory as G, get_general_category};

/// The character, when the code point is one.
fn character(point: u32) -> Option<char> {
    char::from_u32(point)
}

/// The value of a decimal digit of any script.
pub fn decimal_digit(point: u32) -> Option<u32> {
    if point < 128 {
        return char::from_u32(point)?.to_digit(10);
    }
    let c = character(point)?;
    if get_general_category(c) != G::DecimalNumber {
        return None;
    }
    // Digits of a script are ten in a row: count down to where they begin.
    let mut start = point;
    while point - start < 9
        && character(start - 1).is_some_and(|c| get_general_category(c) == G::DecimalNumber)
    {
        start -= 1;
    }
    // Runs of several tens begin at multiples of ten from their first.
    if point - start == 9 && character(start - 1).is_some_and(|c| get_general_category(c) == G::DecimalNumber)
    {
        let mut first = start;
        while character(first - 1).is_some_and(|c| get_general_category(c) == G::DecimalNumber) {
            first -= 1;
        }
        return Some((point - first) % 10);
    }
    Some(point - start)
}

/// `str.isalpha`
pub fn is_alpha(point: u32) -> bool {
    match character(point) {
        Some(c) if c.is_ascii() => c.is_ascii_alphabetic(),
        Some(c) => matches!(
            get_general_category(c),
            G::UppercaseLetter | G::LowercaseLetter | G::TitlecaseLetter | G::ModifierLetter | G::OtherLetter
        ),
        None => false,
    }
}

/// `str.isdecimal`
pub fn is_decimal(point: u32) -> bool {
    character(point).is_some_and(|c| {
        if c.is_ascii() { c.is_ascii_digit() } else { get_general_category(c) == G::DecimalNumber }
    })
}

/// `str.isdigit`
pub fn is_digit(point: u32) -> bool {
    is_decimal(point)
        || matches!(point, 0xb2 | 0xb3 | 0xb9 | 0x1369..=0x1371 | 0x19da | 0x2070 | 0x2074..=0x2079 | 0x2080..=0x2089
            | 0x2460..=0x2468 | 0x2474..=0x247c | 0x2488..=0x2490 | 0x24ea | 0x24f5..=0x24fd | 0x24ff
            | 0x2776..=0x277e | 0x2780..=0x2788 | 0x278a..=0x2792 | 0x1f100..=0x1f10a)
}

/// `str.isnumeric`
pub fn is_numeric(point: u32) -> bool {
    is_digit(point)
        || character(point)
            .is_some_and(|c| matches!(get_general_category(c), G::LetterNumber | G::OtherNumber))
        || matches!(
            point,
            0x4e00
                | 0x4e8c
                | 0x4e09
                | 0x56db
                | 0x4e94
                | 0x516d
                | 0x4e03
                | 0x516b
                | 0x4e5d
                | 0x5341
                | 0x767e
                | 0x5343
                | 0x4e07
                | 0x3007
        )
}

/// `str.isspace`
pub fn is_space(point: u32) -> bool {
    matches!(point, 9..=13 | 0x1c..=0x20 | 0x85 | 0xa0 | 0x1680 | 0x2000..=0x200a | 0x2028 | 0x2029 | 0x202f | 0x205f | 0x3000)
}

/// Whether a line ends after it.
pub fn is_line_break(point: u32) -> bool {
    matches!(point, 10..=13 | 0x1c..=0x1e | 0x85 | 0x2028 | 0x2029)
}

/// Lower case.
pub fn is_lower(point: u32) -> bool {
    character(point).is_some_and(char::is_lowercase)
}

/// Upper case.
pub fn is_upper(point: u32) -> bool {
    character(point).is_some_and(char::is_uppercase)
}

/// Title case letters that are neither.
pub fn is_title(point: u32) -> bool {
    character(point).is_some_and(|c| !c.is_ascii() && get_general_category(c) == G::TitlecaseLetter)
}

/// Whether `repr` shows it as itself.
pub fn is_printable(point: u32) -> bool {
    match character(point) {
        None => false,
        Some(c) if c.is_ascii() => (' '..='~').contains(&c),
        Some(c) => !matches!(
            get_general_category(c),
            G::Control
                | G::Format
                | G::Surrogate
                | G::PrivateUse
                | G::Unassigned
                | G::LineSeparator
                | G::ParagraphSeparator
                | G::SpaceSeparator
        ),
    }
}

/// May begin an identifier.
pub fn is_identifier_start(point: u32) -> bool {
    character(point).is_some_and(|c| c == '_' || unicode_ident::is_xid_start(c))
}

/// May continue an identifier.
pub fn is_identifier_part(point: u32) -> bool {
    character(point).is_some_and(unicode_ident::is_xid_continue)
}
