"""Which designs a search may propose: any of the space, or those that the problem lists."""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import cached_property

import numpy as np

from evonas.one_hot import OneHot
from evonas.problem import Problem
from evonas.space import FloatArray, Genome, genome_key

FEW = 64
"""Listed designs among which an unseen one is looked for before all are sorted."""


class Catalogue:
    """Turns encoded vectors into designs that may be proposed.

    Where a problem lists its designs, a vector that is none of them becomes the nearest one that
    nobody has proposed. This is a repair operator: variation knows nothing of the list.

    Args:
        problem: Gives the space and, maybe, the list.

    Attributes:
        size: How many designs there are, at most; may be infinite.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.size = problem.space.size
        self._listed: dict[str, Genome] = {}
        if problem.designs is not None:
            # Ties go to what comes first, which should not be for the table to decide.
            order = np.random.default_rng(0).permutation(len(problem.designs))
            self._listed = {genome_key(g): g for g in (problem.designs[i] for i in order)}
            self._pairs = list(self._listed.items())
            self._one_hot = OneHot(problem.space)
            self._vectors = self._one_hot(self.codes)
            self._squares = np.square(self._vectors).sum(axis=1)
            self.size = len(self._listed)

    @cached_property
    def codes(self) -> FloatArray:
        """Every design there is, encoded; shape (designs, genes)."""
        space = self._problem.space
        return space.encode(list(self._listed.values() or space.enumerate()))

    def unseen(self, code: FloatArray, *seen: Container[str]) -> tuple[str, Genome] | None:
        """Decode a vector of shape (genes,).

        Args:
            code: The vector.
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
        """Give what is listed, with its keys, the nearest first; the first ones twice."""
        vector = self._one_hot(self._problem.space.encode([genome]))[0]
        # But for what is the same for all; equal distances are to be equal. Unlike a product by @,
        # a sum takes no threads, which would wait for each other where workers keep cores busy.
        products = np.einsum("dc,c->d", self._vectors, vector)
        distances = np.round(self._squares - 2 * products, 9)
        few = min(FEW, len(distances)) - 1
        close = np.sort(np.argpartition(distances, few)[: few + 1])
        for row in close[distances[close].argsort(kind="stable")]:
            yield self._pairs[row]
        for row in distances.argsort(kind="stable"):
            yield self._pairs[row]
