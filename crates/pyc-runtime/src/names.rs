//! Names that the runtime looks up, interned once.

use crate::object::Value;

macro_rules! names {
    ($($name:ident)*) => {
        /// Interned names; fields are spelled as the names are.
        #[allow(non_snake_case)]
        pub struct Names {
            /// The empty string.
            pub empty: Value,
            $(
                #[doc = stringify!($name)]
                pub $name: Value
            ),*
        }
        impl Names {
            pub(crate) fn new(mut intern: impl FnMut(&str) -> Value) -> Names {
                Names { empty: intern(""), $($name: intern(stringify!($name))),* }
            }
        }
    };
}

names! {
    __abs__ __abstractmethods__ __add__ __aenter__ __aexit__ __aiter__ __all__ __and__ __anext__ __annotations__
    __annotate__ __await__ __bases__ __bool__ __build_class__ __builtins__ __bytes__ __call__ __cause__ __ceil__ __class__
    __class_getitem__ __classcell__ __code__ __complex__ __contains__ __context__ __defaults__ __del__
    __delattr__ __delete__ __delitem__ __dict__ __dir__ __divmod__ __doc__ __enter__ __eq__ __exit__ __file__
    __float__ __floor__ __floordiv__ __format__ __ge__ __get__ __getattr__ __getattribute__ __getitem__
    __getnewargs__ __getstate__ __gt__ __hash__ __iadd__ __iand__ __ifloordiv__ __ilshift__ __imatmul__ __imod__
    __import__ __imul__ __index__ __init__ __init_subclass__ __instancecheck__ __int__ __invert__ __ior__
    __ipow__ __irshift__ __isub__ __iter__ __itruediv__ __ixor__ __kwdefaults__ __le__ __len__ __length_hint__
    __loader__ __lshift__ __lt__ __main__ __match_args__ __matmul__ __missing__ __mod__ __module__ __mro__
    __mro_entries__ __mul__ __name__ __ne__ __neg__ __new__ __next__ __notes__ __objclass__ __or__
    __orig_bases__ __orig_class__ __package__ __path__ __pos__ __pow__ __prepare__ __qualname__ __radd__
    __rand__ __rdivmod__ __reduce__ __reduce_ex__ __repr__ __reversed__ __rfloordiv__ __rlshift__ __rmatmul__
    __rmod__ __rmul__ __ror__ __round__ __rpow__ __rrshift__ __rshift__ __rsub__ __rtruediv__ __rxor__ __set__
    __set_name__ __setattr__ __setitem__ __setstate__ __sizeof__ __slots__ __spec__ __str__ __sub__
    __subclasscheck__ __subclasses__ __subclasshook__ __suppress_context__ __traceback__ __truediv__ __trunc__
    __type_params__ __weakref__ __wrapped__ __xor__ __isabstractmethod__ __static_attributes__ __firstlineno__
    __origin__ __args__ __parameters__ __typing_subst__ __fspath__
    append args cached close copy cr_await errno file filename flush get insert items join keys lineno
    msg name obj offset path metaclass modules name_from offset_ pop print_file_and_line send
    setdefault start stop step strerror text throw update value values write read readline end_lineno end_offset
    stdout stderr stdin encoding errors exceptions message add discard
    mro _fix_up_module fileno code sort reverse key last_type last_value last_traceback
}
