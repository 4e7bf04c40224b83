"""The genes that the columns of a table stand for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from evonas import Choice, ConfigError, DataError, Integer, Real, SpaceError
from evonas.space import LARGEST, Gene, Value

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MANY = 20
"""Largest number of different fractions, or of different texts, in a column that is taken for a
gene without being named as one."""

OPTIONS = 100
"""Largest number of numbers that are options of a choice; more are a range. With an option for each
of them, a search would take minutes and gigabytes of memory."""


def is_float(column: pd.Series) -> bool:
    """Whether a column holds numbers of which some have fractions or are missing."""
    import pandas as pd

    # Numbers and a word for a missing one, see read_table.
    mixed = pd.api.types.infer_dtype(column).startswith("mixed")
    return mixed or column.dtype.kind == "f"


def check_values(genes: pd.DataFrame, table: str) -> None:
    """Check that cells hold what a gene can hold: no date or list, say.

    Raises:
        DataError: A cell holds something else; the message names its row.
    """
    import pandas as pd

    for name, column in genes.items():
        for row, value in enumerate(column.tolist()):
            if isinstance(value, Value) or value is None or value is pd.NA or value is pd.NaT:
                continue
            raise DataError(
                f"table '{table}', row {row + 1}: '{name}' is {value!r}; the value of a gene must "
                "be text, a number, true or false; set genes to columns of such"
            )


def check_no_metric(genes: pd.DataFrame, table: str) -> None:
    """Check that no column holds so many fractions or texts that it looks like a metric or a name.

    Raises:
        DataError: A column does.
    """
    from pandas.api.types import is_numeric_dtype

    for name, column in genes.items():
        different = column.nunique()
        if is_float(column) and different > MANY:
            raise DataError(
                f"table '{table}': column '{name}' holds {different} different numbers, too many "
                "for a gene; set genes to the columns that describe a design"
            )
        if not is_numeric_dtype(column) and different == len(column) > MANY:
            raise DataError(
                f"table '{table}': column '{name}' holds another text in every row, as a name does "
                "and a gene does not; set genes to the columns that describe a design"
            )


def genes_of(
    frame: pd.DataFrame,
    names: Sequence[str],
    kinds: Mapping[str, str],
    conditions: Mapping[str, Mapping[str, Sequence[Value]]],
    table: str,
) -> list[Gene]:
    """Make genes from columns, and empty the cells of genes that are not active.

    Args:
        frame: The table; it is changed.
        names: Gene columns.
        kinds: Kinds of genes, see :class:`evonas.problems.table.TableProblem`.
        conditions: Conditions of genes, see there.
        table: Path of the table, for errors.

    Raises:
        DataError: A gene has no value in a row where it is active, or is not of the kind asked for.
        ConfigError: There is no such kind, or a condition does not name values of a gene.
    """
    genes: dict[str, Gene] = {}
    for place, name in enumerate(names):
        rows = frame.index >= 0
        when: dict[str, Sequence[Value]] = {}
        for parent, allowed in _condition(name, conditions.get(name)).items():
            if parent not in names[:place]:  # The space refuses it.
                when[parent] = allowed
                continue
            gene = genes.get(parent)
            held = [value for value in allowed if gene and _holds(gene, value, name)]
            rows &= frame[parent].isin(held).to_numpy()
            if gene and (frame[parent].isna().any() or len(set(held)) < gene.size):
                when[parent] = held
        column = frame[name]
        if not rows.all():
            column = _active(column, rows)
            frame[name] = column.astype(object).reindex(frame.index)
        if rows.any():
            genes[name] = replace(_gene(column, kinds.get(name), table), when=when or None)
    return list(genes.values())


def _condition(name: str, condition: object) -> Mapping[str, Sequence[Value]]:
    """Check the condition of a gene; without one it is empty."""
    found = condition or {}
    if not isinstance(found, Mapping) or not all(
        isinstance(values, Collection) and not isinstance(values, str) for values in found.values()
    ):
        raise ConfigError(
            f"the condition of gene '{name}' is {condition!r}; it must name genes and lists of "
            "their values, as {depth: [3, 4]}"
        )
    return found


def _holds(gene: Gene, value: Value, child: str) -> bool:
    """Whether a gene can have a value that a condition names."""
    try:
        gene.check(value)
    except SpaceError as error:
        options = gene.options if isinstance(gene, Choice) else (gene.lower,)
        if _kind(value) not in map(_kind, options):  # A value that the table lacks is allowed.
            raise ConfigError(f"the condition of gene '{child}' is wrong: {error}") from None
        return False
    return True


def _kind(value: Value) -> type:
    return next((kind for kind in (bool, str) if isinstance(value, kind)), float)


def _active(column: pd.Series, rows: NDArray[np.bool_]) -> pd.Series:
    """Keep some rows; whole numbers that pandas made fractions for the sake of gaps are whole."""
    kept = column[rows].infer_objects()
    gaps = column[~rows].isna().any() or kept.dtype != column.dtype  # Or there is a word for one.
    whole = kept.dtype.kind == "f" and kept.notna().all() and (kept % 1 == 0).all()
    return kept.astype(int) if gaps and whole else kept


def _gene(column: pd.Series, kind: str | None, table: str) -> Gene:
    name = str(column.name)
    if column.isna().any():
        row = column.index[column.isna()][0]
        raise DataError(
            f"table '{table}', row {row + 1}: gene '{name}' has no value; fill it in, or set "
            "conditions to say when the gene is active, as {k2: {depth: [3, 4]}}"
        )
    words = [isinstance(value, str) for value in column]
    if any(words) and not all(words):
        row = column.index[words][0]
        raise DataError(
            f"table '{table}', row {row + 1}: gene '{name}' is {column[row]!r}, and a number in "
            "other rows; it must have a value in every row"
        )
    values: list[Value] = sorted(set(column.tolist()), key=lambda v: (str(type(v)), v))
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    if kind not in (None, "choice", "integer"):
        raise ConfigError(f"gene '{name}' has the kind '{kind}'; it must be choice or integer")
    if kind == "integer" and not whole:
        raise DataError(f"table '{table}': gene '{name}' is no integer, it holds {values[0]!r}")
    many = kind is None and len(values) > OPTIONS
    if many and column.dtype.kind == "f":
        return Real(name, float(values[0]), float(values[-1]))
    if kind == "choice" or not whole:
        return Choice(name, values)
    low, high = int(values[0]), int(values[-1])
    ordered = high - low + 1 == len(values) > 1 or (many and max(-low, high) <= LARGEST)
    return Integer(name, low, high) if ordered or kind == "integer" else Choice(name, values)
