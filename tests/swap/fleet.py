"""What the scripts of this folder share: a tiny model made without any package, versions of it, and servers of them."""

import array
import http.client
import json
import os
import pathlib
import queue
import random
import struct
import subprocess
import threading
import time
import urllib.parse

KEY = "the-admin-key-of-the-scripts"
CONTEXT = 256
# Printable characters: the only ones that the model ever says, each a token of its own.
SAID = range(0x21, 0x7F)
WIDTH, INNER, LAYERS, HEADS, KV_HEADS, VOCABULARY = 64, 128, 2, 4, 2, 260


def byte_letters():
    """GPT-2's letters for bytes, so that a byte is a token."""
    plain = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    letters, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(256 + extra)
            extra += 1
    return letters


def tensors(seed):
    """Names, shapes and values of a Llama."""
    source = random.Random(seed)
    head = WIDTH // HEADS
    shapes = [("model.embed_tokens.weight", VOCABULARY, WIDTH)]
    for layer in range(LAYERS):
        name = f"model.layers.{layer}."
        shapes += [
            (name + "self_attn.q_proj.weight", WIDTH, WIDTH),
            (name + "self_attn.k_proj.weight", KV_HEADS * head, WIDTH),
            (name + "self_attn.v_proj.weight", KV_HEADS * head, WIDTH),
            (name + "self_attn.o_proj.weight", WIDTH, WIDTH),
            (name + "mlp.gate_proj.weight", INNER, WIDTH),
            (name + "mlp.up_proj.weight", INNER, WIDTH),
            (name + "mlp.down_proj.weight", WIDTH, INNER),
        ]
    shapes.append(("lm_head.weight", VOCABULARY, WIDTH))
    found = {}
    for name, rows, columns in shapes:
        found[name] = ([rows, columns], array.array("f", (source.gauss(0, 0.3) for _ in range(rows * columns))))
    # What is not printable has logits of 0, and is never the likeliest.
    values = found["lm_head.weight"][1]
    for row in range(VOCABULARY):
        if row not in SAID:
            values[row * WIDTH : (row + 1) * WIDTH] = array.array("f", [0.0] * WIDTH)
    for layer in range(LAYERS):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            found[f"model.layers.{layer}.{norm}.weight"] = ([WIDTH], array.array("f", [1.0] * WIDTH))
    found["model.norm.weight"] = ([WIDTH], array.array("f", [1.0] * WIDTH))
    return found


def save(folder, found):
    header, offset = {}, 0
    for name in sorted(found):
        shape, values = found[name]
        size = len(values) * 4
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(found):
            file.write(found[name][1].tobytes())


def make(home, count):
    """Folders of versions 0 to count - 1 of one model: each has other values in a hundredth of its places."""
    letters = byte_letters()
    vocabulary = {letters[byte]: byte for byte in range(256)}
    special = ["<s>", "</s>", "<pad>", "<unused>"]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [
            {"id": 256 + place, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for place, text in enumerate(special)
        ],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary, "merges": []},
    }
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "bos_token_id": 256, "eos_token_id": 257, "tie_word_embeddings": False, "torch_dtype": "float32",
        "hidden_act": "silu",
    }
    found = tensors(7)
    folders = []
    for number in range(count):
        folder = pathlib.Path(home) / f"v{number}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", "bos_token": "<s>"}))
        if number:
            source = random.Random(1_000 + number)
            for name, (shape, values) in found.items():
                if len(shape) == 2 and name != "lm_head.weight":
                    for _ in range(len(values) // 100):
                        values[source.randrange(len(values))] = source.gauss(0, 0.3)
        save(folder, found)
        folders.append(folder)
    return folders


def make_adapter(folder):
    """A low-rank adapter in PEFT's form for the first layer's queries."""
    folder.mkdir(parents=True)
    source = random.Random(3)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none",
              "task_type": "CAUSAL_LM", "base_model_name_or_path": "tiny"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    found = {}
    for layer in range(LAYERS):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj."
        found[name + "lora_A.weight"] = ([4, WIDTH], array.array("f", (source.gauss(0, 0.3) for _ in range(4 * WIDTH))))
        found[name + "lora_B.weight"] = ([WIDTH, 4], array.array("f", (source.gauss(0, 0.3) for _ in range(4 * WIDTH))))
    save(folder, found)
    os.rename(folder / "model.safetensors", folder / "adapter_model.safetensors")


class Server:
    """A server of ours in a process of its own."""

    def __init__(self, binary, home, model, *options, port=0):
        self.arguments = [str(binary), "serve", "--model", str(model), "--port", str(port), "--no-record", *map(str, options)]
        self.environment = dict(os.environ, MYNAH_HOME=str(home), MYNAH_ADMIN_KEY=KEY)
        self.said = []
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.arguments, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        process = self.process
        threading.Thread(target=lambda: self.said.extend(process.stderr), daemon=True).start()
        lines = queue.Queue()

        def read():
            for line in process.stdout:
                lines.put(line)
            lines.put("")

        threading.Thread(target=read, daemon=True).start()
        url = lines.get(timeout=120).strip()
        if not url:
            raise RuntimeError("the server did not start: " + "".join(self.said[-20:]))
        self.url = url
        self.address = urllib.parse.urlparse(url).netloc
        # It comes back at the same place.
        port = self.arguments.index("--port") + 1
        self.arguments[port] = self.address.rsplit(":", 1)[1]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()

    def call(self, method, path, body=None, timeout=120):
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        try:
            data = None if body is None else json.dumps(body).encode()
            head = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
            if not path.startswith("/admin"):
                del head["Authorization"]
            connection.request(method, path, data, head)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.call("GET", "/admin/weights/status")[1])

    def version(self):
        """The version that is served."""
        status, body = self.call("POST", "/admin/weights/init", {})
        return json.loads(body)["live"]["version"] if status == 200 else None

    def ready(self):
        status, body = self.call("GET", "/ready")
        return status == 200, json.loads(body).get("reason")

    def stream(self, prompt, tokens, model=None):
        """An answer as a stream: its token ids, its spans, and why it failed."""
        body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "return_weights": True, "stream": True}
        if model:
            body["model"] = model
        status, data = self.call("POST", "/v1/completions", body)
        text, spans, error, whole = "", [], None, False
        if status != 200:
            return [], [], data.decode(), False
        for line in data.decode().splitlines():
            if line == "data: [DONE]":
                whole = True
            elif line.startswith("data: "):
                event = json.loads(line[6:])
                if "error" in event:
                    error = event["error"]["message"]
                for choice in event.get("choices", []):
                    text += choice.get("text") or ""
                    spans += choice.get("weights") or []
        return [ord(letter) for letter in text], spans, error, whole


def mynah(binary, home, *arguments, timeout=300):
    environment = dict(os.environ, MYNAH_HOME=str(home), MYNAH_ADMIN_KEY=KEY)
    return subprocess.run([str(binary), *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=timeout)


def wait_until(condition, seconds, what):
    """Asks again and again until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
