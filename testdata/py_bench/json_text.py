"""A small JSON reader and writer in Python: text, character by character and in pieces."""
import sys


class Reader:
    def __init__(self, text):
        self.text = text
        self.at = 0

    def space(self):
        text = self.text
        at = self.at
        while at < len(text) and text[at] in " \n\t":
            at += 1
        self.at = at

    def value(self):
        self.space()
        c = self.text[self.at]
        if c == "{":
            return self.object()
        if c == "[":
            return self.array()
        if c == '"':
            return self.string()
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        return self.number()

    def string(self):
        start = self.at + 1
        end = self.text.index('"', start)
        self.at = end + 1
        return self.text[start:end]

    def number(self):
        start = at = self.at
        text = self.text
        while at < len(text) and (text[at].isdigit() or text[at] in "+-.eE"):
            at += 1
        self.at = at
        word = text[start:at]
        if "." in word:
            return float(word)
        return int(word)

    def array(self):
        items = []
        self.at += 1
        self.space()
        while self.text[self.at] != "]":
            items.append(self.value())
            self.space()
            if self.text[self.at] == ",":
                self.at += 1
        self.at += 1
        return items

    def object(self):
        items = {}
        self.at += 1
        self.space()
        while self.text[self.at] != "}":
            key = self.string()
            self.space()
            self.at += 1
            items[key] = self.value()
            self.space()
            if self.text[self.at] == ",":
                self.at += 1
                self.space()
        self.at += 1
        return items


def write(value):
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return '"' + value + '"'
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join([write(item) for item in value]) + "]"
    return "{" + ", ".join(f'"{key}": {write(item)}' for key, item in value.items()) + "}"


def main(n):
    record = {"id": 1, "name": "thing", "tags": ["a", "b", "c"], "price": 12.5, "stock": {"x": 3, "y": None}, "ok": True}
    text = write([dict(record, id=i, name="thing" + str(i)) for i in range(n)])
    total = 0
    for _ in range(3):
        data = Reader(text).value()
        again = write(data)
        total += len(again) + sum(item["id"] for item in data)
    return total, again == text


print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 900))
