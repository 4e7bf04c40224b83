"""How many threads the models' linear algebra takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import scipy.linalg  # noqa: F401  The controller sees only libraries that are loaded.
from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
R = TypeVar("R")

_LIBRARIES = ThreadpoolController()


def one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Keep a function's linear algebra to one thread.

    Workers have the other cores, and threads that wait for each other on a busy core make the small
    matrices of these models take five to eight times as long.
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with _LIBRARIES.limit(limits=1):
            return function(*args, **kwargs)

    return limited
