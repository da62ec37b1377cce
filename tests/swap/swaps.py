"""A hundred versions under eight streams: `python swaps.py --mynah BINARY [--swaps 100] [--only NAME]`.

Servers of a tiny model are real processes, each push is one, too. For every setting (plain, rounded weights, rounded
cache, an adapter, guessed tokens) versions come one after the other while eight clients stream. Then it must be so that

* no stream failed, none was cut; with `--policy abort` those that failed say by name that their weights were replaced;
* each token is the one that a cold server of its version gives after the tokens before it. What a version wrote over keys
  and values of the one before (`--policy continue`) no cold server can be asked for: of such answers the first span
  is checked here, and the others in `cargo test -p mynah-serve --test llm twenty_versions`, which replays them;
* the same bytes pushed again move a manifest and change no answer; going back moves no byte.

Needs Python's own library. Progress goes to stderr, the last line of stdout is JSON; exit status 1 when anything was wrong.
"""

import argparse
import collections
import json
import pathlib
import sys
import tempfile
import threading
import time

from fleet import Server, make, make_adapter, mynah

STREAMS = 8
TOKENS = 96
VERSIONS = 4
POLICIES = ("finish", "recompute", "continue", "abort")


def settings(home):
    adapter = home / "low-rank"
    make_adapter(adapter)
    draft = home / "versions" / "v1"
    return {
        "plain": [],
        "q8": ["--quantize", "q8"],
        "q4": ["--quantize", "q4"],
        "cache-q8": ["--cache-format", "q8"],
        "adapter": ["--adapter", f"tuned={adapter}"],
        "lookup": ["--prompt-lookup"],
        "draft": ["--draft-model", draft],
    }


class Clients:
    def __init__(self, server, has_adapter):
        self.server, self.has_adapter = server, has_adapter
        self.answers, self.stop, self.lock = [], threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(STREAMS)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        turn = 0
        while not self.stop.is_set():
            prompt = [40 + number, 50 + turn % 7, 60]
            model = "tuned" if self.has_adapter and (turn + number) % 2 else None
            try:
                answer = self.server.stream(prompt, TOKENS, model)
            except OSError as error:
                answer = ([], [], f"dropped: {error!r}", False)
            with self.lock:
                self.answers.append((prompt, model, *answer))
            turn += 1

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        return self.answers


class Cold:
    """Cold servers, one a version, and what they said."""

    def __init__(self, binary, home, folders, options):
        self.servers = [Server(binary, home / f"cold{place}", folder, *options) for place, folder in enumerate(folders)]
        self.known = {}

    def tokens(self, folder, prompt, count, model):
        key = (folder, tuple(prompt), model)
        found = self.known.get(key, [])
        if len(found) < count:
            found = self.servers[folder].stream(prompt, count, model)[0]
            self.known[key] = found
        return found[:count]

    def stop(self):
        for server in self.servers:
            server.stop()


def judge(binary, home, folders, name, options, swaps):
    home.mkdir()
    # Room for all streams at once: what has to give its pages back is read again, by the version of that time.
    options = ["--cache-tokens", str(STREAMS * 256), *options]
    wrong, counts = [], collections.Counter()
    server = Server(binary, home / "served", folders[0], *options)
    cold = Cold(binary, home, folders, [option for option in options])
    clients = None
    try:
        first = server.version()
        of_version, policy_of, last = {first: 0}, {first: "finish"}, 0
        clients = Clients(server, "--adapter" in options)
        began = time.monotonic()
        pauses = []
        for swap in range(swaps):
            policy = POLICIES[swap % len(POLICIES)]
            same = swap % 10 == 9
            target = last if same else (last + 1 + swap % (VERSIONS - 1)) % VERSIONS
            base = ["--base", folders[last]] if swap % 2 else []
            done = mynah(binary, home / "pusher", "weights", "push", folders[target], *base, "--to", server.url,
                         "--policy", policy, "--no-record", "--json")
            if done.returncode:
                wrong.append(f"push {swap}: {done.stderr.strip()}")
                continue
            report = json.loads(done.stdout)
            of_version[report["version"]], policy_of[report["version"]] = target, policy
            if same and report["sent_bytes"] > 4_000:
                wrong.append(f"push {swap}: {report['sent_bytes']} bytes for the same weights")
            counts["bytes"] += report["sent_bytes"]
            pauses.append(server.status()["figures"]["pause_seconds"])
            last = target
        seconds = time.monotonic() - began
        moved = server.status()["figures"]["received_bytes"]
        if moved != counts["bytes"]:
            wrong.append(f"{counts['bytes']} bytes were sent, {moved} came")
        back = mynah(binary, home / "pusher", "weights", "rollback", "--to", server.url, "--json")
        if back.returncode or server.status()["figures"]["received_bytes"] != moved:
            wrong.append(f"rollback: {back.stderr.strip()} or bytes moved")
        answers = clients.end()
        clients = None
        for prompt, model, tokens, spans, error, whole in answers:
            counts["answers"] += 1
            if error is not None:
                if "replaced" in error:
                    counts["told to come again"] += 1
                else:
                    wrong.append(f"a stream failed: {error}")
                continue
            if not whole or len(tokens) != TOKENS or sum(span["tokens"] for span in spans) != TOKENS:
                wrong.append(f"a stream was cut: {len(tokens)} tokens, spans {spans}")
                continue
            counts["by several versions"] += len(spans) > 1
            at = 0
            for place, span in enumerate(spans):
                if place and policy_of[span["version"]] == "continue":
                    counts["spans over older keys and values, not asked for"] += 1
                    break
                part = tokens[at : at + span["tokens"]]
                expect = cold.tokens(of_version[span["version"]], prompt + tokens[:at], len(part), model)
                counts["tokens checked"] += len(part)
                if part != expect:
                    wrong.append(f"span {place} of {spans}: {part} instead of {expect}")
                at += span["tokens"]
        pauses.sort()
        return {
            "setting": name, "swaps": swaps, "seconds": round(seconds, 1), "pause_ms_median": round(1e3 * pauses[len(pauses) // 2], 2) if pauses else None,
            **counts, "wrong": wrong[:20], "wrong_count": len(wrong),
        }
    finally:
        if clients:
            clients.end()
        server.stop()
        cold.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mynah", required=True)
    parser.add_argument("--swaps", type=int, default=100, help="of the plain setting; the others have a fifth")
    parser.add_argument("--only", help="one setting")
    options = parser.parse_args()
    binary = pathlib.Path(options.mynah).resolve()
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        folders = make(home / "versions", VERSIONS)
        results = []
        for name, arguments in settings(home).items():
            if options.only and name != options.only:
                continue
            swaps = options.swaps if name == "plain" else max(4, options.swaps // 5)
            result = judge(binary, home / name, folders, name, arguments, swaps)
            print(json.dumps(result), file=sys.stderr, flush=True)
            results.append(result)
    print(json.dumps({"settings": results, "wrong": sum(result["wrong_count"] for result in results)}))
    sys.exit(any(result["wrong_count"] for result in results))


main()
