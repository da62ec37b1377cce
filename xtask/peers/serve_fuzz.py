"""Runs schemathesis against a running model server's own document: no answer may be a server's error, have a status or
a type that the document does not name, or a body that does not match it.

    pip install schemathesis
    python tests/clients/tiny_model.py MODEL            a model whose answers are quick
    mynah serve --model MODEL --port 0 --allow-adapter-loading      in another terminal; prints its address
    python xtask/peers/serve_fuzz.py http://127.0.0.1:PORT [--examples N] [--seed N] [--only REGEX]
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--examples", type=int, default=50, help="bodies a call")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=".*", help="calls whose path matches")
    parser.add_argument("--checks", default=CHECKS)
    given = parser.parse_args()
    program = pathlib.Path(sys.executable).with_name("schemathesis")
    base = given.url.rstrip("/")
    command = [str(program), "run", f"{base}/openapi.json", "--url", base, "--include-path-regex", given.only]
    command += ["--checks", given.checks, "--max-examples", str(given.examples), "--seed", str(given.seed)]
    command += ["--mode", "all", "--phases", "examples,coverage,fuzzing", "--request-timeout", "60"]
    command += ["--no-color", "--continue-on-failure"]
    # What it remembers of earlier runs would change what a seed means.
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(subprocess.run(command, cwd=folder, check=False).returncode)


if __name__ == "__main__":
    main()
