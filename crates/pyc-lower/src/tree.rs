//! The syntax tree as `ast` shows it: nodes with CPython's names and fields, without the parser's types.

use pyc_front::Source;
use pyc_ir::Const;
use ruff_python_ast as ast;
use ruff_python_ast::{Expr, ExprContext, InterpolatedStringElement, Mod, Pattern, Stmt};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::literals::{number, string};

/// A node: its class, its fields in CPython's order, and its place when its class has one.
#[derive(Debug)]
pub struct Node {
    /// The class in `ast`.
    pub class: &'static str,
    /// Line from 1, column in bytes from 0, and both of the end.
    pub place: Option<[u32; 4]>,
    /// Names and values of the fields.
    pub fields: Vec<(&'static str, Field)>,
}

/// The value of a field.
#[derive(Debug)]
pub enum Field {
    /// None.
    Nothing,
    /// A node.
    Node(Box<Node>),
    /// A list.
    List(Vec<Field>),
    /// An identifier.
    Name(String),
    /// A number that is no literal: a level, a flag, a conversion.
    Number(i32),
    /// The value of a literal.
    Constant(Const),
}

/// The tree of a parsed text; `interactive`: as of a statement typed at a prompt.
pub fn tree(source: &Source, parsed: &Mod, interactive: bool) -> Node {
    let t = Exporter { source };
    match parsed {
        Mod::Module(m) if interactive => plain("Interactive", vec![("body", t.body(&m.body))]),
        Mod::Module(m) => {
            plain("Module", vec![("body", t.body(&m.body)), ("type_ignores", Field::List(vec![]))])
        }
        Mod::Expression(e) => plain("Expression", vec![("body", t.expr(&e.body))]),
    }
}

struct Exporter<'a> {
    source: &'a Source,
}

type Fields = Vec<(&'static str, Field)>;

fn plain(class: &'static str, fields: Fields) -> Node {
    Node { class, place: None, fields }
}

fn bare(class: &'static str) -> Field {
    Field::Node(Box::new(plain(class, vec![])))
}

fn name(text: &ast::Identifier) -> Field {
    Field::Name(text.id.to_string())
}

fn name_or_nothing(text: Option<&ast::Identifier>) -> Field {
    text.map_or(Field::Nothing, name)
}

fn context(ctx: ExprContext) -> Field {
    bare(match ctx {
        ExprContext::Store => "Store",
        ExprContext::Del => "Del",
        _ => "Load",
    })
}

fn operator(op: ast::Operator) -> Field {
    use ast::Operator as O;
    bare(match op {
        O::Add => "Add",
        O::Sub => "Sub",
        O::Mult => "Mult",
        O::MatMult => "MatMult",
        O::Div => "Div",
        O::Mod => "Mod",
        O::Pow => "Pow",
        O::LShift => "LShift",
        O::RShift => "RShift",
        O::BitOr => "BitOr",
        O::BitXor => "BitXor",
        O::BitAnd => "BitAnd",
        O::FloorDiv => "FloorDiv",
    })
}

fn comparison(op: ast::CmpOp) -> Field {
    use ast::CmpOp as O;
    bare(match op {
        O::Eq => "Eq",
        O::NotEq => "NotEq",
        O::Lt => "Lt",
        O::LtE => "LtE",
        O::Gt => "Gt",
        O::GtE => "GtE",
        O::Is => "Is",
        O::IsNot => "IsNot",
        O::In => "In",
        O::NotIn => "NotIn",
    })
}

impl Exporter<'_> {
    fn node(&self, class: &'static str, range: TextRange, fields: Fields) -> Field {
        let (line, column) = self.source.place(range.start());
        let (end_line, end_column) = self.source.place(range.end());
        Field::Node(Box::new(Node { class, place: Some([line, column, end_line, end_column]), fields }))
    }

    fn body(&self, statements: &[Stmt]) -> Field {
        Field::List(statements.iter().map(|s| self.stmt(s)).collect())
    }

    fn exprs(&self, list: &[Expr]) -> Field {
        Field::List(list.iter().map(|e| self.expr(e)).collect())
    }

    fn maybe(&self, expr: Option<&Expr>) -> Field {
        expr.map_or(Field::Nothing, |e| self.expr(e))
    }

    fn decorators(&self, list: &[ast::Decorator]) -> Field {
        Field::List(list.iter().map(|d| self.expr(&d.expression)).collect())
    }

    /// A definition's place begins at its keyword, behind the decorators.
    fn behind(&self, range: TextRange, decorators: &[ast::Decorator]) -> TextRange {
        let Some(last) = decorators.last() else { return range };
        let text = self.source.slice(TextRange::new(last.range.end(), range.end()));
        let mut skipped = 0;
        for line in text.split_inclusive('\n') {
            let trimmed = line.trim_start();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                skipped += line.len();
                continue;
            }
            skipped += line.len() - trimmed.len();
            break;
        }
        let start = last.range.end() + TextSize::try_from(skipped).unwrap_or_default();
        TextRange::new(start.min(range.end()), range.end())
    }

    fn stmt(&self, stmt: &Stmt) -> Field {
        let range = stmt.range();
        let nothing = || ("type_comment", Field::Nothing);
        match stmt {
            Stmt::FunctionDef(f) => self.node(
                if f.is_async { "AsyncFunctionDef" } else { "FunctionDef" },
                self.behind(range, &f.decorator_list),
                vec![
                    ("name", name(&f.name)),
                    ("args", self.parameters(Some(&f.parameters))),
                    ("body", self.body(&f.body)),
                    ("decorator_list", self.decorators(&f.decorator_list)),
                    ("returns", self.maybe(f.returns.as_deref())),
                    nothing(),
                    ("type_params", self.type_params(f.type_params.as_deref())),
                ],
            ),
            Stmt::ClassDef(c) => {
                let (bases, keywords) = self.arguments(c.arguments.as_deref());
                self.node(
                    "ClassDef",
                    self.behind(range, &c.decorator_list),
                    vec![
                        ("name", name(&c.name)),
                        ("bases", bases),
                        ("keywords", keywords),
                        ("body", self.body(&c.body)),
                        ("decorator_list", self.decorators(&c.decorator_list)),
                        ("type_params", self.type_params(c.type_params.as_deref())),
                    ],
                )
            }
            Stmt::Return(r) => self.node("Return", range, vec![("value", self.maybe(r.value.as_deref()))]),
            Stmt::Delete(d) => self.node("Delete", range, vec![("targets", self.exprs(&d.targets))]),
            Stmt::TypeAlias(t) => self.node(
                "TypeAlias",
                range,
                vec![
                    ("name", self.expr(&t.name)),
                    ("type_params", self.type_params(t.type_params.as_deref())),
                    ("value", self.expr(&t.value)),
                ],
            ),
            Stmt::Assign(a) => self.node(
                "Assign",
                range,
                vec![("targets", self.exprs(&a.targets)), ("value", self.expr(&a.value)), nothing()],
            ),
            Stmt::AugAssign(a) => self.node(
                "AugAssign",
                range,
                vec![
                    ("target", self.expr(&a.target)),
                    ("op", operator(a.op)),
                    ("value", self.expr(&a.value)),
                ],
            ),
            Stmt::AnnAssign(a) => self.node(
                "AnnAssign",
                range,
                vec![
                    ("target", self.expr(&a.target)),
                    ("annotation", self.expr(&a.annotation)),
                    ("value", self.maybe(a.value.as_deref())),
                    ("simple", Field::Number(i32::from(a.simple))),
                ],
            ),
            Stmt::For(f) => self.node(
                if f.is_async { "AsyncFor" } else { "For" },
                range,
                vec![
                    ("target", self.expr(&f.target)),
                    ("iter", self.expr(&f.iter)),
                    ("body", self.body(&f.body)),
                    ("orelse", self.body(&f.orelse)),
                    nothing(),
                ],
            ),
            Stmt::While(w) => self.node(
                "While",
                range,
                vec![
                    ("test", self.expr(&w.test)),
                    ("body", self.body(&w.body)),
                    ("orelse", self.body(&w.orelse)),
                ],
            ),
            Stmt::If(i) => self.node(
                "If",
                range,
                vec![
                    ("test", self.expr(&i.test)),
                    ("body", self.body(&i.body)),
                    ("orelse", self.orelse(&i.elif_else_clauses, range.end())),
                ],
            ),
            Stmt::With(w) => self.node(
                if w.is_async { "AsyncWith" } else { "With" },
                range,
                vec![
                    ("items", Field::List(w.items.iter().map(|i| self.with_item(i)).collect())),
                    ("body", self.body(&w.body)),
                    nothing(),
                ],
            ),
            Stmt::Match(m) => self.node(
                "Match",
                range,
                vec![
                    ("subject", self.expr(&m.subject)),
                    ("cases", Field::List(m.cases.iter().map(|c| self.case(c)).collect())),
                ],
            ),
            Stmt::Raise(r) => self.node(
                "Raise",
                range,
                vec![("exc", self.maybe(r.exc.as_deref())), ("cause", self.maybe(r.cause.as_deref()))],
            ),
            Stmt::Try(t) => self.node(
                if t.is_star { "TryStar" } else { "Try" },
                range,
                vec![
                    ("body", self.body(&t.body)),
                    ("handlers", Field::List(t.handlers.iter().map(|h| self.handler(h)).collect())),
                    ("orelse", self.body(&t.orelse)),
                    ("finalbody", self.body(&t.finalbody)),
                ],
            ),
            Stmt::Assert(a) => self.node(
                "Assert",
                range,
                vec![("test", self.expr(&a.test)), ("msg", self.maybe(a.msg.as_deref()))],
            ),
            Stmt::Import(i) => self.node("Import", range, vec![("names", self.aliases(&i.names))]),
            Stmt::ImportFrom(i) => self.node(
                "ImportFrom",
                range,
                vec![
                    ("module", name_or_nothing(i.module.as_ref())),
                    ("names", self.aliases(&i.names)),
                    ("level", Field::Number(i.level as i32)),
                ],
            ),
            Stmt::Global(g) => self.node("Global", range, vec![("names", names(&g.names))]),
            Stmt::Nonlocal(n) => self.node("Nonlocal", range, vec![("names", names(&n.names))]),
            Stmt::Expr(e) => self.node("Expr", range, vec![("value", self.expr(&e.value))]),
            Stmt::Pass(_) | Stmt::IpyEscapeCommand(_) => self.node("Pass", range, vec![]),
            Stmt::Break(_) => self.node("Break", range, vec![]),
            Stmt::Continue(_) => self.node("Continue", range, vec![]),
        }
    }

    /// What `elif` and `else` become: an `If` inside `orelse`, or the last body.
    fn orelse(&self, clauses: &[ast::ElifElseClause], end: TextSize) -> Field {
        let Some((first, rest)) = clauses.split_first() else { return Field::List(vec![]) };
        let Some(test) = &first.test else { return self.body(&first.body) };
        Field::List(vec![self.node(
            "If",
            TextRange::new(first.range.start(), end),
            vec![
                ("test", self.expr(test)),
                ("body", self.body(&first.body)),
                ("orelse", self.orelse(rest, end)),
            ],
        )])
    }

    fn with_item(&self, item: &ast::WithItem) -> Field {
        Field::Node(Box::new(plain(
            "withitem",
            vec![
                ("context_expr", self.expr(&item.context_expr)),
                ("optional_vars", self.maybe(item.optional_vars.as_deref())),
            ],
        )))
    }

    fn case(&self, case: &ast::MatchCase) -> Field {
        Field::Node(Box::new(plain(
            "match_case",
            vec![
                ("pattern", self.pattern(&case.pattern)),
                ("guard", self.maybe(case.guard.as_deref())),
                ("body", self.body(&case.body)),
            ],
        )))
    }

    fn handler(&self, handler: &ast::ExceptHandler) -> Field {
        let ast::ExceptHandler::ExceptHandler(h) = handler;
        self.node(
            "ExceptHandler",
            h.range,
            vec![
                ("type", self.maybe(h.type_.as_deref())),
                ("name", name_or_nothing(h.name.as_ref())),
                ("body", self.body(&h.body)),
            ],
        )
    }

    fn aliases(&self, list: &[ast::Alias]) -> Field {
        let one = |a: &ast::Alias| {
            self.node(
                "alias",
                a.range,
                vec![("name", name(&a.name)), ("asname", name_or_nothing(a.asname.as_ref()))],
            )
        };
        Field::List(list.iter().map(one).collect())
    }

    fn type_params(&self, params: Option<&ast::TypeParams>) -> Field {
        let one = |p: &ast::TypeParam| match p {
            ast::TypeParam::TypeVar(t) => self.node(
                "TypeVar",
                t.range,
                vec![
                    ("name", name(&t.name)),
                    ("bound", self.maybe(t.bound.as_deref())),
                    ("default_value", self.maybe(t.default.as_deref())),
                ],
            ),
            ast::TypeParam::TypeVarTuple(t) => self.node(
                "TypeVarTuple",
                t.range,
                vec![("name", name(&t.name)), ("default_value", self.maybe(t.default.as_deref()))],
            ),
            ast::TypeParam::ParamSpec(t) => self.node(
                "ParamSpec",
                t.range,
                vec![("name", name(&t.name)), ("default_value", self.maybe(t.default.as_deref()))],
            ),
        };
        Field::List(params.map(|p| p.type_params.iter().map(one).collect()).unwrap_or_default())
    }

    fn parameter(&self, p: &ast::Parameter) -> Field {
        self.node(
            "arg",
            p.range,
            vec![
                ("arg", name(&p.name)),
                ("annotation", self.maybe(p.annotation.as_deref())),
                ("type_comment", Field::Nothing),
            ],
        )
    }

    fn parameters(&self, parameters: Option<&ast::Parameters>) -> Field {
        let list = |l: &[ast::ParameterWithDefault]| {
            Field::List(l.iter().map(|p| self.parameter(&p.parameter)).collect())
        };
        let fields = match parameters {
            Some(p) => {
                let defaults = p.posonlyargs.iter().chain(p.args.iter()).filter_map(|p| p.default.as_deref());
                let keyword = p.kwonlyargs.iter().map(|p| self.maybe(p.default.as_deref()));
                vec![
                    ("posonlyargs", list(&p.posonlyargs)),
                    ("args", list(&p.args)),
                    ("vararg", p.vararg.as_ref().map_or(Field::Nothing, |v| self.parameter(v))),
                    ("kwonlyargs", list(&p.kwonlyargs)),
                    ("kw_defaults", Field::List(keyword.collect())),
                    ("kwarg", p.kwarg.as_ref().map_or(Field::Nothing, |v| self.parameter(v))),
                    ("defaults", Field::List(defaults.map(|d| self.expr(d)).collect())),
                ]
            }
            None => vec![
                ("posonlyargs", Field::List(vec![])),
                ("args", Field::List(vec![])),
                ("vararg", Field::Nothing),
                ("kwonlyargs", Field::List(vec![])),
                ("kw_defaults", Field::List(vec![])),
                ("kwarg", Field::Nothing),
                ("defaults", Field::List(vec![])),
            ],
        };
        Field::Node(Box::new(plain("arguments", fields)))
    }

    fn arguments(&self, arguments: Option<&ast::Arguments>) -> (Field, Field) {
        let Some(a) = arguments else { return (Field::List(vec![]), Field::List(vec![])) };
        let keyword = |k: &ast::Keyword| {
            self.node(
                "keyword",
                k.range,
                vec![("arg", name_or_nothing(k.arg.as_ref())), ("value", self.expr(&k.value))],
            )
        };
        // A lone generator's place is that of the call's parentheses.
        let given = match &a.args[..] {
            [Expr::Generator(g)] if !g.parenthesized && a.keywords.is_empty() => {
                Field::List(vec![self.generator(g, a.range)])
            }
            args => self.exprs(args),
        };
        (given, Field::List(a.keywords.iter().map(keyword).collect()))
    }

    fn generator(&self, g: &ast::ExprGenerator, range: TextRange) -> Field {
        self.node(
            "GeneratorExp",
            range,
            vec![("elt", self.expr(&g.elt)), ("generators", self.clauses(&g.generators))],
        )
    }

    fn clauses(&self, list: &[ast::Comprehension]) -> Field {
        let one = |c: &ast::Comprehension| {
            Field::Node(Box::new(plain(
                "comprehension",
                vec![
                    ("target", self.expr(&c.target)),
                    ("iter", self.expr(&c.iter)),
                    ("ifs", self.exprs(&c.ifs)),
                    ("is_async", Field::Number(i32::from(c.is_async))),
                ],
            )))
        };
        Field::List(list.iter().map(one).collect())
    }

    fn constant(&self, range: TextRange, value: Const, kind: Field) -> Field {
        self.node("Constant", range, vec![("value", Field::Constant(value)), ("kind", kind)])
    }

    fn expr(&self, expr: &Expr) -> Field {
        let range = expr.range();
        let node = |class, fields| self.node(class, range, fields);
        match expr {
            Expr::BoolOp(b) => node(
                "BoolOp",
                vec![
                    ("op", bare(if b.op == ast::BoolOp::And { "And" } else { "Or" })),
                    ("values", self.exprs(&b.values)),
                ],
            ),
            Expr::Named(n) => {
                node("NamedExpr", vec![("target", self.expr(&n.target)), ("value", self.expr(&n.value))])
            }
            Expr::BinOp(b) => node(
                "BinOp",
                vec![("left", self.expr(&b.left)), ("op", operator(b.op)), ("right", self.expr(&b.right))],
            ),
            Expr::UnaryOp(u) => {
                let op = match u.op {
                    ast::UnaryOp::Invert => "Invert",
                    ast::UnaryOp::Not => "Not",
                    ast::UnaryOp::UAdd => "UAdd",
                    ast::UnaryOp::USub => "USub",
                };
                node("UnaryOp", vec![("op", bare(op)), ("operand", self.expr(&u.operand))])
            }
            Expr::Lambda(l) => node(
                "Lambda",
                vec![("args", self.parameters(l.parameters.as_deref())), ("body", self.expr(&l.body))],
            ),
            Expr::If(i) => node(
                "IfExp",
                vec![
                    ("test", self.expr(&i.test)),
                    ("body", self.expr(&i.body)),
                    ("orelse", self.expr(&i.orelse)),
                ],
            ),
            Expr::Dict(d) => {
                let keys = d.items.iter().map(|i| self.maybe(i.key.as_ref())).collect();
                let values = d.items.iter().map(|i| self.expr(&i.value)).collect();
                node("Dict", vec![("keys", Field::List(keys)), ("values", Field::List(values))])
            }
            Expr::Set(s) => node("Set", vec![("elts", self.exprs(&s.elts))]),
            Expr::ListComp(c) => node(
                "ListComp",
                vec![("elt", self.expr(&c.elt)), ("generators", self.clauses(&c.generators))],
            ),
            Expr::SetComp(c) => {
                node("SetComp", vec![("elt", self.expr(&c.elt)), ("generators", self.clauses(&c.generators))])
            }
            Expr::DictComp(c) => node(
                "DictComp",
                vec![
                    ("key", self.maybe(c.key.as_deref())),
                    ("value", self.expr(&c.value)),
                    ("generators", self.clauses(&c.generators)),
                ],
            ),
            Expr::Generator(g) => self.generator(g, range),
            Expr::Await(a) => node("Await", vec![("value", self.expr(&a.value))]),
            Expr::Yield(y) => node("Yield", vec![("value", self.maybe(y.value.as_deref()))]),
            Expr::YieldFrom(y) => node("YieldFrom", vec![("value", self.expr(&y.value))]),
            Expr::Compare(c) => node(
                "Compare",
                vec![
                    ("left", self.expr(&c.left)),
                    ("ops", Field::List(c.ops.iter().map(|o| comparison(*o)).collect())),
                    ("comparators", self.exprs(&c.comparators)),
                ],
            ),
            Expr::Call(c) => {
                let (args, keywords) = self.arguments(Some(&c.arguments));
                node("Call", vec![("func", self.expr(&c.func)), ("args", args), ("keywords", keywords)])
            }
            Expr::FString(f) => {
                let mut values = Vec::new();
                for part in f.value.iter() {
                    match part {
                        ast::FStringPart::Literal(s) => {
                            let text = string(self.source, std::slice::from_ref(s));
                            push_text(&mut values, text, s.range);
                        }
                        ast::FStringPart::FString(f) => self.pieces(&f.elements, &mut values, false),
                    }
                }
                node("JoinedStr", vec![("values", self.joined(values))])
            }
            Expr::TString(t) => {
                let mut values = Vec::new();
                for part in t.value.iter() {
                    self.pieces(&part.elements, &mut values, true);
                }
                node("TemplateStr", vec![("values", self.joined(values))])
            }
            Expr::StringLiteral(s) => {
                let parts = s.value.as_slice();
                let unicode =
                    parts.first().is_some_and(|p| self.source.slice(p.range).starts_with(['u', 'U']));
                let kind = if unicode { Field::Name("u".into()) } else { Field::Nothing };
                self.constant(range, string(self.source, parts), kind)
            }
            Expr::BytesLiteral(b) => {
                let value = Const::Bytes(b.value.iter().flat_map(|p| p.value.iter().copied()).collect());
                self.constant(range, value, Field::Nothing)
            }
            Expr::NumberLiteral(n) => self.constant(range, number(&n.value), Field::Nothing),
            Expr::BooleanLiteral(b) => self.constant(range, Const::Bool(b.value), Field::Nothing),
            Expr::NoneLiteral(_) | Expr::IpyEscapeCommand(_) => {
                self.constant(range, Const::None, Field::Nothing)
            }
            Expr::EllipsisLiteral(_) => self.constant(range, Const::Ellipsis, Field::Nothing),
            Expr::Attribute(a) => node(
                "Attribute",
                vec![("value", self.expr(&a.value)), ("attr", name(&a.attr)), ("ctx", context(a.ctx))],
            ),
            Expr::Subscript(s) => node(
                "Subscript",
                vec![("value", self.expr(&s.value)), ("slice", self.expr(&s.slice)), ("ctx", context(s.ctx))],
            ),
            Expr::Starred(s) => {
                node("Starred", vec![("value", self.expr(&s.value)), ("ctx", context(s.ctx))])
            }
            Expr::Name(n) => {
                node("Name", vec![("id", Field::Name(n.id.to_string())), ("ctx", context(n.ctx))])
            }
            Expr::List(l) => node("List", vec![("elts", self.exprs(&l.elts)), ("ctx", context(l.ctx))]),
            Expr::Tuple(t) => node("Tuple", vec![("elts", self.exprs(&t.elts)), ("ctx", context(t.ctx))]),
            Expr::Slice(s) => node(
                "Slice",
                vec![
                    ("lower", self.maybe(s.lower.as_deref())),
                    ("upper", self.maybe(s.upper.as_deref())),
                    ("step", self.maybe(s.step.as_deref())),
                ],
            ),
        }
    }

    fn joined(&self, values: Vec<Piece>) -> Field {
        let one = |piece: Piece| match piece {
            Piece::Text(text, range) => self.constant(range, Const::Str(text.into()), Field::Nothing),
            Piece::Wide(value, range) => self.constant(range, value, Field::Nothing),
            Piece::Value(field) => field,
        };
        Field::List(values.into_iter().map(one).collect())
    }

    fn pieces(&self, elements: &[InterpolatedStringElement], values: &mut Vec<Piece>, template: bool) {
        for element in elements {
            match element {
                InterpolatedStringElement::Literal(l) => {
                    push_text(values, Const::Str(l.value.to_string().into()), l.range);
                }
                InterpolatedStringElement::Interpolation(i) => {
                    let mut conversion = i.conversion.to_byte().map_or(-1, i32::from);
                    if let Some(debug) = &i.debug_text {
                        let inner = self.source.slice(i.expression.range());
                        let text = format!("{}{inner}{}", debug.leading(), debug.trailing());
                        push_text(values, Const::Str(text.into()), i.range);
                        if conversion < 0 && i.format_spec.is_none() {
                            conversion = i32::from(b'r');
                        }
                    }
                    let spec = match &i.format_spec {
                        None => Field::Nothing,
                        Some(spec) => {
                            let mut inner = Vec::new();
                            self.pieces(&spec.elements, &mut inner, false);
                            self.node("JoinedStr", spec.range, vec![("values", self.joined(inner))])
                        }
                    };
                    let mut fields = vec![("value", self.expr(&i.expression))];
                    if template {
                        let text = self.source.slice(i.expression.range()).to_string();
                        fields.push(("str", Field::Constant(Const::Str(text.into()))));
                    }
                    fields.push(("conversion", Field::Number(conversion)));
                    fields.push(("format_spec", spec));
                    let class = if template { "Interpolation" } else { "FormattedValue" };
                    values.push(Piece::Value(self.node(class, i.range, fields)));
                }
            }
        }
    }

    fn pattern(&self, pattern: &Pattern) -> Field {
        let range = pattern.range();
        let node = |class, fields| self.node(class, range, fields);
        let patterns = |l: &[Pattern]| Field::List(l.iter().map(|p| self.pattern(p)).collect());
        match pattern {
            Pattern::MatchValue(v) => node("MatchValue", vec![("value", self.expr(&v.value))]),
            Pattern::MatchSingleton(s) => {
                let value = match s.value {
                    ast::Singleton::None => Const::None,
                    ast::Singleton::True => Const::Bool(true),
                    ast::Singleton::False => Const::Bool(false),
                };
                node("MatchSingleton", vec![("value", Field::Constant(value))])
            }
            Pattern::MatchSequence(s) => node("MatchSequence", vec![("patterns", patterns(&s.patterns))]),
            Pattern::MatchMapping(m) => node(
                "MatchMapping",
                vec![
                    ("keys", self.exprs(&m.keys)),
                    ("patterns", patterns(&m.patterns)),
                    ("rest", name_or_nothing(m.rest.as_ref())),
                ],
            ),
            Pattern::MatchClass(c) => {
                let keywords = &c.arguments.keywords;
                node(
                    "MatchClass",
                    vec![
                        ("cls", self.expr(&c.cls)),
                        ("patterns", patterns(&c.arguments.patterns)),
                        ("kwd_attrs", Field::List(keywords.iter().map(|k| name(&k.attr)).collect())),
                        (
                            "kwd_patterns",
                            Field::List(keywords.iter().map(|k| self.pattern(&k.pattern)).collect()),
                        ),
                    ],
                )
            }
            Pattern::MatchStar(s) => node("MatchStar", vec![("name", name_or_nothing(s.name.as_ref()))]),
            Pattern::MatchAs(a) => node(
                "MatchAs",
                vec![
                    ("pattern", a.pattern.as_ref().map_or(Field::Nothing, |p| self.pattern(p))),
                    ("name", name_or_nothing(a.name.as_ref())),
                ],
            ),
            Pattern::MatchOr(o) => node("MatchOr", vec![("patterns", patterns(&o.patterns))]),
        }
    }
}

fn names(list: &[ast::Identifier]) -> Field {
    Field::List(list.iter().map(name).collect())
}

/// A part of an f-string; neighbouring texts become one constant.
enum Piece {
    Text(String, TextRange),
    Wide(Const, TextRange),
    Value(Field),
}

fn push_text(values: &mut Vec<Piece>, text: Const, range: TextRange) {
    match (text, values.last_mut()) {
        (Const::Str(text), _) if text.is_empty() => {}
        (Const::Str(text), Some(Piece::Text(before, place))) => {
            before.push_str(&text);
            *place = TextRange::new(place.start(), range.end());
        }
        (Const::Str(text), _) => values.push(Piece::Text(text.to_string(), range)),
        (other, _) => values.push(Piece::Wide(other, range)),
    }
}
