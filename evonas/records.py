"""The values that travel through a search; all frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from evonas.space import Genome


class Status(StrEnum):
    """Status with which an evaluation ended. A failure is a status, never a number."""

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
        genome: The design, in canonical form.
        batch: Number of the call of ``Optimizer.ask`` that proposed it, from 0.
    """

    id: int
    genome: Genome
    batch: int


@dataclass(frozen=True)
class Task:
    """A task for a runner: evaluate these metrics of this candidate."""

    candidate: Candidate
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """The result of a task.

    Args:
        candidate: The candidate that was evaluated.
        status: Status with which the evaluation ended.
        values: Metric -> finite value in the metric's unit; complete when the status is ``ok``,
            else perhaps empty.
        seconds: Wall time in seconds of the call that measured the values.
        worker: Process that the evaluation ran in, as ``host:pid``.
        error: One sentence that says what went wrong; empty when the status is ``ok``.
        attempts: Number of times that the evaluation was started.
        source: Id of the candidate that the expensive metrics of a free design were measured of;
            ``None`` for an evaluation. Free designs are not counted as evaluations.
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
