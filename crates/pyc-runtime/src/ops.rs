//! Operators and protocols over any values: truth, text, hash, comparison, arithmetic, items, iteration.

use pyc_ir::{BinaryOp, CompareOp, UnaryOp};

use crate::containers::{DictData, ListData, SetData, SliceData, TupleData};
use crate::dict::quick_equal;
use crate::function::NativeData;
use crate::object::{Kind, Value};
use crate::str::Str;
use crate::types::{Type, flag};
use crate::vm::{Args, PyResult, Raised, Vm};

impl Vm {
    /// Truth.
    ///
    /// # Errors
    /// What `__bool__` and `__len__` raise.
    #[inline]
    pub fn truth(&self, value: &Value) -> PyResult<bool> {
        if let Some(b) = value.as_bool() {
            return Ok(b);
        }
        if let Some(n) = value.as_small() {
            return Ok(n != 0);
        }
        if value.is_none() {
            return Ok(false);
        }
        if value.is_exact() {
            match value.kind() {
                Kind::Str => return Ok(value.get::<Str>().is_some_and(|s| !s.is_empty())),
                Kind::List => return Ok(value.get::<ListData>().is_some_and(|l| !l.borrow().is_empty())),
                Kind::Dict => return Ok(value.get::<DictData>().is_some_and(|d| !d.borrow().is_empty())),
                Kind::Tuple => return Ok(value.get::<TupleData>().is_some_and(|t| !t.items().is_empty())),
                Kind::Float => return Ok(value.get::<f64>().is_some_and(|f| *f != 0.0)),
                Kind::Function | Kind::Native | Kind::Method | Kind::Exception | Kind::Module => {
                    return Ok(true);
                }
                _ => {}
            }
        }
        self.truth_slow(value)
    }

    fn truth_slow(&self, value: &Value) -> PyResult<bool> {
        if let Some(result) = self.call_special(value, &self.names.__bool__, &[])? {
            return result.as_bool().ok_or_else(|| {
                self.type_error(format!("__bool__ should return bool, returned {}", self.type_name(&result)))
            });
        }
        if self.special(value, &self.names.__len__).is_some() {
            return Ok(self.len(value)? != 0);
        }
        Ok(true)
    }

    /// `len()`.
    ///
    /// # Errors
    /// TypeError, and what `__len__` raises.
    pub fn len(&self, value: &Value) -> PyResult<usize> {
        if value.is_exact() {
            match value.kind() {
                Kind::List => return Ok(value.get::<ListData>().map_or(0, |l| l.borrow().len())),
                Kind::Tuple => return Ok(value.get::<TupleData>().map_or(0, |l| l.items().len())),
                Kind::Str => return Ok(value.get::<Str>().map_or(0, Str::len)),
                Kind::Dict => return Ok(value.get::<DictData>().map_or(0, |d| d.borrow().len())),
                Kind::Set => return Ok(value.get::<SetData>().map_or(0, |s| s.table.borrow().len())),
                _ => {}
            }
        }
        let Some(result) = self.call_special(value, &self.names.__len__, &[])? else {
            return Err(self.type_error(format!("object of type '{}' has no len()", self.type_name(value))));
        };
        let n = self.index(&result)?;
        if n < 0 {
            return Err(self.value_error("__len__() should return >= 0"));
        }
        Ok(n as usize)
    }

    /// `repr()` as an object.
    ///
    /// # Errors
    /// What `__repr__` raises.
    pub fn repr(&self, value: &Value) -> PyResult {
        self.check_stack()?;
        let result = match self.special(value, &self.names.__repr__) {
            Some(method) => self.call_with_self(&method, value, &[])?,
            None => return Err(self.type_error("no __repr__")),
        };
        if result.kind() != Kind::Str {
            return Err(
                self.type_error(format!("__repr__ returned non-string (type {})", self.type_name(&result)))
            );
        }
        Ok(result)
    }

    /// `repr()` as Rust text.
    ///
    /// # Errors
    /// As [`Vm::repr`].
    pub fn repr_text(&self, value: &Value) -> PyResult<String> {
        self.repr(value).map(|r| r.get::<Str>().map(Str::to_lossy).unwrap_or_default())
    }

    /// `str()` as an object.
    ///
    /// # Errors
    /// What `__str__` raises.
    pub fn to_str(&self, value: &Value) -> PyResult {
        if value.kind() == Kind::Str && value.is_exact() {
            return Ok(value.clone());
        }
        if let Some(n) = value.as_small() {
            return Ok(self.str(&n.to_string()));
        }
        let Some(method) = self.special(value, &self.names.__str__) else { return self.repr(value) };
        self.check_stack()?;
        let plain = matches!(method.get::<NativeData>(), Some(n) if n.owner.is(&self.types.object));
        let result = match self.special(value, &self.names.__repr__) {
            Some(repr) if plain => self.call_with_self(&repr, value, &[])?,
            _ => self.call_with_self(&method, value, &[])?,
        };
        if result.kind() != Kind::Str {
            return Err(
                self.type_error(format!("__str__ returned non-string (type {})", self.type_name(&result)))
            );
        }
        Ok(result)
    }

    /// `str()` as Rust text.
    ///
    /// # Errors
    /// As [`Vm::to_str`].
    pub fn str_text(&self, value: &Value) -> PyResult<String> {
        self.to_str(value).map(|r| r.get::<Str>().map(Str::to_lossy).unwrap_or_default())
    }

    /// `hash()`.
    ///
    /// # Errors
    /// TypeError for unhashable values, and what `__hash__` raises.
    #[inline]
    pub fn hash(&self, value: &Value) -> PyResult<i64> {
        if let Some(n) = value.as_small() {
            return Ok(crate::numbers::hash_small(n));
        }
        if value.kind() == Kind::Str && value.is_exact() {
            return Ok(value.get::<Str>().map_or(0, Str::hash) as i64);
        }
        if let Some(tuple) = value.exact::<TupleData>() {
            return self.hash_items(tuple.items());
        }
        self.hash_slow(value)
    }

    fn hash_slow(&self, value: &Value) -> PyResult<i64> {
        if let Some(b) = value.as_bool() {
            return Ok(i64::from(b));
        }
        if value.is_none() {
            return Ok(0xfca8_6420);
        }
        match self.special(value, &self.names.__hash__) {
            Some(method) if !method.is_none() => {
                let result = self.call_with_self(&method, value, &[])?;
                let number = if self.is_int(&result) { self.as_i64(&result) } else { None };
                match number {
                    Some(n) if n != -1 => Ok(n),
                    Some(_) => Ok(-2),
                    None => match self.big_int(&result) {
                        Some(big) => Ok(crate::numbers::hash_big(&big)),
                        None => Err(self.type_error("__hash__ method should return an integer")),
                    },
                }
            }
            _ => Err(self.type_error(format!("unhashable type: '{}'", self.type_name(value)))),
        }
    }

    /// `a == b` as truth; identical objects are equal.
    ///
    /// # Errors
    /// What `__eq__` raises.
    #[inline]
    pub fn equal(&self, a: &Value, b: &Value) -> PyResult<bool> {
        match quick_equal(a, b) {
            Some(answer) => Ok(answer),
            None => {
                let result = self.compare(CompareOp::Eq, a, b)?;
                self.truth(&result)
            }
        }
    }

    /// A rich comparison.
    ///
    /// # Errors
    /// TypeError when the values have no order, and what the methods raise.
    pub fn compare(&self, op: CompareOp, a: &Value, b: &Value) -> PyResult {
        if let Some((x, y)) = a.both_small(b) {
            return Ok(Value::from_bool(compare_with(op, x.cmp(&y))));
        }
        if let (Some(x), Some(y)) = (a.exact::<f64>(), b.exact::<f64>()) {
            return Ok(Value::from_bool(compare_floats(op, *x, *y)));
        }
        if let (Some(x), Some(y)) = (a.exact::<Str>(), b.exact::<Str>()) {
            return Ok(Value::from_bool(match op {
                CompareOp::Eq => x.same(y),
                CompareOp::Ne => !x.same(y),
                _ => compare_with(op, x.compare(y)),
            }));
        }
        self.check_stack()?;
        if let (Some(x), Some(y)) = (a.exact::<TupleData>(), b.exact::<TupleData>()) {
            return self.compare_items(op, x.items(), y.items());
        }
        let n = &self.names;
        let (name, reflected) = match op {
            CompareOp::Lt => (&n.__lt__, &n.__gt__),
            CompareOp::Le => (&n.__le__, &n.__ge__),
            CompareOp::Eq => (&n.__eq__, &n.__eq__),
            CompareOp::Ne => (&n.__ne__, &n.__ne__),
            CompareOp::Gt => (&n.__gt__, &n.__lt__),
            CompareOp::Ge => (&n.__ge__, &n.__le__),
        };
        let (ta, tb) = (self.type_of(a), self.type_of(b));
        let mut tried = false;
        if !ta.is(tb) && self.is_subtype(tb, ta) {
            tried = true;
            if let Some(result) = self.call_special(b, reflected, std::slice::from_ref(a))?
                && !result.is(&Value::NOT_IMPLEMENTED)
            {
                return Ok(result);
            }
        }
        if let Some(result) = self.call_special(a, name, std::slice::from_ref(b))?
            && !result.is(&Value::NOT_IMPLEMENTED)
        {
            return Ok(result);
        }
        if !tried
            && let Some(result) = self.call_special(b, reflected, std::slice::from_ref(a))?
            && !result.is(&Value::NOT_IMPLEMENTED)
        {
            return Ok(result);
        }
        match op {
            CompareOp::Eq => Ok(Value::from_bool(a.is(b))),
            CompareOp::Ne => Ok(Value::from_bool(!a.is(b))),
            _ => Err(self.type_error(format!(
                "'{}' not supported between instances of '{}' and '{}'",
                op.word(),
                self.type_name(a),
                self.type_name(b)
            ))),
        }
    }

    /// A comparison as truth.
    ///
    /// # Errors
    /// As [`Vm::compare`].
    pub fn compare_true(&self, op: CompareOp, a: &Value, b: &Value) -> PyResult<bool> {
        let result = self.compare(op, a, b)?;
        self.truth(&result)
    }

    fn binary_names(&self, op: BinaryOp) -> (&Value, &Value, &Value) {
        let n = &self.names;
        match op {
            BinaryOp::Add => (&n.__add__, &n.__radd__, &n.__iadd__),
            BinaryOp::Sub => (&n.__sub__, &n.__rsub__, &n.__isub__),
            BinaryOp::Mul => (&n.__mul__, &n.__rmul__, &n.__imul__),
            BinaryOp::Div => (&n.__truediv__, &n.__rtruediv__, &n.__itruediv__),
            BinaryOp::FloorDiv => (&n.__floordiv__, &n.__rfloordiv__, &n.__ifloordiv__),
            BinaryOp::Mod => (&n.__mod__, &n.__rmod__, &n.__imod__),
            BinaryOp::Pow => (&n.__pow__, &n.__rpow__, &n.__ipow__),
            BinaryOp::MatMul => (&n.__matmul__, &n.__rmatmul__, &n.__imatmul__),
            BinaryOp::LShift => (&n.__lshift__, &n.__rlshift__, &n.__ilshift__),
            BinaryOp::RShift => (&n.__rshift__, &n.__rrshift__, &n.__irshift__),
            BinaryOp::And => (&n.__and__, &n.__rand__, &n.__iand__),
            BinaryOp::Or => (&n.__or__, &n.__ror__, &n.__ior__),
            BinaryOp::Xor => (&n.__xor__, &n.__rxor__, &n.__ixor__),
        }
    }

    /// A binary operator.
    ///
    /// # Errors
    /// TypeError for unsupported operands, and what the methods raise.
    pub fn binary(&self, op: BinaryOp, a: &Value, b: &Value) -> PyResult {
        if let Some(result) = crate::numbers::quick_binary(self, op, a, b) {
            return result;
        }
        if op == BinaryOp::Add
            && let (Some(x), Some(y)) = (a.exact::<Str>(), b.exact::<Str>())
        {
            self.check_alloc(x.len() + y.len(), 1)?;
            return Ok(self.new_str(Str::join(&[x, y])));
        }
        let (name, reflected, _) = self.binary_names(op);
        match self.binary_methods(name, reflected, a, b)? {
            Some(result) => Ok(result),
            None => Err(self.operand_error(op, a, b, false)),
        }
    }

    /// Tries the two methods of a binary operation in the right order; nothing when neither does it.
    ///
    /// # Errors
    /// What the methods raise.
    pub fn binary_methods(
        &self,
        name: &Value,
        reflected: &Value,
        a: &Value,
        b: &Value,
    ) -> PyResult<Option<Value>> {
        self.check_stack()?;
        let (ta, tb) = (self.type_of(a), self.type_of(b));
        let same = ta.is(tb);
        let left = self.lookup(ta, name);
        let right = if same { None } else { self.lookup(tb, reflected) };
        let mut right_tried = false;
        if let Some(right) = &right
            && self.is_subtype(tb, ta)
            && !self.lookup(ta, reflected).is_some_and(|own| own.is(right))
        {
            right_tried = true;
            let result = self.call_with_self(right, b, std::slice::from_ref(a))?;
            if !result.is(&Value::NOT_IMPLEMENTED) {
                return Ok(Some(result));
            }
        }
        if let Some(left) = left {
            let result = self.call_with_self(&left, a, std::slice::from_ref(b))?;
            if !result.is(&Value::NOT_IMPLEMENTED) {
                return Ok(Some(result));
            }
        }
        if let Some(right) = right
            && !right_tried
        {
            let result = self.call_with_self(&right, b, std::slice::from_ref(a))?;
            if !result.is(&Value::NOT_IMPLEMENTED) {
                return Ok(Some(result));
            }
        }
        Ok(None)
    }

    #[cold]
    fn operand_error(&self, op: BinaryOp, a: &Value, b: &Value, in_place: bool) -> Raised {
        let (ta, tb) = (self.type_name(a), self.type_name(b));
        let sequence = |v: &Value| {
            matches!(v.kind(), Kind::Str | Kind::List | Kind::Tuple | Kind::Bytes | Kind::ByteArray)
        };
        if op == BinaryOp::Add && sequence(a) {
            return self.type_error(match a.kind() {
                Kind::Str => format!("can only concatenate str (not \"{tb}\") to str"),
                Kind::List => format!("can only concatenate list (not \"{tb}\") to list"),
                Kind::Tuple => format!("can only concatenate tuple (not \"{tb}\") to tuple"),
                _ => format!("can't concat {tb} to {ta}"),
            });
        }
        if !in_place || !sequence(a) {
            if op == BinaryOp::Mul && sequence(a) && self.special(b, &self.names.__index__).is_none() {
                return self.type_error(format!("can't multiply sequence by non-int of type '{tb}'"));
            }
            if op == BinaryOp::Mul && sequence(b) && self.special(a, &self.names.__index__).is_none() {
                return self.type_error(format!("can't multiply sequence by non-int of type '{ta}'"));
            }
        }
        let word = match (op, in_place) {
            (BinaryOp::Pow, false) => "** or pow()".to_string(),
            (op, false) => op.word().to_string(),
            (op, true) => format!("{}=", op.word()),
        };
        let hint = if op == BinaryOp::RShift
            && a.kind() == Kind::Native
            && a.get::<NativeData>().is_some_and(|n| n.name == "print")
        {
            ". Did you mean \"print(<message>, file=<output_stream>)\"?"
        } else {
            ""
        };
        self.type_error(format!("unsupported operand type(s) for {word}: '{ta}' and '{tb}'{hint}"))
    }

    /// Augmented assignment's operator.
    ///
    /// # Errors
    /// As [`Vm::binary`].
    pub fn in_place(&self, op: BinaryOp, a: &Value, b: &Value) -> PyResult {
        if let Some(result) = crate::numbers::quick_binary(self, op, a, b) {
            return result;
        }
        if op == BinaryOp::Add
            && let (Some(x), Some(y)) = (a.exact::<Str>(), b.exact::<Str>())
        {
            self.check_alloc(x.len() + y.len(), 1)?;
            return Ok(self.new_str(Str::join(&[x, y])));
        }
        let (name, reflected, own) = self.binary_names(op);
        if let Some(result) = self.call_special(a, own, std::slice::from_ref(b))?
            && !result.is(&Value::NOT_IMPLEMENTED)
        {
            return Ok(result);
        }
        match self.binary_methods(name, reflected, a, b)? {
            Some(result) => Ok(result),
            None => Err(self.operand_error(op, a, b, true)),
        }
    }

    /// A unary operator.
    ///
    /// # Errors
    /// As [`Vm::binary`].
    pub fn unary(&self, op: UnaryOp, a: &Value) -> PyResult {
        if let Some(n) = a.as_small() {
            return Ok(self.int(match op {
                UnaryOp::Neg => -n,
                UnaryOp::Pos => n,
                UnaryOp::Invert => !n,
            }));
        }
        if let Some(f) = a.exact::<f64>()
            && op == UnaryOp::Neg
        {
            return Ok(self.float(-f));
        }
        let name = match op {
            UnaryOp::Neg => &self.names.__neg__,
            UnaryOp::Pos => &self.names.__pos__,
            UnaryOp::Invert => &self.names.__invert__,
        };
        match self.call_special(a, name, &[])? {
            Some(result) => Ok(result),
            None => Err(self.type_error(format!(
                "bad operand type for unary {}: '{}'",
                op.word(),
                self.type_name(a)
            ))),
        }
    }

    /// `__index__` as a machine integer.
    ///
    /// # Errors
    /// TypeError, and OverflowError when it does not fit.
    #[inline]
    pub fn index(&self, value: &Value) -> PyResult<i64> {
        if let Some(n) = value.as_small() {
            return Ok(n);
        }
        let n = self.index_value(value)?;
        self.as_i64(&n).ok_or_else(|| self.overflow_error(self.unfit(value)))
    }

    fn unfit(&self, value: &Value) -> String {
        format!("cannot fit '{}' into an index-sized integer", self.type_name(value))
    }

    /// As [`Vm::index`], for subscripts.
    ///
    /// # Errors
    /// TypeError, and IndexError when it does not fit.
    pub fn item_index(&self, value: &Value) -> PyResult<i64> {
        if let Some(n) = value.as_small() {
            return Ok(n);
        }
        let n = self.index_value(value)?;
        self.as_i64(&n).ok_or_else(|| self.index_error(self.unfit(value)))
    }

    /// `__index__` as an int object.
    ///
    /// # Errors
    /// TypeError.
    pub fn index_value(&self, value: &Value) -> PyResult {
        if self.is_int(value) {
            return Ok(value.clone());
        }
        match self.call_special(value, &self.names.__index__, &[])? {
            Some(n) if self.is_int(&n) => Ok(n),
            Some(n) => {
                Err(self.type_error(format!("__index__ returned non-int (type {})", self.type_name(&n))))
            }
            None => Err(self.type_error(format!(
                "'{}' object cannot be interpreted as an integer",
                self.type_name(value)
            ))),
        }
    }

    /// As [`Vm::index`], clamped to the range of machine integers.
    ///
    /// # Errors
    /// TypeError.
    pub fn index_clamped(&self, value: &Value) -> PyResult<i64> {
        if let Some(n) = value.as_small() {
            return Ok(n);
        }
        let n = self.index_value(value)?;
        Ok(self.as_i64(&n).unwrap_or_else(|| {
            if self.big_int(&n).is_some_and(|b| b.sign() == num_bigint::Sign::Minus) {
                i64::MIN
            } else {
                i64::MAX
            }
        }))
    }

    /// `obj[key]`.
    ///
    /// # Errors
    /// What `__getitem__` raises; TypeError without one.
    pub fn get_item(&self, obj: &Value, key: &Value) -> PyResult {
        if let Some(dict) = obj.exact::<DictData>() {
            return match dict.get(self, key)? {
                Some(value) => Ok(value),
                None => Err(self.key_error(key)),
            };
        }
        if let (Some(list), Some(i)) = (obj.exact::<ListData>(), key.as_small()) {
            let items = list.borrow();
            let at = if i < 0 { i + items.len() as i64 } else { i };
            return match items.get(at as usize) {
                Some(item) if at >= 0 => Ok(item.clone()),
                _ => {
                    drop(items);
                    Err(self.index_error("list index out of range"))
                }
            };
        }
        if let Some(slice) = key.get::<SliceData>()
            && let Some(part) = self.part(obj, slice)
        {
            return part;
        }
        match self.special(obj, &self.names.__getitem__) {
            Some(method) => {
                self.check_stack()?;
                self.call_with_self(&method, obj, std::slice::from_ref(key))
            }
            None => {
                if obj.kind() == Kind::Type {
                    if obj.is(&self.types.type_) {
                        return crate::generic::alias(self, obj, key);
                    }
                    if let Some(hook) = self.find_attr(obj, &self.names.__class_getitem__)? {
                        return self.call(&hook, Args::pos(std::slice::from_ref(key)));
                    }
                    let name = obj.get::<Type>().map_or_else(|| "?".into(), Type::name);
                    return Err(self.type_error(format!("type '{name}' is not subscriptable")));
                }
                Err(self.type_error(format!("'{}' object is not subscriptable", self.type_name(obj))))
            }
        }
    }

    /// `obj[key] = value`.
    ///
    /// # Errors
    /// What `__setitem__` raises; TypeError without one.
    pub fn set_item(&self, obj: &Value, key: &Value, value: Value) -> PyResult<()> {
        if let Some(dict) = obj.exact::<DictData>() {
            return dict.set(self, key.clone(), value);
        }
        match self.special(obj, &self.names.__setitem__) {
            Some(method) => self.call_with_self(&method, obj, &[key.clone(), value]).map(drop),
            None => {
                Err(self
                    .type_error(format!("'{}' object does not support item assignment", self.type_name(obj))))
            }
        }
    }

    /// `del obj[key]`.
    ///
    /// # Errors
    /// What `__delitem__` raises; TypeError without one.
    pub fn delete_item(&self, obj: &Value, key: &Value) -> PyResult<()> {
        match self.special(obj, &self.names.__delitem__) {
            Some(method) => self.call_with_self(&method, obj, std::slice::from_ref(key)).map(drop),
            None => {
                // CPython asks types with items first, when the key could be a place.
                let items = self.class_of(obj).is_heap() || self.special(obj, &self.names.__len__).is_some();
                let place = self.special(key, &self.names.__index__).is_some();
                let not = if items && place { "doesn't" } else { "does not" };
                Err(self.type_error(format!("'{}' object {not} support item deletion", self.type_name(obj))))
            }
        }
    }

    /// `item in container`.
    ///
    /// # Errors
    /// TypeError, and what the methods raise.
    pub fn contains(&self, container: &Value, item: &Value) -> PyResult<bool> {
        if let Some(dict) = container.exact::<DictData>() {
            return Ok(dict.find(self, item)?.is_some());
        }
        if let (Some(text), Some(part)) = (container.exact::<Str>(), item.get::<Str>()) {
            return Ok(text.contains(part));
        }
        if container.type_value().is_some_and(|t| t.is(&self.types.set)) {
            // An unhashable set is looked for as a frozen one: by the method.
            if item.kind() != Kind::Set
                && let Some(set) = container.get::<SetData>()
            {
                return set.contains(self, item);
            }
        }
        if let Some(tuple) = container.exact::<TupleData>() {
            for candidate in tuple.items() {
                if self.equal(candidate, item)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        match self.special(container, &self.names.__contains__) {
            Some(method) if method.is_none() => {
                Err(self.type_error(format!("'{}' object is not a container", self.type_name(container))))
            }
            Some(method) => {
                let result = self.call_with_self(&method, container, std::slice::from_ref(item))?;
                self.truth(&result)
            }
            None => {
                if self.special(container, &self.names.__iter__).is_none()
                    && self.special(container, &self.names.__getitem__).is_none()
                {
                    return Err(self.type_error(format!(
                        "argument of type '{}' is not iterable",
                        self.type_name(container)
                    )));
                }
                let iterator = self.iter(container)?;
                while let Some(next) = self.next(&iterator)? {
                    if self.equal(&next, item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// `iter()`.
    ///
    /// # Errors
    /// TypeError when it cannot be iterated.
    pub fn iter(&self, value: &Value) -> PyResult {
        if value.is_exact() {
            match value.kind() {
                Kind::List => return Ok(crate::iterators::list_iter(self, value)),
                Kind::Tuple => return Ok(crate::iterators::tuple_iter(self, value)),
                Kind::Dict => return Ok(crate::iterators::dict_iter(self, value, 0, false)),
                Kind::Range => {
                    if let Some(range) = value.get::<crate::range::RangeData>() {
                        return Ok(crate::iterators::range_iter(self, range));
                    }
                }
                _ => {}
            }
        }
        match self.special(value, &self.names.__iter__) {
            Some(method) if !method.is_none() => {
                let iterator = self.call_with_self(&method, value, &[])?;
                if self.special(&iterator, &self.names.__next__).is_none() {
                    return Err(self.type_error(format!(
                        "iter() returned non-iterator of type '{}'",
                        self.type_name(&iterator)
                    )));
                }
                Ok(iterator)
            }
            None if self.special(value, &self.names.__getitem__).is_some()
                && self.class_of(value).vtable.kind != Kind::Dict =>
            {
                Ok(crate::iterators::sequence_iter(self, value))
            }
            _ => Err(self.type_error(format!("'{}' object is not iterable", self.type_name(value)))),
        }
    }

    /// The next item of an iterator; nothing at its end.
    ///
    /// # Errors
    /// What `__next__` raises, apart from StopIteration.
    #[inline]
    pub fn next(&self, iterator: &Value) -> PyResult<Option<Value>> {
        self.tick()?;
        if let Some(step) = self.class_of(iterator).next.get() {
            return step(self, iterator);
        }
        let result = match self.special(iterator, &self.names.__next__) {
            Some(method) => self.call_with_self(&method, iterator, &[]),
            None => {
                return Err(
                    self.type_error(format!("'{}' object is not an iterator", self.type_name(iterator)))
                );
            }
        };
        self.catch(result, &self.exc.stop_iteration)
    }

    /// All items of an iterable.
    ///
    /// # Errors
    /// What the iteration raises.
    pub fn to_vec(&self, value: &Value) -> PyResult<Vec<Value>> {
        if let Some(list) = value.exact::<ListData>() {
            return Ok(list.borrow().clone());
        }
        if let Some(tuple) = value.exact::<TupleData>() {
            return Ok(tuple.items().to_vec());
        }
        let iterator = self.iter(value)?;
        let mut items = Vec::new();
        while let Some(item) = self.next(&iterator)? {
            items.push(item);
        }
        Ok(items)
    }

    /// `isinstance()`.
    ///
    /// # Errors
    /// TypeError for a wrong second argument, and what hooks raise.
    pub fn is_instance(&self, value: &Value, ty: &Value) -> PyResult<bool> {
        if self.type_of(value).is(ty) {
            return Ok(true);
        }
        if let Some(types) = ty.get::<TupleData>() {
            for ty in types.items() {
                if self.is_instance(value, ty)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let meta = self.type_of(ty);
        if !meta.is(&self.types.type_)
            && let Some(hook) = self.lookup(meta, &self.names.__instancecheck__)
        {
            let result = self.call_with_self(&hook, ty, std::slice::from_ref(value))?;
            return self.truth(&result);
        }
        self.plain_isinstance(value, ty)
    }

    /// `type.__instancecheck__`.
    ///
    /// # Errors
    /// TypeError when `ty` is no class.
    pub fn plain_isinstance(&self, value: &Value, ty: &Value) -> PyResult<bool> {
        if ty.kind() != Kind::Type {
            if self.find_attr(ty, &self.names.__bases__)?.is_some() {
                let own = self.get_attr(value, &self.names.__class__)?;
                return self.plain_issubclass(&own, ty);
            }
            return Err(self.type_error("isinstance() arg 2 must be a type, a tuple of types, or a union"));
        }
        if self.is_a(value, ty) {
            return Ok(true);
        }
        if self.class_of(value).flags.get() & (flag::GETATTRIBUTE | flag::GETATTR | flag::HEAP) == 0
            && value.kind() != Kind::Other
        {
            return Ok(false);
        }
        match self.find_attr(value, &self.names.__class__)? {
            Some(own) if own.kind() == Kind::Type && !own.is(self.type_of(value)) => {
                Ok(self.is_subtype(&own, ty))
            }
            _ => Ok(false),
        }
    }

    /// `issubclass()`.
    ///
    /// # Errors
    /// TypeError for wrong arguments, and what hooks raise.
    pub fn is_subclass(&self, sub: &Value, ty: &Value) -> PyResult<bool> {
        if let Some(types) = ty.get::<TupleData>() {
            for ty in types.items() {
                if self.is_subclass(sub, ty)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let meta = self.type_of(ty);
        if !meta.is(&self.types.type_)
            && let Some(hook) = self.lookup(meta, &self.names.__subclasscheck__)
        {
            let result = self.call_with_self(&hook, ty, std::slice::from_ref(sub))?;
            return self.truth(&result);
        }
        self.plain_issubclass(sub, ty)
    }

    /// `type.__subclasscheck__`.
    ///
    /// # Errors
    /// TypeError when one of them is no class.
    pub fn plain_issubclass(&self, sub: &Value, ty: &Value) -> PyResult<bool> {
        if sub.kind() == Kind::Type && ty.kind() == Kind::Type {
            return Ok(self.is_subtype(sub, ty));
        }
        let bases = |v: &Value| self.find_attr(v, &self.names.__bases__);
        if bases(sub)?.is_none() {
            return Err(self.type_error("issubclass() arg 1 must be a class"));
        }
        if bases(ty)?.is_none() {
            return Err(self.type_error("issubclass() arg 2 must be a class, a tuple of classes, or a union"));
        }
        if sub.is(ty) {
            return Ok(true);
        }
        for base in self.to_vec(&self.get_attr(sub, &self.names.__bases__)?)? {
            if self.plain_issubclass(&base, ty)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `__length_hint__` or `len`, for allocation.
    pub fn length_hint(&self, value: &Value) -> usize {
        match value.kind() {
            Kind::List | Kind::Tuple | Kind::Dict | Kind::Set | Kind::Str => self.len(value).unwrap_or(0),
            _ => 0,
        }
    }
}

/// Whether an order answers a comparison.
#[inline]
pub fn compare_with(op: CompareOp, order: std::cmp::Ordering) -> bool {
    match op {
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    }
}

/// A comparison of floats.
#[inline]
pub fn compare_floats(op: CompareOp, a: f64, b: f64) -> bool {
    match op {
        CompareOp::Lt => a < b,
        CompareOp::Le => a <= b,
        CompareOp::Eq => a == b,
        CompareOp::Ne => a != b,
        CompareOp::Gt => a > b,
        CompareOp::Ge => a >= b,
    }
}

/// The operator of a comparison method's name.
pub fn compare_op(name: &str) -> Option<CompareOp> {
    Some(match name {
        "__lt__" => CompareOp::Lt,
        "__le__" => CompareOp::Le,
        "__eq__" => CompareOp::Eq,
        "__ne__" => CompareOp::Ne,
        "__gt__" => CompareOp::Gt,
        "__ge__" => CompareOp::Ge,
        _ => return None,
    })
}

/// Rows for the six comparison methods of a type from one function.
#[macro_export]
macro_rules! comparisons {
    ($f:path) => {
        [
            ("__lt__", "value /", |vm: &$crate::vm::Vm, args: $crate::vm::Args| {
                $f(vm, pyc_ir::CompareOp::Lt, args.at(0), args.at(1))
            }),
            ("__le__", "value /", |vm, args| $f(vm, pyc_ir::CompareOp::Le, args.at(0), args.at(1))),
            ("__eq__", "value /", |vm, args| $f(vm, pyc_ir::CompareOp::Eq, args.at(0), args.at(1))),
            ("__ne__", "value /", |vm, args| $f(vm, pyc_ir::CompareOp::Ne, args.at(0), args.at(1))),
            ("__gt__", "value /", |vm, args| $f(vm, pyc_ir::CompareOp::Gt, args.at(0), args.at(1))),
            ("__ge__", "value /", |vm, args| $f(vm, pyc_ir::CompareOp::Ge, args.at(0), args.at(1))),
        ] as [$crate::args::Method; 6]
    };
}
