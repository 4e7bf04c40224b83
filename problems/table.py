"""A table of measured designs as a problem: every row is a design, every evaluation a look-up."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evonas import Constraint, InfeasibleError, Metric, Objective, Problem, Space
from evonas.errors import ConfigError, DataError, did_you_mean
from evonas.problems.table_genes import check_no_metric, check_values, genes_of
from evonas.space import Genome, Value, genome_key

if TYPE_CHECKING:
    import pandas as pd

Names = str | Sequence[str]
"""Column names: a list, or one text with commas between them."""

TEXT = ("string", "empty")
"""Names that pandas has for the type of a list of texts, or of nothing."""

BOUND = re.compile(r"\s*(?P<metric>.+?)\s*(?P<sign><=|>=)\s*(?P<bound>\S+)\s*")


class TableProblem(Problem):
    """Any CSV or Parquet file of measured designs.

    A genome that the table does not hold is infeasible, and a search proposes none.

    Args:
        table: Path of a ``.csv`` or ``.parquet`` file with one row for each design.
        genes: Gene columns, which describe a design; left out, all columns but metrics and ``id``.
            In that case two kinds of columns are refused: more than 20 different numbers with
            fractions look like a metric, and a different text in each of more than 20 rows looks
            like a name.
        maximise: Metric columns to maximise.
        minimise: Metric columns to minimise.
        constraints: Bounds on metrics, such as ``"latency_ms <= 30"``.
        kinds: Gene -> ``"choice"`` or ``"integer"``. Left out, a column of consecutive whole
            numbers is an integer gene, one of more than 100 different numbers an integer or real
            gene, and any other one a choice among its values.
        cheap: Metric columns that cost nothing to know; they are never predicted.
        conditions: Gene -> gene that it depends on -> values of the latter under which it is
            active. Cells where it is inactive are ignored, and so are values that the table does
            not hold. A gene that is active in no row is left out.
        repeats: ``"refuse"`` to refuse a table in which a design has several rows, or ``"mean"`` to
            take the mean of its metrics.

    Raises:
        DataError: The file is missing, empty or unreadable; it lacks a column or has one twice; a
            gene has no value, or a date or a list as one; a metric is not a finite number; or a
            design is there twice.
        ConfigError: There is no objective, an objective has two goals, or an option cannot be read.
    """

    def __init__(
        self,
        table: str,
        genes: Names = (),
        maximise: Names = (),
        minimise: Names = (),
        constraints: Names = (),
        kinds: Mapping[str, str] | None = None,
        cheap: Names = (),
        repeats: Literal["refuse", "mean"] = "refuse",
        conditions: Mapping[str, Mapping[str, Sequence[Value]]] | None = None,
    ) -> None:
        goals = dict.fromkeys(_names(maximise), "maximise")
        goals |= dict.fromkeys(_names(minimise), "minimise")
        if not goals:
            raise ConfigError("a table needs an objective; set maximise or minimise to a column")
        if both := set(_names(maximise)) & set(_names(minimise)):
            raise ConfigError(f"'{both.pop()}' is in maximise and in minimise; choose one")
        self.objectives = tuple(Objective(name, goal) for name, goal in goals.items())  # type: ignore[arg-type]
        self.constraints = tuple(_bound(text) for text in _names(constraints))
        cheap = _names(cheap)
        columns = list(dict.fromkeys([*goals, *(c.metric for c in self.constraints)]))
        for name in cheap:
            if name not in columns:
                raise ConfigError(f"cheap '{name}' is not a metric{did_you_mean(name, columns)}")
        self.metrics = tuple(Metric(c, _unit(c), expensive=c not in cheap) for c in columns)

        # Rows are labelled by their numbers.
        frame = read_table(Path(table)).reset_index(drop=True)
        gene_columns = _names(genes) or [c for c in frame.columns if c not in (*columns, "id")]
        for name in (*gene_columns, *columns):
            if name not in frame.columns:
                raise DataError(
                    f"table '{table}' has no column '{name}'{did_you_mean(name, frame.columns)}"
                )
        if not gene_columns:
            raise DataError(f"table '{table}' has metric columns only; no gene is left")
        check_values(frame[gene_columns], table)
        if not _names(genes):
            check_no_metric(frame[gene_columns], table)
        self.check_table(frame, table)
        kinds, conditions = kinds or {}, conditions or {}
        for option, given in (("kinds", kinds), ("conditions", conditions)):
            if not isinstance(given, Mapping):
                raise ConfigError(f"{option} is {given!r}; it must name genes, as {{depth: ...}}")
            for name in given:
                if name not in gene_columns:
                    raise ConfigError(
                        f"{option} names '{name}', no gene{did_you_mean(name, gene_columns)}"
                    )
        self.space = Space(*genes_of(frame, gene_columns, kinds, conditions, table))
        designs, self._rows = self._index(frame, list(self.space.names), columns, table, repeats)
        if len(designs) < self.space.size:
            self.designs = designs

    def check_table(self, frame: pd.DataFrame, table: str) -> None:
        """Check the table; a subclass says how, and by default anything is right.

        Args:
            frame: The table, with the columns of all genes and metrics.
            table: Path of the table, for errors.

        Raises:
            DataError: The table holds a wrong value.
        """

    def _index(
        self,
        frame: pd.DataFrame,
        genes: list[str],
        metrics: list[str],
        table: str,
        repeats: str,
    ) -> tuple[list[Genome], dict[str, tuple[float, ...]]]:
        """List the designs, and map their keys to metrics in the order of ``self.metrics``."""
        import numpy as np

        values = frame[metrics].to_numpy(object)
        try:
            numbers = values.astype(float)
        except (TypeError, ValueError):
            numbers = None
        if numbers is None or not np.isfinite(numbers).all():
            column, row = next(
                (c, r) for c in range(len(metrics)) for r in range(len(values))
                if not _is_finite(values[r, c])
            )  # fmt: skip
            raise DataError(
                f"table '{table}', row {row + 1}: metric '{metrics[column]}' is "
                f"{values[row, column]!r}; it must be a finite number"
            )
        if repeats not in ("refuse", "mean"):
            raise ConfigError(f"repeats is {repeats!r}; it must be 'refuse' or 'mean'")
        decoded = (frame[g].tolist() for g in genes)
        designs = [dict(zip(genes, row, strict=True)) for row in zip(*decoded, strict=True)]
        if any(gene.when for gene in self.space.genes):
            designs = [self.space.canonical(design) for design in designs]
        keys = [genome_key(design) for design in designs]
        rows: dict[str, list[int]] = {}
        for number, key in enumerate(keys):
            rows.setdefault(key, []).append(number)
        if repeats == "refuse" and len(rows) < len(keys):
            first, second, *_ = next(numbers for numbers in rows.values() if len(numbers) > 1)
            raise DataError(
                f"table '{table}' holds the same design in rows {first + 1} and {second + 1}; "
                "remove one, or set repeats to 'mean'"
            )
        return [designs[found[0]] for found in rows.values()], {
            key: tuple(float(v) for v in numbers[found].mean(axis=0)) for key, found in rows.items()
        }

    def describe(self) -> dict[str, Any]:
        """Describe the problem as JSON, with the SHA-256 of all values as its data."""
        return {**super().describe(), "data": self._digest}

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(sorted(self._rows.items())).encode()).hexdigest()

    def __len__(self) -> int:
        """Return the number of designs in the table."""
        return len(self._rows)

    def genome_row(self, genome: Genome) -> dict[str, float] | None:
        """Return the metrics of a design; ``None`` when the table does not hold it."""
        row = self._rows.get(genome_key(genome))
        return None if row is None else self._named(row)

    def rows(self) -> Iterator[dict[str, float]]:
        """Yield the metrics of every design."""
        return map(self._named, self._rows.values())

    def _named(self, row: tuple[float, ...]) -> dict[str, float]:
        return {m.name: value for m, value in zip(self.metrics, row, strict=True)}

    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        """Look a design up.

        Raises:
            InfeasibleError: The table does not hold the design.
        """
        row = self.genome_row(genome)
        if row is None:
            raise InfeasibleError("the table does not hold this design")
        return row


def _names(names: Names) -> list[str]:
    if isinstance(names, str):
        names = names.split(",")
    return [str(name).strip() for name in names if str(name).strip()]


def _unit(column: str) -> str:
    """Read the unit from a name such as ``latency_ms.raspi4``."""
    quantity = column.split(".")[0]
    units = {"ms": "ms", "mj": "mJ", "percent": "%", "bytes": "B"}
    return units.get(quantity.rpartition("_")[2], "")


def _bound(text: str) -> Constraint:
    match = BOUND.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        bound = float(match["bound"])
    except ValueError:
        raise ConfigError(
            f"the constraint '{text}' cannot be read; write it as 'latency_ms <= 30'"
        ) from None
    if match["sign"] == "<=":
        return Constraint(match["metric"], upper=bound)
    return Constraint(match["metric"], lower=bound)


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file; columns without a name, such as pandas' row numbers, are left out."""
    import pandas as pd

    frame = pd.read_csv(path, low_memory=False, keep_default_na=False, na_values=[""])
    # Here "None", "NA" and the like are missing, too, which tells columns of numbers from text.
    guess = pd.read_csv(path, low_memory=False)
    for name, column in guess.items():
        words = column.isna() & frame[name].notna()
        if words.any() and pd.api.types.infer_dtype(column.dropna().tolist()) not in TEXT:
            frame[name] = column.astype(object).where(~words, frame[name])
    # Names as in the file: pandas adds a number to one that is there twice.
    names = pd.read_csv(
        path, header=None, nrows=1, dtype=str, keep_default_na=False, na_values=[""]
    ).iloc[0]
    frame.columns = pd.Index(names)
    return frame.loc[:, names.notna().to_numpy()]


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file.

    An empty cell of a CSV file is a missing value. A word for one, such as ``NA``, stays: in a
    column of text it is a value like any other, in a column of numbers one that an error can name.

    Args:
        path: Path of the file, which ends in ``.csv`` or ``.parquet``.

    Raises:
        DataError: The file is missing, empty or unreadable, or has a column twice.
    """
    import pandas as pd

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": _read_csv,
        ".parquet": pd.read_parquet,
    }
    if path.is_dir():
        raise DataError(f"table '{path}' is a folder; give a .csv or .parquet file")
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise DataError(f"table '{path}' is neither .csv nor .parquet")
    if not path.is_file():
        where = "" if path.is_absolute() else f" in '{Path.cwd()}', where this was started"
        raise DataError(f"there is no table '{path}'{where}")
    try:
        frame = readers[suffix](path)
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame()
    except Exception as error:
        raise DataError(f"table '{path}' cannot be read: {error}") from error
    if frame.empty:
        raise DataError(f"table '{path}' has no rows; it needs one for each design")
    if frame.columns.has_duplicates:
        name = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"table '{path}' has two columns '{name}'; rename one")
    return frame


def _is_finite(value: object) -> bool:
    try:
        return abs(float(value)) < float("inf")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
