//! Functions, classes, lambdas, comprehensions, type parameters.

use pyc_front::{Place, ScopeId};
use pyc_ir::{CodeFlags, Const, Intrinsic, NO_REG, Op, Reg};
use ruff_python_ast::{
    Comprehension, Expr, ExprGenerator, ExprLambda, Parameters, Stmt, StmtClassDef, StmtFunctionDef,
    StmtTypeAlias, TypeParam, TypeParams,
};
use ruff_text_size::{Ranged, TextRange};

use crate::unit::{CELL, Lower, Result, TEMP};

impl<'a> Lower<'a> {
    fn qualname(&self, name: &str) -> String {
        let scope = self.module.scopes.get(self.unit.scope);
        let global = self.module.scopes.get(self.scope).place(&self.mangled(name)) == Place::GlobalExplicit;
        match scope.kind {
            pyc_front::ScopeKind::Module => name.to_string(),
            _ if global => name.to_string(),
            pyc_front::ScopeKind::Class => format!("{}.{name}", self.unit.parts.qualname),
            _ if &*self.unit.parts.name == "<generic parameters>" => {
                let outer = self.unit.parts.qualname.to_string();
                if outer.is_empty() { name.to_string() } else { format!("{outer}.{name}") }
            }
            _ => format!("{}.<locals>.{name}", self.unit.parts.qualname),
        }
    }

    fn nested_flag(&self) -> bool {
        let mut id = Some(self.scope);
        while let Some(scope) = id.map(|i| self.module.scopes.get(i)) {
            if scope.kind == pyc_front::ScopeKind::Function {
                return true;
            }
            id = scope.parent;
        }
        false
    }

    fn line(&self, range: TextRange) -> u32 {
        self.module.source.place(range.start()).0
    }

    /// Declares parameters as the first locals and moves captured ones into their cells.
    fn parameters(&mut self, parameters: Option<&Parameters>) {
        let mut all = Vec::new();
        if let Some(p) = parameters {
            all.extend(p.posonlyargs.iter().chain(&p.args).chain(&p.kwonlyargs).map(|p| &p.parameter.name));
            all.extend(p.vararg.iter().map(|p| &p.name));
            all.extend(p.kwarg.iter().map(|p| &p.name));
            let parts = &mut self.unit.parts;
            parts.posonlyargcount = p.posonlyargs.len() as u16;
            parts.argcount = (p.posonlyargs.len() + p.args.len()) as u16;
            parts.kwonlyargcount = p.kwonlyargs.len() as u16;
            parts.flags.varargs = p.vararg.is_some();
            parts.flags.varkeywords = p.kwarg.is_some();
        }
        for name in all {
            let name = self.mangled(name.as_str());
            let reg = self.local(&name);
            if let Some(bound) = &mut self.unit.bound {
                bound.insert(reg);
            }
        }
        self.make_cells();
    }

    /// Makes this unit's cells; parameters move into theirs.
    fn make_cells(&mut self) {
        for (at, name) in self.unit.parts.cells.clone().iter().enumerate() {
            let src = self.unit.locals.get(&**name).copied().unwrap_or(NO_REG);
            self.emit_at(TextRange::default(), Op::MakeCell { dst: CELL + at as Reg, src });
        }
    }

    /// Finds names that `del` or a handler unbinds.
    fn note_unsure(&mut self, body: &[Stmt]) {
        use ruff_python_ast::visitor::{self, Visitor};
        struct Finder(Vec<String>);
        impl<'b> Visitor<'b> for Finder {
            fn visit_stmt(&mut self, stmt: &'b Stmt) {
                if !matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
                    visitor::walk_stmt(self, stmt);
                }
            }
            fn visit_expr(&mut self, expr: &'b Expr) {
                if let Expr::Name(name) = expr
                    && name.ctx.is_del()
                {
                    self.0.push(name.id.as_str().to_string());
                }
                visitor::walk_expr(self, expr);
            }
            fn visit_except_handler(&mut self, handler: &'b ruff_python_ast::ExceptHandler) {
                let ruff_python_ast::ExceptHandler::ExceptHandler(h) = handler;
                self.0.extend(h.name.as_ref().map(|n| n.as_str().to_string()));
                visitor::walk_except_handler(self, handler);
            }
        }
        let mut finder = Finder(Vec::new());
        finder.visit_body(body);
        for name in finder.0 {
            let name = self.mangled(&name);
            self.unit.unsure.insert(name);
        }
    }

    /// Emits `MakeFunction`; its four parts stand at `base`.
    fn make_function(
        &mut self,
        scope: ScopeId,
        code: std::sync::Arc<pyc_ir::Code>,
        base: Reg,
    ) -> Result<Reg> {
        let frees = code.frees.clone();
        let code = self.constant(Const::Code(code));
        debug_assert_eq!(base + 3, TEMP + self.mark());
        if frees.is_empty() {
            self.load_const(Const::None);
        } else {
            let first = TEMP + self.mark();
            for name in &frees {
                let cell = self.shared_cell(name)?;
                let dst = self.temp();
                self.emit(Op::Copy { dst, src: cell });
            }
            self.emit(Op::BuildTuple { dst: first, base: first, count: frees.len() as u16 });
        }
        let _ = scope;
        self.reset(base - TEMP);
        let dst = self.temp();
        self.emit(Op::MakeFunction { dst, code, base });
        Ok(dst)
    }

    fn defaults(&mut self, parameters: Option<&'a Parameters>) -> Result {
        let mark = self.mark();
        let positional: Vec<&'a Expr> = parameters.map_or(vec![], |p| {
            p.posonlyargs.iter().chain(&p.args).filter_map(|p| p.default.as_deref()).collect()
        });
        if positional.is_empty() {
            self.load_const(Const::None);
        } else {
            let base = TEMP + mark;
            for value in &positional {
                self.expr_temp(value)?;
            }
            self.reset(mark);
            let dst = self.temp();
            self.emit(Op::BuildTuple { dst, base, count: positional.len() as u16 });
        }
        let mark = self.mark();
        let named: Vec<_> = parameters.map_or(vec![], |p| {
            p.kwonlyargs.iter().filter_map(|p| Some((&p.parameter.name, p.default.as_deref()?))).collect()
        });
        if named.is_empty() {
            self.load_const(Const::None);
        } else {
            let base = TEMP + mark;
            for (name, value) in &named {
                let name = self.mangled(name.as_str());
                self.load_const(Const::Str(name.into()));
                self.expr_temp(value)?;
            }
            self.reset(mark);
            let dst = self.temp();
            self.emit(Op::BuildDict { dst, base, count: named.len() as u16 });
        }
        Ok(())
    }

    fn annotations(&mut self, parameters: &'a Parameters, returns: Option<&'a Expr>) -> Result {
        let mark = self.mark();
        let base = TEMP + mark;
        let mut count = 0u16;
        let ordered = parameters
            .posonlyargs
            .iter()
            .chain(&parameters.args)
            .map(|p| &p.parameter)
            .chain(parameters.vararg.as_deref())
            .chain(parameters.kwonlyargs.iter().map(|p| &p.parameter))
            .chain(parameters.kwarg.as_deref());
        for parameter in ordered {
            if let Some(annotation) = &parameter.annotation {
                let name = self.mangled(parameter.name.as_str());
                self.load_const(Const::Str(name.into()));
                match &**annotation {
                    Expr::Starred(s) if !self.module.future_annotations => {
                        let inner = self.mark();
                        let src = self.expr(&s.value)?;
                        self.reset(inner);
                        let dst = self.temp();
                        self.emit(Op::Unpack { dst, src, count: 1 });
                    }
                    other => {
                        self.annotation(other)?;
                    }
                }
                count += 2;
            }
        }
        if let Some(returns) = returns {
            self.load_const(Const::Str("return".into()));
            self.annotation(returns)?;
            count += 2;
        }
        self.reset(mark);
        if count == 0 {
            self.load_const(Const::None);
        } else {
            let dst = self.temp();
            self.emit(Op::BuildTuple { dst, base, count });
        }
        Ok(())
    }

    fn decorators(&mut self, list: &'a [ruff_python_ast::Decorator]) -> Result<Vec<(Reg, TextRange)>> {
        let mut decorators = Vec::new();
        for decorator in list {
            let reg = self.expr_temp(&decorator.expression)?;
            self.temp();
            decorators.push((reg, decorator.expression.range()));
        }
        Ok(decorators)
    }

    fn apply_decorators(&mut self, decorators: &[(Reg, TextRange)], value: Reg) -> Reg {
        let mut value = value;
        for (base, range) in decorators.iter().rev() {
            let argument = *base + 2;
            if value != argument {
                self.emit(Op::Move { dst: argument, src: value });
            }
            self.unit.most = self.unit.most.max(argument - TEMP + 1);
            self.emit_at(*range, Op::Call { dst: *base, base: *base, count: 1, method: false });
            value = *base;
            self.reset(*base - TEMP + 1);
        }
        value
    }

    pub fn function(&mut self, f: &'a StmtFunctionDef) -> Result {
        let first = f.decorator_list.first().map_or(f.range, |d| d.range);
        // The place of the definition is its first line.
        self.range = TextRange::new(f.name.range.start(), f.name.range.end());
        let decorators = self.decorators(&f.decorator_list)?;
        let value = match &f.type_params {
            None => self.function_object(f, first)?,
            Some(params) => {
                let f2 = f;
                self.generic(params, f, f.name.as_str(), move |this| {
                    let function = this.function_object(f2, first)?;
                    let second = this.load(".type_params", f2.name.range)?;
                    let pair = this.temp();
                    let _ = pair;
                    let base = this.pack(function, second);
                    this.emit(Op::Intrinsic { dst: base, which: Intrinsic::SetTypeParams, base, count: 2 });
                    Ok(base)
                })?
            }
        };
        let value = self.apply_decorators(&decorators, value);
        self.unit.barrier = self.unit.parts.ops.len();
        self.store(f.name.as_str(), value);
        Ok(())
    }

    /// Two registers side by side in fresh temporaries; gives the first.
    fn pack(&mut self, a: Reg, b: Reg) -> Reg {
        let base = self.temp();
        let other = self.temp();
        self.emit(Op::Copy { dst: base, src: a });
        self.emit(Op::Copy { dst: other, src: b });
        base
    }

    fn function_object(&mut self, f: &'a StmtFunctionDef, first: TextRange) -> Result<Reg> {
        let base = TEMP + self.mark();
        self.defaults(Some(&f.parameters))?;
        self.annotations(&f.parameters, f.returns.as_deref())?;
        let scope = self.module.scopes.of(f, 0);
        let name = f.name.as_str();
        let qualname = self.qualname(name);
        let info = self.module.scopes.get(scope);
        let flags = CodeFlags {
            function: true,
            generator: info.generator,
            coroutine: f.is_async,
            nested: self.nested_flag(),
            ..CodeFlags::default()
        };
        let line = self.line(first);
        let range = self.range;
        let code = self.nested(scope, |this| {
            this.begin(name, &qualname, flags, line);
            this.unit.is_async_generator = flags.generator && flags.coroutine;
            if let Some(doc) = this.doc(&f.body) {
                this.constant(doc);
                this.unit.parts.has_doc = true;
            }
            this.note_unsure(&f.body);
            this.parameters(Some(&f.parameters));
            this.statements(&f.body)?;
            this.range = TextRange::default();
            let none = this.load_const(Const::None);
            this.emit(Op::Return { src: none });
            Ok(())
        })?;
        self.range = range;
        self.make_function(scope, code, base)
    }

    pub fn lambda(&mut self, l: &'a ExprLambda) -> Result<Reg> {
        self.range = l.range;
        let base = TEMP + self.mark();
        self.defaults(l.parameters.as_deref())?;
        self.load_const(Const::None);
        let scope = self.module.scopes.of(l, 0);
        let qualname = self.qualname("<lambda>");
        let info = self.module.scopes.get(scope);
        let flags = CodeFlags {
            function: true,
            generator: info.generator,
            nested: self.nested_flag(),
            ..CodeFlags::default()
        };
        let line = self.line(l.range);
        let code = self.nested(scope, |this| {
            this.begin("<lambda>", &qualname, flags, line);
            this.parameters(l.parameters.as_deref());
            let value = this.expr(&l.body)?;
            this.range = l.body.range();
            this.emit(Op::Return { src: value });
            Ok(())
        })?;
        self.make_function(scope, code, base)
    }

    /// A function without parameters that evaluates an expression when called.
    fn lazy(&mut self, scope: ScopeId, name: &str, expr: &'a Expr) -> Result<Reg> {
        let base = TEMP + self.mark();
        for _ in 0..3 {
            self.load_const(Const::None);
        }
        let qualname = self.qualname(name);
        let flags = CodeFlags { function: true, nested: self.nested_flag(), ..CodeFlags::default() };
        let line = self.line(expr.range());
        let code = self.nested(scope, |this| {
            this.begin(name, &qualname, flags, line);
            this.make_cells();
            let value = this.expr(expr)?;
            this.emit(Op::Return { src: value });
            Ok(())
        })?;
        self.make_function(scope, code, base)
    }

    /// Runs `body` in a function of its own in which the type parameters are bound; gives its result.
    fn generic<T>(
        &mut self,
        params: &'a TypeParams,
        node: &T,
        name: &str,
        body: impl FnOnce(&mut Self) -> Result<Reg>,
    ) -> Result<Reg> {
        let base = TEMP + self.mark();
        self.temp();
        self.temp();
        self.reset(base - TEMP);
        for _ in 0..3 {
            self.load_const(Const::None);
        }
        let scope = self.module.scopes.of(node, 1);
        let flags = CodeFlags { function: true, nested: self.nested_flag(), ..CodeFlags::default() };
        let line = self.line(params.range);
        let mut qualname = self.qualname(name);
        qualname.truncate(qualname.len() - name.len());
        let qualname = qualname.trim_end_matches('.').to_string();
        let code = self.nested(scope, |this| {
            this.begin("<generic parameters>", &qualname, flags, line);
            this.make_cells();
            this.range = params.range;
            let base = TEMP + this.mark();
            for param in &params.type_params {
                let (name, bound, which) = match param {
                    TypeParam::TypeVar(p) => (
                        &p.name,
                        p.bound.as_deref(),
                        if p.bound.is_some() { Intrinsic::TypeVarBound } else { Intrinsic::TypeVar },
                    ),
                    TypeParam::TypeVarTuple(p) => (&p.name, None, Intrinsic::TypeVarTuple),
                    TypeParam::ParamSpec(p) => (&p.name, None, Intrinsic::ParamSpec),
                };
                let first = this.load_const(Const::Str(name.as_str().into()));
                let mut count = 1;
                if let Some(bound) = bound {
                    let scope = this.module.scopes.of(bound, 2);
                    let text = name.as_str().to_string();
                    this.lazy(scope, &text, bound)?;
                    let flag = Const::Bool(matches!(bound, Expr::Tuple(_)));
                    this.load_const(flag);
                    count = 3;
                }
                this.emit(Op::Intrinsic { dst: first, which, base: first, count });
                this.reset(first - TEMP + 1);
                let copy = this.temp();
                this.emit(Op::Copy { dst: copy, src: first });
                this.unit.barrier = this.unit.parts.ops.len();
                this.store(name.as_str(), copy);
                this.reset(first - TEMP + 1);
            }
            this.reset(base - TEMP);
            let tuple = this.temp();
            this.emit(Op::BuildTuple { dst: tuple, base, count: params.type_params.len() as u16 });
            this.unit.barrier = this.unit.parts.ops.len();
            this.store(".type_params", tuple);
            this.reset(base - TEMP);
            let value = body(this)?;
            this.emit(Op::Return { src: value });
            Ok(())
        })?;
        let callee = self.make_function(scope, code, base)?;
        self.emit(Op::Call { dst: callee, base: callee, count: 0, method: false });
        self.unit.most = self.unit.most.max(callee - TEMP + 2);
        Ok(callee)
    }

    pub fn type_alias(&mut self, t: &'a StmtTypeAlias) -> Result {
        let Expr::Name(name) = &*t.name else { return self.fail(t.range, "invalid syntax") };
        let scope = self.module.scopes.of(t, 0);
        let text = name.id.as_str();
        let make = move |this: &mut Self, generic: bool| -> Result<Reg> {
            let base = this.load_const(Const::Str(text.into()));
            if generic {
                let params = this.load(".type_params", t.range)?;
                if params < TEMP {
                    let dst = this.temp();
                    this.emit(Op::Copy { dst, src: params });
                }
            } else {
                this.load_const(Const::None);
            }
            this.lazy(scope, text, &t.value)?;
            this.emit(Op::Intrinsic { dst: base, which: Intrinsic::TypeAlias, base, count: 3 });
            this.reset(base - TEMP + 1);
            Ok(base)
        };
        let value = match &t.type_params {
            None => make(self, false)?,
            Some(params) => self.generic(params, t, text, |this| make(this, true))?,
        };
        self.unit.barrier = self.unit.parts.ops.len();
        self.store(text, value);
        Ok(())
    }

    pub fn class(&mut self, c: &'a StmtClassDef) -> Result {
        let first = c.decorator_list.first().map_or(c.range, |d| d.range);
        self.range = c.name.range;
        let decorators = self.decorators(&c.decorator_list)?;
        let value = match &c.type_params {
            None => self.class_object(c, first, false)?,
            Some(params) => {
                self.generic(params, c, c.name.as_str(), |this| this.class_object(c, first, true))?
            }
        };
        let value = self.apply_decorators(&decorators, value);
        self.unit.barrier = self.unit.parts.ops.len();
        self.store(c.name.as_str(), value);
        Ok(())
    }

    fn class_object(&mut self, c: &'a StmtClassDef, first: TextRange, generic: bool) -> Result<Reg> {
        let mark = self.mark();
        let name = c.name.as_str();
        let scope = self.module.scopes.of(c, 0);
        let qualname = self.qualname(name);
        let flags = CodeFlags { nested: self.nested_flag(), ..CodeFlags::default() };
        let line = self.line(first);
        if generic {
            // `Generic[T, ...]`, bound before the bases are evaluated.
            let params = self.load(".type_params", c.name.range)?;
            let base = if params < TEMP {
                let dst = self.temp();
                self.emit(Op::Copy { dst, src: params });
                dst
            } else {
                params
            };
            self.emit(Op::Intrinsic { dst: base, which: Intrinsic::SubscriptGeneric, base, count: 1 });
            self.unit.barrier = self.unit.parts.ops.len();
            self.store(".generic_base", base);
            self.reset(mark);
        }
        let callee = self.temp();
        self.temp();
        self.emit(Op::LoadBuildClass { dst: callee });
        let base = TEMP + self.mark();
        for _ in 0..3 {
            self.load_const(Const::None);
        }
        let code = self.nested(scope, |this| {
            this.begin(name, &qualname, flags, line);
            this.make_cells();
            this.range = TextRange::default();
            let src = this.load("__name__", TextRange::default())?;
            let index = this.name("__module__");
            this.emit(Op::StoreName { name: index, src });
            this.reset(0);
            let src = this.load_const(Const::Str(qualname.as_str().into()));
            let index = this.name("__qualname__");
            this.emit(Op::StoreName { name: index, src });
            this.reset(0);
            this.doc_name(&c.body);
            if generic {
                let src = this.load(".type_params", TextRange::default())?;
                let index = this.name("__type_params__");
                this.emit(Op::StoreName { name: index, src });
                this.reset(0);
            }
            if this.annotated(&c.body) {
                this.emit(Op::SetupAnnotations {});
            }
            this.statements(&c.body)?;
            this.range = TextRange::default();
            let at = this.unit.parts.cells.iter().position(|n| &**n == "__class__");
            let result = match at {
                Some(at) if this.module.scopes.get(scope).needs_class_cell => {
                    let (copy, second) = (this.temp(), this.temp());
                    this.emit(Op::Copy { dst: copy, src: CELL + at as Reg });
                    this.emit(Op::Copy { dst: second, src: CELL + at as Reg });
                    let index = this.name("__classcell__");
                    this.emit(Op::StoreName { name: index, src: second });
                    copy
                }
                _ => this.load_const(Const::None),
            };
            this.emit(Op::Return { src: result });
            Ok(())
        })?;
        self.make_function(scope, code, base)?;
        self.load_const(Const::Str(name.into()));
        let Some(arguments) = c.arguments.as_deref() else {
            let mut count = 2;
            if generic {
                let reg = self.load(".generic_base", c.name.range)?;
                if reg < TEMP {
                    let dst = self.temp();
                    self.emit(Op::Copy { dst, src: reg });
                }
                count = 3;
            }
            self.reset(mark);
            let dst = self.temp();
            self.emit(Op::Call { dst, base: callee, count, method: false });
            return Ok(dst);
        };
        // Always through a list: bases may be starred, keywords doubled.
        let list = TEMP + mark + 2;
        self.emit(Op::BuildList { dst: list, base: list, count: 2 });
        self.reset(mark + 3);
        for arg in &arguments.args {
            match arg {
                Expr::Starred(s) => {
                    let src = self.expr(&s.value)?;
                    self.emit(Op::ListExtend { list, src });
                }
                other => {
                    let src = self.expr(other)?;
                    self.emit(Op::ListAppend { list, src });
                }
            }
            self.reset(mark + 3);
        }
        if generic {
            let src = self.load(".generic_base", c.name.range)?;
            self.emit(Op::ListAppend { list, src });
            self.reset(mark + 3);
        }
        self.emit(Op::ListToTuple { dst: list, src: list });
        let named = self.temp();
        self.emit(Op::BuildDict { dst: named, base: named, count: 0 });
        for keyword in &arguments.keywords {
            let inside = self.mark();
            match &keyword.arg {
                Some(name) => {
                    let key = self.load_const(Const::Str(name.as_str().into()));
                    self.expr_temp(&keyword.value)?;
                    self.emit(Op::BuildDict { dst: key, base: key, count: 1 });
                    self.emit(Op::DictMerge { dict: named, src: key, callee });
                }
                None => {
                    let src = self.expr(&keyword.value)?;
                    self.emit(Op::DictMerge { dict: named, src, callee });
                }
            }
            self.reset(inside);
        }
        self.reset(mark);
        let dst = self.temp();
        self.emit(Op::CallEx { dst, base: callee, method: false });
        Ok(dst)
    }

    pub fn generator_expression(&mut self, g: &'a ExprGenerator) -> Result<Reg> {
        self.range = g.range;
        let mark = self.mark();
        let base = TEMP + mark;
        for _ in 0..3 {
            self.load_const(Const::None);
        }
        let scope = self.module.scopes.of(g, 0);
        let qualname = self.qualname("<genexpr>");
        let info = self.module.scopes.get(scope);
        let first_async = g.generators[0].is_async;
        let flags = CodeFlags {
            function: true,
            generator: true,
            coroutine: info.coroutine || first_async,
            nested: self.nested_flag(),
            ..CodeFlags::default()
        };
        let line = self.line(g.range);
        let code = self.nested(scope, |this| {
            this.begin("<genexpr>", &qualname, flags, line);
            this.unit.is_async_generator = flags.coroutine;
            let argument = this.local(".0");
            this.unit.parts.argcount = 1;
            if let Some(bound) = &mut this.unit.bound {
                bound.insert(argument);
            }
            this.make_cells();
            let iter = this.temp();
            this.emit(Op::Move { dst: iter, src: argument });
            this.emit(Op::Drop { reg: argument });
            this.clauses(&g.generators, 0, Some(iter), &mut |this| {
                let mark = this.mark();
                let src = this.expr(&g.elt)?;
                this.reset(mark);
                let dst = this.temp();
                this.unit.most = this.unit.most.max(this.unit.top + 1);
                this.range = g.elt.range();
                let op = if this.unit.is_async_generator {
                    Op::YieldAsync { dst, src }
                } else {
                    Op::Yield { dst, src, delegate: NO_REG }
                };
                this.emit(op);
                this.emit(Op::Drop { reg: dst });
                this.reset(mark);
                Ok(())
            })?;
            this.range = TextRange::default();
            let none = this.load_const(Const::None);
            this.emit(Op::Return { src: none });
            Ok(())
        })?;
        let callee = self.make_function(scope, code, base)?;
        self.reset(mark + 2);
        let src = self.expr(&g.generators[0].iter)?;
        self.reset(mark + 2);
        let dst = self.temp();
        self.range = g.generators[0].iter.range();
        self.emit(if first_async { Op::GetAsyncIter { dst, src } } else { Op::GetIter { dst, src } });
        self.range = g.range;
        self.reset(mark);
        let result = self.temp();
        self.emit(Op::Call { dst: result, base: callee, count: 1, method: false });
        Ok(result)
    }

    /// The loops of a comprehension around `body`; the first iterator may already be in a register.
    fn clauses(
        &mut self,
        generators: &'a [Comprehension],
        at: usize,
        first: Option<Reg>,
        body: &mut dyn FnMut(&mut Self) -> Result,
    ) -> Result {
        let Some(clause) = generators.get(at) else { return body(self) };
        let mark = self.mark();
        let iter = match first {
            Some(iter) => iter,
            None => {
                let src = self.expr(&clause.iter)?;
                self.reset(mark);
                let iter = self.temp();
                self.range = clause.iter.range();
                self.emit(if clause.is_async {
                    Op::GetAsyncIter { dst: iter, src }
                } else {
                    Op::GetIter { dst: iter, src }
                });
                iter
            }
        };
        let height = self.mark();
        let (next, end) = (self.label(), self.label());
        self.place(next);
        self.range = clause.iter.range();
        let mut guard = None;
        let item = if clause.is_async {
            let g = self.guard();
            let item = self.async_item(iter);
            self.close_guard(g);
            guard = Some(g);
            item
        } else {
            let item = self.temp();
            self.emit(Op::ForIter { dst: item, iter, target: end });
            item
        };
        self.unit.barrier = self.unit.parts.ops.len();
        self.range = clause.target.range();
        if let (Expr::Name(name), None) = (&clause.target, guard)
            && let crate::names::Where::Local(reg) = {
                let n = self.mangled(name.id.as_str());
                self.find(&n)
            }
        {
            if let Some(Op::ForIter { dst, .. }) = self.unit.parts.ops.last_mut() {
                *dst = reg;
            }
            if let Some(bound) = &mut self.unit.bound {
                bound.insert(reg);
            }
        } else {
            self.assign(&clause.target, item)?;
        }
        self.reset(height);
        for test in &clause.ifs {
            self.jump_unless(test, next)?;
        }
        self.clauses(generators, at + 1, None, body)?;
        self.reset(height);
        self.range = clause.iter.range();
        self.emit(Op::Jump { target: next });
        if let Some(guard) = guard {
            self.end_async(guard, iter);
        }
        self.place(end);
        self.reset(mark);
        Ok(())
    }

    /// A list (0), set (1) or dict (2) comprehension, inlined.
    pub fn comprehension<T>(
        &mut self,
        node: &T,
        generators: &'a [Comprehension],
        range: TextRange,
        kind: u8,
        key: Option<&'a Expr>,
        value: &'a Expr,
    ) -> Result<Reg> {
        let mark = self.mark();
        // The first iterable is evaluated outside; the container stands below the iterator.
        let container = self.temp();
        let src = self.expr(&generators[0].iter)?;
        self.reset(mark + 1);
        let iter = self.temp();
        self.range = generators[0].iter.range();
        self.emit(if generators[0].is_async {
            Op::GetAsyncIter { dst: iter, src }
        } else {
            Op::GetIter { dst: iter, src }
        });
        self.range = range;
        self.emit(match kind {
            0 => Op::BuildList { dst: container, base: container, count: 0 },
            1 => Op::BuildSet { dst: container, base: container, count: 0 },
            _ => Op::BuildDict { dst: container, base: container, count: 0 },
        });
        let scope = self.module.scopes.of(node, 0);
        let outer = std::mem::replace(&mut self.scope, scope);
        let state = self.unit.bound.clone();
        let mut own = Vec::new();
        for name in &self.module.scopes.get(scope).order {
            let place = self.module.scopes.get(scope).place(name);
            if matches!(place, Place::Local | Place::Cell) {
                let key = (scope, name.clone());
                let reg = match self.unit.inner.get(&key) {
                    Some(reg) => *reg,
                    None => {
                        let reg = self.hidden(name);
                        self.unit.inner.insert(key, reg);
                        reg
                    }
                };
                if place == Place::Cell {
                    self.emit(Op::MakeCell { dst: reg, src: NO_REG });
                }
                own.push(reg);
            }
        }
        let result = self.clauses(generators, 0, Some(iter), &mut |this| {
            let mark = this.mark();
            match key {
                None => {
                    let src = this.expr(value)?;
                    this.range = value.range();
                    this.emit(if kind == 0 {
                        Op::ListAppend { list: container, src }
                    } else {
                        Op::SetAdd { set: container, src }
                    });
                }
                Some(key) => {
                    let key = this.expr_temp(key)?;
                    let src = this.expr_temp(value)?;
                    this.emit(Op::DictSet { dict: container, key, src });
                }
            }
            this.reset(mark);
            Ok(())
        });
        self.scope = outer;
        result?;
        for reg in own {
            self.emit(Op::Const { dst: reg, value: 0 });
            self.unit.parts.ops.pop();
            self.unit.parts.positions.pop();
            self.emit_clear(reg);
        }
        self.unit.bound = state;
        self.reset(mark + 1);
        Ok(container)
    }

    /// Empties a hidden local.
    pub fn emit_clear(&mut self, reg: Reg) {
        self.emit_at(TextRange::default(), Op::Drop { reg });
    }
}
