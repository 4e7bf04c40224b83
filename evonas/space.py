"""Genes and the spaces they span: encode, decode, sample, validate, canonical form."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evonas.errors import SpaceError, did_you_mean

Value = bool | int | float | str
"""The type of a gene's value: a plain JSON scalar."""

LARGEST = 2**53
"""Whole numbers up to this are the same as floating-point numbers."""

Genome = Mapping[str, Value]
"""Gene name -> value. Complete when every *active* gene has a value."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Gene:
    """One decision.

    Args:
        name: Name that genomes, tables and errors use.
        when: Gene name -> the values under which this gene is active. Every entry must hold,
            and a gene is inactive whenever a gene that its condition names is inactive.
    """

    name: str
    when: Mapping[str, Collection[Value]] | None = field(default=None, kw_only=True)

    @property
    def lower(self) -> float:
        """Smallest code of the gene in an encoded vector."""
        raise NotImplementedError

    @property
    def upper(self) -> float:
        """Largest code of the gene in an encoded vector (inclusive)."""
        raise NotImplementedError

    @property
    def size(self) -> float:
        """Number of values; infinite for a continuous gene."""
        raise NotImplementedError

    def check(self, value: object) -> Value:
        """Return the value in the gene's own type; raise ``SpaceError`` when it is not one."""
        raise NotImplementedError

    def encode(self, value: Value) -> float:
        """Map a valid value to its code in ``[lower, upper]``."""
        raise NotImplementedError

    def decode(self, code: float) -> Value:
        """Map any finite code to the nearest valid value."""
        raise NotImplementedError

    def values(self) -> Iterator[Value]:
        """Enumerate the values of a finite gene."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Describe the gene as JSON: its kind, range and condition."""
        when = {k: sorted(v, key=repr) for k, v in self.when.items()} if self.when else None
        return {"name": self.name, "kind": type(self).__name__.lower(), "when": when}


@dataclass(frozen=True)
class Choice(Gene):
    """One of a few options without an order; its code is the option's index.

    Args:
        options: Values to choose from, all different: text, numbers, true or false.

    Raises:
        SpaceError: There is no option, one is listed twice, or one is something else.

    >>> Choice("kernel", [3, 5, 7]).encode(5)
    1.0
    """

    options: Sequence[Value]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(map(_plain, self.options)))
        for option in self.options:
            if not isinstance(option, Value):
                raise SpaceError(
                    f"gene '{self.name}' has the option {option!r}; options must be text, numbers, "
                    "true or false"
                )
        if not self.options:
            raise SpaceError(f"gene '{self.name}' has no options; give at least one")
        if len(set(self.options)) != len(self.options):
            raise SpaceError(f"gene '{self.name}' lists an option twice: {list(self.options)}")

    @property
    def lower(self) -> float:
        return 0.0

    @property
    def upper(self) -> float:
        return float(len(self.options) - 1)

    @property
    def size(self) -> float:
        return len(self.options)

    @property
    def numeric(self) -> bool:
        """Whether the options are numbers."""
        return all(isinstance(option, int | float) for option in self.options)

    def check(self, value: object) -> Value:
        for option in self.options:
            if value == option and isinstance(value, bool) == isinstance(option, bool):
                return option
        raise SpaceError(f"gene '{self.name}' is {value!r}; it must be one of {list(self.options)}")

    def encode(self, value: Value) -> float:
        return float(self.options.index(self.check(value)))

    def decode(self, code: float) -> Value:
        return self.options[round(min(max(code, 0), len(self.options) - 1))]

    def values(self) -> Iterator[Value]:
        return iter(self.options)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"options": list(self.options)}


@dataclass(frozen=True)
class Integer(Gene):
    """A whole number from ``low`` to ``high``, both included; its code is the number.

    Args:
        low: Smallest value, at least -2^53.
        high: Largest value, at most 2^53.

    Raises:
        SpaceError: A bound is no whole number or too large, or ``low`` is above ``high``.

    >>> list(Integer("depth", 2, 4).values())
    [2, 3, 4]
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        for end in ("low", "high"):
            bound = _plain(getattr(self, end))
            if type(bound) not in (int, float) or bound % 1 or abs(bound) > LARGEST:
                raise SpaceError(
                    f"gene '{self.name}' runs from {self.low} to {self.high}; "
                    "both must be whole numbers, and at most 2^53"
                )
            object.__setattr__(self, end, int(bound))
        if self.low > self.high:
            raise SpaceError(f"gene '{self.name}' runs from {self.low} to {self.high}; swap them")

    @property
    def lower(self) -> float:
        return float(self.low)

    @property
    def upper(self) -> float:
        return float(self.high)

    @property
    def size(self) -> float:
        return self.high - self.low + 1

    def check(self, value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise SpaceError(f"gene '{self.name}' is {value!r}; it must be a whole number")
        if not (self.low <= value <= self.high) or value != int(value):
            raise SpaceError(
                f"gene '{self.name}' is {value!r}; "
                f"it must be a whole number from {self.low} to {self.high}"
            )
        return int(value)

    def encode(self, value: Value) -> float:
        return float(self.check(value))

    def decode(self, code: float) -> Value:
        return round(min(max(code, self.low), self.high))

    def values(self) -> Iterator[Value]:
        return iter(range(self.low, self.high + 1))

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"low": self.low, "high": self.high}


@dataclass(frozen=True)
class Real(Gene):
    """A real number from ``low`` to ``high``; its code is the number itself.

    Args:
        low: Smallest value, finite.
        high: Largest value, finite and above ``low``.

    Raises:
        SpaceError: A bound is not finite, or ``low`` is not below ``high``.

    >>> Real("width", 0.25, 1.0).decode(3.0)
    1.0
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)) or self.low >= self.high:
            raise SpaceError(
                f"gene '{self.name}' runs from {self.low} to {self.high}; "
                "both must be finite and the first the smaller"
            )

    @property
    def lower(self) -> float:
        return float(self.low)

    @property
    def upper(self) -> float:
        return float(self.high)

    @property
    def size(self) -> float:
        return math.inf

    def check(self, value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise SpaceError(f"gene '{self.name}' is {value!r}; it must be a number")
        if not self.low <= value <= self.high:
            raise SpaceError(
                f"gene '{self.name}' is {value!r}; it must lie in [{self.low}, {self.high}]"
            )
        return float(value)

    def encode(self, value: Value) -> float:
        return float(self.check(value))

    def decode(self, code: float) -> Value:
        return float(min(max(code, self.low), self.high))

    def values(self) -> Iterator[Value]:
        raise SpaceError(f"gene '{self.name}' is continuous; its values cannot be listed")

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"low": self.low, "high": self.high}


class Space:
    """An ordered set of genes, some of them active only under a condition.

    Args:
        genes: Genes in order; a condition may only name genes that come earlier.

    Attributes:
        genes: The genes, in order.
        by_name: Gene name -> gene.
        lower: Smallest code of each gene, shape (number of genes,).
        upper: Largest code of each gene, shape (number of genes,).

    Raises:
        SpaceError: A name is used twice, or a condition names an unknown or later gene, or
            values that the gene cannot take.

    >>> space = Space(Integer("layers", 1, 2), Choice("k2", [3, 5], when={"layers": [2]}))
    >>> space.canonical({"layers": 1, "k2": 5})
    {'layers': 1}
    >>> [space.decode(x) for x in space.encode([{"layers": 2, "k2": 5}])]
    [{'layers': 2, 'k2': 5}]
    """

    def __init__(self, *genes: Gene) -> None:
        if not genes:
            raise SpaceError("a space needs at least one gene")
        self.genes = tuple(genes)
        self.by_name: dict[str, Gene] = {}
        for gene in self.genes:
            if gene.name in self.by_name:
                raise SpaceError(f"gene '{gene.name}' is declared twice")
            for parent, allowed in (gene.when or {}).items():
                if parent not in self.by_name:
                    raise SpaceError(
                        f"gene '{gene.name}' depends on '{parent}', which is not an earlier gene"
                        + did_you_mean(parent, self.by_name)
                    )
                for value in allowed:
                    self.by_name[parent].check(value)
            self.by_name[gene.name] = gene
        self.lower: FloatArray = np.array([gene.lower for gene in self.genes])
        self.upper: FloatArray = np.array([gene.upper for gene in self.genes])

    @property
    def names(self) -> tuple[str, ...]:
        """Gene names in order."""
        return tuple(self.by_name)

    def __len__(self) -> int:
        return len(self.genes)

    @property
    def size(self) -> float:
        """Upper bound on the number of designs (inactive genes counted); may be infinite."""
        sizes = [gene.size for gene in self.genes]
        return math.inf if math.inf in sizes else math.prod(sizes)

    def _is_active(self, gene: Gene, canonical: Genome) -> bool:
        return not gene.when or all(
            parent in canonical and canonical[parent] in allowed
            for parent, allowed in gene.when.items()
        )

    def validate(self, genome: Mapping[str, object]) -> dict[str, Value]:
        """Return the genome in canonical form, checked.

        Values of inactive genes may be present; they are checked too, and left out.

        Raises:
            SpaceError: A gene is unknown, missing while active, or holds a value it cannot take.
        """
        for name in genome:
            if name not in self.by_name:
                raise SpaceError(
                    f"the genome names an unknown gene '{name}'{did_you_mean(name, self.by_name)}"
                )
        checked = {name: self.by_name[name].check(value) for name, value in genome.items()}
        canonical = self.canonical(checked)
        for gene in self.genes:
            if gene.name not in canonical and self._is_active(gene, canonical):
                raise SpaceError(f"the genome has no value for gene '{gene.name}'")
        return canonical

    def canonical(self, genome: Genome) -> dict[str, Value]:
        """Keep the active genes only, in the order of the space."""
        result: dict[str, Value] = {}
        for gene in self.genes:
            if gene.name in genome and self._is_active(gene, result):
                result[gene.name] = genome[gene.name]
        return result

    def encode(self, genomes: Sequence[Genome]) -> FloatArray:
        """Encode genomes as vectors; inactive genes get their lowest code.

        Returns:
            Array of shape (number of genomes, number of genes).
        """
        codes = np.tile(self.lower, (len(genomes), 1))
        for row, genome in zip(codes, genomes, strict=True):
            for column, gene in enumerate(self.genes):
                if gene.name in genome:
                    row[column] = gene.encode(genome[gene.name])
        return codes

    def decode(self, code: FloatArray) -> dict[str, Value]:
        """Decode one vector of shape (number of genes,) to a canonical genome.

        Codes are rounded and clipped to the nearest valid value.
        """
        values = {g.name: g.decode(float(c)) for g, c in zip(self.genes, code, strict=True)}
        return self.canonical(values)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw encoded vectors, every gene uniform over its values.

        Args:
            n: Number of vectors to draw.
            rng: Random number generator.

        Returns:
            Array of shape (n, number of genes).
        """
        columns: list[FloatArray] = []
        for gene in self.genes:
            if math.isinf(gene.size):
                columns.append(rng.uniform(gene.lower, gene.upper, n))
            else:
                columns.append(rng.integers(int(gene.lower), int(gene.upper) + 1, n).astype(float))
        return np.column_stack(columns)

    def enumerate(self) -> Iterator[dict[str, Value]]:
        """Yield every distinct canonical genome of a finite space, in order.

        Raises:
            SpaceError: The space has a continuous gene.
        """
        yield from self._enumerate(0, {})

    def _enumerate(self, index: int, prefix: dict[str, Value]) -> Iterator[dict[str, Value]]:
        for gene in itertools.islice(self.genes, index, None):
            index += 1
            if self._is_active(gene, prefix):
                for value in gene.values():
                    yield from self._enumerate(index, prefix | {gene.name: value})
                return
        yield prefix

    def describe(self) -> list[dict[str, Any]]:
        """Describe every gene as JSON."""
        return [gene.describe() for gene in self.genes]

    def __repr__(self) -> str:
        return f"Space({', '.join(map(repr, self.genes))})"


def _plain(value: Any) -> Any:
    """Make a scalar of numpy's one of Python's; other values stay what they are."""
    return value.item() if isinstance(value, np.generic) else value


_KEYS = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def genome_key(genome: Genome) -> str:
    """Identify a canonical genome by a text that is equal exactly when the genome is.

    >>> genome_key({"b": 1, "a": 0.5})
    '{"a":0.5,"b":1}'
    """
    return _KEYS.encode(dict(genome))
