"""Gates: which candidates are worth evaluating."""

from __future__ import annotations

from collections.abc import Sequence

from evonas.records import Candidate, Decision, Evaluation, Verdict


class EvaluateAll:
    """The gate of a search without surrogates."""

    def judge(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """Let every candidate through."""
        return [Verdict(Decision.EVALUATE, "no surrogate") for _ in candidates]

    def observe(self, evaluations: Sequence[Evaluation]) -> None:
        """Learn nothing."""
