"""Reads figures off results, and compares them with the marks of ``marks.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import pandas as pd


class Figure(BaseModel):
    """A figure that we claim; ``marks.toml`` says what its fields mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    where: str = ""
    value: str = ""
    take: str = "max"
    factor: float = 1.0
    rows: str = ""
    sums: tuple[str, str] | None = None
    form: str = "{:.4g}"
    at_least: float | None = None
    at_most: float | None = None

    def read(self, table: pd.DataFrame) -> dict[str, str]:
        """Compute the figure, and compare it with its mark.

        Returns:
            ``figure``, ``mark``, ``measured``, and ``verdict``: ``met``, ``missed`` or nothing.
        """
        table = table.query(self.where) if self.where else table
        if self.value:
            found = self.factor * float(table[self.value].agg(self.take))
            measured = self.form.format(found)
        else:
            if self.sums:
                part, total = (int(table[name].sum()) for name in self.sums)
            else:
                part, total = len(table.query(self.rows)), len(table)
            found = part / total if total else float("nan")
            measured = f"{part} of {total}"
        good = [found >= self.at_least] if self.at_least is not None else []
        good += [found <= self.at_most] if self.at_most is not None else []
        verdict = "" if not good or found != found else "met" if all(good) else "missed"
        return {"figure": self.text, "mark": self._mark(), "measured": measured, "verdict": verdict}

    def _mark(self) -> str:
        form = re.sub(r":\.\d+f", ":g", self.form)
        if self.at_least is not None:
            return f"at least {form.format(self.at_least)}" if self.value else "all"
        return "" if self.at_most is None else f"at most {form.format(self.at_most)}"


class Marks(BaseModel):
    """What ``marks.toml`` holds.

    Args:
        topics: Heading on the page -> the results under it.
        figures: Name of a result -> what is read off it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    topics: Mapping[str, Sequence[str]]
    figures: Mapping[str, Sequence[Figure]]


def read_marks() -> Marks:
    """Read ``marks.toml``."""
    path = Path(__file__).with_name("marks.toml")
    return Marks.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
