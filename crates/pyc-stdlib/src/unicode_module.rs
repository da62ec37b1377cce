//! `unicodedata`, on the tables of published crates.

use pyc_runtime::str::Str;
use pyc_runtime::{Args, Method, PyResult, Value, Vm};
use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization as _;

/// The code points of a named character.
pub(crate) fn by_name(name: &str) -> Option<Vec<u32>> {
    if let Some(c) = control_by_name(name) {
        return Some(vec![c]);
    }
    unicode_names2::character(name).map(|c| vec![u32::from(c)])
}

/// Control characters have aliases only.
const CONTROLS: &[(u32, &str)] = &[
    (0, "NULL"),
    (7, "ALERT"),
    (8, "BACKSPACE"),
    (9, "CHARACTER TABULATION"),
    (9, "TAB"),
    (10, "LINE FEED"),
    (10, "NEW LINE"),
    (11, "LINE TABULATION"),
    (12, "FORM FEED"),
    (13, "CARRIAGE RETURN"),
    (27, "ESCAPE"),
    (127, "DELETE"),
    (133, "NEXT LINE"),
    (160, "NBSP"),
    (0x200b, "ZWSP"),
    (0xfeff, "BOM"),
];

fn control_by_name(name: &str) -> Option<u32> {
    CONTROLS.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(c, _)| *c)
}

fn point(vm: &Vm, value: &Value, what: &str) -> PyResult<u32> {
    match value.get::<Str>() {
        Some(s) if s.len() == 1 => Ok(s.at(0)),
        Some(s) => Err(vm.type_error(format!(
            "{what}: argument must be a unicode character, not a string of length {}",
            s.len()
        ))),
        None => Err(vm.type_error(format!(
            "{what}() argument 1 must be a unicode character, not {}",
            vm.type_name(value)
        ))),
    }
}

fn category(point: u32) -> &'static str {
    let Some(c) = char::from_u32(point) else { return "Cs" };
    use GeneralCategory as G;
    match get_general_category(c) {
        G::ClosePunctuation => "Pe",
        G::ConnectorPunctuation => "Pc",
        G::Control => "Cc",
        G::CurrencySymbol => "Sc",
        G::DashPunctuation => "Pd",
        G::DecimalNumber => "Nd",
        G::EnclosingMark => "Me",
        G::FinalPunctuation => "Pf",
        G::Format => "Cf",
        G::InitialPunctuation => "Pi",
        G::LetterNumber => "Nl",
        G::LineSeparator => "Zl",
        G::LowercaseLetter => "Ll",
        G::MathSymbol => "Sm",
        G::ModifierLetter => "Lm",
        G::ModifierSymbol => "Sk",
        G::NonspacingMark => "Mn",
        G::OpenPunctuation => "Ps",
        G::OtherLetter => "Lo",
        G::OtherNumber => "No",
        G::OtherPunctuation => "Po",
        G::OtherSymbol => "So",
        G::ParagraphSeparator => "Zp",
        G::PrivateUse => "Co",
        G::SpaceSeparator => "Zs",
        G::SpacingMark => "Mc",
        G::Surrogate => "Cs",
        G::TitlecaseLetter => "Lt",
        G::UppercaseLetter => "Lu",
        _ => "Cn",
    }
}

/// Numbers beyond decimal digits: first, last, value of the first, step.
const NUMBERS: &[(u32, u32, f64, f64)] = &[
    (0xb2, 0xb3, 2.0, 1.0),
    (0xb9, 0xb9, 1.0, 0.0),
    (0xbc, 0xbc, 0.25, 0.0),
    (0xbd, 0xbd, 0.5, 0.0),
    (0xbe, 0xbe, 0.75, 0.0),
    (0x2070, 0x2070, 0.0, 0.0),
    (0x2074, 0x2079, 4.0, 1.0),
    (0x2080, 0x2089, 0.0, 1.0),
    (0x2150, 0x2150, 1.0 / 7.0, 0.0),
    (0x2151, 0x2151, 1.0 / 9.0, 0.0),
    (0x2152, 0x2152, 0.1, 0.0),
    (0x2153, 0x2154, 1.0 / 3.0, 1.0 / 3.0),
    (0x2155, 0x2155, 0.2, 0.0),
    (0x2156, 0x2156, 0.4, 0.0),
    (0x2157, 0x2157, 0.6, 0.0),
    (0x2158, 0x2158, 0.8, 0.0),
    (0x2159, 0x2159, 1.0 / 6.0, 0.0),
    (0x215a, 0x215a, 5.0 / 6.0, 0.0),
    (0x215b, 0x215e, 0.125, 0.25),
    (0x215f, 0x215f, 1.0, 0.0),
    (0x2160, 0x216b, 1.0, 1.0),
    (0x216c, 0x216c, 50.0, 0.0),
    (0x216d, 0x216d, 100.0, 0.0),
    (0x216e, 0x216e, 500.0, 0.0),
    (0x216f, 0x216f, 1000.0, 0.0),
    (0x2170, 0x217b, 1.0, 1.0),
    (0x2460, 0x2473, 1.0, 1.0),
    (0x2474, 0x2487, 1.0, 1.0),
    (0x2488, 0x249b, 1.0, 1.0),
    (0x3007, 0x3007, 0.0, 0.0),
    (0x4e00, 0x4e00, 1.0, 0.0),
    (0x4e8c, 0x4e8c, 2.0, 0.0),
    (0x4e09, 0x4e09, 3.0, 0.0),
    (0x56db, 0x56db, 4.0, 0.0),
    (0x4e94, 0x4e94, 5.0, 0.0),
    (0x516d, 0x516d, 6.0, 0.0),
    (0x4e03, 0x4e03, 7.0, 0.0),
    (0x516b, 0x516b, 8.0, 0.0),
    (0x4e5d, 0x4e5d, 9.0, 0.0),
    (0x5341, 0x5341, 10.0, 0.0),
    (0x767e, 0x767e, 100.0, 0.0),
    (0x5343, 0x5343, 1000.0, 0.0),
];

fn numeric(point: u32) -> Option<f64> {
    if let Some(digit) = pyc_runtime::unicode::decimal_digit(point) {
        return Some(f64::from(digit));
    }
    let row = NUMBERS.iter().find(|(a, b, ..)| (*a..=*b).contains(&point))?;
    Some(row.2 + f64::from(point - row.0) * row.3)
}

fn or_default(vm: &Vm, found: Option<Value>, args: Args, message: &str) -> PyResult {
    match found.or_else(|| args.opt(1).cloned()) {
        Some(value) => Ok(value),
        None => Err(vm.value_error(message)),
    }
}

fn name_of(point: u32) -> Option<String> {
    let c = char::from_u32(point)?;
    if get_general_category(c) == GeneralCategory::Control {
        return None;
    }
    unicode_names2::name(c).map(|n| n.to_string())
}

/// Applies a normal form to the parts between lone surrogates, which no form changes.
fn normalize(vm: &Vm, form: &str, value: &Value) -> PyResult {
    let Some(s) = value.get::<Str>() else {
        return Err(vm.type_error(format!("normalize() argument 2 must be str, not {}", vm.type_name(value))));
    };
    if s.is_ascii() {
        return Ok(value.clone());
    }
    let mut out: Vec<u32> = Vec::new();
    let mut text = String::new();
    let flush = |text: &mut String, out: &mut Vec<u32>| {
        let made: String = match form {
            "NFC" => text.nfc().collect(),
            "NFD" => text.nfd().collect(),
            "NFKC" => text.nfkc().collect(),
            _ => text.nfkd().collect(),
        };
        out.extend(made.chars().map(u32::from));
        text.clear();
    };
    for c in s.points() {
        match char::from_u32(c) {
            Some(c) => text.push(c),
            None => {
                flush(&mut text, &mut out);
                out.push(c);
            }
        }
    }
    flush(&mut text, &mut out);
    Ok(vm.new_str(Str::from_points(out)))
}

fn form(vm: &Vm, value: &Value) -> PyResult<String> {
    let form = vm.text(value).to_string();
    match form.as_str() {
        "NFC" | "NFD" | "NFKC" | "NFKD" => Ok(form),
        _ => Err(vm.value_error("invalid normalization form")),
    }
}

/// One level of decomposition: all but the last mark, composed again, and the last.
fn decomposition(vm: &Vm, args: Args) -> PyResult {
    let c = point(vm, &args[0], "decomposition")?;
    let Some(c) = char::from_u32(c) else { return Ok(vm.str("")) };
    let canonical: Vec<char> = c.nfd().collect();
    if canonical != [c] {
        let (last, first) = canonical.split_last().expect("not empty");
        let first: Vec<char> = first.iter().collect::<String>().nfc().collect();
        let parts: Vec<String> =
            first.iter().chain([last]).map(|c| format!("{:04X}", u32::from(*c))).collect();
        return Ok(vm.str(&parts.join(" ")));
    }
    let compatible: Vec<char> = c.nfkd().collect();
    if compatible == [c] {
        return Ok(vm.str(""));
    }
    Err(vm.raise(
        &vm.exc.not_implemented_error,
        "unicodedata.decomposition: compatibility decompositions are not supported, only canonical ones",
    ))
}

const FUNCTIONS: &[Method] = &[
    ("category", "chr /", |vm, args| Ok(vm.str(category(point(vm, &args[0], "category")?)))),
    ("name", "chr default? /", |vm, args| {
        let c = point(vm, &args[0], "name")?;
        or_default(vm, name_of(c).map(|n| vm.str(&n)), args, "no such name")
    }),
    ("lookup", "name /", |vm, args| {
        let name = vm.expect_str(&args[0], "lookup() argument")?.to_lossy();
        match unicode_names2::character(&name).map(u32::from).or_else(|| control_by_name(&name)) {
            Some(c) => Ok(vm.char_str(c)),
            None => Err(
                vm.raise_with(&vm.exc.key_error, vec![vm.str(&format!("undefined character name '{name}'"))])
            ),
        }
    }),
    ("decimal", "chr default? /", |vm, args| {
        let c = point(vm, &args[0], "decimal")?;
        let digit = pyc_runtime::unicode::decimal_digit(c);
        or_default(vm, digit.map(|d| Value::from_i32(d as i32)), args, "not a decimal")
    }),
    ("digit", "chr default? /", |vm, args| {
        let c = point(vm, &args[0], "digit")?;
        let digit = numeric(c).filter(|n| pyc_runtime::unicode::is_digit(c) && *n < 10.0 && n.fract() == 0.0);
        or_default(vm, digit.map(|d| Value::from_i32(d as i32)), args, "not a digit")
    }),
    ("numeric", "chr default? /", |vm, args| {
        let c = point(vm, &args[0], "numeric")?;
        or_default(vm, numeric(c).map(|n| vm.float(n)), args, "not a numeric character")
    }),
    ("combining", "chr /", |vm, args| {
        let c = char::from_u32(point(vm, &args[0], "combining")?);
        let class = c.map_or(0, unicode_normalization::char::canonical_combining_class);
        Ok(Value::from_i32(i32::from(class)))
    }),
    ("bidirectional", "chr /", |vm, args| {
        let c = char::from_u32(point(vm, &args[0], "bidirectional")?);
        Ok(vm.str(&c.map_or("L".to_string(), |c| format!("{:?}", unicode_bidi::bidi_class(c)))))
    }),
    ("east_asian_width", "chr /", |vm, args| {
        point(vm, &args[0], "east_asian_width")?;
        Err(vm.raise(&vm.exc.not_implemented_error, "unicodedata.east_asian_width is not supported"))
    }),
    ("mirrored", "chr /", |vm, args| {
        point(vm, &args[0], "mirrored")?;
        Err(vm.raise(&vm.exc.not_implemented_error, "unicodedata.mirrored is not supported"))
    }),
    ("decomposition", "chr /", decomposition),
    ("normalize", "form unistr /", |vm, args| {
        let form = form(vm, &args[0])?;
        normalize(vm, &form, &args[1])
    }),
    ("is_normalized", "form unistr /", |vm, args| {
        let form = form(vm, &args[0])?;
        let made = normalize(vm, &form, &args[1])?;
        Ok(Value::from_bool(vm.equal(&made, &args[1])?))
    }),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("unicodedata", FUNCTIONS);
    vm.module_set(&module, "unidata_version", vm.str("15.1.0"));
    Ok(module)
}
