# What people run here: tools a chat model calls, reward functions, data filters.

# === calculator_tool
import ast, operator
OPS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Pow: operator.pow, ast.USub: operator.neg, ast.Mod: operator.mod, ast.FloorDiv: operator.floordiv}
def calc(s):
    def ev(n):
        match n:
            case ast.Expression(body=b): return ev(b)
            case ast.Constant(value=int() | float() as v): return v
            case ast.BinOp(left=l, op=o, right=r): return OPS[type(o)](ev(l), ev(r))
            case ast.UnaryOp(op=o, operand=x): return OPS[type(o)](ev(x))
            case _: raise ValueError(f"not allowed: {type(n).__name__}")
    return ev(ast.parse(s, mode="eval"))
print(calc("2 * (3 + 4) ** 2 // 5"), calc("-7 % 3 + 0.5"))
for s in ("__import__('os')", "x + 1", "1 /", "1 / 0"):
    try:
        calc(s)
    except (ValueError, SyntaxError, ZeroDivisionError) as e:
        print(type(e).__name__)

# === exact_match_reward
import re
def norm(s):
    s = re.sub(r"\b(a|an|the)\b", " ", s.lower())
    return " ".join(re.sub(r"[^\w\s]", "", s).split())
def reward(pred, golds):
    return float(any(norm(pred) == norm(g) for g in golds))
print(reward("The Eiffel Tower!", ["eiffel tower"]), reward("Paris", ["London", "Rome"]), reward("an  Apple.", ["apple"]))

# === token_f1_reward
from collections import Counter
def f1(pred, gold):
    p, g = pred.lower().split(), gold.lower().split()
    common = sum((Counter(p) & Counter(g)).values())
    if not common:
        return 0.0
    precision, recall = common / len(p), common / len(g)
    return 2 * precision * recall / (precision + recall)
print([round(f1(p, "the cat sat on the mat"), 4) for p in ("the cat", "a dog", "the cat sat on the mat", "the the the")])

# === numeric_answer_extraction
import re
def last_number(s):
    m = re.findall(r"-?\d[\d,]*(?:\.\d+)?", s)
    return float(m[-1].replace(",", "")) if m else None
print([last_number(s) for s in ("so the answer is 1,234.", "x = -5 then 7.25", "#### 42", "none", "3.14.15")])

# === boxed_answer_extraction
def boxed(s):
    i = s.rfind(r"\boxed{")
    if i < 0:
        return None
    depth, j = 0, i + 6
    for j in range(i + 6, len(s)):
        depth += {"{": 1, "}": -1}.get(s[j], 0)
        if depth == 0:
            return s[i + 7:j]
    return None
print(boxed(r"thus \boxed{5}"), boxed(r"\boxed{\frac{1}{2}} end"), boxed("none"), boxed(r"\boxed{a} and \boxed{b{c}}"), boxed(r"\boxed{open"))

# === answers_equal_as_fractions
from fractions import Fraction
def parse(s):
    s = s.strip().rstrip("%").replace(",", "")
    try:
        return Fraction(s)
    except (ValueError, ZeroDivisionError):
        return None
def same(a, b):
    x, y = parse(a), parse(b)
    return x is not None and x == y
print(same("0.5", "1/2"), same("1,000", "1e3"), same("x", "x"), same("2/0", "1"), same(" 50% ", "50"))

# === bleu_score
import math
from collections import Counter
def ngrams(t, n):
    return Counter(tuple(t[i:i + n]) for i in range(len(t) - n + 1))
def bleu(c, r, k=2):
    c, r = c.split(), r.split()
    logs = 0.0
    for n in range(1, k + 1):
        cn, rn = ngrams(c, n), ngrams(r, n)
        hit = sum(min(v, rn[g]) for g, v in cn.items())
        if hit == 0:
            return 0.0
        logs += math.log(hit / sum(cn.values())) / k
    return min(1.0, math.exp(1 - len(r) / len(c))) * math.exp(logs)
print(round(bleu("the cat is on the mat", "the cat sat on the mat"), 6), bleu("x y", "a b"), bleu("a b c", "a b c"))

# === rouge_l
def lcs(a, b):
    prev = [0] * (len(b) + 1)
    for x in a:
        cur = [0]
        for j, y in enumerate(b):
            cur.append(prev[j] + 1 if x == y else max(cur[-1], prev[j + 1]))
        prev = cur
    return prev[-1]
a, b = "police killed the gunman".split(), "police kill the gunman today".split()
n = lcs(a, b)
print(n, round(2 * n / (len(a) + len(b)), 4))

# === format_reward
import re
def score(s):
    ok = re.fullmatch(r"<think>.*?</think>\s*<answer>(.*?)</answer>", s, re.S)
    return (0.5 + 0.5 * bool(ok[1].strip())) if ok else 0.0
print([score(s) for s in ("<think>a\nb</think> <answer>5</answer>", "<think></think><answer> </answer>", "<answer>5</answer>", "x<think>a</think><answer>b</answer>")])

# === length_penalty_batch
def rewards(texts, target=20, width=10):
    return [max(0.0, 1 - abs(len(t.split()) - target) / width) for t in texts]
print(rewards(["word " * n for n in (0, 12, 20, 25, 40)]))

# === group_advantages
def advantages(r):
    m = sum(r) / len(r)
    sd = (sum((x - m) ** 2 for x in r) / len(r)) ** 0.5
    return [(x - m) / (sd + 1e-6) for x in r]
print([round(x, 5) for x in advantages([1.0, 0.0, 0.0, 1.0])], advantages([0.5, 0.5]))

# === repetition_filter
from collections import Counter
def repeated(text, n=3, limit=0.3):
    w = text.split()
    g = Counter(tuple(w[i:i + n]) for i in range(len(w) - n + 1))
    total = sum(g.values())
    return total > 0 and sum(c for c in g.values() if c > 1) / total > limit
print(repeated("a b c a b c a b c"), repeated("one two three four five six"), repeated("short"))

# === document_quality_filter
def keep(doc):
    words = doc.split()
    if not 3 <= len(words) <= 50:
        return "length"
    mean = sum(map(len, words)) / len(words)
    if not 2 <= mean <= 10:
        return "word length"
    if sum(c.isalpha() or c.isspace() for c in doc) / len(doc) < 0.8:
        return "symbols"
    if doc.count("...") > 1:
        return "ellipsis"
    return "ok"
for d in ("a normal sentence about things", "hi", "### $$$ %%% @@@", "loading ... wait ... done now", "x " * 10, "incomprehensibilities antidisestablishmentarianism floccinaucinihilipilification"):
    print(keep(d))

# === minhash_dedup
import hashlib
def shingles(s, k=3):
    w = s.lower().split()
    return {" ".join(w[i:i + k]) for i in range(max(1, len(w) - k + 1))}
def sig(s, n=16):
    return [min(int.from_bytes(hashlib.blake2b(f"{i}{x}".encode(), digest_size=4).digest()) for x in shingles(s)) for i in range(n)]
a = sig("the quick brown fox jumps over the lazy dog today")
b = sig("the quick brown fox jumps over the lazy dog tonight")
c = sig("an entirely different sentence with nothing shared at all")
print(sum(x == y for x, y in zip(a, b)) > 8, sum(x == y for x, y in zip(a, c)), a[:2])

# === pii_scrubber
import re
RULES = [(re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+"), "<email>"), (re.compile(r"\b\d{3}-\d{2}-\d{4}\b"), "<ssn>"), (re.compile(r"\+?\d[\d ()-]{7,}\d"), "<phone>"), (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"), "<ip>")]
def scrub(s):
    n = 0
    for rx, to in RULES:
        s, k = rx.subn(to, s)
        n += k
    return s, n
print(scrub("mail a.b+c@example.org or call +1 (555) 010-9999, ssn 123-45-6789, host 10.0.0.1."))

# === jsonl_filter
import json, io
src = io.StringIO('{"text": "keep me", "score": 0.9}\nnot json\n{"text": "drop", "score": 0.1}\n\n{"score": 1}\n{"text": "also", "score": 0.8}\n')
out, bad = [], 0
for i, line in enumerate(src, 1):
    if not line.strip():
        continue
    try:
        r = json.loads(line)
        if r["score"] > 0.5:
            out.append(r["text"])
    except (json.JSONDecodeError, KeyError) as e:
        bad += 1
        print(i, type(e).__name__)
print(out, bad)

# === schema_validator
def check(v, s, path="$"):
    t = {"object": dict, "array": list, "string": str, "number": (int, float), "integer": int, "boolean": bool, "null": type(None)}[s["type"]]
    if not isinstance(v, t) or (isinstance(v, bool) and s["type"] in ("integer", "number")):
        yield f"{path}: not {s['type']}"
        return
    if s["type"] == "object":
        for k in s.get("required", []):
            if k not in v:
                yield f"{path}: '{k}' is missing"
        for k, sub in s.get("properties", {}).items():
            if k in v:
                yield from check(v[k], sub, f"{path}.{k}")
    elif s["type"] == "array":
        for i, x in enumerate(v):
            yield from check(x, s["items"], f"{path}[{i}]")
    if "enum" in s and v not in s["enum"]:
        yield f"{path}: {v!r} not in {s['enum']}"
schema = {"type": "object", "required": ["name", "age"], "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}}}
print(list(check({"name": "x", "age": 3, "tags": ["a"]}, schema)), list(check({"name": 5, "tags": ["z", 1]}, schema)), list(check({"name": "x", "age": True}, schema)))

# === tool_call_dispatch
import inspect, json
TOOLS = {}
def tool(f):
    TOOLS[f.__name__] = f
    return f
@tool
def add(a: int, b: int = 1) -> int:
    "Adds."
    return a + b
@tool
def greet(name: str, *, loud: bool = False): return name.upper() if loud else name
def call(text):
    c = json.loads(text)
    f = TOOLS.get(c["name"])
    if f is None:
        return {"error": f"no tool {c['name']}"}
    try:
        return {"result": f(**c.get("arguments", {}))}
    except TypeError as e:
        return {"error": str(e)}
for t in ('{"name": "add", "arguments": {"a": 2}}', '{"name": "greet", "arguments": {"name": "x", "loud": true}}', '{"name": "zap"}', '{"name": "add", "arguments": {"q": 1}}'):
    print(call(t))
print({n: str(inspect.signature(f)) for n, f in TOOLS.items()})

# === unit_converter
UNITS = {"m": 1.0, "km": 1000.0, "cm": 0.01, "mi": 1609.344, "ft": 0.3048}
def convert(q):
    v, a, _, b = q.split()
    try:
        return f"{float(v) * UNITS[a] / UNITS[b]:.6g} {b}"
    except KeyError as e:
        return f"unknown unit {e}"
print([convert(q) for q in ("5 km to m", "1 mi to km", "100 cm to ft", "3 m to parsec")])

# === date_arithmetic_tool
from datetime import date, timedelta
def workdays(a, b):
    return sum((a + timedelta(days=i)).weekday() < 5 for i in range((b - a).days))
def add_months(d, n):
    y, m = divmod(d.month - 1 + n, 12)
    for day in range(d.day, 27, -1):
        try:
            return date(d.year + y, m + 1, day)
        except ValueError:
            continue
    return date(d.year + y, m + 1, d.day)
print(workdays(date(2024, 3, 1), date(2024, 4, 1)), add_months(date(2024, 1, 31), 1), add_months(date(2023, 11, 30), 3), add_months(date(2024, 5, 5), -6))

# === table_to_markdown
rows = [{"name": "a", "n": 1}, {"name": "long name", "n": 22, "x": None}]
cols = list(dict.fromkeys(k for r in rows for k in r))
w = {c: max(len(c), *(len(str(r.get(c, ""))) for r in rows)) for c in cols}
print("| " + " | ".join(c.ljust(w[c]) for c in cols) + " |")
print("|" + "|".join("-" * (w[c] + 2) for c in cols) + "|")
for r in rows:
    print("| " + " | ".join(str(r.get(c, "")).ljust(w[c]) for c in cols) + " |")

# === bpe_merges
from collections import Counter
words = {tuple(w): n for w, n in {"low": 5, "lower": 2, "newest": 6, "widest": 3}.items()}
merges = []
for _ in range(5):
    pairs = Counter()
    for w, n in words.items():
        for p in zip(w, w[1:]):
            pairs[p] += n
    best = max(pairs, key=lambda p: (pairs[p], p))
    merges.append("".join(best))
    new = {}
    for w, n in words.items():
        out, i = [], 0
        while i < len(w):
            if w[i:i + 2] == best:
                out.append(w[i] + w[i + 1])
                i += 2
            else:
                out.append(w[i])
                i += 1
        new[tuple(out)] = n
    words = new
print(merges, list(words))

# === softmax_and_sampling
import math, random
def softmax(xs, t=1.0):
    m = max(xs)
    e = [math.exp((x - m) / t) for x in xs]
    s = sum(e)
    return [x / s for x in e]
p = softmax([2.0, 1.0, 0.1])
r = random.Random(0)
def sample(p):
    x = r.random()
    for i, q in enumerate(p):
        x -= q
        if x < 0:
            return i
    return len(p) - 1
print([round(x, 6) for x in p], [sample(p) for _ in range(12)], [round(x, 4) for x in softmax([1000.0, 1001.0], 0.5)])

# === perceptron
data = [((0, 0), 0), ((0, 1), 1), ((1, 0), 1), ((1, 1), 1)]
w, b = [0.0, 0.0], 0.0
for epoch in range(10):
    errors = 0
    for x, y in data:
        d = y - (sum(a * c for a, c in zip(w, x)) + b > 0)
        if d:
            errors += 1
            w = [a + 0.1 * d * c for a, c in zip(w, x)]
            b += 0.1 * d
    if not errors:
        break
print(epoch, [round(v, 2) for v in w], round(b, 2))

# === linear_regression_gradient_descent
xs, ys = [1.0, 2.0, 3.0, 4.0], [3.0, 5.0, 7.0, 9.0]
w = b = 0.0
for _ in range(400):
    gw = sum(2 * (w * x + b - y) * x for x, y in zip(xs, ys)) / 4
    gb = sum(2 * (w * x + b - y) for x, y in zip(xs, ys)) / 4
    w -= 0.05 * gw
    b -= 0.05 * gb
print(f"{w:.6f} {b:.6f}")

# === autograd_scalar
class V:
    def __init__(self, d, kids=(), back=lambda g: ()):
        self.d, self.kids, self.back, self.g = d, kids, back, 0.0
    def __add__(self, o): return V(self.d + o.d, (self, o), lambda g: (g, g))
    def __mul__(self, o): return V(self.d * o.d, (self, o), lambda g: (g * o.d, g * self.d))
    def relu(self): return V(max(0.0, self.d), (self,), lambda g: (g * (self.d > 0),))
    def backward(self):
        order, seen = [], set()
        def visit(v):
            if v not in seen:
                seen.add(v)
                for k in v.kids: visit(k)
                order.append(v)
        visit(self)
        self.g = 1.0
        for v in reversed(order):
            for k, g in zip(v.kids, v.back(v.g)): k.g += g
a, b, c = V(2.0), V(-3.0), V(10.0)
y = (a * b + c).relu() * a
y.backward()
print(y.d, a.g, b.g, c.g)

# === unit_test_reward
def run_tests(src, tests):
    ns = {}
    try:
        exec(src, ns)
    except Exception as e:
        return 0.0, type(e).__name__
    ok = 0
    for t in tests:
        try:
            exec(t, dict(ns))
            ok += 1
        except AssertionError:
            pass
        except Exception as e:
            return ok / len(tests), type(e).__name__
    return ok / len(tests), None
tests = ["assert f(2) == 4", "assert f(3) == 9", "assert f(-1) == 1"]
for src in ("def f(x): return x * x", "def f(x): return x + x", "def f(x) return x", "def g(x): pass", "def f(x): return x[0]"):
    print(run_tests(src, tests))

# === sandboxed_namespace
allowed = {"__builtins__": {"len": len, "range": range, "sum": sum}}
for src in ("sum(range(5)) + len('ab')", "open('x')", "__import__('os')", "print(1)"):
    try:
        print(eval(src, dict(allowed)))
    except NameError as e:
        print(e)

# === chat_template
msgs = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi\n"}, {"role": "assistant", "content": "hello"}]
def render(msgs, add=True):
    out = "".join(f"<|{m['role']}|>\n{m['content'].strip()}<|end|>\n" for m in msgs)
    return out + ("<|assistant|>\n" if add else "")
print(render(msgs), end="")
print(len(render(msgs, False).split("<|end|>")))

# === sliding_window_chunks
def chunks(tokens, size, overlap):
    step = size - overlap
    if step <= 0:
        raise ValueError("overlap must be smaller than size")
    return [tokens[i:i + size] for i in range(0, max(len(tokens) - overlap, 1), step)]
print(chunks(list(range(10)), 4, 1), chunks([1, 2], 4, 1), chunks([], 4, 1))
try:
    chunks([1], 2, 2)
except ValueError as e:
    print(e)

# === inverted_index_bm25
import math
docs = ["the cat sat", "the dog sat down", "cats and dogs", "a cat and a cat"]
index = {}
for i, d in enumerate(docs):
    for t in d.split():
        index.setdefault(t, {}).setdefault(i, 0)
        index[t][i] += 1
avg = sum(len(d.split()) for d in docs) / len(docs)
def search(q):
    s = {}
    for t in q.split():
        post = index.get(t, {})
        idf = math.log(1 + (len(docs) - len(post) + 0.5) / (len(post) + 0.5))
        for i, f in post.items():
            s[i] = s.get(i, 0) + idf * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * len(docs[i].split()) / avg))
    return sorted(((round(v, 4), i) for i, v in s.items()), reverse=True)
print(search("cat sat"), search("zebra"))

# === language_detection_by_ngrams
from collections import Counter
samples = {"en": "the quick brown fox and the lazy dog are here", "de": "der schnelle braune fuchs und der faule hund sind hier", "fr": "le renard brun rapide et le chien paresseux sont ici"}
def prof(s): return Counter(s[i:i + 2] for i in range(len(s) - 1))
profs = {k: prof(v) for k, v in samples.items()}
def detect(s):
    p = prof(s)
    return max(profs, key=lambda k: sum((p & profs[k]).values()))
print(detect("the dog and the fox"), detect("der hund und der fuchs"), detect("le chien et le renard"))

# === sql_like_query
people = [{"n": "ann", "age": 30, "c": "x"}, {"n": "bob", "age": 25, "c": "y"}, {"n": "cy", "age": 35, "c": "x"}]
from itertools import groupby
by = sorted(people, key=lambda p: p["c"])
for c, g in groupby(by, key=lambda p: p["c"]):
    g = list(g)
    print(c, len(g), sum(p["age"] for p in g) / len(g), max(g, key=lambda p: p["age"])["n"])

# === csv_statistics
import csv, io, statistics
text = "name,score\na,1.5\nb,\nc,3.5\nd,x\n"
vals, skipped = [], []
for row in csv.DictReader(io.StringIO(text)):
    try:
        vals.append(float(row["score"]))
    except ValueError as e:
        skipped.append((row["name"], str(e)))
print(vals, statistics.mean(vals), skipped)

# === diff_patch_apply
import difflib
a, b = "one\ntwo\nthree\nfour".split("\n"), "one\n2\nthree\nfour\nfive".split("\n")
out = []
for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, a, b).get_opcodes():
    out += a[i1:i2] if tag == "equal" else b[j1:j2]
    if tag != "equal":
        print(tag, a[i1:i2], b[j1:j2])
print(out == b)

# === retry_with_backoff_schedule
import random
def schedule(n, base=0.5, cap=8, seed=1):
    r = random.Random(seed)
    return [round(min(cap, base * 2 ** i) * (0.5 + r.random() / 2), 3) for i in range(n)]
print(schedule(6))

# === rate_limiter_fake_clock
class Bucket:
    def __init__(self, rate, size): self.rate, self.size, self.n, self.t = rate, size, size, 0.0
    def allow(self, now):
        self.n = min(self.size, self.n + (now - self.t) * self.rate)
        self.t = now
        if self.n >= 1:
            self.n -= 1
            return True
        return False
b = Bucket(2, 3)
print([b.allow(t / 4) for t in range(12)])
