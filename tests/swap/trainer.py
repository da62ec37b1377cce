"""Two live servers follow a training run: `python tests/swap/trainer.py --mynah BINARY [--steps 40] [--every 4]`.

Trains on a few conversations and pushes into both servers every few steps, while eight clients stream from them. Holds:
no stream fails or breaks off, both servers take every version, they end with the same one, that one is what was
trained, and both then answer alike. Standard library only; the last line is JSON.
"""

import argparse
import contextlib
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

KEY = "key-of-the-tests-0123"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mynah", required=True, help="the binary")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--clients", type=int, default=8)
    return parser.parse_args()


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def server(mynah, folder):
    command = [mynah, "serve", "--model", folder / "base", "--tokenizer", folder / "tokenizer", "--port", "0"]
    command += ["--no-record", "--admin-key", KEY]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True).start()
    try:
        yield lines.get(timeout=60).strip()
    finally:
        process.terminate()
        process.wait(timeout=60)


def post(url, body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url + "/v1/chat/completions", data, {"content-type": "application/json"})
    return urllib.request.urlopen(request, timeout=120)


def ask(number, stream):
    return {
        "messages": [{"role": "user", "content": f"say {number % 50}"}], "max_tokens": 40, "seed": number,
        "temperature": 0.8 if stream else 0, "stream": stream, "stream_options": {"include_usage": True} if stream else None,
    }


def client(urls, number, stop, done, wrong):
    while not stop.is_set():
        number += 100
        try:
            with post(urls[number % 2], ask(number, True)) as answer:
                events = [line[6:] for line in answer.read().decode().splitlines() if line.startswith("data: ")]
            reasons = [json.loads(event)["choices"][0]["finish_reason"] for event in events[:-2]]
            whole = events[-1] == "[DONE]" and reasons[-1] in ("stop", "length") and "error" not in events[-2]
            (done if whole else wrong).append(number)
        except Exception as error:
            wrong.append(f"{number}: {error!r}")


def main():
    given = arguments()
    with contextlib.ExitStack() as stack:
        home = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mynah-trainer-")))
        model, out = home / "model", home / "out"
        run(given.mynah, "speedrun", "--quick", "--no-record", "--out", model)
        talks = home / "talks.jsonl"
        with talks.open("w") as file:
            for number in range(200):
                messages = [{"role": "user", "content": f"say {number}"}, {"role": "assistant", "content": f"{number}!"}]
                file.write(json.dumps({"messages": messages}) + "\n")
        urls = [stack.enter_context(server(given.mynah, model)) for _ in range(2)]
        stop, done, wrong = threading.Event(), [], []
        clients = [threading.Thread(target=client, args=(urls, n, stop, done, wrong)) for n in range(given.clients)]
        for thread in clients:
            thread.start()
        started = time.monotonic()
        said = run(
            given.mynah, "train", "sft", "--model", model / "base", "--tokenizer", model / "tokenizer", "--chat", talks,
            "--out", out, "--steps", given.steps, "--no-record", "--push-every", given.every, "--push-policy", "continue",
            "--admin-key", KEY, "--push-to", *urls,
        )  # fmt: skip
        seconds = time.monotonic() - started
        stop.set()
        for thread in clients:
            thread.join()
        pushes = said.count(": pushed to 2 servers")
        status = json.loads(run(given.mynah, "weights", "status", "--admin-key", KEY, "--json", "--to", *urls))
        versions = [found["status"]["live"]["version"] for found in status]
        taken = [found["status"]["figures"]["committed"] for found in status]
        again = json.loads(run(given.mynah, "weights", "push", out, "--admin-key", KEY, "--json", "--to", *urls))
        answers = []
        for url in urls:
            with post(url, ask(7, False)) as answer:
                answers.append(json.load(answer)["choices"][0]["message"]["content"])
    expected = -(-given.steps // given.every)
    found = {
        "pushes": pushes, "taken": taken, "streams": len(done), "wrong": wrong[:10], "seconds": round(seconds, 2),
        "same_version": versions[0] == versions[1], "same_answer": answers[0] == answers[1],
        "chunks_of_what_was_trained": again["whole_chunks"] + again["patched_chunks"],
    }
    found["held"] = (
        pushes == expected and taken == [expected] * 2 and not wrong and len(done) >= given.clients
        and found["same_version"] and found["same_answer"] and found["chunks_of_what_was_trained"] == 0
    )  # fmt: skip
    if not found["held"]:
        print(said)
    print(json.dumps(found))
    sys.exit(not found["held"])


if __name__ == "__main__":
    main()
