"""Strings: building, f-strings, splitting, joining, searching, changing case."""
import sys


def main(n):
    lines = []
    for i in range(n):
        lines.append(f"{i}:name{i % 97}, value={i * 3} {i / 8:.2f}")
    text = "\n".join(lines)
    total = 0
    for line in text.split("\n"):
        head, _, tail = line.partition(":")
        name, value = tail.split(", ")
        if name.startswith("name1") and value.endswith("5"):
            total += len(name.upper())
        total += int(head) + value.find("=")
    out = ""
    for i in range(n):
        out += chr(97 + i % 26)
    total += out.count("abc")
    words = text.replace(",", " ").replace("=", " ").split()
    total += len(" ".join(w.strip("0123456789").title() for w in words))
    vowels = 0
    for c in out:
        if c in "aeiou":
            vowels += 1
    return total, vowels, len(out)


print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 90000))
