"""Peer worker of `cargo xtask bench tok-train`: the Python package rustbpe.

Same protocol as examples/bench_tokenizer.rs of mynah-tokenizer: one JSON line when ready, then one answer
for each case read from standard input. Settings: --files PATH..., --vocab N, --threads N, --pattern NAME,
--small, and --merges FILE, which writes the merges of the last training ("left right" ids, a line each).
"""

import argparse
import json
import os
import resource
import sys
import time

GPT4 = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,%d}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
PATTERNS = {
    "gpt4-2": GPT4 % 2,
    "gpt4": GPT4 % 3,
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
}
SPECIAL_TOKENS = 9


def settings():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", nargs="*", default=[])
    parser.add_argument("--vocab", type=int, default=32768)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pattern", choices=PATTERNS, default="gpt4-2")
    parser.add_argument("--ranks")
    parser.add_argument("--merges")
    parser.add_argument("--small", action="store_true")
    found = parser.parse_args()
    if found.small:
        found.vocab = min(found.vocab, 512)
    return found


def documents(files, small):
    if not files:
        words = ["ka", "lo", "mi", "ren", "sta", "tu", "vel", "ing"]
        count = 20 if small else 2000
        return [" ".join(words[(i * j) % 8] + words[(i + j * j) % 8] for j in range(1000)) for i in range(count)]
    found = []
    for path in files:
        with open(path, encoding="utf-8", newline="") as file:
            if path.endswith(".jsonl"):
                found += [json.loads(line)["text"] for line in file if line.strip()]
            else:
                found.append(file.read())
    return found


def serve(cases, version, texts, extra):
    size = sum(len(text.encode()) for text in texts)
    ready = {"ready": True, "version": version, "cases": list(cases), "documents": len(texts), "bytes": size}
    print(json.dumps(ready | extra), flush=True)
    for line in sys.stdin:
        case = line.strip()
        start = time.perf_counter()
        result = cases[case]()
        seconds = time.perf_counter() - start
        answer = {"case": case, "seconds": seconds, "work": size, "unit": "byte", "result": result}
        print(json.dumps(answer), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_rss_bytes": peak}), flush=True)


def main():
    chosen = settings()
    os.environ["RAYON_NUM_THREADS"] = str(chosen.threads)
    # Only now, so that the package's thread pool sees the number.
    from importlib.metadata import version

    import rustbpe

    texts = documents(chosen.files, chosen.small)

    def train():
        tokenizer = rustbpe.Tokenizer()
        vocabulary = chosen.vocab - SPECIAL_TOKENS
        tokenizer.train_from_iterator(iter(texts), vocabulary, pattern=PATTERNS[chosen.pattern])
        if chosen.merges:
            write_merges(tokenizer, chosen.merges)
        return tokenizer.vocab_size + SPECIAL_TOKENS

    serve({"train": train}, f"rustbpe {version('rustbpe')}", texts, {"threads": chosen.threads})


def write_merges(tokenizer, path):
    """The tokens in order of rank, in hexadecimal: the merges up to their (unique) last split."""
    with open(path, "w", encoding="ascii") as file:
        for token, _ in sorted(tokenizer.get_mergeable_ranks(), key=lambda item: item[1]):
            file.write(bytes(token).hex() + "\n")


if __name__ == "__main__":
    main()
