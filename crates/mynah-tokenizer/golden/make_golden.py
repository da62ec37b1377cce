"""Writes ranks.tiktoken, ids.json and merges.json beside this file: what rustbpe and tiktoken make of
some small texts. Needs the packages rustbpe and tiktoken; deterministic for their versions.

    python make_golden.py
"""

import base64
import json
import pathlib
import random
from importlib.metadata import version

import rustbpe
import tiktoken

from check_peers import PATTERNS, PIECES, fuzzed

HERE = pathlib.Path(__file__).parent
STORY = (
    "The little mynah sat on a wire and said: \"I'll talk if you'll listen.\" Nobody listened, so it "
    "sang 12 songs, 345 whistles and one very long word.\n\n    def sing(bird):\r\n\treturn bird + '!'\n\n"
    "Später, im Café, hörte ein Kind zu: «Encore une fois!» — и птица запела. 日本語も少し。 It's 2 o'clock; "
    "IT'S LATE. We've 1000000 reasons...\n  \n"
)
CORPORA = {
    "story": [STORY, STORY[40:], STORY.upper()],
    "ties": ["abab cdcd efef", "ba dc fe", "aaaa aaaaa aaaaaa", "zyzyzyz xwxwxwx", "\n\n\n\n", "ééé üüü ñññ"],
    "runs": ["a" * 1000, "ab" * 300, " " * 257, "=" * 64 + "\n" + "=" * 63],
}


def train(documents, vocabulary, pattern):
    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(iter(documents), vocabulary - 9, pattern=PATTERNS[pattern])
    return [bytes(token) for token, _ in sorted(tokenizer.get_mergeable_ranks(), key=lambda item: item[1])]


def main():
    merges = [
        {"name": name, "pattern": pattern, "vocabulary": vocabulary, "documents": documents,
         "tokens": [token.hex() for token in train(documents, vocabulary, pattern)[256:]]}
        for name, documents in CORPORA.items()
        for pattern, vocabulary in [("gpt4-2", 500), ("gpt2", 400)]
    ]
    write("merges.json", {"made_by": f"rustbpe {version('rustbpe')}", "cases": merges})

    tokens = train(fuzzed(1, 300) + CORPORA["story"] * 3, 1000, "gpt4-2")
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens)]
    (HERE / "ranks.tiktoken").write_text("".join(lines))
    ranks = {token: rank for rank, token in enumerate(tokens)}
    texts = ["", *PIECES, *CORPORA["story"], *CORPORA["runs"], *fuzzed(2, 150)]
    rng = random.Random(4)
    texts += ["".join(rng.choice("aeinrst ") for _ in range(rng.randrange(400))) for _ in range(10)]
    cases = {}
    for name, source in PATTERNS.items():
        peer = tiktoken.Encoding(name="peer", pat_str=source, mergeable_ranks=ranks, special_tokens={})
        cases[name] = [peer.encode_ordinary(text) for text in texts]
    write("ids.json", {"made_by": f"tiktoken {version('tiktoken')}", "texts": texts, "ids": cases})


def write(name, content):
    (HERE / name).write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
