"""`kill -9` of a server, and of the pusher, at every step of a push: `python kill.py --mynah BINARY [--only NAME]`.

Two servers of a tiny model with `--weights-dir`, real processes, behind a proxy that reads the messages of the protocol and
kills one process before or after a message of a kind. Afterwards the one that was killed is started anew (the server),
or its push is run again (the pusher); then all that live must serve the same version, the old one or the new one, all must
be ready, and the one that was not killed must have answered within seconds all the time.

Needs Python's own library. The last line of stdout is JSON; exit status 1 when anything was wrong.
"""

import argparse
import http.client
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from fleet import KEY, Server, make, mynah, wait_until

# Kinds of messages, as mynah-swap writes them: a term of eight bytes, then the kind.
STAGE, PRECOMMIT, DECISION, SETTLED = "00", "02", "03", "04"
# How long anything may take: the protocol waits ten seconds for a server that promised.
SECONDS = 40
# Requests of users may wait that long, and no longer, for a decision.
ANSWER_SECONDS = 20

STEPS = {
    "start": lambda path, body: path.endswith("/start"),
    "upload": lambda path, body: "/update" in path,
    "finish": lambda path, body: path.endswith("/finish"),
    "stage": lambda path, body: kind_in(body, STAGE),
    "precommit": lambda path, body: kind_in(body, PRECOMMIT),
    "decision": lambda path, body: kind_in(body, DECISION),
    "settled": lambda path, body: kind_in(body, SETTLED),
}


def kind_in(body, kind):
    try:
        return any(text[16:18] == kind for text in json.loads(body).get("messages", []))
    except ValueError:
        return False


class Proxy:
    """Passes calls on to a server, and calls `at` before and after those of a step."""

    def __init__(self, server, step, is_before, at):
        proxy = self
        self.server, self.step, self.is_before, self.at, self.is_done = server, STEPS[step], is_before, at, False

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size) if size else self.chunks()
                is_it = not proxy.is_done and proxy.step(self.path, body)
                if is_it and proxy.is_before:
                    proxy.is_done = True
                    proxy.at()
                try:
                    connection = http.client.HTTPConnection(proxy.server.address, timeout=60)
                    head = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "transfer-encoding", "content-length", "connection")}
                    connection.request(self.command, self.path, body, head)
                    answer = connection.getresponse()
                    status, data = answer.status, answer.read()
                except OSError:
                    self.close_connection = True
                    return
                if is_it and not proxy.is_before:
                    proxy.is_done = True
                    proxy.at()
                    self.close_connection = True
                    return
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.send_header("Content-Type", answer.getheader("Content-Type") or "application/json")
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    # The pusher was killed meanwhile.
                    self.close_connection = True

            def chunks(self):
                body = b""
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return body
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            do_GET = do_POST = do

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


class Asking:
    """A client of the server that is not killed; requests may wait for a decision, but no longer."""

    def __init__(self, server):
        self.server, self.wrong, self.slowest, self.count, self.stop = server, [], 0.0, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                _, _, error, whole = self.server.stream([50, 60], 8)
                if error or not whole:
                    self.wrong.append(f"the other server's stream failed: {error}")
            except OSError as error:
                self.wrong.append(f"the other server dropped a stream: {error!r}")
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.count += 1

    def end(self):
        self.stop.set()
        self.thread.join()


def case(binary, home, folders, role, step, is_before):
    wrong = []
    servers = [
        Server(binary, home / f"home{number}", folders[0], "--weights-dir", home / f"versions{number}") for number in range(2)
    ]
    killed = threading.Event()
    pusher = None

    def at():
        if role == "server":
            servers[1].kill()
        else:
            # It may be that the process has not been noted yet.
            wait_until(lambda: pusher is not None, 5, "the pusher has a process")
            pusher.kill()
        killed.set()

    proxy = Proxy(servers[1], step, is_before, at)
    try:
        old = servers[0].version()
        assert servers[1].version() == old
        asking = Asking(servers[0])
        environment = dict(os.environ, MYNAH_HOME=str(home / "pusher"), MYNAH_ADMIN_KEY=KEY)
        command = [str(binary), "weights", "push", str(folders[1]), "--to", servers[0].url, proxy.url, "--no-record", "--json"]
        began = time.monotonic()
        pusher = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if not killed.wait(SECONDS):
            wrong.append("the step did not come")
        if role == "server":
            # Before the pusher has given up on it, and after: half of the cases each.
            if is_before:
                time.sleep(0.2)
            else:
                pusher.wait(timeout=SECONDS)
            servers[1].start()
        try:
            out, err = pusher.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            pusher.kill()
            out, err = pusher.communicate()
            wrong.append("the pusher hangs")
        seconds = time.monotonic() - began
        if role == "pusher" or pusher.returncode or json.loads(out)["left"]:
            # The same command again ends what is open, and pushes, or says that it is served already.
            again = mynah(binary, home / "pusher", *command[1:], timeout=120)
            if again.returncode and "served already" not in again.stderr:
                wrong.append(f"again: {again.stderr.strip()}")
        asking.end()
        wrong += asking.wrong
        if asking.slowest > ANSWER_SECONDS:
            wrong.append(f"the other server kept a request waiting for {asking.slowest:.1f} s")
        wait_until(lambda: all(server.ready()[0] for server in servers), 15, "all are ready")
        versions = [server.version() for server in servers]
        if versions[0] != versions[1]:
            wrong.append(f"they serve {versions}")
        texts = [server.stream([40, 41], 16)[0] for server in servers]
        if texts[0] != texts[1]:
            wrong.append("they answer differently")
        # And the next push is like any other.
        target = folders[2]
        after = mynah(binary, home / "pusher", "weights", "push", target, "--to", *[server.url for server in servers], "--no-record", "--json")
        if after.returncode:
            wrong.append(f"the next push: {after.stderr.strip()}")
        outcome = "pushed" if pusher.returncode == 0 else (err.strip().splitlines() or ["killed"])[-1]
        return {"seconds": round(seconds, 1), "slowest_answer_s": round(asking.slowest, 2), "answers": asking.count,
                "outcome": outcome, "wrong": wrong}
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return {"wrong": wrong + [str(error), *[str(server.ready()) for server in servers if server.process.poll() is None]]}
    finally:
        if pusher is not None and pusher.poll() is None:
            pusher.kill()
            pusher.communicate()
        proxy.stop()
        for server in servers:
            server.kill()


def joiner(binary, home, folders):
    """A server that starts on the first version when the others are two ahead."""
    servers = [Server(binary, home / f"home{number}", folders[0], "--weights-dir", home / f"v{number}") for number in range(2)]
    wrong = []
    try:
        push = lambda folder, to: mynah(binary, home / "pusher", "weights", "push", folder, "--to", *to, "--no-record", "--json")
        for folder in folders[1:3]:
            done = push(folder, [servers[0].url])
            if done.returncode:
                wrong.append(done.stderr)
        caught = mynah(binary, home / "pusher", "weights", "catch-up", "--to", servers[0].url, servers[1].url, "--json")
        if caught.returncode or servers[0].version() != servers[1].version():
            wrong.append(f"catch-up: {caught.stderr}")
        servers[1].kill()
        servers[1].start()
        if servers[0].version() != servers[1].version():
            wrong.append("what it caught up with was lost")
        # A push to all brings the late one along by itself.
        push(folders[0], [servers[0].url])
        done = push(folders[1], [server.url for server in servers])
        if done.returncode or "lagged behind" not in done.stderr:
            wrong.append(f"push to all: {done.stderr}")
        return {"wrong": wrong}
    finally:
        for server in servers:
            server.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mynah", required=True)
    parser.add_argument("--only", help="role-step-before|after, or its beginning")
    options = parser.parse_args()
    binary = pathlib.Path(options.mynah).resolve()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        folders = make(home / "versions", 3)
        cases = [(role, step, is_before) for role in ("server", "pusher") for step in STEPS for is_before in (True, False)]
        for role, step, is_before in cases:
            name = f"{role}-{step}-{'before' if is_before else 'after'}"
            if options.only and not name.startswith(options.only):
                continue
            (home / name).mkdir()
            results[name] = case(binary, home / name, folders, role, step, is_before)
            print(name, json.dumps(results[name]), file=sys.stderr, flush=True)
        if not options.only or "joiner".startswith(options.only):
            (home / "joiner").mkdir()
            results["joiner"] = joiner(binary, home / "joiner", folders)
            print("joiner", json.dumps(results["joiner"]), file=sys.stderr, flush=True)
    bad = {name: result["wrong"] for name, result in results.items() if result["wrong"]}
    print(json.dumps({"cases": len(results), "wrong": bad}))
    sys.exit(bool(bad))


main()
