"""Searches on a cluster, or goes on with it: a process of its own that tests may kill.

Called as ``ray_driver.py ADDRESS DIRECTORY EVALUATIONS [key=value ...]``; the values are those of
:class:`Uneven`.
"""

import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

import evonas
from evonas import Integer, Metric, Objective, Problem, Space
from evonas.runners.ray.actor import Patience
from evonas.runners.ray.pool import RayRunner

PATIENCE = Patience(poll=1.0, answer=6.0, start=90.0, others=60.0, head=6.0, look=0.5)


class Uneven(Problem):
    """Takes longer for some designs than for others.

    Args:
        seconds: Median time of an evaluation.
    """

    space = Space(Integer("n", 0, 100_000))
    metrics = (Metric("low"), Metric("high"))
    objectives = (Objective("low"), Objective("high", "maximise"))

    def __init__(self, seconds=0.25):
        self.seconds = float(seconds)

    def evaluate(self, genome, metrics):
        n = genome["n"]
        time.sleep(self.seconds * np.random.default_rng(n).lognormal(0.0, 0.8))
        return {"low": n, "high": n % 1000}


def main(address, directory, evaluations, *options):
    problem = Uneven(**dict(option.split("=") for option in options))
    runner = partial(RayRunner, address=address, patience=PATIENCE)
    settings = {"evaluations": int(evaluations), "runner": runner}
    if (Path(directory) / "journal.sqlite").exists():
        evonas.resume(directory, problem=problem, **settings)
    else:
        evonas.search(
            problem, out=directory, population=10, asynchronous=True, surrogate=False, grace=3.0,
            **settings,
        )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
