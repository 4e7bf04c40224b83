"""What surrogates were worth in a run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from evonas import Evaluation, Status
from evonas.problems.toy import BinhKorn
from evonas.records import Candidate, Decision, Prediction, Verdict
from evonas.run.diagnostics import surrogate_report, wilson_interval


def test_the_report_counts_wrong_prunes_by_the_front_of_their_moment():
    description = BinhKorn().describe()
    verdicts = [Decision.EVALUATE, Decision.PRUNE, Decision.AUDIT, Decision.AUDIT]
    points = [(5.0, 5.0), None, (6.0, 6.0), (1.0, 9.0)]
    candidates, evaluations = [], []
    for i, (decision, point) in enumerate(zip(verdicts, points, strict=True)):
        candidate = Candidate(i, {"x": float(i), "y": 0.0}, i)
        candidates.append((candidate, Verdict(decision, "", {"f1": Prediction(float(i), 1.0)})))
        if point is not None:
            values = {"f1": point[0], "f2": point[1], "g1": 0.0, "g2": 9.0}
            evaluations.append(Evaluation(candidate, Status.OK, values))
    report = surrogate_report(description, candidates, evaluations)
    assert report["wrong_prune_rate"] == 0.5
    low, high = report["wrong_prune_interval"]
    assert low < 0.5 < high
    assert report["spared_share"] == 0.25
    assert report["coverage"]["f1"] == 0.0
    assert report["spearman"]["f1"] == pytest.approx(-0.5)
    assert json.dumps(report)


def test_a_report_without_prunes_or_audits_claims_no_rate():
    candidate = Candidate(0, {"x": 1.0, "y": 0.0}, 0)
    evaluation = Evaluation(candidate, Status.OK, {"f1": 1.0, "f2": 1.0, "g1": 0.0, "g2": 9.0})
    known = [(candidate, Verdict(Decision.EVALUATE, ""))]
    for candidates, evaluations in (([], []), (known, [evaluation])):
        report = surrogate_report(BinhKorn().describe(), candidates, evaluations)
        assert report["spared_share"] == 0.0
        assert report["wrong_prune_rate"] is None
        assert report["wrong_prune_interval"] is None
        assert report["spearman"] == report["coverage"] == {}


@given(st.integers(1, 400), st.data())
def test_the_interval_of_a_rate_is_wilsons_and_holds_the_rate(trials, data):
    hits = data.draw(st.integers(0, trials) | st.sampled_from([0, trials]))
    low, high = wilson_interval(hits, trials)
    expected = binomtest(hits, trials).proportion_ci(method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= low <= hits / trials <= high <= 1
