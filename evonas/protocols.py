"""The parts of a search that can be exchanged."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, Protocol

from evonas.records import Evaluation, Task, Verdict
from evonas.space import FloatArray, Genome


class Optimizer(Protocol):
    """Proposes genomes and learns from evaluations."""

    def ask(self, n: int, seen: Container[str]) -> list[Genome]:
        """Propose up to ``n`` canonical genomes that are not in ``seen`` and differ.

        Where a problem lists its designs, they are among these
        (:class:`evonas.optimizers.catalogue.Catalogue` sees to that).

        Args:
            n: Number of designs that are wanted, at least 1.
            seen: Keys (:func:`evonas.space.genome_key`) of all designs proposed before.

        Returns:
            Genomes; fewer than ``n`` only when nothing unseen is left, and none when the space is
            exhausted.
        """

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Learn from evaluations whose values are complete and finite."""

    def state(self) -> dict[str, Any]:
        """Return everything that the next ``ask`` depends on, as JSON."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where :meth:`state` was taken."""


class Surrogate(Protocol):
    """Predicts the expensive metrics of a problem; constructed with it."""

    def initial_design(self, genomes: Sequence[Genome], n: int) -> Sequence[int]:
        """Choose the initial design, before anything is known.

        Args:
            genomes: Canonical genomes; the first n are a Latin hypercube, the others random.
            n: Number of designs that are wanted.

        Returns:
            Indices of up to n different designs; ``range(n)`` if there is nothing to prefer.
        """

    def fit(self, genomes: Sequence[Genome], values: Mapping[str, FloatArray]) -> None:
        """Learn from designs.

        Args:
            genomes: Canonical genomes in the order of proposal, at least 10.
            values: Metric -> array of shape (number of genomes,), finite, in the metric's unit.
        """

    def predict(
        self, genomes: Sequence[Genome], metrics: Sequence[str]
    ) -> Mapping[str, tuple[FloatArray, FloatArray]]:
        """Predict what an evaluation would measure.

        Args:
            genomes: Canonical genomes.
            metrics: Names of the metrics to predict, among those of :meth:`fit`.

        Returns:
            Metric -> mean and standard deviation, noise of the measurement included, each of
            shape (number of genomes,), in the metric's unit.
        """


class Gate(Protocol):
    """Decides which proposals are worth evaluating."""

    @property
    def proposals_per_evaluation(self) -> int:
        """Number of proposals that it wants to see for each evaluation, at least 1."""

    def judge(self, genomes: Sequence[Genome], wanted: int) -> list[Verdict | None]:
        """Judge proposals.

        As many as are wanted are evaluated or audited, unless fewer are proposed. ``None`` leaves a
        proposal undecided: it is forgotten, and may be proposed again. A pruned design may be
        proposed again too, and be evaluated when nothing better is left.

        Args:
            genomes: Canonical genomes, all different, that were never evaluated.
            wanted: Number of evaluations that there is room for.

        Returns:
            A verdict, or ``None``, for each of them.
        """

    def resume(self, judged: Sequence[tuple[Genome, Verdict]]) -> None:
        """Take up the verdicts of an earlier session, before anything else is called.

        Evaluations of that session are observed next.

        Args:
            judged: Designs with their verdicts, in the order of proposal.
        """

    def observe(self, evaluations: Sequence[Evaluation]) -> None:
        """Learn from evaluations."""


class Runner(Protocol):
    """Runs evaluations somewhere and hands back whatever has finished.

    A runner is constructed with the prepared problem. It turns every exception, overrun and
    lost worker into a status, and never raises because an evaluation went wrong.
    """

    @property
    def workers(self) -> int:
        """Number of evaluations that run at the same time."""

    def submit(self, tasks: Sequence[Task]) -> None:
        """Queue tasks; returns at once."""

    def wait(self, timeout: float | None = None) -> list[Evaluation]:
        """Wait until at least one task has finished, and return all that have.

        Args:
            timeout: Time in seconds after which an empty list may be returned; ``None`` waits for
                an evaluation.

        Returns:
            Evaluations, each of them once; none when nothing is queued or the timeout ran out.
        """

    def cancel(self) -> None:
        """Forget the tasks that have not started; those that run go on."""

    def close(self) -> None:
        """Stop at once: running evaluations are killed, and no process is left behind."""
