# Syntax: errors as compile() reports them (message, line, column), and odd but valid programs.

# === invalid_syntax_plain_1
for src in ("x = ", "1 +", "if", "def", "a b"):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset, e.end_lineno, e.end_offset)

# === invalid_syntax_plain_2
for src in ("x = 1 2", "(", ")", "]", "{1, 2"):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset, e.end_lineno, e.end_offset)

# === invalid_syntax_plain_3
for src in ("f(", "for x in", "1 = x +"):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset, e.end_lineno, e.end_offset)

# === brackets_mismatch_1
for src in ("(]", "[1, 2)", "{(}", "(\n]"):
    try:
        compile(src, "s.py", "exec")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === brackets_mismatch_2
for src in ("x = (1,\n2", "[\n\n", "f(1, [2)", "}"):
    try:
        compile(src, "s.py", "exec")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === unterminated_strings_1
for src in ("'abc", '"abc\n', "'''abc", '"""a\nb', "x = 'a\n'"):
    try:
        compile(src, "s.py", "exec")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === unterminated_strings_2
for src in ("f'abc", "f'''a", "b'x", "f'{x", "f'{'"):
    try:
        compile(src, "s.py", "exec")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === indentation_errors_1
for src in ("if 1:\nx", "  x = 1", "if 1:\n  a\n b", "def f():\n", "if 1:\n  a\n    b"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), type(e).__name__, e.msg, e.lineno, e.offset)

# === indentation_errors_2
for src in ("for x in y:\nz", "class C:\npass", "try:\nx", "if 1:\n\ta\n        b", "while 1:\n# c\n"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), type(e).__name__, e.msg, e.lineno, e.offset)

# === assignment_targets_1
for src in ("1 = x", "'a' = 1", "f() = 1", "a + b = 1", "None = 1"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === assignment_targets_2
for src in ("True = 1", "x, 1 = 2", "[a, 5] = 1", "lambda: 0 = 1", "a if b else c = 1"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === assignment_targets_3
for src in ("{} = 1", "{1: 2} = 1", "(a for a in b) = 1", "-x = 1", "a < b = 1"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === assignment_targets_4
for src in ("... = 1", "f'{x}' = 1", "not a = 1", "[x for x in y] = 1", "__debug__ = 1"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === augmented_targets_1
for src in ("1 += 1", "f() += 1", "a, b += 1", "(a) += 1", "[a] += 1"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === augmented_targets_2
for src in ("None += 1", "x + 1 += 2", "(a, b) += 1", "a.b += 1", "'s' += 1"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === delete_targets_1
for src in ("del 1", "del f()", "del a + b", "del None"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === delete_targets_2
for src in ("del (a, 1)", "del", "del *a", "del a, b"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === delete_targets_3
for src in ("del [a, (b, c)]", "del x if y else z", "del ()"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === walrus_errors_1
for src in ("x := 1", "(x.y := 1)", "(x[0] := 1)", "((a, b) := 1)", "[x := 1 for x in y]"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === walrus_errors_2
for src in ("[y for y in (z := [1])]", "lambda: x := 1", "f(x := 1)", "f(a=x := 1)", "f(a=(x := 1))"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === walrus_errors_3
for src in ("(1 := 2)", "[[(i := j) for i in r] for j in s]", "class C: [x := 1 for a in b]"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === import_statement_errors_1
for src in ("from x import (", "from x import ()", "from x import a,", "import a.b as"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === import_statement_errors_2
for src in ("import a as b.c", "from . import *, a", "from x import (a, b,)", "import a,"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === import_statement_errors_3
for src in ("from x import a as 1", "from .x import *", "def f():\n from x import *", "from import x"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === future_errors
for src in ("from __future__ import nope", "x = 1\nfrom __future__ import annotations", "from __future__ import braces", "from __future__ import annotations", "'doc'\nfrom __future__ import division"):
    try:
        compile(src, "s.py", "exec")
        print("ok")
    except SyntaxError as e:
        print(e.msg, e.lineno)

# === parameter_errors_1
for src in ("def f(a, a): pass", "def f(a=1, b): pass", "def f(*): pass", "def f(*, **k): pass", "def f(**k, a): pass"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === parameter_errors_2
for src in ("def f(*a, *b): pass", "def f(a, /, b, /): pass", "def f(/): pass", "def f(*, /): pass", "def f(a, *, b, /): pass"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === parameter_errors_3
for src in ("def f(1): pass", "def f(None): pass", "lambda a, a: 0", "lambda a=1, b: 0", "def f(a b): pass"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === parameter_errors_4
for src in ("def f(*a=1): pass", "def f(**k=1): pass", "def f(a.b): pass", "def f((a, b)): pass", "lambda *: 0"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === parameter_errors_5
for src in ("def f(a=): pass",):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === call_errors_1
for src in ("f(a=1, 2)", "f(**k, 1)", "f(a=1, a=2)", "f(1=2)", "f(a.b=1)"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === call_errors_2
for src in ("f(True=1)", "f(x for x in y, 1)", "f(x for x in y)", "f(1, x for x in y)", "f(**)"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === call_errors_3
for src in ("f(a=)", "f(a, b for b in c)", "f(a b)", "f('a'=1)", "f(lambda: 0=1)"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === outside_function_1
for src in ("return", "yield", "await x", "return 1", "class C:\n return 1"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === outside_function_2
for src in ("class C:\n yield 1", "async with x: pass", "async for x in y: pass", "[await x for x in y]", "lambda: (yield)"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === outside_function_3
for src in ("x = yield", "def f():\n await x", "def f():\n async for x in y: pass", "def f():\n [x async for x in y]"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === loop_control_outside
for src in ("break", "continue", "def f():\n break", "if 1:\n continue", "for x in y:\n def f():\n  break", "while 1:\n class C:\n  continue", "for x in y: pass\nelse: break"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === generator_errors
for src in ("async def f():\n yield 1\n return 2", "async def f():\n yield from x", "[(yield x) for x in y]", "def f():\n [(yield x) for x in y]", "class C: x = [(yield a) for a in b]", "def f(x=(yield)): pass"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno)

# === global_nonlocal_errors_1
for src in ("nonlocal x", "def f():\n nonlocal x", "def f():\n x = 1\n global x", "def f():\n print(x)\n global x", "def f(x):\n global x"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === global_nonlocal_errors_2
for src in ("def f():\n global x\n nonlocal x", "def f(x):\n nonlocal x", "def f():\n x = 1\n def g():\n  x = 2\n  nonlocal x", "global x\nx = 1", "x = 1\nglobal x"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === global_nonlocal_errors_3
for src in ("def f():\n x: int = 1\n global x", "def f():\n global x\n x: int = 1", "class C:\n nonlocal x"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === try_errors_1
for src in ("try: pass", "try: pass\nexcept: pass\nexcept E: pass", "try: pass\nexcept E: pass\nexcept* F: pass", "try: pass\nexcept*: pass"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === try_errors_2
for src in ("try: pass\nelse: pass", "try: pass\nexcept A, B: pass", "def f():\n for i in x:\n  try: pass\n  except* E: break", "def f():\n try: pass\n except* E: return"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === try_errors_3
for src in ("except: pass", "finally: pass", "try\n pass", "try: pass\nexcept E as 1: pass"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === missing_colon_1
for src in ("if x\n pass", "while x\n pass", "for x in y\n pass", "def f()\n pass"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === missing_colon_2
for src in ("class C\n pass", "with x\n pass", "else\n pass", "if x:\n pass\nelse\n pass"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === missing_colon_3
for src in ("if x:\n pass\nelif y\n pass", "match x\n case 1: pass", "lambda x 1"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === equals_in_condition_1
for src in ("if x = 1: pass", "while x = 1: pass", "if x.y = 1: pass", "print(x = = 1)"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === equals_in_condition_2
for src in ("assert x = 1", "x = if y: z", "if (x = 1): pass", "a == b = c"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === comma_forgotten_1
for src in ("[1 2]", "(a b)", "{1: 2 3: 4}", "f(a b, c)", "x = [a\nb]"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === comma_forgotten_2
for src in ("{a b}", "print('a' b)", "[1, 2 3]", "{1: 2, 3}", "{1, 2: 3}"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === comma_forgotten_3
for src in ("{1:}", "{1: *x}", "{**a, b}", "{a: b, **c, d}"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.lineno, e.offset)

# === old_print_exec_1
for src in ("print 1", "print 'a', b", "exec 'x'", "print", "raise E, 'x'"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === old_print_exec_2
for src in ("x <> y", "`x`", "0777", "1l", "ur'x'"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === old_print_exec_3
for src in ("x = 5 if y", "not", "print x y"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === number_errors_1
for src in ("1__0", "1_", "0x", "0xg", "0b2"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === number_errors_2
for src in ("0o8", "0b", "1e", "1.2.3", "1abc"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === number_errors_3
for src in ("0_7", "012", "1_000_", "0x_1", "1e_5"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === number_errors_4
for src in ("5jk", "0b1_", "0o_", "00", "1.e5"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === number_errors_5
for src in ("0xf",):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === invalid_characters_1
for src in ("x = €", "a ? b", "$x", "x = “a”", "a\u00a0b"):
    try:
        compile(src, "s.py", "exec")
        print(ascii(src), "ok")
    except SyntaxError as e:
        print(ascii(src), ascii(e.msg), e.offset)

# === invalid_characters_2
for src in ("x\u200b = 1", "!x", "a !b", "é = 1", "²"):
    try:
        compile(src, "s.py", "exec")
        print(ascii(src), "ok")
    except SyntaxError as e:
        print(ascii(src), ascii(e.msg), e.offset)

# === invalid_characters_3
for src in ("x = 1;;", "a\\b", "\\", "x = 1 \\ "):
    try:
        compile(src, "s.py", "exec")
        print(ascii(src), "ok")
    except SyntaxError as e:
        print(ascii(src), ascii(e.msg), e.offset)

# === null_and_encoding
for src in ("a\x00b", b"x = 1", b"# coding: latin-1\nx = '\xe9'", b"x = '\xe9'", b"# coding: nope\nx", "\ufeffx = 1", b"\xef\xbb\xbfx = 1"):
    try:
        compile(src, "s.py", "exec")
        print(ascii(src), "ok")
    except (SyntaxError, ValueError) as e:
        print(ascii(src), type(e).__name__, str(e).split("(")[0][:40])

# === string_escape_errors_1
for src in (r"'\x1'", r"'\u12'", r"'\N{nope}'", r"'\U00110000'"):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(src, e.msg)

# === string_escape_errors_2
for src in (r"b'\x'", r"'\N'", r"'\xzz'", r"'\u'"):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(src, e.msg)

# === string_prefix_mixing_1
for src in ("'a' b'b'", "b'é'", "f'a' b'c'", "u'a' 'b'", "br'x'"):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(src, "|", e.msg)

# === string_prefix_mixing_2
for src in ("rb'x'", "fr'x'", "bf'x'", "uf'x'", "'a' f'{1}' \"c\""):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(src, "|", e.msg)

# === fstring_errors_1
for src in ("f'{}'", "f'{x!}'", "f'{x!z}'", "f'{x!r:}'", "f'}'"):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(src, "|", e.msg)

# === fstring_errors_2
for src in ("f'{'", "f'{x:{y:{z:{w}}}}'", "f'{a b}'", "f'{lambda x: 1}'", "f'{x=!s}'"):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(src, "|", e.msg)

# === fstring_errors_3
for src in ("f'{*a}'", "f'{=x}'", "f'{x y!r}'", "f'{ }'", "f'{#}'"):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(src, "|", e.msg)

# === fstring_errors_4
for src in ("f'{x;}'", "f'{1 +}'", "f'{!r}'", "f'{x:'"):
    try:
        compile(src, "s.py", "exec")
        print(src, "ok")
    except SyntaxError as e:
        print(src, "|", e.msg)

# === star_expression_errors_1
for src in ("*a", "x = *a", "x = *a,", "(*a)", "[*a]"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === star_expression_errors_2
for src in ("print(*a)", "*a, *b = c", "*a = b", "(*a), b = c", "return *a"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === star_expression_errors_3
for src in ("for *a in b: pass", "for x in *a, b: pass", "x = (*a, *b)", "*a if b else c", "{*a: 1}"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === star_expression_errors_4
for src in ("x[*a]", "del *x", "yield *a", "*1 = x", "a, *b, *c = d"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === star_expression_errors_5
for src in ("[x for *x in y]", "[*x for x in y]"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === class_def_errors_1
for src in ("class 1: pass", "class C(: pass", "class C(a b): pass", "def 1(): pass", "class None: pass"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === class_def_errors_2
for src in ("def f: pass", "class C(x for x in y): pass", "def f() -> : pass", "async x = 1", "async def"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === class_def_errors_3
for src in ("@\ndef f(): pass", "@x", "def f[T](x: T): pass", "type X", "type X = 5"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === class_def_errors_4
for src in ("type X[T] = list[T]", "def f[T, T](): pass"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === annotation_errors_1
for src in ("1: int = 5", "a, b: int", "f(): int", "x: int = yield"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === annotation_errors_2
for src in ("(x): int = 1", "x.y: int", "x[0]: int = 2", "[a]: int"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === annotation_errors_3
for src in ("lambda x: int: 0", "x: y = z = 1", "def f(a: int, b: (yield)): pass", "x: (y := 1)"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === comprehension_errors_1
for src in ("[x for]", "[for x in y]", "[x for 1 in y]", "[x, y for x in z]", "{x: y for x in z}"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === comprehension_errors_2
for src in ("{x: y, z for x in w}", "(x for x in y", "[x if y for x in z]", "[x for x in y if]", "[x for x in y else z]"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === comprehension_errors_3
for src in ("[x for f() in y]", "{**x for x in y}", "[a, b for a, b in c]"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === keyword_as_name_1
for src in ("class = 1", "for = 2", "x.class", "import if"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === keyword_as_name_2
for src in ("def in(): pass", "lambda not: 0", "None.x", "f(if=1)"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === keyword_as_name_3
for src in ("async = 1", "await = 1", "print = 1", "match = 1"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === keyword_as_name_4
for src in ("del while", "global for", "with = 1", "x.None"):
    try:
        compile(src, "s.py", "exec")
        print(repr(src), "ok")
    except SyntaxError as e:
        print(repr(src), e.msg, e.offset)

# === too_deep
for src in ("(" * 300, "[" * 250 + "]" * 250):
    try:
        compile(src, "s.py", "exec")
        print(len(src), "ok")
    except (SyntaxError, MemoryError, RecursionError) as e:
        print(type(e).__name__)

# === error_attributes_and_text
try:
    compile("ok = 1\nbad line here\nrest = 2", "file.py", "exec")
except SyntaxError as e:
    print(e.filename, e.lineno, e.offset, repr(e.text), e.end_lineno, e.end_offset, e.msg, e.args[0], str(e))

# === error_printed
import traceback
try:
    compile("def f():\n    return (1 +\n", "mod.py", "exec")
except SyntaxError as e:
    print("".join(traceback.format_exception_only(e)), end="")
try:
    compile("x = f(1, 2 3)\n", "mod.py", "exec")
except SyntaxError as e:
    print("".join(traceback.format_exception_only(e)), end="")

# === raise_syntax_error_by_hand
e = SyntaxError("msg", ("f.py", 3, 7, "some text here", 3, 11))
print(e, e.msg, e.lineno, e.offset, e.text, e.end_offset, repr(e))
print(SyntaxError(), SyntaxError("only").lineno, str(SyntaxError("only")))

# === uncaught_from_exec
exec("x = = 1")

# === uncaught_indentation
exec("if True:\nprint(1)")

# === warnings_for_odd_code_1
import warnings
for src in ("x is 5", "assert (1, 'm')", "'a'[0.5]", "1()", "'\\d'"):
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter("always")
        try:
            compile(src, "s.py", "exec")
        except SyntaxError as e:
            print("error", e.msg)
    print(repr(src), [(m.category.__name__, str(m.message).split(";")[0]) for m in w])

# === warnings_for_odd_code_2
import warnings
for src in ("x is 'a'", "[1, 2](3)", "{}[1]", "0x1for x in y", "5 in()"):
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter("always")
        try:
            compile(src, "s.py", "exec")
        except SyntaxError as e:
            print("error", e.msg)
    print(repr(src), [(m.category.__name__, str(m.message).split(";")[0]) for m in w])

# === compile_single_and_eval_modes_1
for src, mode in (("x = 1", "eval"), ("1; 2", "eval"), ("a\nb", "single"), ("if 1:\n x\n", "single"), ("", "single")):
    try:
        compile(src, "s.py", mode)
        print(repr(src), mode, "ok")
    except SyntaxError as e:
        print(repr(src), mode, e.msg)

# === compile_single_and_eval_modes_2
for src, mode in (("", "exec"), ("# c", "eval"), ("1\n\n", "eval"), ("pass", "eval")):
    try:
        compile(src, "s.py", mode)
        print(repr(src), mode, "ok")
    except SyntaxError as e:
        print(repr(src), mode, e.msg)

# === comments_and_blank_lines
x = [  # one
    1,
    # two

    2,
]
if x:

    # indented comment
    print(x)
print("# ", "#" * 3)

# === continuation_lines
x = 1 + \
    2 + \
    3
if x == 6 and \
   x != 7:
    print(x)
s = "a\
b"
print(s, len("""x\
y"""))

# === expression_spanning_lines
total = (
    1
    + 2
    # comment
    - 3
)
d = {
    "k":
        [1,
         2],
}
print(total, d["k"
               ][0])

# === tabs_and_form_feed
if True:
	print("tab")
	if True:
	    print("tab and spaces")
exec("x = 1\n\x0cprint('form feed', x)")

# === line_endings
exec("print(1)\r\nprint(2)\rprint(3)\n")
exec("s = '''a\r\nb'''\nprint(repr(s))")

# === unicode_identifiers
π = 3
变量 = 4
naïve = π + 变量
print(naïve, "π" in globals())
class Ünï:
    ñ = 1
print(Ünï.ñ, getattr(Ünï, "n\u0303", "nfd name not found"))

# === numeric_attribute
print(1 .real, 1..real, (1).real, 1.5.real, 0x1.real, 1_0 .bit_length(), 1e3.real)

# === keyword_adjacent
print([0]if[]else[1], not(0), 1 or(2), "a"if[]else"b")

# === empty_program_parts
def f():
    """doc only"""
class C: "doc"
if 1: pass
print(f(), C.__doc__)
