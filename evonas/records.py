"""The values that travel through a search; all frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from evonas.space import Genome


class Status(StrEnum):
    """How an evaluation ended. A failure is a status, never a number."""

    OK = "ok"
    INFEASIBLE = "infeasible"
    FAILED = "failed"
    TIMEOUT = "timeout"


class Decision(StrEnum):
    """Why a candidate is in the journal: what a gate says of it, or that it costs nothing."""

    EVALUATE = "evaluate"
    PRUNE = "prune"
    AUDIT = "audit"
    FREE = "free"


@dataclass(frozen=True)
class Candidate:
    """A genome with an id.

    Args:
        id: Position in the order of proposal, from 0.
        genome: In canonical form.
        batch: The call of ``Optimizer.ask`` that proposed it, from 0.
    """

    id: int
    genome: Genome
    batch: int


@dataclass(frozen=True)
class Task:
    """What a runner is handed: evaluate these metrics of this candidate."""

    candidate: Candidate
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """What a runner hands back.

    Args:
        candidate: The candidate that was evaluated.
        status: How it ended.
        values: Metric -> value, finite; complete when ``status`` is ``ok``, else may be empty.
        seconds: Wall time of the call that measured them.
        worker: Where it ran, as ``host:pid``.
        error: One sentence when the status is not ``ok``.
        attempts: How often it was started.
        source: For a free design, whose expensive metrics were all known, the id of the candidate
            that they were measured of; ``None`` for an evaluation. Free designs are not counted.
    """

    candidate: Candidate
    status: Status
    values: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    worker: str = ""
    error: str = ""
    attempts: int = 1
    source: int | None = None


@dataclass(frozen=True)
class Prediction:
    """A metric's predicted mean and standard deviation, in the metric's unit."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Verdict:
    """A gate's decision on one candidate, and why."""

    decision: Decision
    reason: str
    predictions: Mapping[str, Prediction] = field(default_factory=dict)
