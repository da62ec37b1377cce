# Small whole programs: several features at once, the way people write them.

# === fizzbuzz
for i in range(1, 16):
    print("FizzBuzz" if i % 15 == 0 else "Fizz" if i % 3 == 0 else "Buzz" if i % 5 == 0 else i)

# === brainfuck
def bf(src):
    stack, jump = [], {}
    for i, c in enumerate(src):
        if c == "[":
            stack.append(i)
        elif c == "]":
            j = stack.pop()
            jump[i], jump[j] = j, i
    tape, p, i, out = [0] * 50, 0, 0, []
    while i < len(src):
        match src[i]:
            case ">": p += 1
            case "<": p -= 1
            case "+": tape[p] = (tape[p] + 1) % 256
            case "-": tape[p] = (tape[p] - 1) % 256
            case ".": out.append(chr(tape[p]))
            case "[" if not tape[p]: i = jump[i]
            case "]" if tape[p]: i = jump[i]
        i += 1
    return "".join(out)
print(bf("++++++++[>++++++++<-]>+.+.+."))

# === life
cells = {(1, 0), (2, 1), (0, 2), (1, 2), (2, 2)}
def step(cells):
    n = {}
    for x, y in cells:
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                if dx or dy:
                    k = (x + dx, y + dy)
                    n[k] = n.get(k, 0) + 1
    return {k for k, v in n.items() if v == 3 or (v == 2 and k in cells)}
for _ in range(8):
    cells = step(cells)
print(sorted(cells))

# === calculator
import re
def calc(s):
    toks = re.findall(r"\d+\.?\d*|[-+*/()^]", s)
    pos = 0
    def peek():
        return toks[pos] if pos < len(toks) else None
    def eat():
        nonlocal pos
        pos += 1
        return toks[pos - 1]
    def atom():
        t = eat()
        if t == "(":
            v = expr()
            eat()
            return v
        if t == "-":
            return -atom()
        return float(t)
    def power():
        b = atom()
        if peek() == "^":
            eat()
            return b ** power()
        return b
    def term():
        v = power()
        while peek() in ("*", "/"):
            v = v * power() if eat() == "*" else v / power()
        return v
    def expr():
        v = term()
        while peek() in ("+", "-"):
            v = v + term() if eat() == "+" else v - term()
        return v
    return expr()
print(calc("1 + 2 * 3"), calc("(1+2)*3-4/8"), calc("2^3^2"), calc("-2 * (3 - 5)"))

# === lisp
def parse(s):
    toks = s.replace("(", " ( ").replace(")", " ) ").split()
    def read():
        t = toks.pop(0)
        if t == "(":
            l = []
            while toks[0] != ")":
                l.append(read())
            toks.pop(0)
            return l
        try:
            return int(t)
        except ValueError:
            return t
    return read()
def ev(x, env):
    if isinstance(x, str): return env[x]
    if not isinstance(x, list): return x
    match x:
        case ["if", c, a, b]: return ev(a if ev(c, env) else b, env)
        case ["define", n, v]: env[n] = ev(v, env)
        case ["lambda", ps, body]: return lambda *a: ev(body, ChainMap(dict(zip(ps, a)), env))
        case [f, *args]:
            return ev(f, env)(*[ev(a, env) for a in args])
from collections import ChainMap
import operator as o
env = {"+": o.add, "*": o.mul, "-": o.sub, "<": o.lt}
ev(parse("(define fact (lambda (n) (if (< n 2) 1 (* n (fact (- n 1))))))"), env)
print(ev(parse("(fact 20)"), env), ev(parse("((lambda (x y) (+ x (* y 2))) 3 4)"), env), ev(parse("(if (< 1 2) 10 20)"), env))

# === matrix_class
class M:
    def __init__(self, rows): self.rows = [list(r) for r in rows]
    def __matmul__(self, o): return M([[sum(a * b for a, b in zip(r, c)) for c in zip(*o.rows)] for r in self.rows])
    def __getitem__(self, ij): return self.rows[ij[0]][ij[1]]
    def __repr__(self): return f"M({self.rows})"
    @property
    def T(self): return M(zip(*self.rows))
    @classmethod
    def identity(cls, n): return cls([[int(i == j) for j in range(n)] for i in range(n)])
    def det(self):
        if len(self.rows) == 1:
            return self.rows[0][0]
        return sum((-1) ** j * self.rows[0][j] * M([r[:j] + r[j + 1:] for r in self.rows[1:]]).det() for j in range(len(self.rows)))
a = M([[1, 2], [3, 4]])
print(a @ M.identity(2), a.T, a[1, 0], a.det(), M([[2, 0, 1], [1, 3, 2], [1, 1, 1]]).det())

# === linked_list
class Node:
    __slots__ = ("v", "next")
    def __init__(self, v, next=None): self.v, self.next = v, next
class LinkedList:
    def __init__(self, it=()):
        self.head = None
        for x in reversed(list(it)):
            self.head = Node(x, self.head)
    def __iter__(self):
        n = self.head
        while n:
            yield n.v
            n = n.next
    def reverse(self):
        prev, n = None, self.head
        while n:
            n.next, prev, n = prev, n, n.next
        self.head = prev
    def __len__(self): return sum(1 for _ in self)
l = LinkedList("abcd")
l.reverse()
print(list(l), len(l), "c" in l, max(l))

# === binary_tree
class Tree:
    def __init__(self): self.root = None
    def add(self, v):
        def ins(n):
            if n is None: return [v, None, None]
            i = 1 if v < n[0] else 2
            n[i] = ins(n[i])
            return n
        self.root = ins(self.root)
    def __iter__(self):
        def walk(n):
            if n:
                yield from walk(n[1])
                yield n[0]
                yield from walk(n[2])
        return walk(self.root)
    def depth(self):
        d = lambda n: 0 if n is None else 1 + max(d(n[1]), d(n[2]))
        return d(self.root)
t = Tree()
for v in (5, 2, 8, 1, 9, 3):
    t.add(v)
print(list(t), t.depth())

# === trie
class Trie:
    def __init__(self): self.d = {}
    def add(self, w):
        n = self.d
        for c in w:
            n = n.setdefault(c, {})
        n["$"] = True
    def find(self, prefix):
        n = self.d
        for c in prefix:
            if c not in n:
                return
            n = n[c]
        stack = [(prefix, n)]
        while stack:
            p, n = stack.pop()
            for k in sorted(n, reverse=True):
                if k == "$":
                    yield p
                else:
                    stack.append((p + k, n[k]))
t = Trie()
for w in "car card care cat dog".split():
    t.add(w)
print(list(t.find("car")), list(t.find("x")), list(t.find("")))

# === bank_account
class InsufficientFunds(Exception):
    def __init__(self, need, have):
        super().__init__(f"need {need}, have {have}")
        self.need = need
class Account:
    def __init__(self, owner, balance=0):
        self.owner, self._balance, self.log = owner, balance, []
    @property
    def balance(self): return self._balance
    def withdraw(self, n):
        if n > self._balance:
            raise InsufficientFunds(n, self._balance)
        self._balance -= n
        self.log.append(("w", n))
    def __iadd__(self, n):
        self._balance += n
        self.log.append(("d", n))
        return self
a = Account("ann", 100)
a += 50
a.withdraw(30)
try:
    a.withdraw(1000)
except InsufficientFunds as e:
    print(e, e.need)
print(a.balance, a.log)

# === event_emitter
from collections import defaultdict
class Emitter:
    def __init__(self): self.h = defaultdict(list)
    def on(self, name):
        def deco(f):
            self.h[name].append(f)
            return f
        return deco
    def emit(self, name, *a, **k):
        return [f(*a, **k) for f in self.h[name]]
e = Emitter()
@e.on("greet")
def hello(n): return f"hello {n}"
@e.on("greet")
@e.on("bye")
def both(n): return n.upper()
print(e.emit("greet", "bob"), e.emit("bye", "al"), e.emit("none"))

# === pipeline_generators
def read(text):
    yield from text.strip().split("\n")
def parse(lines):
    for l in lines:
        k, _, v = l.partition(":")
        yield k.strip(), int(v)
def keep(rows, pred):
    return (r for r in rows if pred(r))
text = """
a: 5
b: 12
c: 7
"""
print(list(keep(parse(read(text)), lambda r: r[1] > 6)))

# === state_machine
from enum import Enum, auto
class S(Enum):
    IDLE = auto()
    RUN = auto()
    DONE = auto()
table = {(S.IDLE, "start"): S.RUN, (S.RUN, "stop"): S.IDLE, (S.RUN, "finish"): S.DONE}
s = S.IDLE
for ev in ("start", "stop", "finish", "start", "finish"):
    s2 = table.get((s, ev))
    if s2 is None:
        print("ignored", ev)
        continue
    print(s.name, "->", s2.name)
    s = s2

# === text_histogram
text = "it was the best of times it was the worst of times"
from collections import Counter
for w, n in sorted(Counter(text.split()).items(), key=lambda t: (-t[1], t[0])):
    print(f"{w:>6} {'#' * n} {n}")

# === roman_numerals
def roman(n):
    out = ""
    for v, s in ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")):
        k, n = divmod(n, v)
        out += s * k
    return out
def arabic(s):
    v = dict(I=1, V=5, X=10, L=50, C=100, D=500, M=1000)
    return sum(v[c] if v[c] >= v.get(d, 0) else -v[c] for c, d in zip(s, s[1:] + " "))
print([roman(n) for n in (1, 4, 1994, 2024)], all(arabic(roman(n)) == n for n in range(1, 500)))

# === knapsack
items = [(60, 10), (100, 20), (120, 30)]
best = [0] * 51
for v, w in items:
    for c in range(50, w - 1, -1):
        best[c] = max(best[c], best[c - w] + v)
print(best[50], best[::10])

# === longest_common_subsequence
def lcs(a, b):
    t = [[""] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            t[i + 1][j + 1] = t[i][j] + x if x == y else max(t[i + 1][j], t[i][j + 1], key=len)
    return t[-1][-1]
print(lcs("AGGTAB", "GXTXAYB"), lcs("abc", "xyz") == "")

# === union_find
parent = list(range(10))
def find(x):
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x
for a, b in ((1, 2), (3, 4), (2, 3), (7, 8)):
    parent[find(a)] = find(b)
print(find(1) == find(4), find(1) == find(7), len({find(i) for i in range(10)}))

# === sudoku_row_solver
g = ["1...", "..3.", ".4..", "...2"]
g = [[int(c) if c != "." else 0 for c in r] for r in g]
def ok(r, c, v):
    b, d = r // 2 * 2, c // 2 * 2
    return all(g[r][i] != v and g[i][c] != v for i in range(4)) and all(g[b + i][d + j] != v for i in range(2) for j in range(2))
def solve():
    for r in range(4):
        for c in range(4):
            if not g[r][c]:
                for v in range(1, 5):
                    if ok(r, c, v):
                        g[r][c] = v
                        if solve():
                            return True
                        g[r][c] = 0
                return False
    return True
print(solve(), g)

# === maze_astar
import heapq
maze = ["S.#.", "..#.", "#...", "..#G"]
cells = {(r, c): ch for r, row in enumerate(maze) for c, ch in enumerate(row)}
start, goal = (next(k for k, v in cells.items() if v == x) for x in "SG")
q, seen = [(0, 0, start, [start])], set()
while q:
    _, d, p, path = heapq.heappop(q)
    if p == goal:
        print(d, path)
        break
    if p in seen:
        continue
    seen.add(p)
    for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        n = (p[0] + dr, p[1] + dc)
        if cells.get(n, "#") != "#":
            heapq.heappush(q, (d + 1 + abs(n[0] - goal[0]) + abs(n[1] - goal[1]), d + 1, n, path + [n]))

# === rational_class
from math import gcd
class R:
    def __init__(self, n, d=1):
        g = gcd(n, d)
        self.n, self.d = n // g, d // g
    def __add__(self, o):
        if isinstance(o, int): o = R(o)
        return R(self.n * o.d + o.n * self.d, self.d * o.d)
    __radd__ = __add__
    def __eq__(self, o): return (self.n, self.d) == (o.n, o.d)
    def __lt__(self, o): return self.n * o.d < o.n * self.d
    def __hash__(self): return hash((self.n, self.d))
    def __str__(self): return f"{self.n}/{self.d}"
print(R(1, 2) + R(1, 3), 1 + R(1, 2), sum([R(1, 4)] * 3), sorted([R(1, 2), R(1, 3)])[0], len({R(1, 2), R(2, 4)}))

# === inventory_dataclasses
from dataclasses import dataclass, field
@dataclass(order=True)
class Item:
    price: float
    name: str = field(compare=False)
    tags: set = field(default_factory=set, compare=False)
items = [Item(2.5, "pen", {"office"}), Item(1.0, "gum"), Item(9.0, "book", {"office", "fun"})]
print([i.name for i in sorted(items)], max(items).name, round(sum(i.price for i in items if "office" in i.tags), 2))

# === config_merge
import json
base = json.loads('{"a": {"x": 1, "y": [1]}, "b": 2}')
over = json.loads('{"a": {"y": [2], "z": null}, "c": true}')
def merge(a, b):
    return {k: merge(a[k], b[k]) if isinstance(a.get(k), dict) and isinstance(b.get(k), dict) else b.get(k, a.get(k)) for k in a | b}
print(json.dumps(merge(base, over), sort_keys=True))

# === template_engine
import re
def render(t, **ctx):
    def sub(m):
        name, _, filt = m[1].partition("|")
        v = ctx
        for part in name.strip().split("."):
            v = v[part] if isinstance(v, dict) else getattr(v, part)
        return {"": str, "upper": lambda x: str(x).upper(), "len": lambda x: str(len(x))}[filt.strip()](v)
    return re.sub(r"\{\{(.*?)\}\}", sub, t)
print(render("Hi {{ user.name|upper }}, {{ items|len }} items, {{n}}", user={"name": "ann"}, items=[1, 2], n=5))

# === memoize_decorator
def memo(f):
    cache = {}
    def g(*a):
        if a not in cache:
            cache[a] = f(*a)
        return cache[a]
    g.cache = cache
    return g
@memo
def grid(r, c):
    return 1 if r == 0 or c == 0 else grid(r - 1, c) + grid(r, c - 1)
print(grid(16, 16), len(grid.cache))

# === retry_decorator
def retry(n, *excs):
    def deco(f):
        def g(*a):
            for i in range(n):
                try:
                    return f(*a)
                except excs as e:
                    print("attempt", i, type(e).__name__)
                    if i == n - 1:
                        raise
        return g
    return deco
calls = iter([ValueError("1"), KeyError("2"), "ok"])
@retry(3, ValueError, KeyError)
def flaky():
    x = next(calls)
    if isinstance(x, Exception):
        raise x
    return x
print(flaky())

# === coroutine_averager
def averager():
    total, n, avg = 0.0, 0, None
    while True:
        x = yield avg
        if x is None:
            return n, avg
        total += x
        n += 1
        avg = total / n
a = averager()
next(a)
print([a.send(x) for x in (10, 20, 30)])
try:
    a.send(None)
except StopIteration as e:
    print(e.value)

# === plugin_registry
class Plugin:
    registry = {}
    def __init_subclass__(cls, name=None, **kw):
        super().__init_subclass__(**kw)
        Plugin.registry[name or cls.__name__.lower()] = cls
class Upper(Plugin):
    def run(self, s): return s.upper()
class Rev(Plugin, name="reverse"):
    def run(self, s): return s[::-1]
print(sorted(Plugin.registry), [Plugin.registry[n]().run("abc") for n in ("upper", "reverse")])

# === lazy_property_and_cache_invalidation
class Circle:
    def __init__(self, r): self.r = r
    def __setattr__(self, n, v):
        self.__dict__.pop("area", None)
        super().__setattr__(n, v)
    def __getattr__(self, n):
        if n == "area":
            print("computing")
            self.__dict__["area"] = a = 3 * self.r ** 2
            return a
        raise AttributeError(n)
c = Circle(2)
print(c.area, c.area)
c.r = 3
print(c.area)

# === interval_merge
def merge(iv):
    out = []
    for a, b in sorted(iv):
        if out and a <= out[-1][1]:
            out[-1][1] = max(b, out[-1][1])
        else:
            out.append([a, b])
    return out
print(merge([(5, 8), (1, 3), (2, 4), (8, 9), (20, 21)]))

# === vigenere_and_rot
def vig(s, k, sign=1):
    it = 0
    out = []
    for c in s:
        if c.isalpha():
            base = 65 if c.isupper() else 97
            out.append(chr((ord(c) - base + sign * (ord(k[it % len(k)]) - 97)) % 26 + base))
            it += 1
        else:
            out.append(c)
    return "".join(out)
e = vig("Attack at Dawn!", "lemon")
print(e, vig(e, "lemon", -1))

# === mandelbrot_ascii
for y in range(-6, 7, 2):
    row = ""
    for x in range(-16, 6):
        z, c, n = 0j, complex(x / 8, y / 6), 0
        while abs(z) <= 2 and n < 20:
            z = z * z + c
            n += 1
        row += " .:-=+*#%@"[n * 9 // 20]
    print(row.rstrip() + "|")

# === nbody_two_steps
bodies = [[0.0, 0.0, 0.0, 0.0, 10.0], [5.0, 0.0, 0.0, 1.2, 1.0], [0.0, 8.0, -1.0, 0.0, 0.5]]
for _ in range(50):
    for i, a in enumerate(bodies):
        for b in bodies[i + 1:]:
            dx, dy = a[0] - b[0], a[1] - b[1]
            m = 0.01 / (dx * dx + dy * dy) ** 1.5
            a[2] -= dx * b[4] * m
            a[3] -= dy * b[4] * m
            b[2] += dx * a[4] * m
            b[3] += dy * a[4] * m
    for b in bodies:
        b[0] += 0.01 * b[2]
        b[1] += 0.01 * b[3]
print([[round(v, 9) for v in b[:4]] for b in bodies])

# === fannkuch_small
from itertools import permutations
best = 0
for p in permutations(range(1, 6)):
    q, n = list(p), 0
    while q[0] != 1:
        k = q[0]
        q[:k] = q[:k][::-1]
        n += 1
    best = max(best, n)
print(best)

# === spectral_norm_small
def A(i, j): return 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1)
def mul(v, t=False):
    return [sum((A(j, i) if t else A(i, j)) * v[j] for j in range(len(v))) for i in range(len(v))]
u = [1.0] * 10
for _ in range(5):
    v = mul(mul(u), True)
    u = mul(mul(v), True)
print(f"{(sum(a * b for a, b in zip(u, v)) / sum(b * b for b in v)) ** 0.5:.9f}")

# === binary_trees_small
def make(d): return (make(d - 1), make(d - 1)) if d else (None, None)
def check(t): return 1 if t[0] is None else 1 + check(t[0]) + check(t[1])
print([check(make(d)) for d in range(8)])

# === fasta_lines
seed = 42
def rnd(n):
    global seed
    seed = (seed * 3877 + 29573) % 139968
    return n * seed / 139968
genes = [("a", 0.3), ("c", 0.5), ("g", 0.7), ("t", 1.0)]
s = "".join(next(g for g, p in genes if r < p) for r in (rnd(1.0) for _ in range(120)))
for i in range(0, 120, 60):
    print(s[i:i + 60])

# === word_ladder
from collections import deque
words = {"hit", "hot", "dot", "dog", "lot", "log", "cog"}
q = deque([("hit", ("hit",))])
seen = {"hit"}
while q:
    w, path = q.popleft()
    if w == "cog":
        print(len(path))
        break
    for i in range(3):
        for c in "abcdefghijklmnopqrstuvwxyz":
            n = w[:i] + c + w[i + 1:]
            if n in words and n not in seen:
                seen.add(n)
                q.append((n, path + (n,)))

# === markdown_to_html
import re
def md(s):
    out = []
    for line in s.splitlines():
        if m := re.match(r"(#+)\s+(.*)", line):
            out.append(f"<h{len(m[1])}>{m[2]}</h{len(m[1])}>")
        elif line.startswith("- "):
            out.append(f"<li>{line[2:]}</li>")
        elif line:
            out.append(f"<p>{line}</p>")
    h = "\n".join(out)
    h = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", h)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", h)
print(md("# Title\n\nsome **bold** `x`\n- one\n- two"))

# === money_formatting
def money(c, cur="$"):
    sign = "-" if c < 0 else ""
    return f"{sign}{cur}{abs(c) // 100:,}.{abs(c) % 100:02d}"
print([money(c) for c in (0, 5, 123456789, -250)], money(1, "€"))

# === date_table
from datetime import date, timedelta
d = date(2024, 2, 27)
for _ in range(4):
    print(f"{d:%a %d %b %Y}", d.isocalendar().week, d.timetuple().tm_yday)
    d += timedelta(days=1)

# === vector_slots_operator_chain
class V3:
    __slots__ = "x", "y", "z"
    def __init__(self, *a): self.x, self.y, self.z = a
    def __iter__(self): yield from (self.x, self.y, self.z)
    def __add__(s, o): return V3(*(a + b for a, b in zip(s, o)))
    def __sub__(s, o): return V3(*(a - b for a, b in zip(s, o)))
    def __mul__(s, k): return V3(*(a * k for a in s))
    def dot(s, o): return sum(a * b for a, b in zip(s, o))
    def cross(s, o): return V3(s.y * o.z - s.z * o.y, s.z * o.x - s.x * o.z, s.x * o.y - s.y * o.x)
    def __repr__(s): return f"<{s.x} {s.y} {s.z}>"
a, b = V3(1, 2, 3), V3(4, 5, 6)
print(a + b * 2 - a, a.dot(b), a.cross(b))

# === bit_set_class
class Bits:
    def __init__(self, it=()):
        self.n = 0
        for i in it:
            self.add(i)
    def add(self, i): self.n |= 1 << i
    def __contains__(self, i): return bool(self.n >> i & 1)
    def __iter__(self):
        n, i = self.n, 0
        while n:
            if n & 1:
                yield i
            n >>= 1
            i += 1
    def __and__(self, o):
        r = Bits()
        r.n = self.n & o.n
        return r
    def __len__(self): return self.n.bit_count()
a, b = Bits([1, 5, 100]), Bits([5, 100, 7])
print(list(a & b), len(a), 100 in a, 99 in a)

# === simple_tokenizer_generator
def tokens(s):
    i = 0
    while i < len(s):
        c = s[i]
        if c.isspace():
            i += 1
        elif c.isdigit():
            j = i
            while j < len(s) and s[j].isdigit():
                j += 1
            yield "num", int(s[i:j])
            i = j
        elif c.isidentifier():
            j = i
            while j < len(s) and s[i:j + 1].isidentifier():
                j += 1
            yield "name", s[i:j]
            i = j
        else:
            yield "op", c
            i += 1
print(list(tokens("x1 = 42+y_2*(é)")))

# === stack_machine
prog = [("push", 2), ("push", 3), ("add",), ("dup",), ("mul",), ("print",), ("jz", 8), ("push", 7), ("halt",)]
stack, pc = [], 0
while True:
    op, *arg = prog[pc]
    pc += 1
    if op == "push": stack.append(*arg)
    elif op == "add": stack.append(stack.pop() + stack.pop())
    elif op == "mul": stack.append(stack.pop() * stack.pop())
    elif op == "dup": stack.append(stack[-1])
    elif op == "print": print(stack[-1])
    elif op == "jz": pc = arg[0] if not stack[-1] else pc
    elif op == "halt": break
print(stack, pc)

# === dependency_resolver
deps = {"app": ["lib", "log"], "lib": ["core"], "log": ["core"], "core": []}
def order(name, seen=None, path=()):
    if seen is None: seen = []
    if name in path: raise ValueError(" -> ".join((*path, name)))
    for d in deps[name]:
        order(d, seen, (*path, name))
    if name not in seen: seen.append(name)
    return seen
print(order("app"))
deps["core"].append("app")
try:
    order("app")
except ValueError as e:
    print(e)

# === observer_weak
import weakref
class Subject:
    def __init__(self): self.obs = weakref.WeakSet()
    def notify(self, x): return sorted(o.got(x) for o in self.obs)
class Obs:
    def __init__(self, n): self.n = n
    def got(self, x): return f"{self.n}:{x}"
s, a, b = Subject(), Obs("a"), Obs("b")
s.obs.add(a); s.obs.add(b)
print(s.notify(1))
del b
print(s.notify(2))

# === context_timer_free
from contextlib import contextmanager
depth = 0
@contextmanager
def section(name):
    global depth
    print("  " * depth + f"<{name}>")
    depth += 1
    try:
        yield
    finally:
        depth -= 1
        print("  " * depth + f"</{name}>")
with section("a"):
    with section("b"):
        print("  " * depth + "text")
    with section("c"): pass

# === simulated_banker_queue
from collections import deque
import random
r = random.Random(11)
q, t, served = deque(), 0, []
for minute in range(30):
    if r.random() < 0.5:
        q.append(minute)
    if q and minute >= t:
        a = q.popleft()
        served.append(minute - a)
        t = minute + r.randint(1, 3)
print(len(served), sum(served), list(q)[:3])

# === polynomial_class
class Poly:
    def __init__(self, *c):
        self.c = list(c)
        while len(self.c) > 1 and self.c[-1] == 0:
            self.c.pop()
    def __call__(self, x):
        r = 0
        for a in reversed(self.c):
            r = r * x + a
        return r
    def __add__(self, o):
        from itertools import zip_longest
        return Poly(*(a + b for a, b in zip_longest(self.c, o.c, fillvalue=0)))
    def __mul__(self, o):
        r = [0] * (len(self.c) + len(o.c) - 1)
        for i, a in enumerate(self.c):
            for j, b in enumerate(o.c):
                r[i + j] += a * b
        return Poly(*r)
    def __str__(self):
        return " + ".join(f"{a}x^{i}" if i else str(a) for i, a in enumerate(self.c) if a) or "0"
p = Poly(1, 2)
print(p * p, (p * p)(3), p + Poly(-1, -2), (p * p + Poly(0, 0, 0, 5)))
