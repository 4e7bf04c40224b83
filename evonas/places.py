"""Where designs lie, so that distances between them can be told."""

from __future__ import annotations

import numpy as np

from evonas.space import Choice, FloatArray, Space


class Places:
    """Places designs so that a gene that differs as much as it can is a distance of 1.

    Args:
        space: Of the designs.
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
        """Place encoded designs, shape (designs, genes).

        Returns:
            Shape (designs, columns): one column an option of a choice, one for any other gene.
        """
        own = codes[:, self._genes]
        scaled = (own - self._lower) / self._span
        chosen = (own == self._options) / np.sqrt(2)
        places: FloatArray = np.where(self._options < 0, scaled, chosen)
        return places
