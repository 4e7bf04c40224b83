"""Joining a Ray cluster or starting a private one, and looking at what it holds."""

from __future__ import annotations

import importlib.metadata
import math
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from evonas.errors import UsageError, WorkError
from evonas.problem import Problem
from evonas.runners.common import ONE_THREAD

FOLDER_PREFIX = "evonas-ray-"

CONNECT_SECONDS = 5.0
"""How long the head may take to accept a connection."""

STORE_BYTES = 100_000_000
"""Room in a private cluster's object store beside the problem itself."""

Node = Mapping[str, Any]
"""A node as ``ray.nodes()`` tells it."""


def _folder() -> Path:
    """Where private clusters live: the paths of their sockets must stay short."""
    return Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())


def remove_leftovers() -> None:
    """Remove the folders of private clusters whose search has ended without doing so."""
    for path in _folder().glob(f"{FOLDER_PREFIX}*"):
        pid = path.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if pid.isdecimal() and not _is_running(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def joined(
    address: str | None,
    problem: Problem | None,
    *,
    cpus: int,
    store_bytes: int,
    threads: int,
) -> Iterator[None]:
    """Be connected with a cluster; with the one that this process is connected with, if any.

    Args:
        address: ``None`` or ``"local"`` starts a private cluster on this machine, which ends with
            this process, however that ends; else ``"auto"`` or ``host:port``.
        problem: Its source files are sent along unless it is installed.
        cpus: Number of processors of a private cluster.
        store_bytes: Size of the problem.
        threads: Number of threads that an evaluation may use.

    Raises:
        UsageError: There is no such cluster, or it cannot be joined.
    """
    if ray.is_initialized():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="evonas-sources-") as sources:
        environment: dict[str, Any] = {
            "env_vars": {name: os.environ.get(name, str(threads)) for name in ONE_THREAD}
        }
        if problem is not None and (root := source_root(problem)) is not None:
            copy_sources(root, Path(sources))
            environment["working_dir"] = sources
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options = {"runtime_env": environment, "logging_level": "WARNING"}
        try:
            if address in (None, "local"):
                with _private(cpus, store_bytes, options):
                    yield
            else:
                _join(str(address), options)
                yield
        finally:
            ray.shutdown()


@contextmanager
def _private(cpus: int, store_bytes: int, options: Mapping[str, Any]) -> Iterator[None]:
    remove_leftovers()
    folder = tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=_folder())
    try:
        # A folder of its own: a crash leaves an address in the usual one, which Ray trips over.
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=STORE_BYTES + 2 * store_bytes,
            include_dashboard=False,
            _temp_dir=folder,
            **options,
        )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _join(address: str, options: Mapping[str, Any]) -> None:
    host, _, port = address.rpartition(":")
    if address != "auto":
        if not host or not port.isdecimal() or "/" in host:
            raise UsageError(
                f"the address '{address}' is not 'local', 'auto', or the head's as host:port; "
                "run on a machine of the cluster"
            )
        if not answers(address):
            raise UsageError(f"no Ray cluster answers at '{address}'; is its head running?")
    try:
        try:
            ray.init(address=address, **options)
        except ConnectionError:
            # Ray shows this machine's token only to a cluster that it has found by itself.
            if not _token_is_shown():
                raise
            ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise UsageError(
            f"cannot join the Ray cluster at '{address}': {' '.join(lines[:3])}; "
            "'ray start' makes this machine part of a cluster, and a cluster with a token wants "
            "the same RAY_AUTH_TOKEN, or ~/.ray/auth_token, here"
        ) from error


def _token_is_shown() -> bool:
    """Have Ray show this machine's token from now on, if there is one."""
    try:
        from ray._private.authentication import authentication_token_setup
    except ImportError:  # Ray below 2.52 knows no tokens.
        return False
    return bool(
        authentication_token_setup.maybe_enable_token_auth_if_token_available(
            warn_if_disabled=False
        )
    )


def source_root(problem: Problem) -> Path | None:
    """Find the folder that a problem's module was loaded from; ``None`` when it is installed."""
    module = sys.modules[type(problem.unwrapped).__module__]
    package = module.__name__.partition(".")[0]
    if package in importlib.metadata.packages_distributions() or not module.__file__:
        return None
    file = Path(module.__file__).resolve()
    depth = module.__name__.count(".") + (file.name == "__init__.py")
    return file.parents[depth]


def copy_sources(root: Path, target: Path) -> None:
    """Copy the modules and packages in a folder: what a problem's own file may import.

    Args:
        root: Its Python files are copied, and those of folders that have an ``__init__.py``.
        target: An existing folder.
    """
    for path in root.iterdir():
        if path.suffix == ".py" and path.is_file():
            shutil.copy(path, target)
        elif (path / "__init__.py").is_file():
            (target / path.name).mkdir()
            copy_sources(path, target / path.name)


def answers(address: str) -> bool:
    """Whether something accepts connections at ``host:port``."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def slots(nodes: Sequence[Node], cpus: float, gpus: float) -> int:
    """Count the evaluations that fit the living nodes at the same time.

    Args:
        nodes: Nodes, as ``ray.nodes()`` lists them.
        cpus: Number of processors of one evaluation.
        gpus: Number of graphics processors of one evaluation.
    """
    wanted = {"CPU": cpus, "GPU": gpus}
    return sum(
        min(int(node["Resources"].get(name, 0.0) / n + 1e-9) for name, n in wanted.items() if n)
        for node in nodes
        if node["Alive"]
    )


def living_and_dead() -> list[Node]:
    """Return the nodes that the cluster has or had."""
    nodes: list[Node] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes


class Watch:
    """Notices that the cluster is gone, before Ray ends this process without a word.

    Args:
        patience: Seconds that the head may be out of reach, as when it is started again.
    """

    def __init__(self, patience: float) -> None:
        context = ray.get_runtime_context()
        self._address = str(context.gcs_address)
        self._node = context.get_node_id()
        self._patience = patience
        self._last_answer = time.monotonic()

    def nodes(self) -> list[Node] | None:
        """Return the nodes, dead ones included; ``None`` while the head is out of reach.

        Raises:
            WorkError: The cluster is gone.
        """
        if not answers(self._address):
            silence = time.monotonic() - self._last_answer
            if silence > self._patience:
                raise WorkError(
                    f"the head of the Ray cluster at {self._address} has not answered for "
                    f"{silence:.0f} s; what was committed is kept, and 'evonas resume' goes on"
                )
            return None
        self._last_answer = time.monotonic()
        nodes = living_and_dead()
        if any(node["NodeID"] == self._node and not node["Alive"] for node in nodes):
            raise WorkError(
                "this machine is no longer part of the Ray cluster; what was committed is kept, "
                "and 'evonas resume' goes on"
            )
        return nodes


class Quarantine:
    """Leaves a node alone for a while that keeps losing its workers.

    Args:
        strikes: Losses in a row after which it is left alone.
        seconds: Time that it is left alone, the first time; twice as long every further time.
        clock: Returns seconds.
    """

    def __init__(
        self,
        strikes: int = 3,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._strikes = strikes
        self._seconds = seconds
        self._clock = clock
        self._losses: dict[str, int] = {}
        self._until: dict[str, float] = {}
        self._times: dict[str, int] = {}

    def success(self, node: str) -> None:
        """Note that a worker there has finished something."""
        self._losses[node] = 0

    def loss(self, node: str) -> float:
        """Note that a worker was lost there; returns for how many seconds to leave it alone."""
        self._losses[node] = self._losses.get(node, 0) + 1
        return self.leave(node) if self._losses[node] >= self._strikes else 0.0

    def leave(self, node: str) -> float:
        """Leave a node alone from now on; returns for how many seconds."""
        self._losses[node] = 0
        pause = self._seconds * 2.0 ** self._times.get(node, 0)
        self._times[node] = self._times.get(node, 0) + 1
        self._until[node] = self._clock() + pause
        return pause

    def avoided(self, alive: Collection[str]) -> set[str]:
        """Return which of the living nodes to leave alone; never all of them."""
        now = self._clock()
        avoided = {node for node in alive if self._until.get(node, -math.inf) > now}
        return avoided if len(avoided) < len(alive) else set()
