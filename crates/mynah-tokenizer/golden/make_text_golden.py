"""Writes golden/text/*.json beside this file: small tokenizers of every kind, and what Hugging Face's
`tokenizers` makes of some nasty texts with each. Needs the packages tokenizers and sentencepiece.

    python make_text_golden.py
"""

import base64
import collections
import io
import json
import math
import pathlib
from importlib.metadata import version

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as pre
from tokenizers import processors, trainers

HERE = pathlib.Path(__file__).parent / "text"
STORY = [
    "The little mynah sat on a wire and said: \"I'll talk if you'll listen.\" Nobody listened, so it sang.",
    "It sang 12 songs, 345 whistles and 1000000 very long words.\n\n    def sing(bird):\r\n\treturn bird + '!'\n",
    "Später, im Café, hörte ein Kind zu: «Encore une fois!» — и птица запела снова и снова. Привет, мир!",
    "日本語も少し話す。こんにちは、世界。鳥は歌う。中文也会说一点。안녕하세요 세계. नमस्ते दुनिया. مرحبا بالعالم",
    "IT'S LATE. We've sung for 2 o'clock's sake; they're tired... ''quoted'' $5.00 + 3% = #1 @home <b>bold</b>",
    "The mynah the wire the song the bird, singing and talking and listening and whistling all day long.",
]
TEXTS = [
    "", " ", "  ", "   ", "\n", "\n\n", " \n ", "\t", "\r\n", "a", "A", " a", "a ", "  a  b   c ",
    "The mynah sang.", "the mynah's song", "I'LL we've THEY'RE o'clock ''s", "Hello, world! How are you?",
    "1", "12", "123", "1234567890", "3.14159 and 1,000,000", "٣٤٥ ½ Ⅷ ²", "a1b2c3", "x=1;y=2\n\tz = x+y",
    "éàü café", "e\u0301a\u0300 cafe\u0301", "ß ẞ ŒUVRE İstanbul ſ K", "ﬁ ﬀ ① ㍿ Ａｂｃ", "Приве́т, мир", "日本語 中文。한국어",
    "नमस्ते दुनिया", "ไทย ภาษา", "مرحبا بالعالم", "שלום", "👩‍👩‍👧 🏳️‍🌈 🥰🫠", "a\u200bb\u200dc\u2060", "\u00a0nbsp\u3000wide\u2003em",
    "\u0000\u0001\u001f\u007f\u0085", "\ufeffbom", "\ufffd\U0010ffff\ue000", "<s>", "</s>", "a<s>b", "<s> a </s> b", "<unk>", "[CLS] x [SEP]", "[UNK]",
    "<|end|>", "a <|end|> b", "a<|end|><|end|>b", "<|end|", "<think>deep</think>", " <think> x", "x   <mask>   y",
    "<mask>", "wordly word sword", "Word WORD", "    indented\n        more", "a" * 70, "ab" * 40, "=" * 40, " " * 40 + "x",
    "_under_score_", "▁meta▁space", "a▁b", "Ġbyte", "<0x41><0x0A>", "http://example.org/a?b=c&d=%20", "don't DON'T don’t",
    "singing singer sings", "unaffable", "naïve coöperation", "A\u030a ring", "\u1e9b\u0323 long", "½cup", "tab\tand\u000bvt\u000cff",
    "end of line \r\n\r\n next", "mixed 中a文1字!", "...!?!...", "$100 €50 £20 ^ ` ~ |", "the<|end|>mynah <think>", "day long all day", "Monday days _day day, day",
]
PAIRS = [["The mynah sang.", "Who sang?"], ["", "b"], ["a <mask> b", ""], ["é", "日本"]]
BYTE_LEVEL = dict(add_prefix_space=False, use_regex=False)
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]


def split(source, behavior="isolated", invert=False):
    return pre.Split(Regex(source), behavior, invert)


def special(*names):
    return [AddedToken(name, special=True, normalized=False) for name in names]


def byte_level_bpe(pre_tokenizer, vocabulary=420, normalizer=None, corpus=STORY):
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def gpt2():
    tokenizer = byte_level_bpe(pre.ByteLevel(add_prefix_space=False))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens(special("<|end|>"))
    return tokenizer


def llama3():
    tokenizer = byte_level_bpe(pre.Sequence([split(LLAMA3), pre.ByteLevel(**BYTE_LEVEL)]))
    tokenizer.add_special_tokens(special("<s>", "</s>", "<|end|>"))
    parts = json.loads(tokenizer.to_str())
    # Tokens that merging does not reach, taken whole all the same.
    vocab = parts["model"]["vocab"]
    extra = ["Ġsword", "wordly"]
    for token in parts["added_tokens"]:
        token["id"] += len(extra)
    for name in extra:
        vocab[name] = len(vocab)
    parts["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(parts))
    begin = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", begin)])])
    return tokenizer


def qwen2():
    tokenizer = byte_level_bpe(pre.Sequence([split(QWEN2), pre.ByteLevel(**BYTE_LEVEL)]), normalizer=normalizers.NFC())
    tokenizer.add_special_tokens(special("<|end|>"))
    tokenizer.add_tokens([AddedToken("<think>", normalized=False, special=False),
                          AddedToken("</think>", normalized=False, special=False),
                          AddedToken("cafe\u0301", normalized=True, special=False),
                          AddedToken("day", single_word=True, normalized=True, special=False)])
    return tokenizer


def o200k():
    """With the split written as what is to stay, as converters from tiktoken do."""
    tokenizer = byte_level_bpe(pre.Sequence([split(O200K, "removed", True), pre.ByteLevel(**BYTE_LEVEL)]))
    tokenizer.add_special_tokens(special("<|end|>"))
    return tokenizer


def deepseek():
    tokenizer = byte_level_bpe(pre.Sequence([*map(split, DEEPSEEK), pre.ByteLevel(**BYTE_LEVEL)]),
                               normalizer=normalizers.Sequence([]))
    tokenizer.add_special_tokens(special("<s>", "</s>"))
    return tokenizer


def starcoder():
    tokenizer = byte_level_bpe(pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)]))
    tokenizer.add_special_tokens(special("<|end|>"))
    return tokenizer


def falcon():
    return byte_level_bpe(pre.Sequence([pre.Punctuation("contiguous"), pre.ByteLevel(add_prefix_space=False),
                                        pre.Digits(individual_digits=False), split("[0-9][0-9][0-9]")]))


def roberta():
    """Spaces before the first word, a mask that takes the spaces on its left."""
    tokenizer = byte_level_bpe(pre.ByteLevel(add_prefix_space=True))
    tokenizer.add_special_tokens(special("<s>", "</s>") + [AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>")))
    return tokenizer


def order_of_merges():
    """Two ways to one token, and merges in another order than the ids they make."""
    tokenizer = byte_level_bpe(pre.ByteLevel(add_prefix_space=False), vocabulary=256)
    parts = json.loads(tokenizer.to_str())
    vocab = parts["model"]["vocab"]
    for name in ["aba", "ab", "ba", "bab", "xyz", "yz", "xy"]:
        vocab[name] = len(vocab)
    parts["model"]["merges"] = [["a", "b"], ["a", "ba"], ["ab", "a"], ["b", "a"], ["b", "ab"], ["y", "z"],
                                ["x", "yz"], ["x", "y"], ["xy", "z"]]
    tokenizer = Tokenizer.from_str(json.dumps(parts))
    tokenizer.add_tokens([AddedToken("<mask>", rstrip=True, lstrip=True, normalized=False)])
    return tokenizer


def sentence_piece_bpe(prepend):
    corpus = [("▁" if prepend else "") + text.replace(" ", "▁") for text in STORY]
    seed = Tokenizer(models.BPE())
    seed.pre_tokenizer = split("▁", "merged_with_next")
    seed.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=330, show_progress=False))
    trained = json.loads(seed.to_str())["model"]
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    merges = [tuple(merge) for merge in trained["merges"]]
    names += [left + right for left, right in merges]
    names += [name for name in sorted(trained["vocab"]) if len(name) == 1]
    vocab = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)


def llama2():
    tokenizer = Tokenizer(sentence_piece_bpe(True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer


def mistral():
    """As Llama 2 in newer files: the mark is put only before the text, by the pre-tokenizer."""
    tokenizer = Tokenizer(sentence_piece_bpe(True))
    tokenizer.pre_tokenizer = pre.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>"))
    return tokenizer


def phi3():
    """As Llama 2, with tokens that take the spaces on their right."""
    tokenizer = llama2()
    tokenizer.add_special_tokens([AddedToken("<|end|>", rstrip=True, normalized=False, special=True)])
    tokenizer.add_tokens([AddedToken("<think>", rstrip=True, normalized=False, special=False)])
    return tokenizer


def gemma():
    tokenizer = Tokenizer(sentence_piece_bpe(False))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>"))
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("▁▁▁", normalized=False),
                          AddedToken("<think>", normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer


def charsmap():
    """A small precompiled map: full-width letters, ligatures, long spaces, combined accents."""
    rules = {"Ａ": "A", "ｂ": "b", "ｃ": "c", "ﬁ": "fi", "ﬀ": "ff", "①": "1", "\u3000": " ", "\u00a0": " ", "\u2003": " ",
             "\t": " ", "\n": " ", "\r": " ", "e\u0301": "é", "a\u0300": "à", "A\u030a": "Å", "㍿": "株式会社", "\u200b": " "}
    lines = [" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target)
             for source, target in rules.items()]
    table = HERE / "rules.tsv"
    table.write_text("\n".join(lines) + "\n")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(STORY), model_writer=model, vocab_size=178, hard_vocab_limit=False, character_coverage=1.0,
            normalization_rule_tsv=str(table), minloglevel=2)
    finally:
        table.unlink()
    from sentencepiece import sentencepiece_model_pb2 as proto
    parsed = proto.ModelProto()
    parsed.ParseFromString(model.getvalue())
    return parsed.normalizer_spec.precompiled_charsmap


def pieces_of(words, longest, count):
    """Characters, and the substrings that cover most. (The trainers for Unigram and WordPiece draw lots.)"""
    found = collections.Counter(
        word[start:end] for word in words for start in range(len(word)) for end in range(start + 1, len(word) + 1)
        if end - start <= longest)
    characters = sorted(piece for piece in found if len(piece) == 1)
    longer = [piece for piece in found if len(piece) > 1 and found[piece] > 1]
    longer.sort(key=lambda piece: (-found[piece] * (len(piece) - 1), piece))
    return characters + longer[:count], found


def unigram(normalizer, pre_tokenizer, byte_fallback=False):
    words = ["▁" + word for text in STORY for word in text.split()]
    pieces, counts = pieces_of(words, 6, 140)
    total = sum(counts[piece] for piece in pieces)
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("<s>", 0.0)]
    vocab += [(piece, round(math.log(counts[piece] / total), 4)) for piece in pieces]
    if byte_fallback:
        vocab += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(vocab, 2, byte_fallback))
    tokenizer.add_special_tokens(special("<pad>", "</s>", "<unk>", "<s>"))
    tokenizer.pre_tokenizer = pre_tokenizer
    parts = json.loads(tokenizer.to_str())
    parts["normalizer"] = normalizer
    tokenizer = Tokenizer.from_str(json.dumps(parts))
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def t5():
    precompiled = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap()).decode()}
    steps = [precompiled, {"type": "Strip", "strip_left": False, "strip_right": True},
             {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]
    tokenizer = unigram({"type": "Sequence", "normalizers": steps}, pre.Metaspace())
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def xlm_roberta():
    tokenizer = unigram({"type": "NFKC"}, pre.Sequence([pre.WhitespaceSplit(), pre.Metaspace()]), byte_fallback=True)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 3), ("</s>", 1)])
    return tokenizer


def word_piece(lowercase):
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [word for text in STORY
             for word, _ in pre.BertPreTokenizer().pre_tokenize_str(normalizer.normalize_str(text))]
    pieces, _ = pieces_of(words, 6, 100)
    whole = [word for word, count in sorted(collections.Counter(words).items()) if count > 1]
    listed = dict.fromkeys(names + pieces + ["##" + piece for piece in pieces] + whole)
    tokenizer = Tokenizer(models.WordPiece({name: index for index, name in enumerate(listed)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre.BertPreTokenizer()
    tokenizer.add_special_tokens(special(*names))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def bert():
    tokenizer = word_piece(True)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def bert_cased():
    """Other parts in the same places."""
    tokenizer = word_piece(False)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre.Sequence([pre.Whitespace(), pre.Punctuation("isolated"), pre.Digits(True)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=30)
    return tokenizer


def word_level():
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre.Whitespace()
    tokenizer.train_from_iterator(STORY[:3], trainers.WordLevelTrainer(special_tokens=["<unk>"], show_progress=False))
    return tokenizer


def behaviours():
    """BPE on characters with every way a split can treat what it finds."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre.Sequence([
        split(r"\s+", "removed"), split(r"\d", "merged_with_previous"), split(r"[.,!?]", "merged_with_next"),
        split(r"[a-z]+", "contiguous", True), pre.Split("-", "isolated")])
    tokenizer.train_from_iterator(
        STORY, trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False))
    return tokenizer


KINDS = [gpt2, llama3, qwen2, o200k, deepseek, starcoder, falcon, roberta, order_of_merges, llama2, mistral, phi3, gemma,
         t5, xlm_roberta, bert, bert_cased, word_level, behaviours]


def main():
    HERE.mkdir(exist_ok=True)
    (HERE / "texts.json").write_text(json.dumps(
        {"made_by": f"tokenizers {version('tokenizers')}", "texts": TEXTS, "pairs": PAIRS}, indent=0) + "\n")
    for kind in KINDS:
        built = kind()
        text = json.dumps(json.loads(built.to_str()), ensure_ascii=False, separators=(",", ":"))
        tokenizer = Tokenizer.from_str(text)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        with_special = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        document = [tokenizer.encode(text).ids for text in TEXTS]
        pairs = [[(encoded := tokenizer.encode(*pair)).ids, encoded.type_ids] for pair in PAIRS]
        decoded = [tokenizer.decode(ids, skip_special_tokens=False) for ids in document]
        shown = [tokenizer.decode(ids, skip_special_tokens=True) for ids in document]
        tokenizer.encode_special_tokens = True
        literal = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        # Kept short: where two lists agree only the first is written.
        same = lambda values, other: [None if a == b else a for a, b in zip(values, other)]
        golden = {"with_special": with_special, "literal": same(literal, with_special),
                  "document": same(document, with_special), "pairs": pairs,
                  "decoded": same(decoded, TEXTS), "shown": same(shown, decoded)}
        (HERE / f"{kind.__name__}.json").write_text(
            f'{{"tokenizer":{text},\n"golden":{json.dumps(golden, separators=(",", ":"))}}}\n')


if __name__ == "__main__":
    main()
