"""The Once-for-All space of MobileNetV3 networks on top of a table of measurements.

Cai et al., "Once-for-All: Train One Network and Specialize it for Efficient Deployment" (ICLR
2020): five stages of two to four inverted-residual blocks; each block has a kernel size and an
expansion, and the image's resolution is a gene, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evonas import DataError, Genome
from evonas.problems.table import Names, TableProblem
from evonas.space import FloatArray

if TYPE_CHECKING:
    import pandas as pd

STAGES, BLOCKS = 5, 4
WIDTHS = (16, 24, 40, 80, 112, 160)
"""Channels of the stem, and of each stage."""

STRIDES = (2, 2, 2, 1, 2)
"""Strides of the first block of each stage."""

SQUEEZES = (False, True, False, True, True)
"""Whether the blocks of a stage have squeeze-and-excitation."""

DEPTHS = tuple(f"depth{stage}" for stage in range(STAGES))
KERNELS = tuple(f"kernel{block:02}" for block in range(STAGES * BLOCKS))
EXPANSIONS = tuple(f"expand{block:02}" for block in range(STAGES * BLOCKS))
GENES = (*DEPTHS, *KERNELS, *EXPANSIONS, "resolution")
KERNEL_SIZES = (3, 5, 7)
STAGE_DEPTHS = (2, 3, 4)
"""Numbers of blocks that a stage can have."""


class OnceForAll(TableProblem):
    """A table of Once-for-All networks that knows which blocks are there and what they compute.

    Args:
        table: Path of a ``.csv`` or ``.parquet`` file with the gene columns
            ``depth0..4``, ``kernel00..19``, ``expand00..19`` and ``resolution``.
        maximise: Metric columns to maximise.
        minimise: Metric columns to minimise.
        constraints: Bounds on metrics, such as ``"latency_ms <= 30"``.
        cheap: Metric columns that cost nothing to know; they are never predicted.

    Raises:
        DataError: A stage has fewer than two or more than four blocks, a block has a kernel that is
            not of 3, 5 or 7 pixels, or the table is wrong in a way that
            :class:`evonas.problems.table.TableProblem` names.
        ConfigError: An option is wrong, see there.
    """

    def __init__(
        self,
        table: str,
        maximise: Names = (),
        minimise: Names = (),
        constraints: Names = (),
        cheap: Names = (),
    ) -> None:
        conditions = {
            gene: {DEPTHS[block // BLOCKS]: list(range(block % BLOCKS + 1, BLOCKS + 1))}
            for genes in (KERNELS, EXPANSIONS)
            for block, gene in enumerate(genes)
            if block % BLOCKS >= 2
        }
        super().__init__(
            table,
            genes=list(GENES),
            maximise=maximise,
            minimise=minimise,
            constraints=constraints,
            cheap=cheap,
            conditions=conditions,
            repeats="mean",
        )

    def check_table(self, frame: pd.DataFrame, table: str) -> None:
        """Check depths, and the kernels of blocks that are there."""
        for depth in DEPTHS:
            _check_column(frame[depth], STAGE_DEPTHS, table)
        for block, kernel in enumerate(KERNELS):
            place = block % BLOCKS
            there = frame[DEPTHS[block // BLOCKS]].isin(range(place + 1, BLOCKS + 1))
            _check_column(frame[kernel].where(there), KERNEL_SIZES, table)

    def views(self, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
        """Describe networks by their stages, and by the work of each kind in all stages together.

        Args:
            genomes: Designs, in canonical form.

        Returns:
            ``stages``: sums over the blocks of each stage: number, expansions, multiply-adds of
            squeeze-and-excitation and of pointwise convolutions, values moved, blocks of each
            kernel size, and their depthwise multiply-adds; shape (number of genomes, 56).
            ``work``: the same sums over the whole network; shape (number of genomes, 12). The last
            column of both is the number of pixels of the image.
        """
        blocks = np.array([_blocks(genome) for genome in genomes])
        pixels = np.array([[float(genome["resolution"]) ** 2] for genome in genomes])
        stages = blocks.sum(axis=2)
        return {
            "stages": np.hstack([stages.reshape(len(genomes), -1), pixels]),
            "work": np.hstack([stages.sum(axis=1), pixels]),
        }

    def features(self, genomes: Sequence[Genome]) -> FloatArray:
        """Describe networks by their stages, as in :meth:`views`."""
        return self.views(genomes)["stages"]


def _check_column(column: pd.Series, known: Sequence[int], table: str) -> None:
    wrong = column.notna() & ~column.isin(known)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"table '{table}', row {row + 1}: '{column.name}' is {column.tolist()[row]!r}; "
            f"it must be one of {', '.join(map(str, known))}"
        )


def _blocks(genome: Genome) -> FloatArray:
    """Describe each block, shape (stages, blocks of a stage, quantities); absent ones are 0."""
    found = np.zeros((STAGES, BLOCKS, 5 + 2 * len(KERNEL_SIZES)))
    side = math.ceil(float(genome["resolution"]) / 2)
    for stage in range(STAGES):
        for block in range(int(genome[DEPTHS[stage]])):
            number = stage * BLOCKS + block
            kernel, expansion = int(genome[KERNELS[number]]), float(genome[EXPANSIONS[number]])
            inputs = WIDTHS[stage] if block == 0 else WIDTHS[stage + 1]
            hidden = inputs * expansion
            before = side
            if block == 0:
                side = math.ceil(side / STRIDES[stage])
            pointwise = inputs * hidden * before**2 + hidden * WIDTHS[stage + 1] * side**2
            depthwise = hidden * side**2
            of_kernel = [float(kernel == size) for size in KERNEL_SIZES]
            found[stage, block] = [
                1.0,
                expansion,
                float(SQUEEZES[stage]) * hidden**2,
                pointwise,
                hidden * (before**2 + side**2),
                *of_kernel,
                *(
                    share * depthwise * size**2
                    for share, size in zip(of_kernel, KERNEL_SIZES, strict=True)
                ),
            ]
    return found
