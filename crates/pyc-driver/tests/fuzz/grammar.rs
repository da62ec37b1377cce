//! Makes small Python programs from a seed: every statement is legal, most expressions fail sooner or later, and every
//! failure is caught and shown with its type and message, so that two engines can be compared to the letter.

/// A small generator of numbers (xorshift); the same on every machine.
pub struct Seed(u64);

impl Seed {
    pub fn new(seed: u64) -> Seed {
        Seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

struct Program<'a> {
    seed: &'a mut Seed,
    out: String,
    names: usize,
    /// Functions around the place that is being written.
    functions: usize,
    loops: usize,
    generator: bool,
}

/// The statements of a program.
pub fn program(seed: &mut Seed) -> String {
    let mut p = Program { seed, out: String::new(), names: 0, functions: 0, loops: 0, generator: false };
    p.line(0, "a, b, c, d = 1, 'xy', [3, 1, 2], {'k': 1, 2: 'v'}");
    let count = 4 + p.seed.below(5);
    for _ in 0..count {
        p.guarded(0);
    }
    p.out
}

impl Program<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        for _ in 0..depth {
            self.out.push_str("    ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn name(&mut self) -> String {
        self.seed.pick(&["a", "b", "c", "d"]).to_string()
    }

    fn fresh(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    /// A statement whose failure is shown.
    fn guarded(&mut self, depth: usize) {
        self.line(depth, "try:");
        let count = 1 + self.seed.below(3);
        for _ in 0..count {
            self.statement(depth + 1, 3);
        }
        self.line(depth, "except Exception as e:");
        self.line(depth + 1, "print(type(e).__name__, e)");
        if self.seed.chance(4) {
            self.line(depth, "else:");
            self.line(depth + 1, "print('else')");
        }
        if self.seed.chance(4) {
            self.line(depth, "finally:");
            self.line(depth + 1, "print('finally')");
        }
    }

    fn block(&mut self, depth: usize, room: usize) {
        let count = 1 + self.seed.below(2);
        for _ in 0..count {
            self.statement(depth, room);
        }
    }

    fn statement(&mut self, depth: usize, room: usize) {
        let choice = self.seed.below(if room == 0 { 6 } else { 19 });
        match choice {
            0 | 1 => {
                let value = self.expression(2);
                self.line(depth, &format!("print({value})"));
            }
            2 | 3 => {
                let (name, value) = (self.name(), self.expression(2));
                self.line(depth, &format!("{name} = {value}"));
            }
            4 => {
                let (name, value) = (self.name(), self.expression(1));
                let op = self.seed.pick(&["+", "-", "//", "%", "|", "&", "^", "<<"]);
                self.line(depth, &format!("{name} {op}= {value}"));
            }
            5 => {
                let (name, key, value) = (self.name(), self.expression(0), self.expression(1));
                self.line(depth, &format!("{name}[{key}] = {value}"));
            }
            6 => {
                let value = self.expression(2);
                let target =
                    self.seed.pick(&["a, b", "a, *b", "(a, b), c", "*a, b", "[a, b, *c]", "a, b, c"]);
                self.line(depth, &format!("{target} = {value}"));
            }
            7 => {
                let test = self.expression(2);
                self.line(depth, &format!("if {test}:"));
                self.block(depth + 1, room - 1);
                if self.seed.chance(2) {
                    self.line(depth, "else:");
                    self.block(depth + 1, room - 1);
                }
            }
            8 | 9 => self.for_loop(depth, room),
            10 => {
                let counter = self.fresh();
                self.line(depth, &format!("{counter} = 0"));
                let test = self.expression(1);
                self.line(depth, &format!("while {counter} < 3 and ({test}, True)[1]:"));
                self.line(depth + 1, &format!("{counter} += 1"));
                self.loops += 1;
                self.block(depth + 1, room - 1);
                self.loops -= 1;
            }
            11 | 12 => self.function(depth, room),
            13 => self.class(depth),
            14 => self.guarded(depth),
            15 => self.matching(depth, room),
            16 => {
                let (name, key) = (self.name(), self.expression(0));
                let target = if self.seed.chance(3) { name } else { format!("{name}[{key}]") };
                self.line(depth, &format!("del {target}"));
            }
            17 => {
                let value = self.expression(2);
                self.line(depth, &format!("assert {value}, 'assertion'"));
            }
            _ => {
                let kind = self.seed.pick(&["ValueError", "KeyError", "TypeError", "StopIteration"]);
                let value = self.expression(1);
                let test = self.expression(1);
                self.line(depth, &format!("if {test}: raise {kind}({value})"));
            }
        }
        if self.loops > 0 && self.seed.chance(8) {
            let word = self.seed.pick(&["break", "continue"]);
            self.line(depth, word);
        } else if self.generator && self.seed.chance(3) {
            let value = self.expression(1);
            self.line(depth, &format!("yield {value}"));
        } else if self.functions > 0 && self.seed.chance(8) {
            let value = self.expression(1);
            self.line(depth, &format!("return {value}"));
        }
    }

    fn for_loop(&mut self, depth: usize, room: usize) {
        let name = if self.seed.chance(2) { self.name() } else { self.fresh() };
        let source = match self.seed.below(5) {
            0 => format!("range({})", self.seed.below(5)),
            1 => format!("enumerate({})", self.expression(1)),
            2 => format!("zip({}, {})", self.expression(1), self.expression(1)),
            3 => format!("sorted({})", self.expression(1)),
            _ => self.expression(1),
        };
        self.line(depth, &format!("for {name} in list({source})[:5]:"));
        self.loops += 1;
        self.block(depth + 1, room - 1);
        self.loops -= 1;
        if self.seed.chance(4) {
            self.line(depth, "else:");
            self.line(depth + 1, "print('done')");
        }
    }

    fn function(&mut self, depth: usize, room: usize) {
        let name = self.fresh();
        let (default, other) = (self.expression(0), self.expression(0));
        let parameters = match self.seed.below(5) {
            0 => "a, b".to_string(),
            1 => format!("a, b={default}"),
            2 => "a, *b, **c".to_string(),
            3 => format!("a, /, b={default}, *, c={other}"),
            _ => format!("a={default}, *, d={other}"),
        };
        self.line(depth, &format!("def {name}({parameters}):"));
        let before = (self.loops, self.generator);
        self.loops = 0;
        self.generator = self.seed.chance(3);
        self.functions += 1;
        if self.functions > 1 && self.seed.chance(2) {
            self.line(depth + 1, "nonlocal_like = [a]");
        }
        if self.generator {
            self.line(depth + 1, "yield a");
        }
        self.block(depth + 1, room - 1);
        let value = self.expression(2);
        self.line(depth + 1, &format!("return {value}"));
        self.functions -= 1;
        let generator = self.generator;
        (self.loops, self.generator) = before;
        let (one, two) = (self.expression(1), self.expression(1));
        let arguments = match self.seed.below(5) {
            0 => one,
            1 => format!("{one}, {two}"),
            2 => format!("{one}, b={two}"),
            3 => format!("*[{one}, {two}]"),
            _ => format!("{one}, c={two}"),
        };
        if generator {
            self.line(depth, &format!("print(list({name}({arguments})))"));
        } else {
            self.line(depth, &format!("print({name}({arguments}))"));
        }
    }

    fn class(&mut self, depth: usize) {
        let name = self.fresh();
        let (value, shown, sum) = (self.expression(1), self.expression(0), self.expression(1));
        let base = self.seed.pick(&["", "(list)", "(dict)", "(Exception)", "(str)", "(int)"]);
        self.line(depth, &format!("class {name}{base}:"));
        self.line(depth + 1, &format!("kind = {shown}"));
        if base.is_empty() {
            self.line(depth + 1, "def __init__(self, a=1, *rest):");
            self.line(depth + 2, "self.a = a");
            self.line(depth + 2, &format!("self.b = {value}"));
        }
        self.line(depth + 1, "def show(self):");
        self.line(depth + 2, "return self.kind, getattr(self, 'a', None)");
        if self.seed.chance(2) {
            let method =
                self.seed.pick(&["__add__", "__eq__", "__lt__", "__getitem__", "__contains__", "__call__"]);
            self.line(depth + 1, &format!("def {method}(self, other):"));
            self.line(depth + 2, &format!("return {sum}"));
        }
        if self.seed.chance(3) {
            self.line(depth + 1, "@property");
            self.line(depth + 1, "def p(self):");
            self.line(depth + 2, &format!("return {sum}"));
        }
        let object = self.fresh();
        let argument = self.expression(0);
        self.line(depth, &format!("{object} = {name}({argument})"));
        self.line(depth, &format!("print({object}.show())"));
        let probe =
            self.seed.pick(&["+ 1", "== 1", "< 2", "[0]", ".p", ".missing", "(3)", " in [1]", ".kind"]);
        self.line(depth, &format!("print(type({object}{probe}))"));
    }

    fn matching(&mut self, depth: usize, room: usize) {
        let value = self.expression(1);
        self.line(depth, &format!("match {value}:"));
        for _ in 0..1 + self.seed.below(3) {
            let pattern = self.seed.pick(&[
                "int(a)",
                "str() as b",
                "[a, *b]",
                "[1, b]",
                "{'k': a}",
                "{**c}",
                "1 | 2 | 3",
                "None",
                "(a, b)",
                "list([a, b, c])",
                "float() | bool()",
                "'xy'",
            ]);
            let guard = if self.seed.chance(3) { " if a" } else { "" };
            self.line(depth + 1, &format!("case {pattern}{guard}:"));
            self.block(depth + 2, room - 1);
        }
        if self.seed.chance(2) {
            self.line(depth + 1, "case _:");
            self.line(depth + 2, "print('other')");
        }
    }

    fn expression(&mut self, room: usize) -> String {
        if room == 0 || self.seed.chance(5) {
            return self.atom();
        }
        let one = self.expression(room - 1);
        match self.seed.below(20) {
            0..=3 => {
                let two = self.expression(room - 1);
                let op = self.seed.pick(&["+", "-", "*", "/", "//", "%", "|", "&", "^"]);
                format!("({one} {op} {two})")
            }
            4 | 5 => {
                let two = self.expression(room - 1);
                let op = self.seed.pick(&["==", "!=", "<", "<=", ">", ">=", "in", "not in"]);
                if self.seed.chance(3) {
                    let three = self.expression(room - 1);
                    let other = self.seed.pick(&["==", "<", ">=", "!="]);
                    return format!("({one} {op} {two} {other} {three})");
                }
                format!("({one} {op} {two})")
            }
            6 => {
                let two = self.expression(room - 1);
                let op = self.seed.pick(&["and", "or"]);
                format!("({one} {op} {two})")
            }
            7 => {
                let op = self.seed.pick(&["not ", "-", "+", "~"]);
                format!("({op}{one})")
            }
            8 => {
                let (two, three) = (self.expression(room - 1), self.atom());
                format!("({one} if {three} else {two})")
            }
            9 => {
                let key = self.atom();
                format!("{one}[{key}]")
            }
            10 => {
                let slice = self.seed.pick(&["1:", ":2", "::-1", "-2:", "1:3", "::2", ":-1", "5:1:-1"]);
                format!("{one}[{slice}]")
            }
            11 | 12 => {
                let call = self.seed.pick(&[
                    "len",
                    "str",
                    "repr",
                    "sum",
                    "max",
                    "min",
                    "abs",
                    "bool",
                    "int",
                    "float",
                    "list",
                    "tuple",
                    "sorted",
                    "hash_free",
                    "any",
                    "all",
                    "iter_free",
                    "ord",
                    "chr",
                    "round",
                ]);
                match call {
                    "hash_free" => format!("isinstance({one}, (int, str))"),
                    "iter_free" => format!("next(iter({one}))"),
                    call => format!("{call}({one})"),
                }
            }
            13 | 14 => {
                let call = self.seed.pick(&[
                    ".upper()",
                    ".split()",
                    ".count(1)",
                    ".index(1)",
                    ".get('k')",
                    ".copy()",
                    ".strip('x')",
                    ".append(4)",
                    ".pop()",
                    ".keys()",
                    ".items()",
                    ".join(['p', 'q'])",
                    ".find('y')",
                    ".replace('x', 'zz')",
                    ".extend([7])",
                    ".sort()",
                    ".values()",
                    ".bit_length()",
                    ".title()",
                    ".setdefault('n', 5)",
                    ".update({'m': 1})",
                    ".reverse()",
                    ".startswith('x')",
                    ".zfill(5)",
                ]);
                format!("{one}{call}")
            }
            15 => {
                let spec =
                    self.seed.pick(&["", "!r", ":>6", ":<5", ":^7", ":03", ":.2f", ":x", ":,", ":+", "!s:5"]);
                let name = self.name();
                format!("f'<{{{name}{spec}}}>'")
            }
            16 => {
                let test = self.atom();
                let inner = self.seed.pick(&["x", "(x, x)", "str(x)", "x * 2", "[x]"]);
                match self.seed.below(4) {
                    0 => format!("[{inner} for x in {one} if {test}]"),
                    1 => format!("{{str(x): {inner} for x in {one}}}"),
                    2 => format!("tuple({inner} for x in {one})"),
                    _ => format!("sorted({{len(str(x)) for x in {one}}})"),
                }
            }
            17 => {
                let two = self.expression(room - 1);
                let shape = self.below_shape();
                shape.replace("ONE", &one).replace("TWO", &two)
            }
            18 => {
                let two = self.expression(room - 1);
                format!("(lambda q, r=2: {two})({one})")
            }
            _ => {
                let template = self.seed.pick(&[
                    "'%s' % (ONE,)",
                    "'%d' % ONE",
                    "'%r|%5s' % (ONE, 1)",
                    "'{}'.format(ONE)",
                ]);
                template.replace("ONE", &one)
            }
        }
    }

    fn below_shape(&mut self) -> &'static str {
        const SHAPES: &[&str] = &[
            "[ONE, TWO]",
            "(ONE, TWO)",
            "{'p': ONE, 'q': TWO}",
            "[*ONE, TWO]",
            "{**ONE, 'z': TWO}",
            "(ONE, *TWO)",
        ];
        SHAPES[self.seed.below(SHAPES.len())]
    }

    fn atom(&mut self) -> String {
        match self.seed.below(12) {
            0..=4 => self.name(),
            5 => format!("({})", self.seed.below(10)),
            6 => self
                .seed
                .pick(&[
                    "(-1)",
                    "(255)",
                    "(10**18)",
                    "(2**62)",
                    "(-2**63)",
                    "(4611686018427387903)",
                    "(10**25)",
                    "(-7)",
                ])
                .to_string(),
            7 => self.seed.pick(&["(0.5)", "(-2.25)", "(1e10)", "(3.0)", "(0.1)", "(1e-5)"]).to_string(),
            8 => self
                .seed
                .pick(&["''", "'abc'", "'x y z'", "'\\u00e9t\\u00e9'", "'1'", "'\\u4e2d'"])
                .to_string(),
            9 => self.seed.pick(&["True", "False", "None"]).to_string(),
            10 => self.seed.pick(&["[]", "[1, 2, 3]", "['b', 'a']", "[[1], [2]]", "[1.5, 2]"]).to_string(),
            _ => self.seed.pick(&["()", "(1, 2)", "{}", "{1: 2}", "{'k': [1]}", "range(4)"]).to_string(),
        }
    }
}

/// The same statements inside a function, where names live in registers instead of a namespace.
pub fn in_function(program: &str) -> String {
    let mut text = String::from("def main():\n");
    for line in program.lines() {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("main()\n");
    text
}
