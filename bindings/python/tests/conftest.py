"""A store of its own for every test, and scripts that run in a process of their own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    path = tmp_path / "home" / "ledger.db"
    for name in ("MYNAH_HOME", "MYNAH_PARENT_RUN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MYNAH_STORE", str(path))
    return path


@pytest.fixture
def script(tmp_path):
    """Runs a Python program to its end and gives what became of it."""

    def run(text: str, *, timeout_s: float = 60, **environment: str) -> subprocess.CompletedProcess:
        path = tmp_path / "train.py"
        path.write_text(textwrap.dedent(text))
        return subprocess.run(
            [sys.executable, str(path)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**os.environ, **environment},
            cwd=tmp_path,
        )

    return run


@pytest.fixture
def mynah_program():
    program = os.environ.get("MYNAH_BIN")
    if not program or not Path(program).exists():
        pytest.skip("no program `mynah` (MYNAH_BIN names it)")
    return program


@pytest.fixture
def lock(store):
    """Another process that holds the store's write lock until the function that this gives is called.

    It must be another: the interpreter's own SQLite and ours do not see each other's locks in one process.
    """
    holders = []

    def take():
        text = (
            "import sqlite3, sys\n"
            "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "connection.execute('BEGIN IMMEDIATE')\n"
            "print('locked', flush=True)\n"
            "sys.stdin.read()\n"
            "connection.execute('ROLLBACK')\n"
        )
        holder = subprocess.Popen(
            [sys.executable, "-c", text, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdout.readline() == b"locked\n"
        holders.append(holder)
        return release

    def release():
        for holder in holders:
            holder.communicate()
        holders.clear()

    yield take
    release()
