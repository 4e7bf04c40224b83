"""Designs that look good by what is predicted."""

import numpy as np

import evonas
from evonas import Evaluation, Status
from evonas.acquisition.posterior import PosteriorModel
from evonas.optimizers.lookahead import LookAhead, extremes, latin_hypercube, neighbours
from evonas.problems.toy import ZDT1, Blocks
from evonas.records import Candidate
from evonas.space import Choice, Space, genome_key
from evonas.surrogates.metric_models import MetricModels
from evonas.testing import OptimizerSuite


def test_a_latin_hypercube_has_every_value_equally_often():
    codes = latin_hypercube(Blocks.space, 24, np.random.default_rng(0))
    assert codes.shape == (24, 5)
    assert (codes >= Blocks.space.lower).all()
    assert (codes <= Blocks.space.upper).all()
    assert np.bincount(codes[:, 2].astype(int)).tolist() == [8, 8, 8]
    assert latin_hypercube(Blocks.space, 1, np.random.default_rng(0)).shape == (1, 5)


def test_a_search_begins_with_what_the_surrogate_chooses(oracle):
    offered = []

    class Picky(oracle):
        def initial_design(self, genomes, n):
            offered.extend(genomes)
            return range(len(genomes) - n, len(genomes))

    model = PosteriorModel(Blocks(), Picky(lambda genome: {}))
    ahead = LookAhead(Blocks(), model, population=20, seed=0, initial_designs=12)
    first = ahead.ask(12, seen=set())
    assert first[2:] == offered[-12:-2]
    # One at a time, the same designs come in the same order.
    rest = ahead.ask(3, seen={genome_key(genome) for genome in first[:9]})
    assert rest == first[9:]


def test_a_search_begins_at_the_ends_of_what_has_an_order():
    model = PosteriorModel(Blocks(), MetricModels(Blocks()))
    ahead = LookAhead(Blocks(), model, population=20, seed=0, initial_designs=12)
    first = ahead.ask(12, seen=set())
    assert first[0] == {"layers": 1, "width": 1, "kernel": 3}
    largest = {"layers": 4, "width": 12, "kernel": 7, "late_kernel": 7}
    assert {**first[1], "pooling": ""} == {**largest, "pooling": ""}
    assert len({genome_key(genome) for genome in first}) == 12
    unordered = Space(Choice("a", ["x", "y"]), Choice("b", ["x", "y", "z"]))
    assert extremes(unordered, np.random.default_rng(0)).shape == (0, 2)


def test_neighbours_differ_in_one_gene_and_are_all_there():
    genome = {"layers": 4, "width": 1, "kernel": 3, "late_kernel": 5, "pooling": "average"}
    codes = neighbours(Blocks.space, [genome], np.random.default_rng(0))
    own = Blocks.space.encode([genome])[0]
    assert ((codes != own).sum(axis=1) == 1).all()
    # Layers and width are at an end: one step each. Kernels have two others, pooling one.
    assert len(codes) == 1 + 1 + 2 + 2 + 1


def test_looking_ahead_finds_what_the_surrogate_promises(oracle, observed):
    problem = Blocks()
    names = [metric.name for metric in problem.metrics]
    model, _, unseen = observed(problem, oracle(lambda g: problem.evaluate(g, names)))
    ahead = LookAhead(problem, model, population=20, seed=0, initial_designs=20)
    seen = {genome_key(e.candidate.genome) for e in model.evaluations}
    found = {genome_key(genome) for genome in ahead.ask(200, seen)}
    assert len(found) == 200
    assert not found & seen
    best = evonas.run.front.Front.from_evaluations(
        problem.describe(),
        [Evaluation(Candidate(0, g, 0), Status.OK, problem.evaluate(g, names)) for g in unseen],
    )
    reached = [genome_key(design.genes) in found for design in best.designs]
    # By chance 0.56 of them would be, with 200 of 356 unseen designs proposed.
    assert np.mean(reached) > 0.75


class TestLookAheadBeforeThereIsAPosteriorModel(OptimizerSuite):
    def make_problem(self):
        return ZDT1()

    def make_optimizer(self, problem, seed):
        model = PosteriorModel(problem, MetricModels(problem))
        return LookAhead(problem, model, population=20, seed=seed, initial_designs=20)
