"""llama.cpp's side of `cargo xtask bench engine`: the cases of crates/mynah-models/examples/bench_engine.rs.

    cargo xtask bench engine                 # both sides in turns
    python3 xtask/peers/step_speed.py --models target/bench-models --threads 2

Calls llama.cpp's own functions (llama_batch, llama_decode) through llama-cpp-python, without its Python sampling; our
worker has written the models. Logits are computed for the last token of each sequence, as on our side.
"""

import argparse
import json
import pathlib
import re
import resource
import sys
import time

import llama_cpp

OURS = pathlib.Path(__file__).resolve().parents[2] / "crates/mynah-models/examples/bench_engine.rs"
BEFORE, STREAMS, CONTEXT = 16, 8, 640


class Model:
    def __init__(self, path, threads):
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = CONTEXT * STREAMS
        parameters.n_batch = parameters.n_ubatch = 512
        parameters.n_seq_max = STREAMS
        parameters.n_threads = parameters.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, parameters)
        if not self.context:
            sys.exit("llama.cpp cannot make a context")
        self.batch = llama_cpp.llama_batch_init(512, 0, STREAMS)
        vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.tokens = [i * 37 % (vocabulary - 300) + 300 for i in range(512)]

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), False)

    def step(self, sequences, start, tokens):
        batch, at = self.batch, 0
        for sequence in range(sequences):
            for i, token in enumerate(tokens):
                batch.token[at], batch.pos[at] = token, start + i
                batch.n_seq_id[at] = 1
                batch.seq_id[at][0] = sequence
                batch.logits[at] = i == len(tokens) - 1
                at += 1
        batch.n_tokens = at
        if llama_cpp.llama_decode(self.context, batch) != 0:
            sys.exit("llama_decode failed")
        # Waits for the result.
        return llama_cpp.llama_get_logits_ith(self.context, at - 1)[0]

    def measure(self, what, small):
        self.clear()
        if what == "prefill-512":
            start = time.perf_counter()
            self.step(1, 0, self.tokens)
            return time.perf_counter() - start, len(self.tokens)
        sequences = {"decode": 1, "streams-8": STREAMS}[what]
        self.step(sequences, 0, self.tokens[:BEFORE])
        count = 2 if small else 32
        start = time.perf_counter()
        for i in range(count):
            self.step(sequences, BEFORE + i, self.tokens[i : i + 1])
        return time.perf_counter() - start, count * sequences


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small", action="store_true")
    options, _ = parser.parse_known_args()
    # Its log is one line a tensor.
    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, None)
    shape = "tiny" if options.small else "0.35b"
    folder = pathlib.Path(options.models)
    models = {name: Model(folder / f"random-{shape}-{name}.gguf", options.threads) for name in ("q8_0", "q4_0")}
    cases = re.findall(r'^    "(q[48]_0-[a-z0-9-]+)",$', OURS.read_text(), re.M)
    print(json.dumps({"ready": True, "version": llama_cpp.__version__, "cases": cases}), flush=True)
    for line in sys.stdin:
        name = line.strip()
        kind, what = name.split("-", 1)
        seconds, work = models[kind].measure(what, options.small)
        print(json.dumps({"case": name, "seconds": seconds, "work": work, "unit": "token"}), flush=True)
    print(json.dumps({"peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


main()
