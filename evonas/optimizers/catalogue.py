"""The designs that a search may propose: all of the space, or those that the problem lists."""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import cached_property

import numpy as np

from evonas.one_hot import OneHot
from evonas.problem import Problem
from evonas.space import FloatArray, Genome, genome_key

FEW = 64
"""Number of nearest designs that are looked at before all are sorted."""


class Catalogue:
    """Turns encoded vectors into designs that may be proposed.

    Where a problem lists its designs, a vector that is none of them becomes the nearest one that
    was not proposed yet. This is a repair operator: variation knows nothing of the list.

    Args:
        problem: The problem, with its space and perhaps a list of designs.

    Attributes:
        size: Upper bound on the number of designs; may be infinite.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.size = problem.space.size
        self._listed: dict[str, Genome] = {}
        if problem.designs is not None:
            # Ties go to what comes first, and the order of a table should not decide that.
            order = np.random.default_rng(0).permutation(len(problem.designs))
            self._listed = {genome_key(g): g for g in (problem.designs[i] for i in order)}
            self._pairs = list(self._listed.items())
            self._one_hot = OneHot(problem.space)
            self._vectors = self._one_hot(self.codes)
            self._squares = np.square(self._vectors).sum(axis=1)
            self.size = len(self._listed)

    @cached_property
    def codes(self) -> FloatArray:
        """Encoded vectors of all designs, shape (designs, genes)."""
        space = self._problem.space
        return space.encode(list(self._listed.values() or space.enumerate()))

    def unseen(self, code: FloatArray, *seen: Container[str]) -> tuple[str, Genome] | None:
        """Decode a vector to a design that is not taken.

        Args:
            code: Encoded vector of shape (genes,).
            seen: Keys of the designs that are taken.

        Returns:
            A canonical genome that is not taken, and its key; ``None`` if there is none.
        """
        genome = self._problem.canonical(self._problem.space.decode(code))
        key = genome_key(genome)
        itself = not self._listed or key in self._listed
        for found in [(key, genome)] if itself else self._nearest(genome):
            if not any(found[0] in keys for keys in seen):
                return found
        return None

    def _nearest(self, genome: Genome) -> Iterator[tuple[str, Genome]]:
        """Yield listed designs with their keys, nearest first; the nearest ones twice."""
        vector = self._one_hot(self._problem.space.encode([genome]))[0]
        # Squared distances but for a constant, rounded so that equal ones are equal. Unlike the
        # operator @, einsum uses no threads, which would wait while workers keep all cores busy.
        products = np.einsum("dc,c->d", self._vectors, vector)
        distances = np.round(self._squares - 2 * products, 9)
        few = min(FEW, len(distances)) - 1
        close = np.sort(np.argpartition(distances, few)[: few + 1])
        for row in close[distances[close].argsort(kind="stable")]:
            yield self._pairs[row]
        for row in distances.argsort(kind="stable"):
            yield self._pairs[row]
