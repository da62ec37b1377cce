# The smallest programs: one statement or one operation each. A new engine passes these first.

# === print_int
print(1)

# === print_string
print("hello")

# === print_two_values
print(1, "a")

# === print_nothing
print()

# === print_negative
print(-7)

# === print_float
print(1.5)

# === print_none_true_false
print(None, True, False)

# === comment_only_lines
# a comment
print("after a comment")  # another

# === assign_and_print
x = 5
print(x)

# === reassign
x = 1
x = x + 1
print(x)

# === add
print(2 + 3)

# === subtract
print(2 - 3)

# === multiply
print(6 * 7)

# === true_division
print(7 / 2)

# === floor_division
print(7 // 2)

# === modulo
print(7 % 3)

# === power
print(2 ** 10)

# === precedence
print(2 + 3 * 4)

# === parentheses
print((2 + 3) * 4)

# === unary_minus
x = 5
print(-x)

# === big_integer
print(99999999999999999999 + 1)

# === string_concatenation
print("ab" + "cd")

# === string_repeat
print("ab" * 3)

# === string_length
print(len("hello"))

# === string_index
print("hello"[1])

# === string_slice
print("hello"[1:3])

# === string_method
print("hello".upper())

# === string_escape_newline
print("a\nb")

# === fstring
x = 5
print(f"x is {x}")

# === percent_format
print("%d and %s" % (1, "two"))

# === compare_less
print(1 < 2)

# === compare_equal
print(1 == 1.0)

# === compare_chain
print(1 < 2 < 3)

# === and_operator
print(1 and 2)

# === or_operator
print(0 or "default")

# === not_operator
print(not 0)

# === if_true
if 1 < 2:
    print("yes")

# === if_else
if 1 > 2:
    print("yes")
else:
    print("no")

# === if_elif
x = 2
if x == 1:
    print("one")
elif x == 2:
    print("two")
else:
    print("many")

# === nested_if
x = 5
if x > 0:
    if x > 3:
        print("big")
    else:
        print("small")

# === conditional_expression
print("a" if 1 else "b")

# === while_loop
i = 0
while i < 3:
    print(i)
    i += 1

# === while_break
i = 0
while True:
    if i == 2:
        break
    i += 1
print(i)

# === while_continue
i = 0
while i < 4:
    i += 1
    if i == 2:
        continue
    print(i)

# === for_range
for i in range(3):
    print(i)

# === for_list
for x in [1, 2, 3]:
    print(x)

# === for_string
for c in "ab":
    print(c)

# === for_break_else
for i in range(3):
    if i == 5:
        break
else:
    print("no break")

# === nested_for
for i in range(2):
    for j in range(2):
        print(i, j)

# === list_literal
print([1, 2, 3])

# === list_index
print([10, 20, 30][1])

# === list_assign_item
a = [1, 2]
a[0] = 9
print(a)

# === list_append
a = []
a.append(1)
print(a)

# === list_length
print(len([1, 2, 3]))

# === list_in
print(2 in [1, 2])

# === list_concat
print([1] + [2])

# === tuple_literal
print((1, 2))

# === tuple_unpack
a, b = 1, 2
print(a, b)

# === swap
a, b = 1, 2
a, b = b, a
print(a, b)

# === dict_literal
print({"a": 1})

# === dict_get_item
d = {"a": 1}
print(d["a"])

# === dict_set_item
d = {}
d["k"] = "v"
print(d)

# === dict_loop
for k in {"x": 1, "y": 2}:
    print(k)

# === set_literal
print({1})

# === list_comprehension
print([x * x for x in range(4)])

# === dict_comprehension
print({x: x + 1 for x in range(2)})

# === function_no_arguments
def f():
    return 5
print(f())

# === function_arguments
def add(a, b):
    return a + b
print(add(2, 3))

# === function_default
def f(a, b=10):
    return a + b
print(f(1), f(1, 2))

# === function_keyword
def f(a, b):
    return a - b
print(f(b=1, a=5))

# === function_star_args
def f(*args):
    return args
print(f(1, 2))

# === function_star_kwargs
def f(**kw):
    return kw
print(f(a=1))

# === function_no_return
def f():
    pass
print(f())

# === function_recursion
def fact(n):
    if n == 0:
        return 1
    return n * fact(n - 1)
print(fact(10))

# === function_local_variable
x = 1
def f():
    x = 2
    return x
print(f(), x)

# === function_global_read
x = 1
def f():
    return x
print(f())

# === function_global_write
x = 1
def f():
    global x
    x = 2
f()
print(x)

# === function_nested
def f():
    def g():
        return 1
    return g() + 1
print(f())

# === closure
def f(x):
    def g():
        return x
    return g
print(f(3)())

# === nonlocal
def f():
    n = 0
    def g():
        nonlocal n
        n += 1
    g()
    return n
print(f())

# === lambda_expression
f = lambda x: x * 2
print(f(4))

# === function_as_argument
def twice(f, x):
    return f(f(x))
print(twice(lambda v: v + 1, 1))

# === call_star
def f(a, b):
    return a * b
print(f(*[3, 4]))

# === class_empty
class C:
    pass
print(C.__name__)

# === class_instance_attribute
class C:
    pass
c = C()
c.x = 1
print(c.x)

# === class_init
class C:
    def __init__(self, x):
        self.x = x
print(C(5).x)

# === class_method_call
class C:
    def f(self):
        return "method"
print(C().f())

# === class_attribute
class C:
    x = 3
print(C.x)

# === class_inheritance
class A:
    def f(self):
        return "A"
class B(A):
    pass
print(B().f())

# === class_override_super
class A:
    def f(self):
        return "A"
class B(A):
    def f(self):
        return "B" + super().f()
print(B().f())

# === class_repr
class C:
    def __repr__(self):
        return "C!"
print(C())

# === class_add
class C:
    def __add__(self, o):
        return "added"
print(C() + 1)

# === class_len_getitem
class C:
    def __len__(self):
        return 2
    def __getitem__(self, i):
        return i * 10
print(len(C()), C()[3])

# === isinstance_check
print(isinstance(1, int), isinstance("a", int))

# === try_except
try:
    1 / 0
except ZeroDivisionError:
    print("caught")

# === try_except_as
try:
    1 / 0
except ZeroDivisionError as e:
    print(e)

# === try_finally
try:
    print("body")
finally:
    print("finally")

# === try_else
try:
    pass
except ValueError:
    print("no")
else:
    print("else")

# === raise_caught
try:
    raise ValueError("bad")
except ValueError as e:
    print(e)

# === raise_through_function
def f():
    raise KeyError("k")
try:
    f()
except KeyError as e:
    print(e)

# === raise_uncaught
print("before")
raise ValueError("end")

# === generator
def g():
    yield 1
    yield 2
for x in g():
    print(x)

# === generator_next
def g():
    yield 1
it = g()
print(next(it))

# === generator_expression
print(sum(x for x in range(5)))

# === decorator
def deco(f):
    return lambda: "wrapped " + f()
@deco
def f():
    return "f"
print(f())

# === with_statement
class M:
    def __enter__(self):
        print("in")
    def __exit__(self, *a):
        print("out")
with M():
    print("body")

# === match_statement
match 2:
    case 1:
        print("one")
    case 2:
        print("two")

# === walrus
if (n := 5) > 3:
    print(n)

# === augmented_assignments
x = 10
x += 1
x -= 2
x *= 3
x //= 2
x %= 8
print(x)

# === delete_name
x = 1
del x
try:
    print(x)
except NameError as e:
    print(e)

# === delete_item
a = [1, 2, 3]
del a[1]
print(a)

# === assert_passes_and_fails
assert True
try:
    assert False, "message"
except AssertionError as e:
    print(e)

# === import_module
import math
print(math.floor(2.7))

# === import_from
from math import sqrt
print(sqrt(9))

# === pass_statement
for i in range(2):
    pass
print(i)

# === multiple_targets
a = b = 1
print(a, b)

# === is_operator
x = None
print(x is None, x is not None)

# === builtin_functions_simple
print(abs(-3), min(2, 1), max(2, 1), sum([1, 2]), len("ab"))

# === int_and_str_conversion
print(int("42") + 1, str(42) + "1", float("1.5"))

# === sorted_list
print(sorted([3, 1, 2]))

# === enumerate_zip
for i, c in enumerate("ab"):
    print(i, c)
for a, b in zip([1, 2], "xy"):
    print(a, b)

# === bitwise_operators
print(6 & 3, 6 | 3, 6 ^ 3, ~6, 1 << 4, 16 >> 2)

# === string_iteration_join
print("-".join(["a", "b", "c"]))

# === multiline_string
print("""one
two""")

# === semicolon
x = 1; y = 2; print(x + y)

# === line_continuation
x = 1 + \
    2
print(x)

# === exit_status
import sys
sys.exit(3)

# === async_function
import asyncio
async def f():
    return 5
print(asyncio.run(f()))

# === property
class C:
    @property
    def x(self):
        return 7
print(C().x)

# === static_and_class_method
class C:
    @staticmethod
    def s():
        return "s"
    @classmethod
    def c(cls):
        return cls.__name__
print(C.s(), C.c())

# === type_of
print(type(1), type("a"), type([]))

# === set_operations
print({1, 2} & {2, 3}, {1} | {1})

# === bytes_literal
print(b"ab"[0], b"ab" + b"c")

# === complex_number
print((1 + 2j) * (3 - 1j))

# === slice_assignment
a = [1, 2, 3, 4]
a[1:3] = [9]
print(a)

# === star_unpack
a, *b = [1, 2, 3]
print(a, b)

# === nested_data
d = {"a": [1, {"b": (2, 3)}]}
print(d["a"][1]["b"][0])

# === string_compare_sort
print("a" < "b", sorted(["b", "a"]))

# === exec_and_eval
exec("x = 3")
print(eval("x + 1"))
