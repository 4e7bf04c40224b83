import pandas as pd
import pytest

from benchmarks import marks


def figure(**more):
    return marks.Figure(text="a figure", **more)


@pytest.mark.parametrize(
    ("more", "mark", "measured", "verdict"),
    [
        ({"value": "ms", "form": "{:.1f} ms", "at_most": 3}, "at most 3 ms", "4.0 ms", "missed"),
        ({"value": "ms", "take": "min", "at_least": 1}, "at least 1", "1", "met"),
        ({"value": "ms", "where": "who == 'a'", "factor": 100}, "", "200", ""),
        ({"rows": "ms > 1", "at_least": 1}, "all", "2 of 3", "missed"),
        ({"sums": ["ms", "all"], "where": "who == 'b'", "at_least": 1}, "all", "5 of 5", "met"),
        ({"value": "ms", "where": "who == 'c'", "at_most": 3}, "at most 3", "nan", ""),
        ({"rows": "ms > 1", "where": "who == 'c'", "at_least": 1}, "all", "0 of 0", ""),
    ],
)
def test_a_figure_is_read_off_a_table(more, mark, measured, verdict):
    table = pd.DataFrame({"who": ["a", "b", "b"], "ms": [2, 1, 4], "all": [3, 1, 4]})
    expected = {"figure": "a figure", "mark": mark, "measured": measured, "verdict": verdict}
    assert figure(**more).read(table) == expected


def test_every_figure_has_a_place_on_the_page():
    found = marks.read_marks()
    placed = [name for names in found.topics.values() for name in names]
    assert sorted(placed) == sorted(found.figures)
