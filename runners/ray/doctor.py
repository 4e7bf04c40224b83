"""Looking a cluster over before a search: what is missing, what differs, how fast it is."""

from __future__ import annotations

import importlib.metadata
import math
import os
import pickle
import platform
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from evonas.evaluation import describe_exception
from evonas.host import available_cores
from evonas.problem import Problem
from evonas.runners.ray.cluster import Node, joined, living_and_dead
from evonas.runners.ray.worker import Memory
from evonas.runners.worker_process import pickled

NODE_SECONDS = 120.0
"""How long a node may take for everything, the start of a process and imports included."""

SAME = ("python", "evonas", "ray", "numpy", "cloudpickle")
"""What must have the same version everywhere, or problems and results do not travel."""

WANTED = ("torch", "onnxruntime", "xgboost-cpu", "xgboost")
"""What must be on every node if it is here; another version gives other timings."""

TRANSFER_BYTES = 20_000_000

ROUND_TRIPS = 10

SLOW = 2.0
"""A node this many times slower than the fastest is worth a word."""

SMALL_SHARED_GB = 0.5


@dataclass(frozen=True)
class NodeReport:
    """What was found on a node.

    Args:
        host: Its name.
        versions: Versions of Python and of packages; missing packages are left out.
        cpus: Processors that Ray hands out there.
        gpus: Number of graphics processors.
        memory_gb: Memory of the machine, in units of 10^9 bytes.
        shared_gb: Free in ``/dev/shm``, where the object store is.
        round_trip_ms: Median time of a call that does nothing.
        transfer_mb_per_s: From this machine, through the object store, in units of 10^6 bytes.
        onnxruntime_ms: For a matrix product of 512 x 512, one thread; NaN where it is missing.
        problem: Why the problem cannot be evaluated there; empty when it can.
    """

    host: str
    versions: Mapping[str, str]
    cpus: float
    gpus: float
    memory_gb: float
    shared_gb: float
    round_trip_ms: float
    transfer_mb_per_s: float
    onnxruntime_ms: float
    problem: str


@dataclass
class Diagnosis:
    """What was found on a cluster.

    Args:
        nodes: Those that answered.
        errors: Sentences on what would break a search, and what to do about it.
        warnings: Sentences on what would slow it down.
    """

    nodes: list[NodeReport] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return asdict(self)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter, where this runs."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in (*SAME[1:], *WANTED):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class Examiner:
    """The actor that looks at a node from inside."""

    def ping(self) -> None:
        """Do nothing."""

    def examine(
        self, data: Sequence[ray.ObjectRef[Memory]], problem: bytes | None
    ) -> dict[str, Any]:
        """Return the fields of :class:`NodeReport` that only the node knows."""
        begin = time.perf_counter()
        total = int(ray.get(data[0], timeout=NODE_SECONDS).sum(dtype=np.int64))
        seconds = time.perf_counter() - begin
        return {
            "host": socket.gethostname(),
            "versions": versions(),
            "memory_gb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
            "shared_gb": shutil.disk_usage("/dev/shm").free / 1e9,
            "transfer_mb_per_s": TRANSFER_BYTES / 1e6 / seconds if total == TRANSFER_BYTES else 0.0,
            "onnxruntime_ms": onnxruntime_ms(),
            "problem": "" if problem is None else _why_not(problem),
        }


def _why_not(problem: bytes) -> str:
    try:
        loaded: Problem = pickle.loads(problem)
        loaded.check_worker()
    except Exception as error:
        return describe_exception(error)
    return ""


def onnxruntime_ms() -> float:
    """Time a matrix product in onnxruntime on one thread, the fastest of 20 calls, in ms."""
    try:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return math.nan
    size = 512
    shape = [size, size]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "matmul",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.ones(shape, np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        session.run(None, {"x": np.ones(shape, np.float32)})
        times.append(time.perf_counter() - begin)
    return 1000 * min(times)


def diagnose(address: str | None = None, problem: Problem | None = None) -> Diagnosis:
    """Look a cluster over.

    Args:
        address: Address, see :class:`evonas.runners.ray.pool.RayRunner`; left out, a private
            cluster shows what this machine would do.
        problem: Problem to try on each node; it need not be prepared.

    Raises:
        UsageError: The cluster cannot be joined.
        ProblemError: The problem does not pickle.
    """
    payload = None if problem is None else pickled(problem)
    diagnosis = Diagnosis()
    with joined(address, problem, cpus=available_cores(), store_bytes=TRANSFER_BYTES, threads=1):
        data = ray.put(np.ones(TRANSFER_BYTES, np.uint8))
        for node in living_and_dead():
            if node["Alive"]:
                try:
                    diagnosis.nodes.append(_examine(node, data, payload))
                except (ray.exceptions.RayError, TimeoutError) as error:
                    diagnosis.errors.append(
                        f"the node {node['NodeManagerAddress']} does not work: "
                        f"{' '.join(str(error).split())[:300]}; start Ray there again with the "
                        "same packages as here, or take it out of the cluster"
                    )
    _judge(diagnosis, versions())
    return diagnosis


def _examine(node: Node, data: ray.ObjectRef[Memory], problem: bytes | None) -> NodeReport:
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    kind = ray.remote(Examiner).options(num_cpus=0, scheduling_strategy=there)
    actor: Any = kind.remote()
    try:
        found = ray.get(actor.examine.remote([data], problem), timeout=NODE_SECONDS)
        times = []
        for _ in range(ROUND_TRIPS):
            begin = time.perf_counter()
            ray.get(actor.ping.remote(), timeout=NODE_SECONDS)
            times.append(time.perf_counter() - begin)
    finally:
        ray.kill(actor)
    resources = node["Resources"]
    return NodeReport(
        cpus=resources.get("CPU", 0.0),
        gpus=resources.get("GPU", 0.0),
        round_trip_ms=1000 * float(np.median(times)),
        **found,
    )


def _judge(diagnosis: Diagnosis, here: Mapping[str, str]) -> None:
    """Say what is wrong, given the versions on this machine."""
    nodes, errors, warnings = diagnosis.nodes, diagnosis.errors, diagnosis.warnings
    if not any(node.cpus for node in nodes):
        errors.append("no node offers processors to Ray; start one with 'ray start --num-cpus N'")
    fastest = min((n.onnxruntime_ms for n in nodes if n.onnxruntime_ms > 0), default=math.nan)
    for node in nodes:
        for name, version in here.items():
            other = node.versions.get(name, "none")
            if other != version:
                breaks = name in SAME or other == "none"
                (errors if breaks else warnings).append(
                    f"{node.host} has {name} {other}, this machine {version}; "
                    f"install {name}=={version} there"
                )
        if node.problem:
            errors.append(
                f"the problem cannot be evaluated on {node.host}: {node.problem}; "
                "make its data and packages available there under the same path"
            )
        if not node.transfer_mb_per_s:
            errors.append(f"{node.host} received damaged data; check its memory and network")
        if node.shared_gb < SMALL_SHARED_GB:
            warnings.append(
                f"{node.host} has {node.shared_gb:.2f} GB free in /dev/shm, so its object store "
                "is on disk; give a container more with --shm-size"
            )
        if node.onnxruntime_ms > SLOW * fastest:
            warnings.append(
                f"onnxruntime is {node.onnxruntime_ms / fastest:.1f} times slower on {node.host} "
                "than on the fastest node; something else may be running there"
            )
