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
"""The node that adds up what edges bring, as the output does; the one before it has one edge."""

PATHS = (("e03",), ("e01", "e13"), ("e02", "e23"), ("e01", "e12", "e23"))
"""The ways from the input to the output."""

STAGES = ((16, 32), (32, 16), (64, 8))
"""Channels and pixels a side of the three stages."""

CELLS = 5
"""Cells in a stage."""

GAINS = tuple(
    {"skip_connect": 1.0, "nor_conv_1x1": small, "nor_conv_3x3": large, "avg_pool_3x3": pool}
    for small, large, pool in ((4.0, 12.0, 1.0), (2.0, 4.0, 0.5), (1.5, 2.0, 0.3), (1.0, 1.0, 1.0))
)
"""By how much operations amplify a signal: as in an untrained network, twice milder, and not."""

LEAST_SIGNAL = 0.1
"""Signal of a cell that lets less through, or nothing."""

Cell = dict[str, str]
"""Gene -> operation."""


class NASBench201(TableProblem):
    """A table of NAS-Bench-201 cells that knows what the cells compute.

    Args:
        table: Path of a table with the gene columns ``e01 e02 e12 e03 e13 e23``.
        maximise: As in :class:`evonas.problems.table.TableProblem`; by default ``cifar100``.
        minimise: Likewise; by default ``latency_ms.raspi4``.
        constraints: Likewise.
        cheap: Likewise.

    Raises:
        DataError: Besides what :class:`TableProblem` raises, an edge holds another operation.
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

        # Only what the table bears out: under other names, cells that guess are not known as such.
        cells = (cell for cell in self.space.enumerate() if not signature(_cell(_operations(cell))))
        dead = [row for cell in cells if (row := self.genome_row(cell)) is not None]
        self._same_if_dead = {
            m.name for m in self.metrics if len({row[m.name] for row in dead}) == 1
        }

    def memory_key(self, metric: str, genome: Genome) -> Mapping[str, Value]:
        """Say what a metric depends on; see :meth:`evonas.Problem.memory_key`.

        Networks whose output does not depend on the input all guess, and are equally accurate:
        one of them tells that of all others. Times and sizes differ even so.
        """
        if metric in self._same_if_dead and not signature(_cell(_operations(genome))):
            return dict.fromkeys(EDGES, "none")
        return super().memory_key(metric, genome)

    def features(self, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
        """Describe what cells compute.

        Returns:
            Kind -> array of shape (number of genomes, features); see :func:`cell_features`.
        """
        rows = [_features(_operations(genome)) for genome in genomes]
        return {kind: np.array([row[kind] for row in rows]) for kind in (rows[0] if rows else ())}

    def views(self, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
        """Count operations, and say which is on every edge, under five readings of the graph.

        Beside the counts stands whether any edge runs.

        ``whole``: every edge runs. ``reaching``: those from which the output can be reached.
        ``live``: those that the input reaches, too. ``summed``: these and, where there are any, the
        edge after the inner sum: a converter that drops products with zero may keep a sum of them,
        and what follows. ``folded``: those that are left when a converter folds multiplications by
        zero into convolutions, see :func:`folded_part`.
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
        for reading, runs in (
            ("whole", np.ones_like(there)),
            ("reaching", reaching),
            ("live", live),
            ("summed", summed),
            ("folded", folded),
        ):
            running = edges * runs[:, :, None]
            alive = runs.any(axis=1, keepdims=True)
            views[f"operations:{reading}"] = np.hstack([running.sum(axis=1), alive])
            views[f"edges:{reading}"] = running.reshape(len(cells), -1)
        return views


def _operations(genome: Genome) -> tuple[str, ...]:
    return tuple(str(genome[edge]) for edge in EDGES)


def _cell(operations: tuple[str, ...]) -> Cell:
    return dict(zip(EDGES, operations, strict=True))


def _ends(there: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of every edge whether its target reaches the output, and the input its source."""
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
    """Replace by ``none`` every edge that no path from the input to the output runs through.

    >>> live_part({"e01": "nor_conv_3x3", "e02": "none", "e12": "none", "e03": "skip_connect",
    ...            "e13": "none", "e23": "nor_conv_1x1"})["e01"]
    'none'
    """
    live = {edge for path in _open_paths(cell) for edge in path}
    return {edge: operation if edge in live else "none" for edge, operation in cell.items()}


def folded_part(cell: Cell) -> frozenset[str]:
    """Name the edges that run once a converter has folded multiplications by zero.

    A ``none`` multiplies by zero. After a lone convolution that nothing else reads, it is folded
    into the convolution's weights, which then runs for nothing; after all else the product is a
    constant, and what led there is dropped. A cell whose output is constant is dropped as a whole.

    >>> cell = dict.fromkeys(EDGES, "none") | {"e02": "nor_conv_3x3", "e03": "avg_pool_3x3"}
    >>> sorted(folded_part(cell)), sorted(folded_part(cell | {"e12": "avg_pool_3x3"}))
    (['e02', 'e03'], ['e03'])
    """
    # What a node adds up: operations, or "" for the input of the cell.
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
    """Name the function that a cell computes; isomorphic cells have the same name.

    Skips pass their input on, dead edges add nothing, and the order of a sum does not matter.
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
    """Of a whole network with one cell."""

    macs: int
    params: int


def network_cost(cell: Cell, classes: int = 10) -> Cost:
    """Count multiply-adds of convolutions and the classifier, and the trainable parameters.

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
    """Describe in numbers what a cell computes; what accuracy depends on.

    ``contents``: how often each operation occurs in the live part; the logarithm of the
    multiply-adds of a network with that part alone; the logarithm of the signal that reaches the
    output under each of :data:`GAINS`; how many nodes are reached, and how many of them compute
    something different. For the other kinds see :func:`flow_features`.
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
    """Send a 1 through a cell whose operations multiply by their gain, and return what comes out.

    In the spirit of SynFlow (Tanaka et al., NeurIPS 2020), which does so with weights.
    """
    nodes = [1.0, 0.0, 0.0, 0.0]
    for edge, (source, target) in EDGES.items():
        nodes[target] += gains.get(cell[edge], 0.0) * nodes[source]
    return nodes[3]


def flow_features(cell: Cell) -> dict[str, list[float]]:
    """Describe what flows through a cell, the same for isomorphic cells.

    A flow is an open path without its skips. ``lengths``: how many flows have each number of
    operations, and each number of convolutions (with pooling on the way, and without). ``order``:
    how often each operation comes first, last, in all, and right after each other one.
    ``summary``: how many flows differ; the most and the mean over the flows of their
    convolutions, of their 3x3 convolutions and of their 3x3 windows; the fewest convolutions; the
    most without pooling; and the number of flows.
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
