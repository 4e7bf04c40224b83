"""The loop: ask, gate, remember, run, record, tell.

The loop is asynchronous at heart: a runner takes candidates and hands back whatever has finished.
A synchronous search waits for the whole batch before it tells the optimizer, in the order of
proposal, so that its course does not depend on the number of workers or on when it was killed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from evonas.derived import complete
from evonas.engine.free import FreeDesigns
from evonas.engine.interrupt import StopRequest
from evonas.engine.settings import SearchSettings
from evonas.memory import Memory
from evonas.problem import Problem
from evonas.protocols import Gate, Optimizer, Runner
from evonas.records import Candidate, Decision, Evaluation, Status, Task, Verdict
from evonas.run.front import cost_array, make_tracker
from evonas.run.journal import Journal
from evonas.space import genome_key

POLL_SECONDS = 0.5
"""Time in seconds after which the loop stops waiting, to notice a stop or the end of its time."""

REPORT_SECONDS = 0.2
"""Time in seconds between reports to an observer; longer where the hypervolume takes a while."""


@dataclass(frozen=True)
class Progress:
    """The progress of a search.

    Args:
        proposed: Number of designs proposed so far.
        evaluated: Number of evaluations so far, failures included.
        pruned: Number of designs that the gate has pruned.
        free: Number of free designs that joined the front, see :mod:`evonas.engine.free`.
        failed: Number of evaluations that failed or ran out of time.
        front_size: Number of members of the front.
        hypervolume: Hypervolume relative to the box of the first evaluations, see
            :class:`evonas.pareto.FrontTracker`.
        seconds: Wall time in seconds over all sessions of the run.
        share: Part of the budget that is used, from 0 to 1.
        state: State of the search: ``running``, ``finished``, ``exhausted`` or ``stopped``.
    """

    proposed: int
    evaluated: int
    pruned: int
    free: int
    failed: int
    front_size: int
    hypervolume: float
    seconds: float
    share: float
    state: str


class Observer(Protocol):
    """Something that is told how a search goes, such as a progress bar."""

    def update(self, progress: Progress) -> None:
        """Receive the progress; called after some steps, and when the search ends."""


class Search:
    """One session of a run: starts it, or continues it from what its journal holds.

    Args:
        problem: The problem, prepared.
        journal: Journal that is open for writing: empty, or of this run.
        optimizer: Optimizer in its initial state; the journal's snapshot is restored into it.
        gate: Gate that decides which proposals are evaluated.
        runner: Runner made for the problem; the caller closes it.
        settings: Parameters of the search, resolved for the runner. What has not finished when
            their ``grace`` ends is evaluated again by a later session.
        stop: Request to stop; looked at before every step.
        observer: Observer that is told how the search goes.
    """

    def __init__(
        self,
        *,
        problem: Problem,
        journal: Journal,
        optimizer: Optimizer,
        gate: Gate,
        runner: Runner,
        settings: SearchSettings,
        stop: StopRequest,
        observer: Observer | None = None,
    ) -> None:
        self._problem = problem
        self._journal = journal
        self._optimizer = optimizer
        self._gate = gate
        self._runner = runner
        self._description = problem.describe()
        self._limit = settings.limit(known=sum(self._description.get("probes", {}).values()))
        self._seconds_allowed = settings.seconds
        self._population = settings.first_batch
        self._offspring = settings.later_batch
        self._asynchronous = settings.asynchronous
        self._grace = settings.grace
        self._stop = stop
        self._observer = observer

        self._memory = Memory(problem)
        self._free = FreeDesigns(problem, self._memory)
        self._unexplored: list[Evaluation] = []
        self._explored = 0
        self._committed = 0
        self._free_joined = 0
        self._free_left = 0
        self._tracker = make_tracker(self._description, self._population)
        self._seen: set[str] = set()
        self._pending: dict[int, Candidate] = {}
        self._waiting: list[Candidate] = []
        self._untold: list[Evaluation] = []
        self._batch = 0
        self._told = 0
        self._evaluated = 0
        self._pruned: set[str] = set()
        self._proposed = 0
        self._failed = 0
        self._state = "running"
        self._seconds_before = 0.0
        self._considered = 0
        self._next_report = 0.0
        self._started = time.monotonic()

    @property
    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def run(self) -> Progress:
        """Search until the budget is used, the space is exhausted, or a stop is asked for."""
        self._restore()
        self._report()
        while self._state == "running":
            if self._must_end():
                self._drain()
                break
            if self._free.running:
                self._record(self._runner.wait(POLL_SECONDS))
            elif self._unexplored and (self._asynchronous or not self._pending):
                self._explore()
            elif self._may_propose():
                self._propose()
            elif self._pending:
                self._record(self._runner.wait(POLL_SECONDS))
            else:
                self._state = "finished"
        progress = self._progress()
        if self._observer is not None:
            self._observer.update(progress)
        return progress

    def _restore(self) -> None:
        candidates = self._journal.candidates()
        self._gate.resume([(candidate.genome, verdict) for candidate, verdict in candidates])
        for candidate, verdict in candidates:
            self._proposed += 1
            pruned = verdict.decision is Decision.PRUNE
            self._remember(genome_key(candidate.genome), pruned)
            if not pruned:
                self._pending[candidate.id] = candidate
        evaluations = self._journal.evaluations()
        for evaluation in evaluations:
            del self._pending[evaluation.candidate.id]
            self._note(evaluation)
        self._restore_explored(evaluations)
        self._gate.observe(evaluations)
        if snapshot := self._journal.snapshot():
            batch, self._told, state = snapshot
            self._batch = batch + 1
            # Written when a batch was proposed, and when a session ended.
            at_end = self._journal.meta().get("seconds", 0.0)
            self._seconds_before = max(state["seconds"], at_end)
            self._considered = state.get("considered", 0)
            self._optimizer.restore(state["optimizer"])
        self._untold = evaluations[self._told :]
        for candidate in list(self._pending.values()):
            self._dispatch(candidate)

    def _restore_explored(self, evaluations: Sequence[Evaluation]) -> None:
        """Leave out the free designs that were looked at before and did not join the front."""
        explored = evaluations[: self._journal.meta().get("explored", 0)]
        self._unexplored = [e for e in evaluations[len(explored) :] if e.source is None]
        for evaluation in explored:
            if evaluation.source is None:  # Nothing is looked at around a free design.
                self._leave_out(map(genome_key, self._free.around(evaluation)))

    def _leave_out(self, keys: Iterable[str]) -> None:
        new = set(keys) - self._seen
        self._free_left += len(new)
        self._seen |= new

    def _must_end(self) -> bool:
        if self._stop.requested:
            self._state = "stopped"
        elif self._seconds_allowed is not None and self._seconds >= self._seconds_allowed:
            self._state = "finished"
        return self._state != "running"

    def _drain(self) -> None:
        """Let what runs finish, and leave what has not started to a later session."""
        self._runner.cancel()
        self._waiting.clear()
        limited = self._state == "stopped" and self._grace is not None
        end = time.monotonic() + (self._grace or 0.0)
        while finished := self._runner.wait(max(0.0, end - time.monotonic()) if limited else None):
            self._record(finished)

    def _wanted(self) -> int:
        if self._asynchronous:
            room = self._runner.workers - len(self._pending)
        elif self._pending:
            room = 0
        else:
            room = self._offspring if self._batch else self._population
        return int(min(room, self._limit - self._evaluated - len(self._pending)))

    def _may_propose(self) -> bool:
        return self._wanted() > 0

    def _propose(self) -> None:
        self._tell()
        wanted = self._wanted()
        genomes = self._optimizer.ask(wanted * self._gate.proposals_per_evaluation, self._seen)
        if not genomes:
            if not self._pending:
                self._state = "exhausted"
            else:
                self._record(self._runner.wait(POLL_SECONDS))
            return
        self._considered += len(genomes)
        judged: list[tuple[Candidate, Verdict]] = []
        for genome, verdict in zip(genomes, self._gate.judge(genomes, wanted), strict=True):
            key = genome_key(genome)
            pruned = verdict is not None and verdict.decision is Decision.PRUNE
            if verdict is None or (pruned and key in self._pruned):
                continue
            judged.append((Candidate(self._proposed, genome, self._batch), verdict))
            self._proposed += 1
            self._remember(key, pruned)
        state = {
            "optimizer": self._optimizer.state(),
            "seconds": self._seconds,
            "considered": self._considered,
        }
        self._journal.commit(candidates=judged, snapshot=(self._batch, self._told, state))
        self._batch += 1
        accepted = [c for c, verdict in judged if verdict.decision is not Decision.PRUNE]
        self._pending.update({c.id: c for c in accepted})
        for candidate in accepted:
            self._dispatch(candidate)
        self._report()

    def _remember(self, key: str, pruned: bool) -> None:
        """Note a verdict; a pruned design may be evaluated later, when nothing better is left."""
        if pruned:
            self._pruned.add(key)
        else:
            self._pruned.discard(key)
            self._seen.add(key)

    def _dispatch(self, candidate: Candidate) -> None:
        """Submit metrics that are not in memory; wait while another candidate is measuring them."""
        known = self._memory.recall(candidate.genome)
        missing = tuple(m.name for m in self._problem.measured_metrics if m.name not in known)
        if not missing:
            self._record([Evaluation(candidate, Status.OK, worker="memory")])
        elif self._memory.is_measuring(candidate.genome, missing):
            self._waiting.append(candidate)
        else:
            self._memory.start(candidate.id, candidate.genome, missing)
            self._runner.submit([Task(candidate, missing)])

    def _record(self, finished: Sequence[Evaluation]) -> None:
        """Commit evaluations, and only then let the optimizer and the gate learn from them."""
        for evaluation in finished:
            if evaluation.candidate.id < 0:
                self._free.take(evaluation)
                if not self._free.running:
                    self._join()
        finished = [evaluation for evaluation in finished if evaluation.candidate.id >= 0]
        if not finished:
            return
        completed = [self._complete(evaluation) for evaluation in finished]
        self._journal.commit(evaluations=completed)
        evaluations = [evaluation for evaluation, _ in completed]
        for evaluation in evaluations:
            del self._pending[evaluation.candidate.id]
        self._learn(evaluations)
        waiting, self._waiting = self._waiting, []
        for candidate in waiting:
            self._dispatch(candidate)

    def _learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Let all parts of the search learn from evaluations that were committed."""
        for evaluation in evaluations:
            self._note(evaluation)
        self._untold.extend(evaluations)
        self._gate.observe(evaluations)
        if self._asynchronous:
            self._tell()
        self._report()

    def _explore(self) -> None:
        """Begin to look at the free designs around what was evaluated since the last look."""
        self._explored = self._committed
        tasks = self._free.start(self._unexplored, self._seen)
        self._unexplored = []
        if tasks:
            self._runner.submit(tasks)
        elif self._free.keys:
            self._join()

    def _join(self) -> None:
        """Commit the free designs that join the front, and how far the look has come."""
        joining = self._free.joining(self._tracker.costs, self._proposed, self._batch - 1)
        keys = self._free.keys
        judged = [
            (e.candidate, Verdict(Decision.FREE, f"its expensive metrics are those of {e.source}"))
            for e in joining
        ]
        self._journal.commit(
            candidates=judged,
            evaluations=[(e, self._free.sources(e)) for e in joining],
            meta={"explored": self._explored},
        )
        self._proposed += len(joining)
        for evaluation in joining:
            self._remember(genome_key(evaluation.candidate.genome), pruned=False)
        self._leave_out(keys)
        self._learn(joining)

    def _complete(self, evaluation: Evaluation) -> tuple[Evaluation, dict[str, int]]:
        """Add values from memory and derived ones, and judge the constraints."""
        if evaluation.status is not Status.OK:
            return evaluation, {}
        known = self._memory.recall(evaluation.candidate.genome)
        sources = {m: source for m, (source, _) in known.items() if m not in evaluation.values}
        values = {m: known[m][1] for m in sources} | dict(evaluation.values)
        completed = complete(self._problem, evaluation, values)
        return completed, sources if completed.values else {}

    def _note(self, evaluation: Evaluation) -> None:
        self._committed += 1
        self._memory.add(evaluation)
        if evaluation.source is None:
            self._evaluated += 1
            self._unexplored.append(evaluation)
        else:
            self._free_joined += 1
        if evaluation.status is Status.OK:
            self._tracker.add(cost_array(self._description, [evaluation])[0])
        elif evaluation.status is not Status.INFEASIBLE:
            self._failed += 1

    def _tell(self) -> None:
        """Tell the optimizer of new evaluations, those without values left out."""
        untold, self._untold = self._untold, []
        self._told += len(untold)
        if not self._asynchronous:
            untold.sort(key=lambda evaluation: evaluation.candidate.id)
        self._optimizer.tell([evaluation for evaluation in untold if evaluation.values])

    def _progress(self) -> Progress:
        seconds = self._seconds
        shares = [self._evaluated / self._limit]
        if self._seconds_allowed is not None:
            shares.append(seconds / self._seconds_allowed)
        return Progress(
            proposed=len(self._seen) - self._free_left + len(self._pruned),
            evaluated=self._evaluated,
            pruned=len(self._pruned),
            free=self._free_joined,
            failed=self._failed,
            front_size=len(self._tracker.costs),
            hypervolume=self._tracker.hypervolume,
            seconds=seconds,
            share=min(1.0, max(shares)),
            state=self._state,
        )

    def _report(self) -> None:
        begin = time.monotonic()
        if self._observer is not None and begin >= self._next_report:
            self._observer.update(self._progress())
            spent = time.monotonic() - begin
            self._next_report = begin + max(REPORT_SECONDS, 20.0 * spent)
