"""Eight clients that behave badly, for half an hour: `python soak.py --mynah BINARY --model DIR [--minutes 30]`.

They connect, stream, go away in the middle of an answer, send garbage and bodies over the limit, ask for too much. All
the time `/health` must say 200 within a second, every answer must have the status that its request deserves, and a plain
request must come to its end. When they stop, all cache pages must be free or in the prefix cache, nothing may be queued
or running, and memory must be what it was after the first fifth of the time, within 5%. Needs Linux (/proc) and Python's
own library. Progress goes to stderr, the last line of stdout is JSON; exit status 1 when anything was wrong.
"""

import argparse
import collections
import http.client
import json
import random
import socket
import subprocess
import sys
import threading
import time

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}


class Soak:
    def __init__(self, address, pid, model, context, pause_ms):
        self.pause_seconds = pause_ms / 1000
        self.host, self.port = address
        self.pid, self.model, self.context = pid, model, context
        self.stop = threading.Event()
        self.counts = collections.Counter()
        self.slowest = collections.defaultdict(float)
        self.wrong = []
        self.lock = threading.Lock()

    def note(self, kind, wrong=None):
        with self.lock:
            self.counts[kind] += 1
            if wrong is not None:
                self.wrong.append(f"{kind}: {wrong}")
                print(self.wrong[-1], file=sys.stderr)

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=120)

    def post(self, path, body, expect, kind):
        connection = self.connect()
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request("POST", path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (ConnectionError, http.client.HTTPException, TimeoutError) as error:
            # A body over the limit may be answered before it is read to its end.
            self.note(kind, None if expect == 413 else repr(error))
            return None
        finally:
            connection.close()
        self.note(kind, None if answer.status == expect else f"{answer.status} instead of {expect}: {text[:200]!r}")
        return text

    def chat(self, chance, **fields):
        words = " ".join(chance.choice(("bird", "door", "bell", "name", "two")) for _ in range(chance.randint(1, 60)))
        body = {"model": self.model, "messages": [{"role": "user", "content": words}], "max_tokens": 24}
        body.update(fields)
        return body

    def whole(self, chance):
        text = self.post("/v1/chat/completions", self.chat(chance, n=chance.choice((1, 1, 3))), 200, "whole")
        if text is not None and not json.loads(text)["choices"]:
            self.note("whole", "an answer without choices")

    def constrained(self, chance):
        form = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
        text = self.post("/v1/chat/completions", self.chat(chance, response_format=form, max_tokens=200), 200, "schema")
        if text is not None:
            choice = json.loads(text)["choices"][0]
            if choice["finish_reason"] == "stop" and "ok" not in json.loads(choice["message"]["content"]):
                self.note("schema", f"not of the schema: {text[:200]!r}")

    def stream(self, chance):
        body = self.chat(chance, stream=True, max_tokens=chance.randint(1, 100), temperature=1)
        text = self.post("/v1/chat/completions", body, 200, "stream")
        if text is not None and not text.rstrip().endswith(b"data: [DONE]"):
            self.note("stream", f"ends with {text[-80:]!r}")

    def cancel(self, chance):
        """Goes away while the answer comes, sometimes with a reset."""
        data = json.dumps(self.chat(chance, stream=True, max_tokens=1000)).encode()
        link = socket.create_connection((self.host, self.port), timeout=60)
        try:
            head = (
                "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
            )
            link.sendall(head.encode() + data)
            for _ in range(chance.randint(0, 6)):
                if not link.recv(512):
                    break  # the answer was shorter than the client's patience
            if chance.random() < 0.5:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.note("cancel")
        except OSError as error:
            self.note("cancel", repr(error))
        finally:
            link.close()

    def garbage(self, chance):
        kind = chance.randrange(6)
        if kind == 0:
            self.post("/v1/chat/completions", b'{"model": ', 400, "garbage")
        elif kind == 1:
            self.post("/v1/messages", chance.randbytes(200), 400, "garbage")
        elif kind == 2:
            self.post("/v1/chat/completions", self.chat(chance, temperature="hot"), 400, "garbage")
        elif kind == 3:
            self.post("/v1/chat/completions", self.chat(chance, no_such_field=1), 400, "garbage")
        elif kind == 4:
            self.post("/v1/completions", {"model": self.model, "prompt": [0] * (self.context + 1)}, 400, "garbage")
        else:
            # Half a request, then silence and a close.
            with socket.create_connection((self.host, self.port), timeout=60) as link:
                link.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n{")
            self.note("garbage")

    def oversized(self, chance):
        self.post("/v1/completions", b'{"prompt": "' + b"x" * (33 << 20) + b'"}', 413, "oversized")

    def client(self, seed):
        chance = random.Random(seed)
        acts = [self.whole, self.stream, self.cancel, self.garbage, self.constrained]
        while not self.stop.wait(chance.uniform(0, 2) * self.pause_seconds):
            act = self.oversized if chance.random() < 0.01 else chance.choice(acts)
            start = time.monotonic()
            try:
                act(chance)
            except Exception as error:  # what a client could not digest is a finding, whatever it is
                self.note(act.__name__, repr(error))
            took = time.monotonic() - start
            with self.lock:
                self.slowest[act.__name__] = max(self.slowest[act.__name__], took)

    def watch_health(self):
        while not self.stop.wait(1):
            start = time.monotonic()
            try:
                connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
                connection.request("GET", "/health")
                status = connection.getresponse().status
                connection.close()
            except OSError as error:
                status = repr(error)
            took = time.monotonic() - start
            self.note("health", None if status == 200 and took < 1 else f"{status} after {took:.2f} s")

    def memory_bytes(self):
        with open(f"/proc/{self.pid}/status") as lines:
            return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))

    def gauges(self):
        connection = self.connect()
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        found = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name.partition("{")[0]] = float(value)
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mynah", required=True, help="the binary")
    parser.add_argument("--model", required=True, help="a small model, for example of tests/clients/tiny_model.py")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause-ms", type=float, default=20, help="how long a client waits between requests, about")
    options = parser.parse_args()
    command = [options.mynah, "serve", "--model", options.model, "--name", "soaked", "--port", "0", "--no-record"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        url = process.stdout.readline().strip()
        host, _, port = url.removeprefix("http://").rpartition(":")
        result = soak((host, int(port)), process.pid, options)
    finally:
        process.terminate()
        status = process.wait(timeout=60)
    if status != 0:
        result["wrong"].append(f"the server ended with status {status}")
    print(json.dumps(result))
    return 1 if result["wrong"] else 0


def soak(address, pid, options):
    work = Soak(address, pid, "soaked", 2048, options.pause_ms)
    threads = [threading.Thread(target=work.client, args=(seed,)) for seed in range(options.clients)]
    threads.append(threading.Thread(target=work.watch_health))
    for thread in threads:
        thread.start()
    start, total, memory = time.monotonic(), options.minutes * 60, []
    while (passed := time.monotonic() - start) < total:
        time.sleep(min(10, total / 20))
        memory.append((passed, work.memory_bytes()))
        print(f"{passed:6.0f} s  {memory[-1][1] >> 20} MiB  {dict(work.counts)}  wrong: {len(work.wrong)}", file=sys.stderr)
    work.stop.set()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 10
    while True:
        gauges = work.gauges()
        busy = {name: value for name, value in gauges.items() if name in BUSY and value != 0}
        if not busy or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if busy:
        work.wrong.append(f"still there when all clients had gone: {busy}")
    free, prefix, pages = (gauges[name] for name in PAGES)
    if free + prefix != pages:
        work.wrong.append(f"{pages} cache pages, of which {free} are free and {prefix} in the prefix cache")
    settled = [size for passed, size in memory if passed > total / 5]
    growth = settled[-1] / settled[0] - 1
    if growth > 0.05:
        work.wrong.append(f"memory grew by {growth:.1%}")
    return {
        "seconds": round(time.monotonic() - start), "clients": options.clients, "requests": dict(work.counts),
        "slowest_seconds": {name: round(took, 2) for name, took in work.slowest.items()},
        "memory_mib_first": settled[0] >> 20, "memory_mib_last": settled[-1] >> 20,
        "memory_growth": round(growth, 4), "gauges": {name: gauges.get(name) for name in (*BUSY, *PAGES)},
        "wrong": work.wrong[:20],
    }


#: Gauges that are zero when nobody asks.
BUSY = ("mynah_num_requests_running", "mynah_num_requests_waiting", "mynah_cache_pages_used")
PAGES = ("mynah_cache_pages_free", "mynah_cache_pages_prefix", "mynah_cache_pages")

if __name__ == "__main__":
    sys.exit(main())
