//! First pass: what each scope binds and uses, and the errors that CPython's symbol table reports.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Comprehension, ExceptHandler, Expr, ExprContext, Identifier, Mod, Parameters, Pattern, Stmt, TypeParam,
    TypeParams,
};
use ruff_text_size::{Ranged, TextRange};

use crate::analyze::analyze;
use crate::errors::SyntaxError;
use crate::scope::{Scope, ScopeId, ScopeKind, Scopes, mangle, node_key};
use crate::source::Source;

struct Collector<'a> {
    source: &'a Source,
    scopes: Scopes,
    at: ScopeId,
    error: Option<SyntaxError>,
    future_annotations: bool,
    nonlocals: Vec<(ScopeId, String, TextRange)>,
}

pub(crate) fn collect(source: &Source, tree: &Mod) -> Result<(Scopes, bool), SyntaxError> {
    let mut collector = Collector {
        source,
        scopes: Scopes::default(),
        at: 0,
        error: None,
        // The library's text is of 3.14, where annotations wait until somebody asks for them.
        future_annotations: source.filename.starts_with("<library>/"),
        nonlocals: Vec::new(),
    };
    collector.push_scope(ScopeKind::Module, None, false);
    match tree {
        Mod::Module(module) => {
            collector.find_future(&module.body);
            collector.visit_body(&module.body);
        }
        Mod::Expression(expression) => collector.visit_expr(&expression.body),
    }
    if let Some(error) = collector.error {
        return Err(error);
    }
    if let Err((scope, name)) = analyze(&mut collector.scopes) {
        let range = collector
            .nonlocals
            .iter()
            .find(|(at, n, _)| *at == scope && *n == name)
            .map_or(TextRange::default(), |(_, _, range)| *range);
        return Err(SyntaxError::new(source, range, format!("no binding for nonlocal '{name}' found")));
    }
    Ok((collector.scopes, collector.future_annotations))
}

impl<'a> Collector<'a> {
    fn find_future(&mut self, body: &[Stmt]) {
        for stmt in body {
            if let Stmt::ImportFrom(import) = stmt
                && import.module.as_ref().is_some_and(|m| m.as_str() == "__future__")
            {
                self.future_annotations |=
                    import.names.iter().any(|alias| alias.name.as_str() == "annotations");
            }
        }
    }

    fn push_scope(&mut self, kind: ScopeKind, node: Option<(usize, u8)>, expression: bool) -> ScopeId {
        let id = self.scopes.list.len();
        let parent = (id > 0).then_some(self.at);
        let class = parent.and_then(|p| self.scopes.list[p].class.clone());
        self.scopes.list.push(Scope {
            kind,
            parent,
            order: Vec::new(),
            symbols: Default::default(),
            children: Vec::new(),
            generator: false,
            coroutine: false,
            carried: Vec::new(),
            needs_class_cell: false,
            class,
            expression,
        });
        if let Some(parent) = parent {
            self.scopes.list[parent].children.push(id);
        }
        if let Some(node) = node {
            self.scopes.by_node.insert(node, id);
        }
        self.at = id;
        id
    }

    fn within<T>(
        &mut self,
        kind: ScopeKind,
        node: &T,
        part: u8,
        expression: bool,
        body: impl FnOnce(&mut Self),
    ) -> ScopeId {
        let outer = self.at;
        let id = self.push_scope(kind, Some((node_key(node), part)), expression);
        body(self);
        self.at = outer;
        id
    }

    fn fail(&mut self, range: TextRange, message: impl Into<String>) {
        if self.error.is_none() {
            self.error = Some(SyntaxError::new(self.source, range, message));
        }
    }

    fn scope(&mut self) -> &mut Scope {
        &mut self.scopes.list[self.at]
    }

    fn symbol_in(&mut self, id: ScopeId, name: &str) -> &mut crate::scope::Symbol {
        let name = mangle(self.scopes.list[id].class.as_deref(), name);
        let scope = &mut self.scopes.list[id];
        if !scope.symbols.contains_key(&name) {
            scope.order.push(name.clone());
        }
        scope.symbols.entry(name).or_default()
    }

    fn symbol(&mut self, name: &str) -> &mut crate::scope::Symbol {
        self.symbol_in(self.at, name)
    }

    fn bind(&mut self, name: &str, range: TextRange) {
        if name == "__debug__" {
            self.fail(range, "cannot assign to __debug__");
        }
        self.symbol(name).bound = true;
    }

    fn parameter(&mut self, name: &Identifier) {
        let symbol = self.symbol(name.as_str());
        if symbol.parameter {
            let message = format!("duplicate argument '{}' in function definition", name.as_str());
            self.fail(name.range(), message);
            return;
        }
        symbol.parameter = true;
        symbol.bound = true;
        if name.as_str() == "__debug__" {
            self.fail(name.range(), "cannot assign to __debug__");
        }
    }

    fn defaults(&mut self, parameters: &'a Parameters) {
        for parameter in parameters.iter_non_variadic_params() {
            if let Some(default) = parameter.default() {
                self.visit_expr(default);
            }
        }
    }

    fn annotations(&mut self, parameters: &'a Parameters, returns: Option<&'a Expr>) {
        if self.future_annotations {
            return;
        }
        for parameter in parameters.iter() {
            if let Some(annotation) = parameter.annotation() {
                self.visit_expr(annotation);
            }
        }
        if let Some(returns) = returns {
            self.visit_expr(returns);
        }
    }

    fn parameters(&mut self, parameters: &Parameters) {
        for p in parameters.posonlyargs.iter().chain(&parameters.args).chain(&parameters.kwonlyargs) {
            self.parameter(&p.parameter.name);
        }
        for p in parameters.vararg.iter().chain(&parameters.kwarg) {
            self.parameter(&p.name);
        }
    }

    fn type_parameters<T>(&mut self, params: Option<&'a TypeParams>, node: &T, body: impl FnOnce(&mut Self)) {
        let Some(params) = params else { return body(self) };
        self.within(ScopeKind::Function, node, 1, true, |this| {
            for param in &params.type_params {
                let (name, bound, default) = match param {
                    TypeParam::TypeVar(p) => (&p.name, p.bound.as_deref(), p.default.as_deref()),
                    TypeParam::TypeVarTuple(p) => (&p.name, None, p.default.as_deref()),
                    TypeParam::ParamSpec(p) => (&p.name, None, p.default.as_deref()),
                };
                if this.symbol(name.as_str()).bound {
                    this.fail(name.range(), format!("duplicate type parameter '{}'", name.as_str()));
                }
                this.bind(name.as_str(), name.range());
                for lazy in [bound, default].into_iter().flatten() {
                    this.within(ScopeKind::Function, lazy, 2, true, |this| this.visit_expr(lazy));
                }
            }
            this.bind(".generic_base", params.range);
            this.bind(".type_params", params.range);
            body(this);
        });
    }

    /// The scope of a walrus target: the nearest that is no comprehension.
    fn walrus(&mut self, name: &str, range: TextRange) {
        let mut id = self.at;
        let mut crossed = Vec::new();
        loop {
            let scope = &self.scopes.list[id];
            let is_comprehension = scope.kind == ScopeKind::Comprehension
                || scope.expression && scope.kind == ScopeKind::Function && scope.symbols.contains_key(".0");
            if !is_comprehension {
                break;
            }
            if scope.symbols.get(name).is_some_and(|s| s.bound) {
                let message =
                    format!("assignment expression cannot rebind comprehension iteration variable '{name}'");
                return self.fail(range, message);
            }
            crossed.push(id);
            match scope.parent {
                Some(parent) => id = parent,
                None => break,
            }
        }
        if !crossed.is_empty() && self.scopes.list[id].kind == ScopeKind::Class {
            return self
                .fail(range, "assignment expression within a comprehension cannot be used in a class body");
        }
        let global = match self.scopes.list[id].kind {
            ScopeKind::Module => true,
            _ => self.scopes.list[id].symbols.get(name).is_some_and(|s| s.global),
        };
        if !self.symbol_in(id, name).global {
            self.symbol_in(id, name).bound = true;
        }
        for inner in crossed {
            let comprehension = self.scopes.list[inner].kind == ScopeKind::Comprehension;
            let symbol = self.symbol_in(inner, name);
            symbol.used = true;
            if !comprehension {
                if global {
                    symbol.global = true;
                } else {
                    symbol.nonlocal = true;
                }
            }
        }
    }

    fn comprehension<T>(
        &mut self,
        node: &'a T,
        generators: &'a [Comprehension],
        generator: bool,
        elements: &[&'a Expr],
    ) {
        self.visit_expr(&generators[0].iter);
        let kind = if generator { ScopeKind::Function } else { ScopeKind::Comprehension };
        let id = self.within(kind, node, 0, true, |this| {
            if generator {
                this.symbol(".0").parameter = true;
                this.symbol(".0").bound = true;
                this.scope().generator = true;
            }
            for (index, part) in generators.iter().enumerate() {
                this.visit_expr(&part.target);
                if index > 0 {
                    this.visit_expr(&part.iter);
                }
                for test in &part.ifs {
                    this.visit_expr(test);
                }
                this.scope().coroutine |= part.is_async;
            }
            for element in elements {
                this.visit_expr(element);
            }
        });
        let _ = id;
    }

    fn declare(&mut self, names: &[Identifier], range: TextRange, global: bool) {
        let word = if global { "global" } else { "nonlocal" };
        if !global && self.at == 0 {
            return self.fail(range, "nonlocal declaration not allowed at module level");
        }
        for name in names {
            let module = self.at == 0;
            let at = self.at;
            let symbol = self.symbol(name.as_str());
            let (bound, used, annotated) = (symbol.bound, symbol.used, symbol.annotated);
            let problem = if symbol.parameter {
                Some(format!("name '{}' is parameter and {word}", name.as_str()))
            } else if if global { symbol.nonlocal } else { symbol.global } {
                Some(format!("name '{}' is nonlocal and global", name.as_str()))
            } else if annotated && !module {
                Some(format!("annotated name '{}' can't be {word}", name.as_str()))
            } else if bound && !module {
                Some(format!("name '{}' is assigned to before {word} declaration", name.as_str()))
            } else if used && !module {
                Some(format!("name '{}' is used prior to {word} declaration", name.as_str()))
            } else {
                None
            };
            if global {
                symbol.global = true;
            } else {
                symbol.nonlocal = true;
            }
            match problem {
                Some(problem) => self.fail(range, problem),
                None if !global => {
                    let name = mangle(self.scopes.list[at].class.as_deref(), name.as_str());
                    self.nonlocals.push((at, name, range));
                }
                None => {}
            }
        }
    }

    fn mark_yield(&mut self, range: TextRange, what: &str) {
        let scope = self.scope();
        match scope.kind {
            ScopeKind::Function if scope.symbols.contains_key(".0") => {
                self.fail(range, format!("'{what}' inside generator expression"));
            }
            ScopeKind::Function => scope.generator = true,
            ScopeKind::Comprehension => self.fail(range, format!("'{what}' inside list comprehension")),
            ScopeKind::Module | ScopeKind::Class => self.fail(range, format!("'{what}' outside function")),
        }
    }
}

impl<'a> Visitor<'a> for Collector<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(def) => {
                for decorator in &def.decorator_list {
                    self.visit_expr(&decorator.expression);
                }
                self.defaults(&def.parameters);
                self.bind(def.name.as_str(), def.name.range());
                self.type_parameters(def.type_params.as_deref(), def, |this| {
                    this.annotations(&def.parameters, def.returns.as_deref());
                    this.within(ScopeKind::Function, def, 0, false, |this| {
                        this.scope().coroutine = def.is_async;
                        this.parameters(&def.parameters);
                        this.visit_body(&def.body);
                    });
                });
            }
            Stmt::ClassDef(def) => {
                for decorator in &def.decorator_list {
                    self.visit_expr(&decorator.expression);
                }
                self.bind(def.name.as_str(), def.name.range());
                self.type_parameters(def.type_params.as_deref(), def, |this| {
                    if let Some(arguments) = &def.arguments {
                        this.visit_arguments(arguments);
                    }
                    if def.type_params.is_some() {
                        this.symbol(".generic_base").used = true;
                        this.symbol(".type_params").used = true;
                    }
                    this.within(ScopeKind::Class, def, 0, false, |this| {
                        this.scope().class = Some(def.name.as_str().to_string());
                        if def.type_params.is_some() {
                            this.symbol(".type_params").used = true;
                        }
                        this.visit_body(&def.body);
                    });
                });
            }
            Stmt::TypeAlias(alias) => {
                if let Expr::Name(name) = &*alias.name {
                    self.bind(name.id.as_str(), name.range);
                }
                self.type_parameters(alias.type_params.as_deref(), alias, |this| {
                    this.within(ScopeKind::Function, alias, 0, true, |this| this.visit_expr(&alias.value));
                });
            }
            Stmt::AnnAssign(assign) => {
                if let Expr::Name(name) = &*assign.target
                    && assign.simple
                {
                    let (at, module) = (self.at, self.at == 0);
                    let symbol = self.symbol(name.id.as_str());
                    if (symbol.global || symbol.nonlocal) && !module {
                        let word = if symbol.global { "global" } else { "nonlocal" };
                        let message = format!("annotated name '{}' can't be {word}", name.id.as_str());
                        return self.fail(assign.range, message);
                    }
                    symbol.bound = true;
                    symbol.annotated = true;
                    if self.scopes.list[at].kind != ScopeKind::Function {
                        self.symbol("__annotations__").used = true;
                    }
                } else {
                    self.visit_expr(&assign.target);
                }
                if !self.future_annotations && self.scope().kind != ScopeKind::Function {
                    self.visit_expr(&assign.annotation);
                } else if !self.future_annotations {
                    // Not evaluated in functions, but scopes inside must exist for lowering's sake: they do not,
                    // because lowering skips it as well.
                }
                if let Some(value) = &assign.value {
                    self.visit_expr(value);
                }
            }
            Stmt::Import(import) => {
                for alias in &import.names {
                    let name = alias.asname.as_ref().unwrap_or(&alias.name);
                    let name_text = name.as_str().split('.').next().unwrap_or("");
                    let bound = if alias.asname.is_some() { name.as_str() } else { name_text };
                    self.bind(bound, alias.range);
                }
            }
            Stmt::ImportFrom(import) => {
                if import.level == 0 && import.module.as_ref().is_some_and(|m| m.as_str() == "__future__") {
                    for alias in &import.names {
                        const KNOWN: &[&str] = &[
                            "nested_scopes",
                            "generators",
                            "division",
                            "absolute_import",
                            "with_statement",
                            "print_function",
                            "unicode_literals",
                            "barry_as_FLUFL",
                            "generator_stop",
                            "annotations",
                        ];
                        if !KNOWN.contains(&alias.name.as_str()) {
                            self.fail(
                                import.range,
                                format!("future feature {} is not defined", alias.name.as_str()),
                            );
                        }
                    }
                }
                for alias in &import.names {
                    if alias.name.as_str() == "*" {
                        if self.at != 0 {
                            self.fail(import.range, "import * only allowed at module level");
                        }
                        continue;
                    }
                    self.bind(alias.asname.as_ref().unwrap_or(&alias.name).as_str(), alias.range);
                }
            }
            Stmt::Global(global) => self.declare(&global.names, global.range, true),
            Stmt::Nonlocal(nonlocal) => self.declare(&nonlocal.names, nonlocal.range, false),
            Stmt::Return(r) if self.scope().kind != ScopeKind::Function => {
                self.fail(r.range, "'return' outside function");
            }
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => {
                let id = name.id.as_str();
                match name.ctx {
                    ExprContext::Load => {
                        self.symbol(id).used = true;
                        if id == "super" && self.scope().kind != ScopeKind::Class && self.at != 0 {
                            self.symbol("__class__").used = true;
                        }
                    }
                    _ => self.bind(id, name.range),
                }
            }
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    self.defaults(parameters);
                }
                self.within(ScopeKind::Function, lambda, 0, true, |this| {
                    if let Some(parameters) = &lambda.parameters {
                        this.parameters(parameters);
                    }
                    this.visit_expr(&lambda.body);
                });
            }
            Expr::Named(named) => {
                self.visit_expr(&named.value);
                if let Expr::Name(name) = &*named.target {
                    self.walrus(name.id.as_str(), name.range);
                }
            }
            Expr::ListComp(c) => self.comprehension(c, &c.generators, false, &[&c.elt]),
            Expr::SetComp(c) => self.comprehension(c, &c.generators, false, &[&c.elt]),
            Expr::DictComp(c) => match &c.key {
                Some(key) => self.comprehension(c, &c.generators, false, &[key, &c.value]),
                None => self.fail(c.range, "dict unpacking cannot be used in dict comprehension"),
            },
            Expr::Generator(c) => self.comprehension(c, &c.generators, true, &[&c.elt]),
            Expr::Yield(y) => {
                self.mark_yield(y.range, "yield");
                visitor::walk_expr(self, expr);
            }
            Expr::YieldFrom(y) => {
                self.mark_yield(y.range, "yield from");
                if self.scope().coroutine {
                    self.fail(y.range, "'yield from' inside async function");
                }
                visitor::walk_expr(self, expr);
            }
            Expr::Await(a) => {
                let scope = self.scope();
                if scope.kind == ScopeKind::Comprehension || scope.symbols.contains_key(".0") {
                    scope.coroutine = true;
                } else if scope.kind != ScopeKind::Function {
                    self.fail(a.range, "'await' outside function");
                } else if !scope.coroutine {
                    self.fail(a.range, "'await' outside async function");
                }
                visitor::walk_expr(self, expr);
            }
            _ => visitor::walk_expr(self, expr),
        }
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(h) = handler;
        if let Some(name) = &h.name {
            self.bind(name.as_str(), name.range());
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let name = match pattern {
            Pattern::MatchStar(p) => p.name.as_ref(),
            Pattern::MatchAs(p) => p.name.as_ref(),
            Pattern::MatchMapping(p) => p.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.bind(name.as_str(), name.range());
        }
        visitor::walk_pattern(self, pattern);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Mode, Place, Source, parse};

    fn error(text: &str) -> String {
        parse(Source::new("t.py", text), Mode::Module)
            .err()
            .map_or("none".into(), |e| format!("{}:{} {}", e.line, e.column, e.message))
    }

    #[test]
    fn places_are_decided() {
        let module = parse(
            Source::new(
                "t.py",
                "def f(a, b):\n  c = a\n  def g():\n    nonlocal c\n    c = b\n  return [c for d in a]\n",
            ),
            Mode::Module,
        )
        .unwrap();
        let f = module.scopes.get(1);
        let places: Vec<_> = f.order.iter().map(|n| (n.as_str(), f.place(n))).collect();
        let expect = [("a", Place::Local), ("b", Place::Cell), ("c", Place::Cell), ("g", Place::Local)];
        assert_eq!(places, expect);
        assert_eq!(module.scopes.get(2).place("c"), Place::Free);
        assert_eq!(module.scopes.get(3).place("c"), Place::Free);
    }

    #[test]
    fn errors_of_the_symbol_table() {
        for (text, expect) in [
            ("def f():\n  nonlocal x\n", "2:3 no binding for nonlocal 'x' found"),
            ("def f(x):\n  global x\n", "2:3 name 'x' is parameter and global"),
            ("def f():\n  x = 1\n  global x\n", "3:3 name 'x' is assigned to before global declaration"),
            ("return 1\n", "1:1 'return' outside function"),
            ("yield 1\n", "1:1 'yield' outside function"),
            ("x = (1,\n", "1:5 '(' was never closed"),
            ("if x:\npass\n", "2:1 expected an indented block after 'if' statement on line 1"),
            ("f(a=1, 2)\n", "1:8 positional argument follows keyword argument"),
        ] {
            assert_eq!(error(text), expect, "{text}");
        }
    }
}
