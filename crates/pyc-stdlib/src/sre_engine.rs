//! The matcher of `re`: it runs the codes that the library's Python compiler makes, with `sre`'s semantics.
//!
//! Backtracking is an explicit choice of continuations on the native stack, with the stack checked and every step
//! counted, so that a pattern that explodes ends at the step or time limit like any loop.

use pyc_runtime::{PyResult, Vm, unicode};

/// A position in the text.
type At = usize;

/// A running match.
pub(crate) struct Matcher<'a> {
    pub vm: &'a Vm,
    pub text: &'a [u32],
    pub code: &'a [u32],
    pub end: At,
    /// Begin and end of groups; `usize::MAX`: not set.
    pub marks: Vec<usize>,
    pub last_mark: i64,
    pub last_index: i64,
    /// The match must not be empty.
    pub must_advance: bool,
    /// It must reach the end.
    pub full: bool,
    pub from: At,
    repeats: Vec<Repeat>,
}

/// A REPEAT whose UNTIL has not been passed.
#[derive(Clone, Copy)]
struct Repeat {
    code: usize,
    count: u32,
    last: usize,
    outer: Option<usize>,
}

const NONE: usize = usize::MAX;
const MAX: u32 = u32::MAX;

macro_rules! codes {
    ($($name:ident = $n:literal),*) => { $(const $name: u32 = $n;)* };
}
codes!(
    FAILURE = 0,
    SUCCESS = 1,
    ANY = 2,
    ANY_ALL = 3,
    ASSERT = 4,
    ASSERT_NOT = 5,
    AT = 6,
    BRANCH = 7,
    CATEGORY = 8,
    CHARSET = 9,
    BIGCHARSET = 10,
    GROUPREF = 11,
    GROUPREF_EXISTS = 12,
    IN = 13,
    INFO = 14,
    JUMP = 15,
    LITERAL = 16,
    MARK = 17,
    MAX_UNTIL = 18,
    MIN_UNTIL = 19,
    NOT_LITERAL = 20,
    NEGATE = 21,
    RANGE = 22,
    REPEAT = 23,
    REPEAT_ONE = 24,
    MIN_REPEAT_ONE = 26,
    ATOMIC_GROUP = 27,
    POSSESSIVE_REPEAT = 28,
    POSSESSIVE_REPEAT_ONE = 29,
    GROUPREF_IGNORE = 30,
    IN_IGNORE = 31,
    LITERAL_IGNORE = 32,
    NOT_LITERAL_IGNORE = 33,
    GROUPREF_LOC_IGNORE = 34,
    IN_LOC_IGNORE = 35,
    LITERAL_LOC_IGNORE = 36,
    NOT_LITERAL_LOC_IGNORE = 37,
    GROUPREF_UNI_IGNORE = 38,
    IN_UNI_IGNORE = 39,
    LITERAL_UNI_IGNORE = 40,
    NOT_LITERAL_UNI_IGNORE = 41,
    RANGE_UNI_IGNORE = 42
);

/// Lower case of ASCII letters.
pub(crate) fn lower_ascii(c: u32) -> u32 {
    if (65..=90).contains(&c) { c + 32 } else { c }
}

/// Simple lower case.
pub(crate) fn lower(c: u32) -> u32 {
    if c < 128 {
        return lower_ascii(c);
    }
    let Some(c) = char::from_u32(c) else { return c };
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(l), None) => l as u32,
        (Some(l), Some(_)) if c == 'İ' => l as u32,
        _ => c as u32,
    }
}

/// Simple upper case.
pub(crate) fn upper(c: u32) -> u32 {
    let Some(c) = char::from_u32(c) else { return c };
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(u), None) => u as u32,
        _ => c as u32,
    }
}

fn word(c: u32) -> bool {
    c == 95 || unicode::is_alpha(c) || unicode::is_numeric(c)
}

fn ascii_word(c: u32) -> bool {
    c < 128 && (c == 95 || (c as u8).is_ascii_alphanumeric())
}

fn category(kind: u32, c: u32) -> bool {
    let ascii_space = matches!(c, 9..=13 | 32);
    match kind {
        0 => (48..58).contains(&c),
        1 => !(48..58).contains(&c),
        2 => ascii_space,
        3 => !ascii_space,
        4 | 8 => ascii_word(c),
        5 | 9 => !ascii_word(c),
        6 => c == 10,
        7 => c != 10,
        10 => unicode::is_decimal(c),
        11 => !unicode::is_decimal(c),
        12 => unicode::is_space(c),
        13 => !unicode::is_space(c),
        14 => word(c),
        15 => !word(c),
        16 => unicode::is_line_break(c),
        _ => !unicode::is_line_break(c),
    }
}

impl<'a> Matcher<'a> {
    pub fn new(
        vm: &'a Vm,
        text: &'a [u32],
        code: &'a [u32],
        groups: usize,
        start: At,
        end: At,
    ) -> Matcher<'a> {
        Matcher {
            vm,
            text,
            code,
            end,
            marks: vec![NONE; groups * 2],
            last_mark: -1,
            last_index: -1,
            must_advance: false,
            full: false,
            from: start,
            repeats: Vec::new(),
        }
    }

    fn reset(&mut self) {
        self.marks.fill(NONE);
        self.last_mark = -1;
        self.last_index = -1;
        self.repeats.clear();
    }

    /// Matches at a place; gives the end.
    pub fn match_at(&mut self, at: At) -> PyResult<Option<At>> {
        self.reset();
        self.from = at;
        self.run(0, at, None)
    }

    /// Finds the first match from a place on; gives begin and end.
    pub fn search(&mut self, at: At) -> PyResult<Option<(At, At)>> {
        // A pattern that begins with a literal is looked for directly.
        let body = if self.code.first() == Some(&INFO) { 1 + self.code[1] as usize } else { 0 };
        let literal = (self.code.get(body) == Some(&LITERAL)).then(|| self.code[body + 1]);
        let mut from = at;
        while from <= self.end {
            self.vm.tick()?;
            if let Some(c) = literal {
                match self.text[from..self.end].iter().position(|t| *t == c) {
                    Some(skip) => from += skip,
                    None => return Ok(None),
                }
            }
            if let Some(end) = self.match_at(from)? {
                return Ok(Some((from, end)));
            }
            self.must_advance = false;
            from += 1;
        }
        Ok(None)
    }

    fn position(&self, kind: u32, at: At) -> bool {
        let before = |f: fn(u32) -> bool| at > 0 && f(self.text[at - 1]);
        let here = |f: fn(u32) -> bool| at < self.end && f(self.text[at]);
        match kind {
            0 | 2 => at == 0,
            1 => at == 0 || self.text[at - 1] == 10,
            3 | 8 => self.end > 0 && before(ascii_word) != here(ascii_word),
            4 | 9 => self.end > 0 && before(ascii_word) == here(ascii_word),
            5 => at == self.end || at + 1 == self.end && self.text[at] == 10,
            6 => at == self.end || self.text[at] == 10,
            7 => at == self.end,
            10 => self.end > 0 && before(word) != here(word),
            _ => self.end > 0 && before(word) == here(word),
        }
    }

    /// Whether a set (code from `pc` on) has a character.
    fn in_set(&self, mut pc: usize, c: u32) -> bool {
        let code = self.code;
        let mut yes = true;
        loop {
            match code[pc] {
                FAILURE => return !yes,
                LITERAL => {
                    if code[pc + 1] == c {
                        return yes;
                    }
                    pc += 2;
                }
                CATEGORY => {
                    if category(code[pc + 1], c) {
                        return yes;
                    }
                    pc += 2;
                }
                CHARSET => {
                    if c < 256 && code[pc + 1 + (c >> 5) as usize] & (1 << (c & 31)) != 0 {
                        return yes;
                    }
                    pc += 9;
                }
                RANGE => {
                    if code[pc + 1] <= c && c <= code[pc + 2] {
                        return yes;
                    }
                    pc += 3;
                }
                RANGE_UNI_IGNORE => {
                    let u = upper(c);
                    if code[pc + 1] <= c && c <= code[pc + 2] || code[pc + 1] <= u && u <= code[pc + 2] {
                        return yes;
                    }
                    pc += 3;
                }
                NEGATE => {
                    yes = !yes;
                    pc += 1;
                }
                BIGCHARSET => {
                    let count = code[pc + 1] as usize;
                    if c < 65536 {
                        let index = (c >> 8) as usize;
                        let block = code[pc + 2 + index / 4] >> (8 * (index % 4)) & 255;
                        let bits = pc + 2 + 64 + block as usize * 8;
                        if code[bits + ((c & 255) >> 5) as usize] & (1 << (c & 31)) != 0 {
                            return yes;
                        }
                    }
                    pc += 2 + 64 + count * 8;
                }
                _ => return false,
            }
        }
    }

    /// Whether the single-character op at `pc` takes a character.
    fn takes(&self, pc: usize, c: u32) -> bool {
        let code = self.code;
        match code[pc] {
            ANY => c != 10,
            ANY_ALL => true,
            LITERAL => c == code[pc + 1],
            NOT_LITERAL => c != code[pc + 1],
            LITERAL_IGNORE | LITERAL_LOC_IGNORE => lower_ascii(c) == code[pc + 1],
            NOT_LITERAL_IGNORE | NOT_LITERAL_LOC_IGNORE => lower_ascii(c) != code[pc + 1],
            LITERAL_UNI_IGNORE => lower(c) == code[pc + 1],
            NOT_LITERAL_UNI_IGNORE => lower(c) != code[pc + 1],
            IN => self.in_set(pc + 2, c),
            IN_IGNORE | IN_LOC_IGNORE => self.in_set(pc + 2, lower_ascii(c)),
            IN_UNI_IGNORE => self.in_set(pc + 2, lower(c)),
            CATEGORY => category(code[pc + 1], c),
            _ => false,
        }
    }

    fn single_width(&self, pc: usize) -> usize {
        match self.code[pc] {
            ANY | ANY_ALL => 1,
            IN | IN_IGNORE | IN_LOC_IGNORE | IN_UNI_IGNORE => 1 + self.code[pc + 1] as usize,
            _ => 2,
        }
    }

    fn is_single(&self, pc: usize) -> bool {
        matches!(
            self.code[pc],
            ANY | ANY_ALL
                | LITERAL
                | NOT_LITERAL
                | LITERAL_IGNORE
                | NOT_LITERAL_IGNORE
                | LITERAL_UNI_IGNORE
                | NOT_LITERAL_UNI_IGNORE
                | LITERAL_LOC_IGNORE
                | NOT_LITERAL_LOC_IGNORE
                | IN
                | IN_IGNORE
                | IN_LOC_IGNORE
                | IN_UNI_IGNORE
                | CATEGORY
        )
    }

    /// How many characters from `at` on the item of a repetition takes, at most `most`.
    fn count(&mut self, pc: usize, at: At, most: u32) -> PyResult<usize> {
        let limit = if most == MAX { self.end } else { self.end.min(at.saturating_add(most as usize)) };
        if self.is_single(pc) {
            let taken = self.text[at..limit].iter().position(|c| !self.takes(pc, *c)).unwrap_or(limit - at);
            return Ok(taken);
        }
        // A general item of width one, as the compiler only makes for such.
        let mut here = at;
        while here < limit {
            match self.run(pc, here, None)? {
                Some(next) if next > here => here = next,
                _ => break,
            }
        }
        Ok(here - at)
    }

    fn save(&self) -> (Vec<usize>, i64, i64) {
        (self.marks.clone(), self.last_mark, self.last_index)
    }

    fn restore(&mut self, saved: &(Vec<usize>, i64, i64)) {
        self.marks.clone_from(&saved.0);
        self.last_mark = saved.1;
        self.last_index = saved.2;
    }

    /// Runs code from `pc` at a place; `repeat`: the innermost open REPEAT. Gives where SUCCESS was reached.
    fn run(&mut self, mut pc: usize, mut at: At, mut repeat: Option<usize>) -> PyResult<Option<At>> {
        self.vm.check_stack()?;
        let code = self.code;
        loop {
            self.vm.tick()?;
            if self.is_single(pc) {
                if at >= self.end || !self.takes(pc, self.text[at]) {
                    return Ok(None);
                }
                at += 1;
                pc += self.single_width(pc);
                continue;
            }
            match code[pc] {
                FAILURE => return Ok(None),
                SUCCESS => {
                    let outermost = repeat.is_none() && pc + 1 == code.len();
                    if outermost && (self.full && at != self.end || self.must_advance && at == self.from) {
                        return Ok(None);
                    }
                    return Ok(Some(at));
                }
                MARK => {
                    let i = code[pc + 1] as usize;
                    if i & 1 == 1 {
                        self.last_index = (i / 2 + 1) as i64;
                    }
                    if i as i64 > self.last_mark {
                        self.last_mark = i as i64;
                    }
                    if let Some(mark) = self.marks.get_mut(i) {
                        *mark = at;
                    }
                    pc += 2;
                }
                AT => {
                    if !self.position(code[pc + 1], at) {
                        return Ok(None);
                    }
                    pc += 2;
                }
                INFO | JUMP => pc += 1 + code[pc + 1] as usize,
                ASSERT | ASSERT_NOT => {
                    let back = code[pc + 2] as usize;
                    let saved = self.save();
                    let (full, advance) =
                        (std::mem::take(&mut self.full), std::mem::take(&mut self.must_advance));
                    let found = if at >= back { self.run(pc + 3, at - back, repeat)? } else { None };
                    self.full = full;
                    self.must_advance = advance;
                    let wanted = code[pc] == ASSERT;
                    if found.is_some() != wanted {
                        self.restore(&saved);
                        return Ok(None);
                    }
                    if !wanted {
                        self.restore(&saved);
                    }
                    pc += 1 + code[pc + 1] as usize;
                }
                BRANCH => {
                    let mut arm = pc + 1;
                    let saved = self.save();
                    while code[arm] != 0 {
                        if let Some(end) = self.run(arm + 1, at, repeat)? {
                            return Ok(Some(end));
                        }
                        self.restore(&saved);
                        arm += code[arm] as usize;
                    }
                    return Ok(None);
                }
                GROUPREF | GROUPREF_IGNORE | GROUPREF_LOC_IGNORE | GROUPREF_UNI_IGNORE => {
                    let group = code[pc + 1] as usize;
                    let (from, to) = (self.marks[2 * group], self.marks[2 * group + 1]);
                    if from == NONE || to == NONE || to < from || at + (to - from) > self.end {
                        return Ok(None);
                    }
                    let fold = match code[pc] {
                        GROUPREF => |c: u32| c,
                        GROUPREF_UNI_IGNORE => lower,
                        _ => lower_ascii,
                    };
                    if (0..to - from).any(|i| fold(self.text[from + i]) != fold(self.text[at + i])) {
                        return Ok(None);
                    }
                    at += to - from;
                    pc += 2;
                }
                GROUPREF_EXISTS => {
                    let group = code[pc + 1] as usize;
                    let set = self.marks[2 * group] != NONE
                        && self.marks[2 * group + 1] != NONE
                        && self.marks[2 * group + 1] >= self.marks[2 * group];
                    pc = if set { pc + 3 } else { pc + 1 + code[pc + 2] as usize };
                }
                REPEAT_ONE | MIN_REPEAT_ONE | POSSESSIVE_REPEAT_ONE => {
                    let (skip, least, most) = (code[pc + 1] as usize, code[pc + 2] as usize, code[pc + 3]);
                    let (item, tail) = (pc + 4, pc + 1 + skip);
                    if at + least > self.end {
                        return Ok(None);
                    }
                    if code[pc] == MIN_REPEAT_ONE {
                        let mut taken = if least == 0 { 0 } else { self.count(item, at, least as u32)? };
                        if taken < least {
                            return Ok(None);
                        }
                        let saved = self.save();
                        loop {
                            self.vm.tick()?;
                            if let Some(end) = self.run(tail, at + taken, repeat)? {
                                return Ok(Some(end));
                            }
                            self.restore(&saved);
                            if most != MAX && taken >= most as usize || self.count(item, at + taken, 1)? == 0
                            {
                                return Ok(None);
                            }
                            taken += 1;
                        }
                    }
                    let mut taken = self.count(item, at, most)?;
                    if taken < least {
                        return Ok(None);
                    }
                    if code[pc] == POSSESSIVE_REPEAT_ONE
                        || code[tail] == SUCCESS && tail + 1 == code.len() && !self.full && !self.must_advance
                    {
                        at += taken;
                        pc = tail;
                        continue;
                    }
                    let saved = self.save();
                    let literal = (code[tail] == LITERAL).then(|| code[tail + 1]);
                    loop {
                        self.vm.tick()?;
                        let place = at + taken;
                        let possible = literal.is_none_or(|c| place < self.end && self.text[place] == c);
                        if possible {
                            if let Some(end) = self.run(tail, place, repeat)? {
                                return Ok(Some(end));
                            }
                            self.restore(&saved);
                        }
                        if taken == least {
                            return Ok(None);
                        }
                        taken -= 1;
                    }
                }
                REPEAT => {
                    let until = pc + 1 + code[pc + 1] as usize;
                    self.repeats.push(Repeat { code: pc, count: 0, last: NONE, outer: repeat });
                    let own = self.repeats.len() - 1;
                    let result = self.until(until, at, own)?;
                    self.repeats.truncate(own);
                    return Ok(result);
                }
                MAX_UNTIL | MIN_UNTIL => {
                    let Some(own) = repeat else { return Ok(None) };
                    return self.until(pc, at, own);
                }
                POSSESSIVE_REPEAT => {
                    let (skip, least, most) = (code[pc + 1] as usize, code[pc + 2], code[pc + 3]);
                    let mut count = 0;
                    while most == MAX || count < most {
                        let saved = self.save();
                        match self.run(pc + 4, at, None)? {
                            Some(next) if next > at || count < least => {
                                let still = next == at;
                                at = next;
                                count += 1;
                                if still && count >= least {
                                    break;
                                }
                            }
                            _ => {
                                self.restore(&saved);
                                break;
                            }
                        }
                    }
                    if count < least {
                        return Ok(None);
                    }
                    pc += 1 + skip + 1;
                }
                ATOMIC_GROUP => {
                    let Some(next) = self.run(pc + 2, at, None)? else { return Ok(None) };
                    at = next;
                    pc += 1 + code[pc + 1] as usize;
                }
                _ => return Err(self.vm.runtime_error("invalid SRE code")),
            }
            let _ = &mut repeat;
        }
    }

    /// The end of a repetition's body (or its start): another round, or on.
    fn until(&mut self, pc: usize, at: At, own: usize) -> PyResult<Option<At>> {
        let state = self.repeats[own];
        let (least, most) = (self.code[state.code + 2], self.code[state.code + 3]);
        let body = state.code + 4;
        let greedy = self.code[pc] == MAX_UNTIL;
        let round = |this: &mut Self| -> PyResult<Option<At>> {
            let saved = this.save();
            this.repeats[own].count = state.count + 1;
            this.repeats[own].last = at;
            let result = this.run(body, at, Some(own))?;
            if result.is_none() {
                this.repeats[own] = state;
                this.restore(&saved);
            }
            Ok(result)
        };
        if state.count < least {
            return round(self);
        }
        let more = (most == MAX || state.count < most) && at != state.last;
        if greedy
            && more
            && let Some(end) = round(self)?
        {
            return Ok(Some(end));
        }
        let saved = self.save();
        if let Some(end) = self.run(pc + 1, at, state.outer)? {
            return Ok(Some(end));
        }
        self.repeats[own] = state;
        self.restore(&saved);
        if !greedy && more { round(self) } else { Ok(None) }
    }
}
