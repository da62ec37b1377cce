"""Mynah for Python: record training runs, look at them, compare them.

>>> import mynah
>>> with mynah.runs.start(experiment="mnist", params={"rate": 3e-4}) as run:
...     for step in range(100):
...         run.log({"loss": 1 / (step + 1)}, step=step)
>>> best = mynah.runs.search("metrics.loss < 0.1", order_by=["metrics.loss"])[0]

What is recorded lies in one SQLite file, the same that the program ``mynah`` reads: ``mynah runs list`` and
``mynah runs serve`` show it.
"""

from . import errors, runs, weights
from ._native import __version__
from .errors import MynahError

__all__ = ["MynahError", "__version__", "errors", "runs", "weights"]
