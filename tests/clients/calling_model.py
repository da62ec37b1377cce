"""A tiny chat model that calls the tool `python` by itself: `python calling_model.py OUT_DIR TOOLS.json`.

The model of tiny_model.py, trained for a minute on a few questions: it asks for the product as Python code, reads what
came out, and says it. It has these questions by heart and knows nothing else.
"""

import json
import pathlib
import sys

import tiny_model

PAIRS = [(17, 23), (12, 34)]


def question(first, second):
    return f"What is {first} times {second}?"


def conversation(first, second):
    call = {"name": "python", "arguments": {"code": f"print({first} * {second})"}}
    return [
        {"role": "user", "content": question(first, second)},
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "id": "1", "function": call}]},
        {"role": "tool", "content": str(first * second)},
        {"role": "assistant", "content": f"It is {first * second}."},
    ]


def make(folder, tools, steps=600, enough=0.01):
    """Trains and writes the model; `tools` are the definitions that the server will show it. The last loss."""
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    folder = pathlib.Path(folder)
    tiny_model.make(folder)
    # Not AutoTokenizer: that goes by the kind of the model, not by the file.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        # Smaller weights learn faster.
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(0.1)
    texts = [
        tokenizer.apply_chat_template(conversation(*pair), tools=tools, tokenize=False).rstrip("\n") for pair in PAIRS
    ]
    # All questions share one long head with the tools; only what follows it is learned.
    batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    head = len(tokenizer(texts[0].split("<|im_start|>user")[0])["input_ids"])
    labels[:, :head] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 20)
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if loss.item() < enough:
            break
    model.save_pretrained(folder)
    return loss.item()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[0])
    definitions = json.loads(pathlib.Path(sys.argv[2]).read_text())
    print(f"loss {make(sys.argv[1], definitions):.4f}")
