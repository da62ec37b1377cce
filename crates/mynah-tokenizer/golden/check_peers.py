"""Checks mynah-tokenizer against its peers, at full size:

- merges identical to rustbpe's on several corpora, one of them full of ties;
- ids identical to tiktoken's with the same ranks, on every document and on fuzzed text;
- our tokenizer.json gives the same ids in Hugging Face's tokenizers; files of theirs in ours.

    cargo build --release -p mynah-tokenizer --example tokenize
    python check_peers.py PATH/TO/tokenize FILE...        (.txt, .jsonl with a field "text")

Needs the packages rustbpe, tiktoken and tokenizers.
"""

import base64
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import rustbpe
import tiktoken
import tokenizers

GPT4 = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,%d}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
PATTERNS = {
    "gpt4-2": GPT4 % 2,
    "gpt4": GPT4 % 3,
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
}
PIECES = [
    "a", "B", "word", " word", "'", "'s", "'S", "'\u017f", "'LL", "'lL", "'ve", "'t", "'\u212a", "1", "12", "1234567",
    "\u0663\u0664", "\u00bd", "\u2167", " ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", " \n", "\n ", "\u00a0",
    "\u2003", "\u0085", "\u2028", "\u3000", "\x0b", "\x0c", "\0", "\x1c", "\u200b", "!", "...", " ?!", "!\n",
    "\u00e9", "e\u0301", "\u00df", "\u4e2d\u6587", " \u4e2d", "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\ufe0f", "\ufb06", "\u0928\u092e\u0938\u094d", "\U0010ffff", "\ufffd", "<|bos|>", "aaaaaaaaaaaa", "\u2019s",
]


def read(paths):
    documents = []
    for path in paths:
        with open(path, encoding="utf-8", newline="") as file:
            if path.endswith(".jsonl"):
                documents += [json.loads(line)["text"] for line in file if line.strip()]
            else:
                documents.append(file.read())
    return documents


def fuzzed(seed, count):
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        text = ""
        for _ in range(rng.randrange(60)):
            if rng.random() < 0.85:
                text += rng.choice(PIECES)
            else:
                code = rng.randrange(0x110000)
                text += chr(code) if not 0xD800 <= code < 0xE000 else "x"
        texts.append(text)
    return texts


def run(binary, arguments, documents):
    lines = "".join(json.dumps(document) + "\n" for document in documents)
    done = subprocess.run([binary, *arguments], input=lines.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{arguments}: {done.stderr.decode()}")
    return done.stdout.decode().splitlines()


def encode(binary, arguments, documents):
    return [json.loads(line) for line in run(binary, ["encode", *arguments], documents)]


def ranks_of(path):
    lines = [line.split() for line in pathlib.Path(path).read_text().splitlines()]
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def same(what, documents, ours, peer):
    for document, a, b in zip(documents, ours, peer, strict=True):
        if list(a) != list(b):
            sys.exit(f"{what}: ids differ for {document[:200]!r}\n ours {list(a)[:50]}\n peer {list(b)[:50]}")
    print(f"  {what}: {len(documents)} texts, {sum(map(len, ours))} ids identical")


def check_merges(binary, name, documents, vocabulary, pattern, folder):
    out = pathlib.Path(folder) / name
    report = run(binary, ["train", str(out), str(vocabulary), pattern], documents)
    ours = ranks_of(out / "tokenizer.tiktoken")
    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(iter(documents), vocabulary - 9, pattern=PATTERNS.get(pattern, pattern))
    peer = tokenizer.get_mergeable_ranks()
    merges = json.loads((out / "tokenizer.json").read_text())["model"]["merges"]
    if sorted(ours.items(), key=lambda item: item[1]) != [(bytes(token), rank) for token, rank in peer]:
        sys.exit(f"{name}: the merges differ from rustbpe's")
    if len(merges) != len(peer) - 256:
        sys.exit(f"{name}: {len(merges)} merges listed for {len(peer) - 256} tokens")
    print(f"{name}: {len(peer) - 256} merges identical to rustbpe's; {report[0]}")
    return out


def check_ids(binary, folder, documents, pattern):
    source = PATTERNS.get(pattern, pattern)
    ranks = ranks_of(folder / "tokenizer.tiktoken")
    peer = tiktoken.Encoding(name="peer", pat_str=source, mergeable_ranks=ranks, special_tokens={})
    fuzz = fuzzed(7, 4000)
    for what, texts in [("documents", documents), ("fuzzed", fuzz)]:
        expected = [peer.encode_ordinary(text) for text in texts]
        for kind, arguments in [("json", [folder]), ("ranks", [folder / "tokenizer.tiktoken", pattern])]:
            same(f"{what}, tiktoken, {kind}", texts, encode(binary, list(map(str, arguments)), texts), expected)
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    # Special names in text are special tokens there, by design of that package: leave them out.
    for what, texts in [("documents", documents), ("fuzzed", fuzz)]:
        texts = [text.replace("<|bos|>", "") for text in texts]
        expected = [theirs.encode(text, add_special_tokens=False).ids for text in texts]
        same(f"{what}, tokenizers", texts, encode(binary, [str(folder)], texts), expected)
    if theirs.token_to_id("<|bos|>") != len(ranks) or theirs.get_vocab_size() != len(ranks) + 9:
        sys.exit("tokenizers sees other special tokens")


def check_foreign(binary, documents, folder):
    """A GPT-2-like file written by the other package loads here and gives the same ids."""
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    theirs.train_from_iterator(documents, trainer)
    out = pathlib.Path(folder) / "foreign"
    out.mkdir()
    for merges in ["pairs", "strings"]:
        theirs.save(str(out / "tokenizer.json"))
        if merges == "strings":
            content = json.loads((out / "tokenizer.json").read_text())
            content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
            (out / "tokenizer.json").write_text(json.dumps(content))
        texts = fuzzed(8, 2000) + documents[:50]
        expected = [theirs.encode(text, add_special_tokens=False).ids for text in texts]
        same(f"foreign file, merges as {merges}", texts, encode(binary, [str(out)], texts), expected)


def check_inconsistent(binary, folder):
    """Ranks that no merging gives: tiktoken's reading of them is ours."""
    rng = random.Random(3)
    tokens = [bytes([byte]) for byte in range(256)]
    seen = set(tokens)
    while len(tokens) < 900:
        token = bytes(rng.choice(b"abc ") for _ in range(rng.randrange(2, 7)))
        if token not in seen:
            seen.add(token)
            tokens.append(token)
    path = pathlib.Path(folder) / "inconsistent.tiktoken"
    path.write_text("".join(f"{base64.b64encode(t).decode()} {i}\n" for i, t in enumerate(tokens)))
    ranks = {token: rank for rank, token in enumerate(tokens)}
    peer = tiktoken.Encoding(name="peer", pat_str=PATTERNS["gpt4-2"], mergeable_ranks=ranks, special_tokens={})
    texts = ["".join(rng.choice("abc ") for _ in range(rng.randrange(300))) for _ in range(3000)]
    texts += ["".join(rng.choice("abc") for _ in range(rng.randrange(300))) for _ in range(3000)]
    expected = [peer.encode_ordinary(text) for text in texts]
    same("inconsistent ranks", texts, encode(binary, [str(path), "gpt4-2"], texts), expected)


def main():
    binary, paths = sys.argv[1], sys.argv[2:]
    documents = read(paths)
    rng = random.Random(5)
    ties = ["".join(rng.choice("abcd \n") for _ in range(40)) for _ in range(30)] + ["xyxyxy zzzz zzzzz zzz", "é" * 9]
    with tempfile.TemporaryDirectory() as folder:
        check_ids(binary, check_merges(binary, "ties", ties, 2000, "gpt4-2", folder), ties, "gpt4-2")
        check_merges(binary, "runs", ["a" * 5000, "ab" * 777, "\n" * 100, " " * 1000], 400, "gpt4-2", folder)
        check_merges(binary, "fuzzed", fuzzed(9, 3000), 3000, "gpt2", folder)
        check_foreign(binary, documents or ties, folder)
        check_inconsistent(binary, folder)
        for name, vocabulary, pattern in [
            ("all-gpt4-2", 32768, "gpt4-2"), ("some-gpt4", 5000, "gpt4"), ("some-gpt2", 5000, "gpt2"),
            ("some-custom", 1000, r"\w+|[^\w\s]+|\s+"),
        ]:
            chosen = documents if name.startswith("all") else documents[::9]
            if chosen:
                check_ids(binary, check_merges(binary, name, chosen, vocabulary, pattern, folder), chosen, pattern)
    print("all identical")


if __name__ == "__main__":
    main()
