"""The cell space of NAS-Bench-201 (Dong and Yang, ICLR 2020) on top of a table of measurements.

A cell has the nodes 0 (input) to 3 (output) and an operation on each of the six edges i -> j with
i < j; a node is the sum of what its edges bring. The skeleton is a stem, three stages of five
cells with 16, 32 and 64 channels on 32x32, 16x16 and 8x8 pixels, and a residual block between two
stages.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evonas.errors import DataError
from evonas.problems.table import Names, TableProblem
from evonas.space import FloatArray, Genome, Value

EDGES = {"e01": (0, 1), "e02": (0, 2), "e12": (1, 2), "e03": (0, 3), "e13": (1, 3), "e23": (2, 3)}
"""Gene -> the nodes that its edge joins."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

INNER_SUM = 2
"""The node that sums several edges, as the output does; the node before it has one."""

PATHS = (("e03",), ("e01", "e13"), ("e02", "e23"), ("e01", "e12", "e23"))
"""All paths from the input to the output."""

STAGES = ((16, 32), (32, 16), (64, 8))
"""Channels, and height and width in pixels, of the three stages."""

CELLS = 5
"""Number of cells in a stage."""

GAINS = tuple(
    {"skip_connect": 1.0, "nor_conv_1x1": small, "nor_conv_3x3": large, "avg_pool_3x3": pool}
    for small, large, pool in ((4.0, 12.0, 1.0), (2.0, 4.0, 0.5), (1.5, 2.0, 0.3), (1.0, 1.0, 1.0))
)
"""Gain of each operation: as in an untrained network, in two milder versions, and none."""

LEAST_SIGNAL = 0.1
"""Least signal of a cell, also of one that lets nothing through."""

Cell = dict[str, str]
"""Gene -> operation."""


class NASBench201(TableProblem):
    """A table of NAS-Bench-201 cells that knows what the cells compute.

    Args:
        table: Path of a ``.csv`` or ``.parquet`` file with the gene columns
            ``e01 e02 e12 e03 e13 e23``.
        maximise: Metric columns to maximise.
        minimise: Metric columns to minimise.
        constraints: Bounds on metrics, such as ``"latency_ms.raspi4 <= 5"``.
        cheap: Metric columns that cost nothing to know; they are never predicted.

    Raises:
        DataError: An edge holds an unknown operation, or the table is wrong in a way that
            :class:`evonas.problems.table.TableProblem` names.
        ConfigError: An option is wrong, see there.
    """

    def __init__(
        self,
        table: str,
        maximise: Names = "cifar100",
        minimise: Names = "latency_ms.raspi4",
        constraints: Names = (),
        cheap: Names = (),
    ) -> None:
        super().__init__(
            table,
            genes=list(EDGES),
            maximise=maximise,
            minimise=minimise,
            constraints=constraints,
            kinds=dict.fromkeys(EDGES, "choice"),
            cheap=cheap,
        )
        for gene in self.space.genes:
            for operation in gene.values():
                if operation not in OPERATIONS:
                    raise DataError(
                        f"table '{table}': gene '{gene.name}' holds {operation!r}; "
                        f"it must be one of {', '.join(OPERATIONS)}"
                    )

        # The table has to agree: metrics may have any name, and not all are equal for dead cells.
        cells = (cell for cell in self.space.enumerate() if not signature(_cell(_operations(cell))))
        dead = [row for cell in cells if (row := self.genome_row(cell)) is not None]
        self._same_if_dead = {
            m.name for m in self.metrics if len({row[m.name] for row in dead}) == 1
        }

    def memory_key(self, metric: str, genome: Genome) -> Mapping[str, Value]:
        """Say what a metric depends on; see :meth:`evonas.Problem.memory_key`.

        Networks whose output does not depend on the input can only guess, and all are equally
        accurate. They share their accuracy, but neither times nor sizes.
        """
        if metric in self._same_if_dead and not signature(_cell(_operations(genome))):
            return dict.fromkeys(EDGES, "none")
        return super().memory_key(metric, genome)

    def features(self, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
        """Describe what cells compute.

        Args:
            genomes: Designs, in canonical form.

        Returns:
            Kind -> array of shape (number of genomes, features); see :func:`cell_features`.
        """
        rows = [_features(_operations(genome)) for genome in genomes]
        return {kind: np.array([row[kind] for row in rows]) for kind in (rows[0] if rows else ())}

    def views(self, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
        """Describe cells by their operations, in five variants of the graph.

        The variants differ in the edges that run, which depends on how a device's converter
        simplifies the graph. ``whole``: all edges. ``reaching``: edges from which the output can be
        reached. ``live``: those of them that the input reaches. ``summed``: the live ones and, if
        there are any, the edge after the inner sum: a converter that drops products with zero may
        keep a sum of them, and what follows. ``folded``: edges that are left when a converter folds
        multiplications by zero into convolutions, see :func:`folded_part`.

        Args:
            genomes: Designs, in canonical form.

        Returns:
            ``operations:VARIANT``: number of edges with each operation, and whether any edge runs,
            shape (number of genomes, 6). ``edges:VARIANT``: one-hot vectors of the operations on
            all edges, shape (number of genomes, 30).
        """
        operations = [_operations(genome) for genome in genomes]
        cells = np.array(operations)
        edges = (cells[:, :, None] == np.array(OPERATIONS)).astype(float)
        there = cells != "none"
        reaches, fed = _ends(there)
        reaching = there & reaches
        live = reaching & fed
        after_sum = np.array([source == INNER_SUM for source, _ in EDGES.values()])
        summed = live | (reaching & after_sum & live.any(axis=1, keepdims=True))
        folded = np.array([_folded(cell) for cell in operations])
        views = {}
        for variant, runs in (
            ("whole", np.ones_like(there)),
            ("reaching", reaching),
            ("live", live),
            ("summed", summed),
            ("folded", folded),
        ):
            running = edges * runs[:, :, None]
            alive = runs.any(axis=1, keepdims=True)
            views[f"operations:{variant}"] = np.hstack([running.sum(axis=1), alive])
            views[f"edges:{variant}"] = running.reshape(len(cells), -1)
        return views


def _operations(genome: Genome) -> tuple[str, ...]:
    return tuple(str(genome[edge]) for edge in EDGES)


def _cell(operations: tuple[str, ...]) -> Cell:
    return dict(zip(EDGES, operations, strict=True))


def _ends(there: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say whether the target of each edge reaches the output, and the input its source."""
    to_output = np.zeros((len(there), 4), dtype=bool)
    from_input = to_output.copy()
    to_output[:, 3] = from_input[:, 0] = True
    ends = list(EDGES.values())
    for node in (2, 1, 0):
        for edge, (source, target) in enumerate(ends):
            if source == node:
                to_output[:, node] |= there[:, edge] & to_output[:, target]
    for node in (1, 2, 3):
        for edge, (source, target) in enumerate(ends):
            if target == node:
                from_input[:, node] |= there[:, edge] & from_input[:, source]
    sources, targets = np.array(ends).T
    return to_output[:, targets], from_input[:, sources]


def live_part(cell: Cell) -> Cell:
    """Replace every edge by ``none`` that is on no path from the input to the output.

    >>> live_part({"e01": "nor_conv_3x3", "e02": "none", "e12": "none", "e03": "skip_connect",
    ...            "e13": "none", "e23": "nor_conv_1x1"})["e01"]
    'none'
    """
    live = {edge for path in _open_paths(cell) for edge in path}
    return {edge: operation if edge in live else "none" for edge, operation in cell.items()}


def folded_part(cell: Cell) -> frozenset[str]:
    """Find the edges that run once a converter has folded multiplications by zero.

    A ``none`` multiplies by zero. After a single convolution that nothing else reads, it is folded
    into the weights of the convolution, which runs all the same. After anything else the product
    is a constant, and what led to it is dropped. A cell with a constant output is dropped whole.

    >>> cell = dict.fromkeys(EDGES, "none") | {"e02": "nor_conv_3x3", "e03": "avg_pool_3x3"}
    >>> sorted(folded_part(cell)), sorted(folded_part(cell | {"e12": "avg_pool_3x3"}))
    (['e02', 'e03'], ['e03'])
    """
    # The terms that each node sums: edges, or "" for the input of the cell.
    terms: list[list[str]] = [[""], [], [], []]
    for edge, (source, target) in EDGES.items():
        if cell[edge] not in ("none", "skip_connect"):
            terms[target].append(edge)
        elif cell[edge] == "skip_connect" or _is_folded(cell, source, target, terms[source]):
            terms[target] += terms[source]
    needed, fed = set(), False
    ahead = list(terms[3])
    while ahead:
        term = ahead.pop()
        fed |= not term
        if term and term not in needed:
            needed.add(term)
            ahead += terms[EDGES[term][0]]
    skips = {edge for edge, (_, target) in EDGES.items() if cell[edge] == "skip_connect"}
    return frozenset(needed | skips) if fed else frozenset()


def _is_folded(cell: Cell, source: int, target: int, terms: Sequence[str]) -> bool:
    """Whether a ``none`` between neighbouring nodes becomes a convolution with zero weights."""
    unread = all(cell[edge] == "none" for edge, (start, _) in EDGES.items() if start == source)
    lone = len(terms) == 1 and cell.get(terms[0], "").startswith("nor_conv")
    return target == source + 1 and unread and lone


@cache
def _folded(operations: tuple[str, ...]) -> list[bool]:
    part = folded_part(_cell(operations))
    return [edge in part for edge in EDGES]


def _open_paths(cell: Cell) -> list[tuple[str, ...]]:
    return [path for path in PATHS if all(cell[edge] != "none" for edge in path)]


def signature(cell: Cell) -> str:
    """Return a text for the function that a cell computes; isomorphic cells have the same one.

    Skips pass their input on, dead edges add nothing, and the order of a sum does not matter. The
    text is empty where the output does not depend on the input.
    """
    return _node_signatures(cell)[3]


def _node_signatures(cell: Cell) -> list[str]:
    nodes = ["0"]
    for node in (1, 2, 3):
        terms = []
        for edge, (source, target) in EDGES.items():
            operation = cell[edge]
            if target == node and operation != "none" and nodes[source]:
                terms.append(
                    nodes[source]
                    if operation == "skip_connect"
                    else f"{operation}({nodes[source]})"
                )
        nodes.append("+".join(sorted(terms)))
    return nodes


class Cost(NamedTuple):
    """Multiply-adds and trainable parameters of a network that is built from one cell."""

    macs: int
    params: int


def network_cost(cell: Cell, classes: int = 10) -> Cost:
    """Count the multiply-adds of convolutions and the classifier, and the trainable parameters.

    >>> network_cost(dict.fromkeys(EDGES, "nor_conv_3x3"))
    Cost(macs=220119680, params=1531546)
    """
    stem = Cost(3 * 9 * 16 * 32**2, 3 * 9 * 16 + 2 * 16)
    macs, params = stem
    for channels, pixels in STAGES:
        for kernel in (1, 3):
            count = CELLS * sum(o == f"nor_conv_{kernel}x{kernel}" for o in cell.values())
            macs += count * kernel**2 * channels**2 * pixels**2
            params += count * (kernel**2 * channels**2 + 2 * channels)
    for (before, _), (channels, pixels) in itertools.pairwise(STAGES):
        weights = 9 * before * channels + 9 * channels**2 + before * channels
        macs += weights * pixels**2
        params += weights + 4 * channels
    channels = STAGES[-1][0]
    return Cost(macs + channels * classes, params + 2 * channels + (channels + 1) * classes)


@cache
def _features(operations: tuple[str, ...]) -> dict[str, list[float]]:
    return cell_features(_cell(operations))


def cell_features(cell: Cell) -> dict[str, list[float]]:
    """Describe a cell by features that its accuracy depends on.

    Returns:
        ``contents``: number of times that each operation occurs in the live part; logarithm of the
        multiply-adds of a network with that part alone; logarithm of the signal that reaches the
        output under each of :data:`GAINS`; number of nodes that are reached, and of different
        functions that they compute. For the other kinds see :func:`flow_features`.
    """
    live = live_part(cell)
    operations = list(live.values())
    nodes = _node_signatures(cell)
    contents = [
        *(float(operations.count(known)) for known in OPERATIONS),
        math.log(network_cost(live).macs),
        *(math.log(max(_signal(cell, gains), LEAST_SIGNAL)) for gains in GAINS),
        float(sum(bool(node) for node in nodes)),
        float(len(set(nodes))),
    ]
    return {"contents": contents, **flow_features(cell)}


def _signal(cell: Cell, gains: dict[str, float]) -> float:
    """Send a 1 through a cell whose operations multiply by their gain, and return the output.

    SynFlow (Tanaka et al., NeurIPS 2020) does the same with weights.
    """
    nodes = [1.0, 0.0, 0.0, 0.0]
    for edge, (source, target) in EDGES.items():
        nodes[target] += gains.get(cell[edge], 0.0) * nodes[source]
    return nodes[3]


def flow_features(cell: Cell) -> dict[str, list[float]]:
    """Describe the flows through a cell; isomorphic cells have the same features.

    A flow is an open path from input to output, its skips left out.

    Returns:
        ``lengths``: number of flows with each number of operations, and with each number of
        convolutions (without pooling, and with it). ``order``: number of times that each operation
        comes first, last, anywhere, and right after each other one. ``summary``: number of
        different flows; largest number, then mean number, of convolutions, 3x3 convolutions and
        3x3 windows in a flow; smallest number of convolutions; largest number of convolutions in a
        flow without pooling; number of flows.
    """
    flows = [
        tuple(cell[edge] for edge in path if cell[edge] != "skip_connect")
        for path in _open_paths(cell)
    ]
    convolutions = [sum("conv" in operation for operation in flow) for flow in flows]
    large = [flow.count("nor_conv_3x3") for flow in flows]
    windows = [sum("3x3" in operation for operation in flow) for flow in flows]
    pooled = ["avg_pool_3x3" in flow for flow in flows]
    kinds = list(zip(convolutions, pooled, strict=True))
    working = OPERATIONS[2:]
    pairs = [pair for flow in flows for pair in itertools.pairwise(flow)]
    lengths: list[float] = [
        *(sum(len(flow) == length for flow in flows) for length in range(4)),
        *(kinds.count((n, pool)) for n in range(4) for pool in (False, True)),
    ]
    order: list[float] = [
        *(sum(flow[:1] == (operation,) for flow in flows) for operation in working),
        *(sum(flow[-1:] == (operation,) for flow in flows) for operation in working),
        *(sum(flow.count(operation) for flow in flows) for operation in working),
        *(pairs.count((first, second)) for first in working for second in working),
    ]
    summary: list[float] = [
        len(set(flows)),
        *(max(counts, default=-1) for counts in (convolutions, large, windows)),
        *(sum(counts) / max(1, len(flows)) for counts in (convolutions, large, windows)),
        min(convolutions, default=-1),
        max((n for n, pool in kinds if not pool), default=-1),
        len(flows),
    ]
    return {"lengths": lengths, "order": order, "summary": summary}
