"""Runs: their front, their status, and the files that are made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from evonas import references
from evonas.errors import RunError, UsageError, did_you_mean
from evonas.problem import Problem, Report
from evonas.records import Status
from evonas.run.derive_again import derive_again
from evonas.run.diagnostics import surrogate_report
from evonas.run.front import FORMATS, Front, cost_array, make_tracker, say_designs
from evonas.run.journal import Journal
from evonas.run.layout import DEVICES
from evonas.run.lock import is_locked
from evonas.run.models import export_models

EXPORTS = (*FORMATS, "onnx")


class Run:
    """A run that has ended or stopped, or that another process is writing.

    Args:
        journal: Journal that is open for reading; the run keeps it.
        directory: Directory of the run; ``None`` when it is in memory.
    """

    def __init__(self, journal: Journal, directory: Path | None) -> None:
        self._journal = journal
        self.directory = directory

    @classmethod
    def open(cls, directory: str | Path) -> Run:
        """Open a run for reading.

        Args:
            directory: Directory of the run.

        Raises:
            RunError: There is no run, or its journal is corrupt or of another version.
        """
        directory = Path(directory)
        return cls(Journal.read(directory), directory)

    @property
    def front(self) -> Front:
        """The front of everything committed so far."""
        return Front.from_journal(self._journal)

    def front_for(self, problem: Problem) -> Front:
        """Make the front again for another link, or another factor of a device.

        Nothing is evaluated: derived metrics are computed again from the parts that were measured,
        and constraints are judged again.

        Args:
            problem: The run's problem, made with other options; it need not be prepared.

        Returns:
            The front. If designs were pruned, its notes say that they are missing: with another
            link, some of them might have been on it.

        Raises:
            UsageError: The problem has other genes than the run's, or measures other metrics, or
                cannot derive any design's.
        """
        meta = self.meta
        evaluations = derive_again(meta["description"], self._journal.evaluations(), problem)
        description = json.loads(json.dumps(problem.describe()))
        if pruned := self._journal.counts()["prune"]:
            description["notes"].append(
                f"{say_designs(pruned)} missing: pruned in the search, which had other options"
            )
        return Front.from_evaluations(description, evaluations)

    @property
    def meta(self) -> dict[str, Any]:
        """Facts that the journal holds: description of the problem, settings, state."""
        return self._journal.meta()

    @property
    def evaluated(self) -> int:
        """Number of evaluations, failures included."""
        counts = self._journal.counts()
        return sum(counts.get(status, 0) for status in Status)

    def status(self) -> dict[str, Any]:
        """Summarise the run.

        Returns:
            ``problem``, ``state`` (``running``, ``finished``, ``exhausted``, ``stopped``, or
            ``interrupted`` when the process that wrote it is gone), ``proposed``, ``evaluated``,
            ``probes`` (fitted device -> designs that were measured there), ``pruned``,
            ``audited``, ``free`` (designs that joined the front and cost no evaluation),
            ``failed``, ``infeasible``, ``front_size``, ``hypervolume``,
            ``evaluation_seconds`` (the median; ``None`` without evaluations), and with a
            surrogate ``considered`` (proposals that the gate judged, a design again in every
            batch) and what :func:`evonas.run.diagnostics.surrogate_report` returns.
        """
        meta, counts = self.meta, self._journal.counts()
        evaluations = self._journal.evaluations()
        settings = meta["settings"]
        tracker = make_tracker(meta["description"], initial_size(settings))
        feasible = [e for e in evaluations if e.status is Status.OK]
        for cost in cost_array(meta["description"], feasible):
            tracker.add(cost)
        counted = [e for e in evaluations if e.source is None]
        state = meta["state"]
        if state == "running" and self.directory is not None and not is_locked(self.directory):
            state = "interrupted"
        found = {
            "problem": meta["description"]["problem"],
            "state": state,
            "proposed": counts["proposed"],
            "evaluated": len(counted),
            "probes": meta["description"].get("probes", {}),
            "pruned": counts["prune"],
            "audited": counts.get("audit", 0),
            "free": counts.get("free", 0),
            "failed": counts.get("failed", 0) + counts.get("timeout", 0),
            "infeasible": counts.get("infeasible", 0),
            "front_size": len(tracker.costs),
            "hypervolume": tracker.hypervolume,
            "evaluation_seconds": median(e.seconds for e in counted) if counted else None,
        }
        if settings.get("surrogate"):
            candidates = self._journal.candidates()
            snapshot = self._journal.snapshot()
            found["considered"] = snapshot[2].get("considered", 0) if snapshot else 0
            found |= surrogate_report(meta["description"], candidates, evaluations)
        return found

    def export(
        self, formats: Iterable[str], *, problem: Problem | None = None, report: Report = print
    ) -> list[Path]:
        """Write the front into the run's directory.

        Args:
            formats: Names of formats: ``csv``, ``json``, ``parquet``, ``png`` or ``onnx``. The last
                one writes ``models/ID/`` for every member of the front, and removes those of
                designs that have left it.
            problem: The problem, prepared; needed for ``onnx`` only.
            report: Function that is called with lines of text about the models.

        Returns:
            The files and directories written.

        Raises:
            UsageError: A format is unknown, the run is in memory, or the problem has no models.
            WorkError: Some models are wrong or were not written; all others are written first.
        """
        if self.directory is None:
            raise UsageError("this run is in memory; search with out=DIRECTORY to export it")
        formats = list(formats)
        for name in formats:
            if name not in EXPORTS:
                raise UsageError(f"unknown format '{name}'{did_you_mean(name, EXPORTS)}")
        front = self.front
        tables = [name for name in formats if name in ("csv", "json", "parquet")]
        front.write(self.directory, tables)
        written = [self.directory / f"front.{name}" for name in tables]
        if "png" in formats:
            from evonas.run.plot import draw_front

            written.append(self.directory / "front.png")
            draw_front(written[-1], front, self._journal.evaluations())
        if "onnx" in formats:
            if problem is None or not problem.exports_models:
                name = self.meta["description"]["problem"]
                raise UsageError(f"problem '{name}' has no models to export; leave out 'onnx'")
            written += export_models(self.directory / "models", front, problem, report)
        return written


def run_problem(directory: Path, meta: Mapping[str, Any]) -> Problem:
    """Make the problem of a run again, with the profiles of fitted devices that the run keeps.

    Raises:
        RunError: The run was started with a problem object, which only its program can make.
        PluginError: The problem is not found any more.
    """
    if meta["reference"] is None:
        raise RunError(
            f"run '{directory}' was started from Python with a problem object; "
            "resume it there: evonas.resume(directory, problem=...)"
        )
    return references.load_problem(meta["reference"], meta["options"], directory / DEVICES)


def initial_size(settings: Mapping[str, Any]) -> int:
    """Return the number of designs that a run begins with."""
    # Earlier versions called it "opening"; before that it was the population.
    names = ("initial_designs", "opening", "population")
    return next(int(settings[name]) for name in names if name in settings)
