"""llama.cpp's side of `--example step_speed` of mynah-models: prompt and decode rates of a GGUF file.

    python xtask/peers/step_speed.py llama-q8.gguf --make --format q8_0     # a random Llama of 0.35 B weights
    cargo run --release -p mynah-models --example step_speed -- llama-q8.gguf none 1
    python xtask/peers/step_speed.py llama-q8.gguf --threads 2

Needs numpy and gguf to make a file, llama-cpp-python to measure. Run both in turns, and quote the ratio.
"""

import argparse
import json
import time

WIDTH, FEED_FORWARD, LAYERS, VOCABULARY, HEADS = 1024, 2816, 24, 32_000, 16
PROMPT, DECODED = 512, 24


def make(path, name):
    import gguf
    import numpy

    kind = gguf.GGMLQuantizationType[name.upper()]
    random = numpy.random.default_rng(0)
    file = gguf.GGUFWriter(path, "llama")
    file.add_context_length(4096)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(FEED_FORWARD)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_vocab_size(VOCABULARY)
    words = [b"<unk>", b"<s>", b"</s>"] + [b"<0x%02X>" % byte for byte in range(256)]
    words += [b"t%d" % number for number in range(VOCABULARY - len(words))]
    file.add_tokenizer_model("llama")
    file.add_token_list(words)
    file.add_token_scores([0.0] * VOCABULARY)
    file.add_token_types([2, 3, 3] + [6] * 256 + [1] * (VOCABULARY - 259))
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)

    def matrix(tensor, rows, columns):
        values = random.standard_normal((rows, columns), dtype=numpy.float32) / numpy.float32(columns**0.5)
        file.add_tensor(tensor, gguf.quants.quantize(values, kind), raw_dtype=kind)

    ones = numpy.ones(WIDTH, dtype=numpy.float32)
    matrix("token_embd.weight", VOCABULARY, WIDTH)
    file.add_tensor("output_norm.weight", ones)
    matrix("output.weight", VOCABULARY, WIDTH)
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            file.add_tensor(f"blk.{layer}.{norm}.weight", ones)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{part}.weight", WIDTH, WIDTH)
        for part in ("ffn_gate", "ffn_up"):
            matrix(f"blk.{layer}.{part}.weight", FEED_FORWARD, WIDTH)
        matrix(f"blk.{layer}.ffn_down.weight", WIDTH, FEED_FORWARD)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def measure(path, threads, rounds):
    import llama_cpp

    model = llama_cpp.Llama(path, n_ctx=1024, n_batch=PROMPT, n_threads=threads, n_threads_batch=threads, verbose=False)
    tokens = [number * 37 % 30_000 + 300 for number in range(PROMPT)]
    prefill, decode = 0.0, 0.0
    for _ in range(rounds):
        model.reset()
        start = time.perf_counter()
        model.eval(tokens)
        prefill = max(prefill, PROMPT / (time.perf_counter() - start))
        model.reset()
        model.eval(tokens[:16])
        start = time.perf_counter()
        for token in tokens[:DECODED]:
            model.eval([token])
        decode = max(decode, DECODED / (time.perf_counter() - start))
    print(json.dumps({"version": llama_cpp.__version__, "prefill_512": round(prefill, 1), "decode": round(decode, 1)}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--format", choices=["q8_0", "q4_0"], default="q8_0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    if chosen.make:
        make(chosen.path, chosen.format)
    else:
        measure(chosen.path, chosen.threads, chosen.rounds)


if __name__ == "__main__":
    main()
