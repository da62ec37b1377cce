"""Writes calculator.tsv: random expressions and what Python makes of them (expression, tab, answer).

    python3 crates/mynah-engine/golden/make_calculator.py

Each operator is applied by Python itself; only the bounds of the calculator (whole numbers below 10**38,
finite floats, real results) are added here.
"""

import ast
import math
import operator
import pathlib
import random

OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}


class Refused(Exception):
    pass


def bounded(value):
    if isinstance(value, complex):
        raise Refused("not a real number")
    if isinstance(value, int) and abs(value) >= 10**38:
        raise Refused("number too large")
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("number too large")
    return value


def value_of(node):
    if isinstance(node, ast.Constant):
        return bounded(node.value)
    if isinstance(node, ast.UnaryOp):
        value = value_of(node.operand)
        return -value if isinstance(node.op, ast.USub) else +value
    if isinstance(node, ast.BinOp):
        left, right = value_of(node.left), value_of(node.right)
        if isinstance(node.op, ast.Pow) and isinstance(left, int) and isinstance(right, int):
            if abs(left) > 1 and right > 200:
                raise Refused("number too large")
        try:
            return bounded(OPERATORS[type(node.op)](left, right))
        except ZeroDivisionError:
            raise Refused("division by zero") from None
        except OverflowError:
            raise Refused("number too large") from None
    raise AssertionError(ast.dump(node))


def number(rng):
    kind = rng.randrange(8)
    if kind < 4:
        return str(rng.randrange(100))
    if kind == 4:
        return str(rng.randrange(10 ** rng.randrange(1, 30)))
    if kind == 5:
        return f"{rng.randrange(1000)}.{rng.randrange(1000)}"
    if kind == 6:
        return rng.choice(["0", "0.0", "1", "2", ".5", "3.", "1_000"])
    return f"{rng.randrange(1, 10)}e{rng.randrange(-12, 12)}"


def expression(rng, depth):
    kind = rng.randrange(10)
    if depth == 0 or kind < 2:
        return number(rng)
    if kind == 2:
        return rng.choice("-+") + expression(rng, depth - 1)
    if kind < 5:
        return "(" + expression(rng, depth - 1) + ")"
    sign = rng.choice(["+", "-", "*", "/", "//", "%", "**", "+", "-", "*", "/"])
    space = rng.choice(["", " "])
    return expression(rng, depth - 1) + space + sign + space + expression(rng, depth - 1)


def main():
    rng = random.Random(1)
    lines = []
    while len(lines) < 1500:
        text = expression(rng, 4)
        if len(text) > 80:
            continue
        try:
            answer = str(value_of(ast.parse(text, mode="eval").body))
        except Refused as reason:
            answer = f"error: {reason}"
        if "error" in answer and rng.random() < 0.5:
            continue
        lines.append(f"{text}\t{answer}\n")
    words = ["strawberry", "banana", "Mississippi", "naïve", "aaaa", "", "it's", 'say "hi"']
    for word in words:
        quoted = '"' + word.replace('"', '\\"') + '"'
        for letter in ["a", "s", "ss", "aa", "i", "", "ï"]:
            lines.append(f'{quoted}.count("{letter}")\t{word.count(letter)}\n')
        lines.append(f"len({quoted})\t{len(word)}\n")
        lines.append(f'{quoted}.upper().count("S") * 2\t{word.upper().count("S") * 2}\n')
    pathlib.Path(__file__).with_name("calculator.tsv").write_text("".join(lines), encoding="utf-8")


main()
