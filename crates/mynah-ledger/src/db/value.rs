//! Values on their way into a statement and out of a row.

use super::{Error, Result};
use crate::error;

/// A value, borrowed from whoever has it: binding and reading copy nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing; as a metric's value NaN.
    Null,
    /// A whole number, or 0 and 1 for what is so or not.
    Integer(i64),
    /// A number, never NaN: SQLite has none, and databases that have one put it somewhere in the order.
    Real(f64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The text, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes, if it is bytes.
    pub fn as_blob(self) -> Option<&'a [u8]> {
        match self {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Integer(_) => "a whole number",
            Value::Real(_) => "a number",
            Value::Text(_) => "a text",
            Value::Blob(_) => "bytes",
        }
    }
}

/// A value of its own, for statements that are put together piece by piece.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// A text.
    Text(String),
}

impl From<i64> for Bound {
    fn from(value: i64) -> Bound {
        Bound::Integer(value)
    }
}

impl From<f64> for Bound {
    fn from(value: f64) -> Bound {
        Bound::Real(value)
    }
}

impl From<String> for Bound {
    fn from(value: String) -> Bound {
        Bound::Text(value)
    }
}

/// What can be bound to a statement.
pub trait ToValue {
    /// The value.
    fn to_value(&self) -> Value<'_>;
}

impl ToValue for Bound {
    fn to_value(&self) -> Value<'_> {
        match self {
            Bound::Integer(value) => Value::Integer(*value),
            Bound::Real(value) => value.to_value(),
            Bound::Text(text) => Value::Text(text),
        }
    }
}

impl ToValue for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(*self)
    }
}

impl ToValue for u32 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl ToValue for f64 {
    fn to_value(&self) -> Value<'_> {
        if self.is_nan() { Value::Null } else { Value::Real(*self) }
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

/// All values of one execution: a tuple, an array of up to four of one type, or a slice. The values stand on
/// the stack, except for a slice.
pub trait Params {
    /// Calls with the values.
    fn with<R>(&self, call: impl FnOnce(&[Value<'_>]) -> R) -> R;
}

/// None; a type of its own, so that `[]` needs no annotation.
impl Params for [&dyn ToValue; 0] {
    fn with<R>(&self, call: impl FnOnce(&[Value<'_>]) -> R) -> R {
        call(&[])
    }
}

macro_rules! array_params {
    ($($len:literal)+) => {$(
        impl<T: ToValue> Params for [T; $len] {
            fn with<R>(&self, call: impl FnOnce(&[Value<'_>]) -> R) -> R {
                call(&self.each_ref().map(ToValue::to_value))
            }
        }
    )+};
}
array_params!(1 2 3 4);

macro_rules! tuple_params {
    ($($name:ident)+) => {
        impl<$($name: ToValue),+> Params for ($($name,)+) {
            fn with<R>(&self, call: impl FnOnce(&[Value<'_>]) -> R) -> R {
                #[expect(non_snake_case, reason = "a name for the type and its value")]
                let ($($name,)+) = self;
                call(&[$($name.to_value()),+])
            }
        }
    };
}
tuple_params!(A);
tuple_params!(A B);
tuple_params!(A B C);
tuple_params!(A B C D);
tuple_params!(A B C D E);
tuple_params!(A B C D E F);
tuple_params!(A B C D E F G);
tuple_params!(A B C D E F G H);
tuple_params!(A B C D E F G H I);
tuple_params!(A B C D E F G H I J);
tuple_params!(A B C D E F G H I J K);
tuple_params!(A B C D E F G H I J K L);
tuple_params!(A B C D E F G H I J K L M);
tuple_params!(A B C D E F G H I J K L M N);

impl Params for &[Bound] {
    fn with<R>(&self, call: impl FnOnce(&[Value<'_>]) -> R) -> R {
        let values: Vec<Value> = self.iter().map(ToValue::to_value).collect();
        call(&values)
    }
}

/// What can be read from a row.
pub trait FromValue: Sized {
    /// The value, or why it is none of this type.
    fn from_value(value: Value<'_>) -> Result<Self>;
}

fn mismatch<T>(value: Value<'_>, wanted: &str) -> Result<T> {
    let message = format!("the ledger's database: there is {} where {wanted} belongs", value.kind());
    Err(Error::Other(error::Error::storage(message)))
}

impl FromValue for i64 {
    fn from_value(value: Value<'_>) -> Result<i64> {
        match value {
            Value::Integer(value) => Ok(value),
            other => mismatch(other, "a whole number"),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Result<bool> {
        i64::from_value(value).map(|value| value != 0)
    }
}

impl FromValue for f64 {
    fn from_value(value: Value<'_>) -> Result<f64> {
        match value {
            Value::Real(value) => Ok(value),
            Value::Integer(value) => Ok(value as f64),
            other => mismatch(other, "a number"),
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Result<String> {
        match value {
            Value::Text(text) => Ok(text.to_string()),
            other => mismatch(other, "a text"),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Result<Vec<u8>> {
        match value {
            Value::Blob(bytes) => Ok(bytes.to_vec()),
            other => mismatch(other, "bytes"),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Result<Option<T>> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}
