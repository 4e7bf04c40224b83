"""The profile of a device: what it says of itself, and what it predicts."""

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from evonas.devices import profile as profiles
from evonas.devices.profile import CostPredictor
from evonas.errors import DataError


def test_a_design_is_one_probe_however_often_and_as_what_it_was_measured(make_profile):
    heads = [{"split": split} for split in (1, 2, 3, 2)]
    tails = [{"split": split} for split in (0, 1, 2)]
    assert make_profile({"head": heads, "tail": tails}).probe_count == 4


def test_a_profile_says_how_far_to_trust_it(make_profile):
    found = make_profile({"head": [{"split": 1}]})
    assert str(found) == "board (predicted from 1 probes, error 10.0%): threads: 1"
    found.kinds["head"].trusted = False
    found.kinds["head energy"] = found.kinds["head"].model_copy(update={"unit": "mJ"})
    assert "error 10.0%, NOT to be trusted): threads: 1, energy metered" in str(found)


def predicting(width):
    """A predictor of 2 with an interval of some width."""
    ends = (np.array([value]) for value in (2.0, 2.0 - width, 2.0 + width))
    found = SimpleNamespace(**dict(zip(("mean", "lower", "upper"), ends, strict=True)))
    return SimpleNamespace(predict=lambda views: found)


def cost_predictor(make_profile, monkeypatch, width):
    """The costs of a device that took 1 ms, give or take 1%, for a single design."""
    models = SimpleNamespace(load_predictor=lambda header, arrays: predicting(width))
    monkeypatch.setattr(profiles, "transfer_models", lambda: models)
    return CostPredictor(make_profile({"head": [{"split": 1}]}), "head")


def test_the_surer_of_measured_and_predicted_is_taken(make_profile, monkeypatch):
    costs = cost_predictor(make_profile, monkeypatch, 0.5)
    factor = math.exp(1.645 * 0.01)
    assert costs.predict({"split": 1}, {}) == pytest.approx((1.0, 1 / factor, factor))
    assert costs.predict({"split": 2}, {}) == (2.0, 1.5, 2.5)
    costs = cost_predictor(make_profile, monkeypatch, 0.001)
    assert costs.predict({"split": 1}, {}) == (2.0, 1.999, 2.001)


def test_a_predictor_that_was_used_travels_without_what_is_built_again(make_profile, monkeypatch):
    costs = cost_predictor(make_profile, monkeypatch, 0.5)
    costs.predict({"split": 1}, {})
    assert pickle.loads(pickle.dumps(costs)).predict({"split": 2}, {})[0] == 2.0


def test_a_predictor_of_another_version_is_refused_with_a_remedy(make_profile):
    found = make_profile()
    found.kinds["head"].predictor["format"] = 1
    with pytest.raises(DataError) as raised:
        found.predictor("head")
    assert "device 'board' cannot be predicted: the predictor has the format 1" in str(raised.value)
    assert "fit it again from its kit-result.json" in str(raised.value)
