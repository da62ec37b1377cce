"""What the peer workers of `cargo xtask bench ledger` share: the protocol of xtask/src/bench/worker.rs."""

import argparse
import json
import resource
import sys
import time


def settings():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true")
    found = parser.parse_args()
    if found.small:
        found.runs = min(found.runs, 200)
    return found


def serve(cases, version):
    """Each case is a function that gives (work, unit), or (work, unit, seconds) when it has timed itself."""
    answers = sys.stdout
    # What a package prints is no answer.
    sys.stdout = sys.stderr
    print(json.dumps({"ready": True, "version": version, "cases": list(cases)}), file=answers, flush=True)
    for line in sys.stdin:
        case = line.strip()
        start = time.perf_counter()
        work, unit, *own = cases[case]()
        seconds = own[0] if own else time.perf_counter() - start
        print(json.dumps({"case": case, "seconds": seconds, "work": work, "unit": unit}), file=answers, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_rss_bytes": peak}), file=answers, flush=True)
