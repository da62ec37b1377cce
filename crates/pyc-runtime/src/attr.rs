//! Attribute access: the rules of `obj.name`, for instances, types, modules and `super`.

use crate::class::SuperData;
use crate::containers::DictData;
use crate::descriptors::{GetSetData, PropertyData};
use crate::function::{Flavor, FunctionData, NativeData};
use crate::module::ModuleData;
use crate::object::{Attrs, Kind, Value};
use crate::shape::ATTRIBUTES_MAX;
use crate::types::{Type, flag};
use crate::vm::{Args, PyResult, Vm};

impl Vm {
    /// `obj.name` for an interned name.
    ///
    /// # Errors
    /// AttributeError, and what descriptors raise.
    pub fn get_attr(&self, obj: &Value, name: &Value) -> PyResult {
        match self.get_attr_opt(obj, name)? {
            Some(value) => Ok(value),
            None => Err(self.no_attribute(obj, name)),
        }
    }

    /// `obj.name` by the name's text.
    ///
    /// # Errors
    /// As [`Vm::get_attr`].
    pub fn get_attr_str(&self, obj: &Value, name: &str) -> PyResult {
        let name = self.intern(name);
        self.get_attr(obj, &name)
    }

    /// The AttributeError for a missing attribute.
    #[cold]
    pub fn no_attribute(&self, obj: &Value, name: &Value) -> crate::vm::Raised {
        let text = self.text(name);
        let message = match obj.kind() {
            Kind::Type => format!(
                "type object '{}' has no attribute '{text}'",
                obj.get::<Type>().map_or("?".into(), Type::name)
            ),
            Kind::Module => {
                let module = obj.get::<ModuleData>().map(|m| m.dict.clone());
                let own = module.and_then(|d| self.dict_get_name(&d, &self.names.__name__));
                match own {
                    Some(own) if own.kind() == Kind::Str => {
                        format!("module '{}' has no attribute '{text}'", self.text(&own))
                    }
                    _ => format!("module has no attribute '{text}'"),
                }
            }
            _ => format!("'{}' object has no attribute '{text}'", self.type_name(obj)),
        };
        self.attribute_error(obj, name, message)
    }

    /// `obj.name`, nothing when there is no such attribute.
    ///
    /// # Errors
    /// What descriptors raise, except AttributeError of hooks.
    pub fn get_attr_opt(&self, obj: &Value, name: &Value) -> PyResult<Option<Value>> {
        let class = self.class_of(obj);
        if class.flags.get() & (flag::GETATTRIBUTE | flag::GETATTR) == 0 {
            return match obj.kind() {
                Kind::Type => self.type_get_opt(obj, name),
                Kind::Module => self.module_get_opt(obj, name),
                Kind::Super => self.super_get_opt(obj, name),
                Kind::Method => match self.generic_get_opt(obj, name)? {
                    Some(found) => Ok(Some(found)),
                    None => match obj.get::<crate::function::MethodData>() {
                        Some(m) => self.get_attr_opt(&m.function, name),
                        None => Ok(None),
                    },
                },
                _ => self.generic_get_opt(obj, name),
            };
        }
        self.check_stack()?;
        let ty = self.type_of(obj).clone();
        let found = if class.has(flag::GETATTRIBUTE) {
            let method = self.lookup(&ty, &self.names.__getattribute__);
            let result = match method {
                Some(method) => self.call_with_self(&method, obj, std::slice::from_ref(name)),
                None => self.generic_get_opt(obj, name)?.ok_or_else(|| self.no_attribute(obj, name)),
            };
            if !class.has(flag::GETATTR) {
                return self.catch(result, &self.exc.attribute_error);
            }
            self.catch(result, &self.exc.attribute_error)?
        } else {
            let result = match obj.kind() {
                Kind::Type => self.type_get_opt(obj, name),
                Kind::Module => self.module_get_opt(obj, name),
                _ => self.generic_get_opt(obj, name),
            };
            self.catch(result, &self.exc.attribute_error)?.flatten()
        };
        if found.is_some() {
            return Ok(found);
        }
        match self.lookup(&ty, &self.names.__getattr__) {
            Some(method) => {
                let result = self.call_with_self(&method, obj, std::slice::from_ref(name));
                match result {
                    Ok(value) => Ok(Some(value)),
                    // The hook's own message must survive where nobody asked for the default.
                    Err(error) => Err(error),
                }
            }
            None => Ok(None),
        }
    }

    /// As [`Vm::get_attr_opt`], and AttributeError of hooks and getters counts as absent too.
    ///
    /// # Errors
    /// Other exceptions.
    pub fn find_attr(&self, obj: &Value, name: &Value) -> PyResult<Option<Value>> {
        let result = self.get_attr_opt(obj, name);
        Ok(self.catch(result, &self.exc.attribute_error)?.flatten())
    }

    /// `object.__getattribute__` without the error.
    ///
    /// # Errors
    /// What descriptors raise.
    pub fn generic_get_opt(&self, obj: &Value, name: &Value) -> PyResult<Option<Value>> {
        let ty = self.type_of(obj);
        let found = self.lookup(ty, name);
        if let Some(descriptor) = &found
            && self.is_data_descriptor(descriptor)
            && self.has_getter(descriptor)
        {
            return self.bind(descriptor, obj).map(Some);
        }
        if let Some(value) = self.own_attr(obj, name) {
            return Ok(Some(value));
        }
        match found {
            Some(value) => self.bind(&value, obj).map(Some),
            None => Ok(None),
        }
    }

    /// Whether a data descriptor also reads; one that only sets leaves reading to the instance.
    fn has_getter(&self, descriptor: &Value) -> bool {
        matches!(descriptor.kind(), Kind::Property | Kind::Member | Kind::GetSet)
            || self.special(descriptor, &self.names.__get__).is_some()
    }

    /// The instance's own value of an attribute.
    #[inline]
    pub fn own_attr(&self, obj: &Value, name: &Value) -> Option<Value> {
        let attrs = obj.attrs();
        let Some(attrs) = attrs else {
            let dict = obj.get::<FunctionData>()?.dict.get()?;
            return self.dict_get_name(dict, name);
        };
        if let Some(shape) = attrs.shape() {
            return shape.find(name).map(|i| attrs.value(i));
        }
        self.dict_get_name(&attrs.dict()?, name)
    }

    /// The item of a dict under an interned name.
    #[inline]
    pub fn dict_get_name(&self, dict: &Value, name: &Value) -> Option<Value> {
        dict.get::<DictData>()?.borrow().get_interned(name).cloned()
    }

    /// Sets an instance's own attribute, whatever the type says.
    pub fn set_attr_raw(&self, obj: &Value, name: &Value, value: Value) {
        if let Some(attrs) = obj.attrs() {
            self.store_own(obj, attrs, name, value);
        } else if let Some(f) = obj.get::<FunctionData>() {
            let dict = f.dict.get_or_init(|| self.dict());
            self.dict_set_name(dict, name, value);
        }
    }

    /// Sets an item of a dict under an interned name.
    #[inline]
    pub fn dict_set_name(&self, dict: &Value, name: &Value, value: Value) {
        if let Some(data) = dict.get::<DictData>() {
            let old = data.borrow_mut().set_interned(name, value);
            drop(old);
        }
    }

    fn store_own(&self, obj: &Value, attrs: &Attrs, name: &Value, value: Value) {
        let class = self.class_of(obj);
        let shape = match attrs.shape() {
            Some(shape) => shape,
            None => {
                if let Some(dict) = attrs.dict() {
                    self.dict_set_name(&dict, name, value);
                    return;
                }
                class.root_shape()
            }
        };
        if let Some(index) = shape.find(name) {
            drop(attrs.replace(index, value));
        } else if shape.names.len() >= ATTRIBUTES_MAX || !name.is_interned() {
            if let Some(dict) = self.instance_dict(obj) {
                self.dict_set_name(&dict, name, value);
            }
        } else {
            attrs.push(shape.with(name), value);
            if class.usual_attributes.get() < attrs.count() {
                class.usual_attributes.set(attrs.count());
            }
        }
    }

    /// The `__dict__` of an instance; from the first time on its attributes live there.
    pub fn instance_dict(&self, obj: &Value) -> Option<Value> {
        if let Some(f) = obj.get::<FunctionData>() {
            return Some(f.dict.get_or_init(|| self.dict()).clone());
        }
        let attrs = obj.attrs()?;
        if !self.class_of(obj).has(flag::ATTRS) {
            return None;
        }
        if let Some(dict) = attrs.dict() {
            return Some(dict);
        }
        let dict = self.dict();
        if let Some((shape, values)) = attrs.take() {
            for (name, value) in shape.names.iter().zip(values) {
                self.dict_set_name(&dict, name, value);
            }
        }
        drop(attrs.replace_dict(Some(dict.clone())));
        Some(dict)
    }

    /// Binds a value found on the type to an instance.
    ///
    /// # Errors
    /// What the descriptor raises.
    pub fn bind(&self, value: &Value, this: &Value) -> PyResult {
        match value.kind() {
            Kind::Function => Ok(self.method(value.clone(), this.clone())),
            Kind::Str | Kind::Int | Kind::Tuple | Kind::Type | Kind::List | Kind::Dict => Ok(value.clone()),
            Kind::GetSet => match value.get::<GetSetData>() {
                Some(data) => (data.get)(self, this),
                None => Ok(value.clone()),
            },
            Kind::Property if value.get::<PropertyData>().is_some() && value.is_exact() => {
                self.property_get(value, this)
            }
            Kind::Member => self.member_get(value, this),
            _ if !value.is_object() => Ok(value.clone()),
            _ => {
                let owner = self.type_of(this).clone();
                self.bind_in(value, this, &owner)
            }
        }
    }

    /// Binds with an explicit owner; `this` is None for access through the class.
    ///
    /// # Errors
    /// What the descriptor raises.
    pub fn bind_in(&self, value: &Value, this: &Value, owner: &Value) -> PyResult {
        match value.kind() {
            Kind::Native => match value.get::<NativeData>() {
                Some(n) if n.flavor == Flavor::Class => Ok(self.method(value.clone(), owner.clone())),
                Some(n) if matches!(n.flavor, Flavor::Function | Flavor::New) => Ok(value.clone()),
                _ if this.is_none() && !owner.is(&self.types.none) => Ok(value.clone()),
                _ => Ok(self.method(value.clone(), this.clone())),
            },
            Kind::Function if this.is_none() && !owner.is(&self.types.none) => Ok(value.clone()),
            Kind::Function => Ok(self.method(value.clone(), this.clone())),
            Kind::StaticMethod => Ok(value
                .get::<crate::descriptors::StaticMethodData>()
                .map_or(Value::NONE, |s| s.0.borrow().clone())),
            Kind::ClassMethod => {
                let inner = value
                    .get::<crate::descriptors::ClassMethodData>()
                    .map_or(Value::NONE, |c| c.0.borrow().clone());
                match inner.kind() {
                    Kind::Function | Kind::Native | Kind::Method | Kind::Type => {
                        Ok(self.method(inner, owner.clone()))
                    }
                    _ => match self.special(&inner, &self.names.__get__) {
                        Some(get) => self.call_with_self(&get, &inner, &[owner.clone(), owner.clone()]),
                        None => Ok(self.method(inner, owner.clone())),
                    },
                }
            }
            Kind::GetSet | Kind::Member | Kind::Property if this.is_none() && !owner.is(&self.types.none) => {
                Ok(value.clone())
            }
            Kind::GetSet | Kind::Member => self.bind(value, this),
            Kind::Property if value.is_exact() => self.property_get(value, this),
            _ if !value.is_object() => Ok(value.clone()),
            _ => match self.special(value, &self.names.__get__) {
                Some(get) => self.call_with_self(&get, value, &[this.clone(), owner.clone()]),
                None => Ok(value.clone()),
            },
        }
    }

    /// `obj.name` split for a call: the function and its self, or the value and nothing.
    ///
    /// # Errors
    /// As [`Vm::get_attr`].
    pub fn load_method(&self, obj: &Value, name: &Value) -> PyResult<(Value, Value)> {
        let class = self.class_of(obj);
        let simple = class.flags.get() & (flag::GETATTRIBUTE | flag::GETATTR) == 0
            && !matches!(obj.kind(), Kind::Type | Kind::Module | Kind::Super);
        if simple && let Some(found) = self.lookup(self.type_of(obj), name) {
            let is_method = match found.kind() {
                Kind::Function => true,
                Kind::Native => found
                    .get::<NativeData>()
                    .is_some_and(|n| matches!(n.flavor, Flavor::Method | Flavor::Wrapper)),
                _ => false,
            };
            if is_method {
                return Ok(match self.own_attr(obj, name) {
                    Some(own) => (own, Value::UNBOUND),
                    None => (found, obj.clone()),
                });
            }
        }
        if obj.kind() == Kind::Super
            && obj.is_exact()
            && let Some(found) = self.super_method(obj, name)
        {
            return Ok(found);
        }
        Ok((self.get_attr(obj, name)?, Value::UNBOUND))
    }

    /// `type.__getattribute__` without the error.
    ///
    /// # Errors
    /// What descriptors raise.
    pub fn type_get_opt(&self, ty: &Value, name: &Value) -> PyResult<Option<Value>> {
        let meta = self.type_of(ty).clone();
        let on_meta = self.lookup(&meta, name);
        if let Some(found) = &on_meta
            && self.is_data_descriptor(found)
        {
            return self.bind_in(found, ty, &meta).map(Some);
        }
        if let Some(found) = self.lookup(ty, name) {
            return self.bind_in(&found, &Value::NONE, ty).map(Some);
        }
        match on_meta {
            Some(found) => self.bind_in(&found, ty, &meta).map(Some),
            None => Ok(None),
        }
    }

    fn module_get_opt(&self, module: &Value, name: &Value) -> PyResult<Option<Value>> {
        let Some(data) = module.get::<ModuleData>() else { return Ok(None) };
        if let Some(value) = self.dict_get_name(&data.dict, name) {
            return Ok(Some(value));
        }
        if let Some(found) = self.generic_get_opt(module, name)? {
            return Ok(Some(found));
        }
        match self.dict_get_name(&data.dict, &self.names.__getattr__) {
            Some(hook) => self.call(&hook, Args::pos(std::slice::from_ref(name))).map(Some),
            None => Ok(None),
        }
    }

    fn super_get_opt(&self, this: &Value, name: &Value) -> PyResult<Option<Value>> {
        let Some(data) = this.get::<SuperData>() else { return Ok(None) };
        let parts = data.parts.borrow().clone();
        let Some((start, object, object_type)) = parts else { return self.generic_get_opt(this, name) };
        if name.is(&self.names.__class__) || object_type.is_none() {
            return self.generic_get_opt(this, name);
        }
        match after(&object_type, &start, name) {
            Some(found) => {
                let instance = if object.is(&object_type) { &Value::NONE } else { &object };
                self.bind_in(&found, instance, &object_type).map(Some)
            }
            None => self.generic_get_opt(this, name),
        }
    }

    /// The Python function behind `super(class, object).name`, for an instance of the class.
    pub(crate) fn super_function(&self, class: &Value, object: &Value, name: &Value) -> Option<Value> {
        if object.kind() == Kind::Type || !self.is_a(object, class) {
            return None;
        }
        after(self.type_of(object), class, name).filter(|found| found.kind() == Kind::Function)
    }

    /// The Python function that `super().name` is a method of, and its self.
    fn super_method(&self, this: &Value, name: &Value) -> Option<(Value, Value)> {
        let parts = this.get::<SuperData>()?.parts.borrow();
        let (start, object, object_type) = parts.as_ref()?;
        if object_type.is_none() || object.is(object_type) {
            return None;
        }
        let found = after(object_type, start, name)?;
        (found.kind() == Kind::Function).then(|| (found, object.clone()))
    }

    /// `obj.name = value` (the empty value deletes).
    ///
    /// # Errors
    /// AttributeError, TypeError, and what descriptors raise.
    pub fn set_attr(&self, obj: &Value, name: &Value, value: Value) -> PyResult<()> {
        let class = self.class_of(obj);
        if class.has(flag::SETATTR) {
            self.check_stack()?;
            let (hook, args): (_, &[Value]) = if value.is_unbound() {
                (&self.names.__delattr__, std::slice::from_ref(name))
            } else {
                (&self.names.__setattr__, &[name.clone(), value.clone()])
            };
            if let Some(method) = self.special(obj, hook) {
                return self.call_with_self(&method, obj, args).map(drop);
            }
        }
        match obj.kind() {
            Kind::Type => self.type_set(obj, name, value),
            _ => self.generic_set(obj, name, value),
        }
    }

    /// `object.__setattr__`.
    ///
    /// # Errors
    /// As [`Vm::set_attr`].
    pub fn generic_set(&self, obj: &Value, name: &Value, value: Value) -> PyResult<()> {
        let found = self.lookup(self.type_of(obj), name);
        if let Some(descriptor) = &found
            && self.is_data_descriptor(descriptor)
            && self.descriptor_set(descriptor, obj, value.clone())?
        {
            return Ok(());
        }
        if let Some(module) = obj.get::<ModuleData>() {
            let dict = module.dict.clone();
            if value.is_unbound() {
                let old = dict.get::<DictData>().and_then(|d| d.borrow_mut().remove_interned(name));
                // In CPython's words for deleting, the module has no name.
                return old.map(drop).ok_or_else(|| {
                    let text = format!("'module' object has no attribute '{}'", self.text(name));
                    self.attribute_error(obj, name, text)
                });
            }
            self.dict_set_name(&dict, name, value);
            return Ok(());
        }
        let has_dict = self.class_of(obj).has(flag::ATTRS) || obj.kind() == Kind::Function;
        if !has_dict {
            let text = self.text(name);
            let message = match found {
                Some(_) => format!("'{}' object attribute '{text}' is read-only", self.type_name(obj)),
                None => format!("'{}' object has no attribute '{text}'", self.type_name(obj)),
            };
            return Err(self.attribute_error(obj, name, message));
        }
        if value.is_unbound() {
            let dict = self.instance_dict(obj);
            let old = dict
                .as_ref()
                .and_then(|d| d.get::<DictData>())
                .and_then(|d| d.borrow_mut().remove_interned(name));
            return match old {
                Some(_) => Ok(()),
                None => Err(self.no_attribute(obj, name)),
            };
        }
        self.set_attr_raw(obj, name, value);
        Ok(())
    }

    /// `type.__setattr__`.
    ///
    /// # Errors
    /// TypeError for builtin types.
    pub fn type_set(&self, ty: &Value, name: &Value, value: Value) -> PyResult<()> {
        let Some(class) = ty.get::<Type>() else { return Ok(()) };
        if class.has(flag::IMMUTABLE) {
            let verb = if value.is_unbound() { "delete" } else { "set" };
            let _ = verb;
            return Err(self.type_error(format!(
                "cannot set '{}' attribute of immutable type '{}'",
                self.text(name),
                class.name()
            )));
        }
        if let Some(found) = self.lookup(self.type_of(ty), name)
            && self.is_data_descriptor(&found)
            && self.descriptor_set(&found, ty, value.clone())?
        {
            return Ok(());
        }
        if value.is_unbound() && class.own(name).is_none() {
            return Err(self.no_attribute(ty, name));
        }
        drop(self.type_put(ty, name, value));
        Ok(())
    }
}

/// What the classes after `start` in the order of `ty` have under a name.
fn after(ty: &Value, start: &Value, name: &Value) -> Option<Value> {
    let mro = ty.get::<Type>()?.mro.borrow();
    mro.iter().skip_while(|t| !t.is(start)).skip(1).find_map(|t| t.get::<Type>()?.own(name))
}
