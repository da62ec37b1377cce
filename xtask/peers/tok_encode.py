"""Peer worker of `cargo xtask bench tok-encode`: tiktoken, document by document (encode_ordinary).

Same protocol and settings as tok_train.py beside it. --ranks FILE gives the merges (base64 token, space,
rank, a line each); without it rustbpe trains them on the same text first, which gives the same merges as
ours.
"""

import base64
import os

from tok_train import PATTERNS, SPECIAL_TOKENS, documents, serve, settings


def ranks(chosen, texts):
    if chosen.ranks:
        with open(chosen.ranks, encoding="ascii") as file:
            lines = [line.split() for line in file if line.strip()]
        return {base64.b64decode(token): int(rank) for token, rank in lines}
    import rustbpe

    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(iter(texts), chosen.vocab - SPECIAL_TOKENS, pattern=PATTERNS[chosen.pattern])
    return {bytes(token): rank for token, rank in tokenizer.get_mergeable_ranks()}


def main():
    chosen = settings()
    os.environ["RAYON_NUM_THREADS"] = str(chosen.threads)
    from importlib.metadata import version

    import tiktoken

    texts = documents(chosen.files, chosen.small)
    encoding = tiktoken.Encoding(
        name="peer",
        pat_str=PATTERNS[chosen.pattern],
        mergeable_ranks=ranks(chosen, texts),
        special_tokens={},
    )

    def encode():
        if chosen.threads <= 1:
            return sum(len(encoding.encode_ordinary(text)) for text in texts)
        return sum(map(len, encoding.encode_ordinary_batch(texts, num_threads=chosen.threads)))

    serve({"encode": encode}, f"tiktoken {version('tiktoken')}", texts, {"threads": chosen.threads})


if __name__ == "__main__":
    main()
