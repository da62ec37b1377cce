#!/usr/bin/env python3
"""Peer of the matmul benchmark: torch.matmul (MKL) into a preallocated result.

    python3 xtask/peers/matmul.py --threads 1 [--small]

A case is LAYOUT-MxNxK as in crates/mynah-kernels/examples/bench_matmul.rs; the worker protocol is one JSON
line when ready, one per case named on stdin, and the peak memory at the end. It knows no list of its
own: "cases" repeats what that file has, so that both sides run the same.
"""

import argparse
import json
import pathlib
import re
import resource
import sys
import time

import torch

OURS = pathlib.Path(__file__).resolve().parents[2] / "crates/mynah-kernels/examples/bench_matmul.rs"
WORK = 2.5e9


def measure(name, small):
    layout, sizes = name.split("-")
    m, n, k = (-(-int(size) // 32) if small else int(size) for size in sizes.split("x"))

    def fill(*shape):
        length = shape[0] * shape[1]
        return ((torch.arange(length) % 251).float() / 251 - 0.5).view(shape)

    a = fill(k, m).t() if layout == "tn" else fill(m, k)
    if layout == "sym":
        b = a.t()
    else:
        b = fill(n, k).t() if layout == "nt" else fill(k, n)
    c = torch.zeros(m, n)
    flops = 2.0 * m * n * k
    repeats = max(1, -(-int(0 if small else WORK) // int(flops)))
    torch.matmul(a, b, out=c)
    start, start_cpu = time.perf_counter(), time.thread_time()
    for _ in range(repeats):
        torch.matmul(a, b, out=c)
    return time.perf_counter() - start, time.thread_time() - start_cpu, flops * repeats


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true")
    options, _ = parser.parse_known_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    cases = re.findall(r'^    "([a-z]+-\d+x\d+x\d+)",$', OURS.read_text(), re.M)
    print(json.dumps({"ready": True, "version": torch.__version__, "cases": cases}), flush=True)
    for line in sys.stdin:
        name = line.strip()
        seconds, cpu, work = measure(name, options.small)
        answer = {"case": name, "seconds": seconds, "work": work, "unit": "flop", "cpu": cpu}
        print(json.dumps(answer), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak_rss_bytes": peak * (1 if sys.platform == "darwin" else 1024)}), flush=True)


main()
