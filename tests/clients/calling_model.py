"""A tiny chat model that calls the tool `python` by itself: `python calling_model.py OUT_DIR`.

The model of tiny_model.py, trained for a minute on a few questions: it asks for the product as Python code, reads what
came out, and says it. It has these questions by heart and knows nothing else.
"""

import pathlib
import sys

import tiny_model

PAIRS = [(17, 23), (12, 34), (99, 99), (41, 7)]
TOOL = {
    "type": "function",
    "function": {
        "name": "python",
        "parameters": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    },
}


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


def make(folder, tools, steps=400):
    """Trains and writes the model; `tools` are the definitions that the server will show it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = pathlib.Path(folder)
    tiny_model.make(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
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
            group["lr"] = 3e-3 * min(1, (step + 1) / 20) * (1 - step / steps)
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.save_pretrained(folder)
    return loss.item()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[0])
    print(f"loss {make(sys.argv[1], [TOOL]):.4f}")
