"""A one-hot encoding of designs in which distances mean something."""

from __future__ import annotations

import numpy as np

from evonas.space import Choice, FloatArray, Space


class OneHot:
    """Encodes designs so that a gene that differs as much as it can is a distance of 1.

    Choices are one-hot vectors divided by the square root of 2; all other genes are scaled to
    [0, 1].

    Args:
        space: The space that the designs are from.
    """

    def __init__(self, space: Space) -> None:
        columns = [
            (number, float(option), gene.lower, gene.upper - gene.lower or 1.0)
            for number, gene in enumerate(space.genes)
            for option in (range(len(gene.options)) if isinstance(gene, Choice) else (-1,))
        ]
        self._genes, self._options, self._lower, self._span = map(
            np.array, zip(*columns, strict=True)
        )

    def __call__(self, codes: FloatArray) -> FloatArray:
        """Encode designs.

        Args:
            codes: Encoded vectors (:meth:`evonas.Space.encode`), shape (designs, genes).

        Returns:
            Array of shape (designs, columns): one column for each option of a choice, and one for
            any other gene.
        """
        own = codes[:, self._genes]
        scaled = (own - self._lower) / self._span
        chosen = (own == self._options) / np.sqrt(2)
        vectors: FloatArray = np.where(self._options < 0, scaled, chosen)
        return vectors
