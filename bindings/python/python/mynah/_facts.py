"""What is known about a run before it begins: script, revision, machine, versions."""

import json
import os
import platform
import shlex
import sys
from pathlib import Path

#: Characters of a fact that are kept.
CLIP = 2_000
#: Packages whose version is recorded when the program uses them.
PACKAGES = ("torch", "numpy", "jax", "tensorflow", "transformers", "lightning", "sklearn")


def clip(text: str) -> str:
    """A text that a tag can hold: valid, without NUL, not too long."""
    valid = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return valid.replace("\0", "\\0")[:CLIP]


def user() -> str:
    """Who runs this, as the program ``mynah`` finds it."""
    for name in ("USER", "USERNAME", "LOGNAME"):
        if os.environ.get(name):
            return clip(os.environ[name])[:256]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, AttributeError, KeyError):
        return ""


def script() -> str | None:
    """The file that was started, if one was."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.abspath(main) if main else None


def experiment() -> str:
    """The name of the script, or of the package that was started with ``-m``; ``python`` without either."""
    path = Path(script() or "python")
    name = path.parent.name if path.stem == "__main__" else path.stem
    return name or "python"


def git_revision(folder: Path) -> str | None:
    """The revision of the repository that a folder is in, from git's own files."""
    for parent in (folder, *folder.parents):
        dot = parent / ".git"
        try:
            if dot.is_dir():
                return _head(dot, dot)
            if dot.is_file():
                # A further worktree: its head lies apart from the common branches.
                own = parent / dot.read_text().removeprefix("gitdir:").strip()
                common = own / "commondir"
                return _head(own, own / common.read_text().strip() if common.is_file() else own)
        except (OSError, ValueError):
            return None
    return None


def _head(own: Path, common: Path) -> str | None:
    head = (own / "HEAD").read_text().strip()
    if head.startswith("ref: "):
        reference = head.removeprefix("ref: ")
        if (common / reference).is_file():
            head = (common / reference).read_text().strip()
        else:
            lines = (common / "packed-refs").read_text().splitlines()
            head = next((line.split()[0] for line in lines if line.endswith(f" {reference}")), "")
    is_revision = len(head) in (40, 64) and all(c in "0123456789abcdef" for c in head)
    return head if is_revision else None


def _field(path: str, name: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), None)
    except OSError:
        return None


def _memory() -> str | None:
    kib = (_field("/proc/meminfo", "MemTotal") or "").split()
    return f"{int(kib[0]) / (1 << 20):.1f} GiB" if kib and kib[0].isdigit() else None


def _accelerator() -> str | None:
    torch = sys.modules.get("torch")
    try:
        # Asking must not start a device that the program does not use.
        if torch is not None and torch.cuda.is_initialized():
            return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    except Exception:  # noqa: BLE001 - a fact less is no reason to fail
        pass
    return None


def tags(version: str) -> dict[str, str]:
    """The tags that every run begins with."""
    machine = {
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": str(os.cpu_count() or 1),
        "memory": _memory(),
        "accelerator": _accelerator(),
        "system": f"{platform.system().lower()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for name in PACKAGES:
        machine[name] = getattr(sys.modules.get(name), "__version__", None)
    here = Path.cwd()
    path = script()
    revision = git_revision(Path(path).parent if path else here) or git_revision(here)
    found = {
        "mynah.kind": "python",
        "mynah.version": version,
        "mynah.python.command": shlex.join(sys.orig_argv),
        "mynah.working_folder": str(here),
        "mlflow.source.name": path or "python",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": revision,
    }
    found |= {f"mynah.system.{name}": value for name, value in machine.items()}
    return {key: clip(str(value)) for key, value in found.items() if value}


def as_json(value: object) -> str:
    """JSON, or text as it is."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
