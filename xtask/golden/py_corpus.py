"""Records what CPython prints for every program of testdata/py.

    python3 xtask/golden/py_corpus.py --python PYTHON3.12 --verify PYTHON3.13 [AREA ...]
    python3 xtask/golden/py_corpus.py --python PYTHON3.12 --check [AREA ...]
    python3 xtask/golden/py_corpus.py --python PYTHON3.12 --show AREA/NAME

The format of both files of an area is described in testdata/py/README.md. PYTHON records; --verify
names a second version, and cases that print something else there are marked `differs VERSION`.
--check writes nothing and fails when a record is stale. Recorder and verifier run with different hash
seeds, so a program whose output depends on the order of a set of strings shows up as a difference.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "py"
MARKER = re.compile(r"# === ([a-z0-9_]+)\n?")
ADDRESS = re.compile(r"\b0x[0-9a-f]{10,16}\b")
PROGRAM = "case.py"
# A program takes well under 50 ms next to starting the interpreter; this allows for a busy machine.
SLOW_S = 1.0
LIMIT_S = 20


def split_cases(text):
    """[(name, source)] of an area's programs."""
    cases, name, lines = [], None, []
    for line in re.findall(r"[^\n]*\n|[^\n]+\Z", text):
        marker = MARKER.fullmatch(line)
        if marker:
            if name is not None:
                cases.append((name, finish(lines)))
            name, lines = marker[1], []
        elif line.startswith("# ==="):
            raise SystemExit(f"malformed marker: {line!r}")
        else:
            lines.append(line)
    if name is not None:
        cases.append((name, finish(lines)))
    return cases


def finish(lines):
    return "".join(lines).rstrip("\n") + "\n"


def execute(python, source, seed):
    """(stdout, exit code, last line of stderr, seconds) of one program."""
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        path = os.path.join(folder, PROGRAM)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(source)
        environment = {
            "PYTHONHASHSEED": str(seed),
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": "/usr/bin:/bin",
            "TZ": "UTC",
        }
        start = time.monotonic()
        done = subprocess.run(
            [python, "-s", path], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=LIMIT_S,
        )
        seconds = time.monotonic() - start
        stdout = done.stdout.decode("utf-8").replace(path, PROGRAM)
        stderr = done.stderr.decode("utf-8", "replace").replace(path, PROGRAM)
    last = next((line for line in reversed(stderr.split("\n")) if line.strip()), "")
    return stdout, done.returncode, last, seconds


def render(name, stdout, code, last, differs):
    """The record of one case."""
    lines = [f"=== {name}"]
    if stdout:
        body, newline, rest = stdout.rpartition("\n")
        if newline:
            lines += ["|" + line for line in body.split("\n")]
        if rest:
            lines += ["|" + rest, "unterminated"]
    if code != 0:
        lines.append(f"exit {code}")
        if last:
            lines.append(f"error {last}")
    if differs:
        lines.append(f"differs {differs}")
    return "\n".join(lines) + "\n"


def version_of(python):
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.check_output([python, "-c", script], text=True).strip()


def record(area, recorder, verifier, pool):
    """The text of AREA.out, and complaints about its programs."""
    cases = split_cases((ROOT / f"{area}.py").read_bytes().decode("utf-8"))
    complaints, records = [], []
    names = [name for name, _ in cases]
    for name in sorted({name for name in names if names.count(name) > 1}):
        complaints.append(f"{area}/{name}: the name is used twice")
    recorded = [pool.submit(execute, recorder, source, 1) for _, source in cases]
    verified = [pool.submit(execute, verifier, source, 2) for _, source in cases] if verifier else None
    version = version_of(verifier) if verifier else ""
    for index, (name, source) in enumerate(cases):
        stdout, code, last, seconds = recorded[index].result()
        differs = ""
        if verified and verified[index].result()[:3] != (stdout, code, last if code else
                                                         verified[index].result()[2]):
            again = execute(recorder, source, 2)
            if again[:2] != (stdout, code):
                complaints.append(f"{area}/{name}: prints something else on another run")
            differs = version
            complaints.append(f"{area}/{name}: differs in {version}")
        if not stdout and code == 0:
            complaints.append(f"{area}/{name}: prints nothing")
        if code == 0 and last:
            complaints.append(f"{area}/{name}: ends well, but says {last!r}")
        if code == 1 and last.startswith(("SyntaxError", "IndentationError")):
            complaints.append(f"{area}/{name}: is not a program: {last}")
        if code not in (0, 1) or (code == 1 and last):
            complaints.append(f"{area}/{name}: exit {code}, {last}")
        if seconds > SLOW_S:
            complaints.append(f"{area}/{name}: took {seconds:.2f} s")
        if ADDRESS.search(stdout):
            complaints.append(f"{area}/{name}: prints an address")
        records.append(render(name, stdout, code, last, differs))
    return "".join(records), complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("areas", nargs="*", help="areas to record; all by default")
    parser.add_argument("--python", required=True, help="the CPython that records")
    parser.add_argument("--verify", help="a second CPython; cases that differ there are marked")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on stale records")
    parser.add_argument("--show", metavar="AREA/NAME", help="run one case and print its record")
    arguments = parser.parse_args()
    if arguments.show:
        area, _, name = arguments.show.partition("/")
        source = dict(split_cases((ROOT / f"{area}.py").read_bytes().decode("utf-8")))[name]
        print(render(name, *execute(arguments.python, source, 1)[:3], ""), end="")
        return 0
    areas = arguments.areas or sorted(path.stem for path in ROOT.glob("*.py"))
    stale = total = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for area in areas:
            text, complaints = record(area, arguments.python, arguments.verify, pool)
            path = ROOT / f"{area}.out"
            old = path.read_bytes().decode("utf-8") if path.exists() else ""
            if arguments.check:
                marks = re.compile(r"^differs .*\n", re.M)
                if marks.sub("", old) != marks.sub("", text):
                    stale += 1
                    print(f"{area}: {path.name} is stale")
            else:
                path.write_bytes(text.encode("utf-8"))
                for complaint in complaints:
                    print(complaint)
            count = text.count("\n=== ") + text.startswith("=== ")
            total += count
            print(f"{area}: {count} cases")
    print(f"{total} cases in {len(areas)} areas")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
