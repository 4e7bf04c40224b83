"""Values are known by what they depend on."""

from evonas import Candidate, Evaluation, Status
from evonas.memory import Memory
from evonas.problems.toy import Blocks

# Operations do not depend on the kernel of late layers.
FIRST = {"layers": 3, "width": 2, "kernel": 3, "late_kernel": 3}
SECOND = FIRST | {"late_kernel": 5}


def measured(number, genome, **values):
    return Evaluation(Candidate(number, genome, 0), Status.OK, values)


def test_a_value_is_known_of_all_designs_that_share_what_it_depends_on():
    memory = Memory(Blocks())
    memory.add(measured(0, FIRST, error=1.0, operations=54.0))
    assert memory.recall(FIRST) == {"error": (0, 1.0), "operations": (0, 54.0)}
    assert memory.recall(SECOND) == {"operations": (0, 54.0)}
    assert memory.recall(FIRST, [Blocks.metrics[0]]) == {"error": (0, 1.0)}


def test_the_first_measurement_stays():
    memory = Memory(Blocks())
    memory.add(measured(0, FIRST, operations=54.0))
    memory.add(measured(1, SECOND, error=2.0, operations=55.0))
    assert memory.recall(SECOND) == {"error": (1, 2.0), "operations": (0, 54.0)}


def test_what_is_being_measured_is_waited_for_until_its_candidate_comes_back():
    memory = Memory(Blocks())
    memory.start(0, FIRST, ["error", "operations"])
    assert memory.is_measuring(SECOND, ["operations"])
    assert not memory.is_measuring(SECOND, ["error"])
    memory.add(measured(1, SECOND, error=1.0))
    assert memory.is_measuring(SECOND, ["operations"])
    memory.add(Evaluation(Candidate(0, FIRST, 0), Status.FAILED))
    assert not memory.is_measuring(SECOND, ["operations"])
    assert memory.recall(SECOND) == {"error": (1, 1.0)}
