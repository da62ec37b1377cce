"""Checks TextTokenizer against Hugging Face's `tokenizers` on fuzzed text: ids with special tokens read and
not, those of documents, and the texts they decode to. Without files, for all of golden/text.

    cargo build -p mynah-tokenizer --example text_ids
    python check_text_peers.py PATH/TO/text_ids [TOKENIZER.json...]

Needs the package tokenizers.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

PIECES = [
    "a", "B", "word", " word", "The", " mynah", " sang", "ing", "'", "'s", "'S", "'\u017f", "'LL", "'ve", "'t", "1", "12",
    "1234567", "\u0663\u0664", "\u00bd", "\u2167", "\u00b2", " ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", " \n", "\n ",
    "\u00a0", "\u2003", "\u0085", "\u2028", "\u3000", "\x0b", "\x0c", "\0", "\x1c", "\u200b", "\u200d", "\ufeff", "!", "...", " ?!",
    "!\n", "/", "\u00e9", "e\u0301", "\u00df", "\u1e9b\u0323", "\u4e2d\u6587", " \u4e2d", "\u65e5\u672c", "\u304b\u3099",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f970", "\ufe0f", "\ufb06", "\ufb01", "\uff21", "\u2460", "\u0928\u092e\u0938\u094d",
    "\u0130", "\u01c5", "\U0010ffff", "\ufffd", "\ue000", "aaaaaaaaaaaa", "\u2019s", "\u2581", "\u0120", "<0x41>", "day", "$", "+", "_", "-",
]


def fuzzed(seed, count, names):
    rng = random.Random(seed)
    pieces = PIECES + names * 2
    texts = []
    for _ in range(count):
        text = ""
        for _ in range(rng.randrange(30)):
            if rng.random() < 0.9:
                text += rng.choice(pieces)
            else:
                code = rng.randrange(0x3000 if rng.random() < 0.7 else 0x110000)
                text += chr(code) if not 0xD800 <= code < 0xE000 else "x"
        texts.append(text)
    return texts


def check(binary, path, seed):
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    names = [token.content for token in tokenizer.get_added_tokens_decoder().values()][:40]
    texts = fuzzed(seed, 3000, names)
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([binary, path], input=lines.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{path}: {done.stderr.decode()}")
    found = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
    wrong = 0
    for text, (special, literal, shown, document) in zip(texts, found, strict=True):
        tokenizer.encode_special_tokens = False
        expected = [tokenizer.encode(text, add_special_tokens=False).ids]
        ids = tokenizer.encode(text).ids
        tokenizer.encode_special_tokens = True
        expected += [tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.decode(ids), ids]
        for what, a, b in zip(["special", "literal", "shown", "document"], [special, literal, shown, document], expected):
            if a != b:
                wrong += 1
                if wrong <= 3:
                    print(f"{path}: {what} of {text!r}\n  ours   {a}\n  theirs {b}")
    return len(texts), wrong


def main():
    binary, *paths = sys.argv[1:]
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        if not paths:
            for golden in sorted(pathlib.Path(__file__).parent.glob("text/*.json")):
                parts = json.loads(golden.read_text())
                if "tokenizer" in parts:
                    path = pathlib.Path(folder) / golden.name
                    path.write_text(json.dumps(parts["tokenizer"]))
                    paths.append(str(path))
        for seed, path in enumerate(paths):
            texts, wrong = check(binary, path, seed)
            print(f"{pathlib.Path(path).name}: {texts} texts, {wrong} differences")
            failures += wrong
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
