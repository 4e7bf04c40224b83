import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from evonas.derived import all_values
from evonas.devices import links, store
from evonas.devices.transfer import transfer_models
from evonas.errors import ConfigError, DataError, EvonasError, ProblemError, WorkError
from evonas.problems.split_cnn import problem as problem_module
from evonas.problems.split_cnn.evaluator import Evaluator
from evonas.problems.split_cnn.measure import session
from evonas.problems.split_cnn.problem import SplitCNN
from evonas.problems.split_cnn.supernet import Supernet
from evonas.problems.split_cnn.weights import load_or_train
from evonas.references import load_problem
from evonas.testing import ProblemSuite, sample_designs

DESIGN = {
    **{f"depth{stage}": 2 for stage in (1, 2, 3)},
    **{f"kernel{stage}": 3 for stage in (1, 2, 3)},
    **{f"expansion{stage}": 3 for stage in (1, 2, 3)},
    "width": 0.5,
    "split": 5,
    "payload_bits": 8,
}
LAST = 11


def silent(line):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Stripes, slanted one way or the other: 12x12 pixels, 3 channels."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 2
    at = np.add.outer(np.arange(12), np.arange(12)), np.subtract.outer(np.arange(12), np.arange(12))
    phase = rng.random((90, 3, 1, 1))
    images = np.stack([at[label] for label in labels])[:, None] / 6 + phase
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    images = (0.5 + 0.5 * np.sin(2 * np.pi * images)).astype(np.float32)
    np.savez(path, images=images, labels=labels, classes=["rising", "falling"])
    return f"npz:{path}"


@pytest.fixture(autouse=True)
def _untrained_weights_in_a_cache_of_its_own(monkeypatch, tmp_path_factory):
    """These tests are not about training; see the slow one below."""

    def random_weights(config, dataset, settings, report, device):
        return Supernet(config, torch.Generator().manual_seed(settings.seed)).arrays()

    monkeypatch.setattr(problem_module, "load_or_train", random_weights)
    monkeypatch.setattr(problem_module, "reference_ms", lambda folder: 0.1)
    monkeypatch.setenv("EVONAS_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def make(data):
    def prepared(**options):
        made = load_problem("digits", {"data": data, **options})
        made.prepare(silent)
        return made

    return prepared


class TestConformance(ProblemSuite):
    samples = 100
    evaluated = 4
    measured = frozenset(SplitCNN.timed_models.values())

    @pytest.fixture(autouse=True)
    def _make(self, make):
        self._made = make()

    def make_problem(self):
        return self._made


def test_latency_and_energy_follow_from_times_and_profiles(make, monkeypatch):
    problem = make(
        device="factor=20,compute_watts=3,idle_watts=0.5",
        server="factor=0.5",
        link="uplink_mbps=2,round_trip_ms=7,transmit_watts=1.5",
    )
    monkeypatch.setattr(problem._evaluator, "times", lambda pair: (0.25, 0.5))
    found = all_values(problem, DESIGN)
    payload = found["payload_bytes"]
    # After the first block of the second stage: 48 channels at 6x6 places.
    assert payload == 48 * 6 * 6
    sending = payload * 8 / 2000
    assert found["device_ms"] == 5
    assert found["server_ms"] == 0.25
    assert found["link_ms"] == pytest.approx(7 + sending)
    assert found["latency_ms"] == pytest.approx(5 + 7 + sending + 0.25)
    energy = 5 * 3 + sending * (0.5 + 1.5) + (7 + 0.25) * 0.5
    assert found["device_energy_mj"] == pytest.approx(energy)


@pytest.mark.parametrize(("bits", "size"), [(32, 4), (16, 2), (8, 1), (4, 0.5)])
def test_the_payload_at_the_first_cut_is_the_image(make, bits, size):
    found = make().evaluate({**DESIGN, "split": 0, "payload_bits": bits}, ["payload_bytes"])
    assert found == {"payload_bytes": 3 * 12 * 12 * size}


def test_with_everything_on_the_device_there_is_no_link_and_no_server(make):
    problem = make()
    genome = problem.canonical({**DESIGN, "split": LAST})
    assert "payload_bits" not in genome
    found = all_values(problem, genome)
    assert found["link_ms"] == found["server_ms"] == found["payload_bytes"] == 0
    assert found["latency_ms"] == found["device_ms"] > 0


def test_only_what_is_asked_for_is_measured(make, monkeypatch):
    problem = make()
    monkeypatch.setattr(problem._evaluator, "times", lambda pair: pytest.fail("timed"))
    assert set(problem.evaluate(DESIGN, ["error", "macs"])) == {"error", "macs"}
    monkeypatch.setattr(problem._evaluator, "error", lambda *_: pytest.fail("scored"))
    monkeypatch.setattr(problem._evaluator, "pair", lambda *_: pytest.fail("calibrated"))
    names = ["params", "macs", "payload_bytes", "head_memory_bytes"]
    assert set(problem.evaluate(DESIGN, names)) == set(names)


def test_what_costs_nothing_is_what_the_real_network_has(make):
    problem = make()
    names = ["params", "macs", "payload_bytes", "head_memory_bytes"]
    for genome in sample_designs(problem, 25):
        split = problem._pair(genome).split
        payload = split.head(torch.from_numpy(problem._prepared.images[:1]))
        size = 0 if split.on_device else payload.element_size() * payload.numel()
        assert problem.evaluate(genome, names) == {
            "params": sum(split.subnet.params),
            "macs": sum(split.subnet.macs),
            "payload_bytes": size,
            "head_memory_bytes": split.subnet.head_memory_bytes(split.cut),
        }


def test_features_are_codes_and_what_times_follow_from(make):
    problem = make()
    genomes = sample_designs(problem, 20)
    features = problem.features(genomes)
    np.testing.assert_array_equal(features[:, : len(problem.space)], problem.space.encode(genomes))
    head, tail, params, link = features[:, len(problem.space) :].T
    found = [all_values(problem, genome) for genome in genomes]
    expected = np.array([[row[n] for n in ("macs", "params", "link_ms")] for row in found]).T
    np.testing.assert_allclose([1e6 * (head + tail), 1e6 * params, link], expected)
    on_device = np.array([genome["split"] == LAST for genome in genomes])
    on_server = np.array([genome["split"] == 0 for genome in genomes])
    np.testing.assert_array_equal(tail == 0, on_device)
    np.testing.assert_array_equal(head == 0, on_server)


def test_the_error_is_remembered_across_cuts_unless_the_payload_is_rounded(make):
    problem = make()
    whole = problem.canonical({**DESIGN, "split": LAST})
    exact = {**DESIGN, "payload_bits": 32}
    rounded = [{**DESIGN, "payload_bits": bits} for bits in (16, 8, 4)]
    keys = [problem.memory_key("error", genome) for genome in (whole, exact, *rounded)]
    assert keys[0] == keys[1] == problem.memory_key("error", {**exact, "split": 2})
    assert len({json.dumps(key) for key in keys}) == 4
    error = [problem.evaluate(g, ["error"])["error"] for g in (whole, exact, {**exact, "split": 2})]
    assert error[0] == error[1] == error[2]
    assert problem.memory_key("latency_ms", whole) != problem.memory_key("latency_ms", exact)


def test_designs_with_equal_channel_counts_are_one(make):
    problem = make()
    a, b = ({**DESIGN, "width": width} for width in (0.5, 0.501))
    assert problem.canonical(a) == problem.canonical(b)


def test_designs_of_one_network_share_it(make, monkeypatch):
    problem = make()
    taken = []
    take = problem._evaluator._supernet.subnet
    monkeypatch.setattr(
        problem._evaluator._supernet, "subnet", lambda *a: taken.append(a) or take(*a)
    )
    for split in range(LAST):
        for bits in (32, 8):
            problem.evaluate({**DESIGN, "split": split, "payload_bits": bits}, ["error"])
    assert len(taken) == 1


def test_it_travels_light_and_works_where_the_data_is_not(make, data, tmp_path):
    problem = make()
    sent = pickle.dumps(problem)
    weights = sum(array.nbytes for array in problem._prepared.weights.values())
    assert len(sent) < weights + 90 * 3 * 12 * 12 * 4 + 50_000
    names = ["error", "macs", "payload_bytes"]
    expected = problem.evaluate(DESIGN, names)
    moved = Path(data.removeprefix("npz:")).rename(tmp_path / "elsewhere.npz")
    try:
        copy = pickle.loads(sent)
        assert copy.evaluate(DESIGN, names) == expected
        with pytest.raises(DataError, match="no file"):
            copy.final(DESIGN)
    finally:
        moved.rename(data.removeprefix("npz:"))


def test_the_test_error_is_the_exported_pairs_on_the_test_images(make, tmp_path):
    problem = make()
    problem.export(DESIGN, tmp_path)
    head, tail = (session(tmp_path / f"{name}.onnx") for name in ("head", "tail"))
    images, labels = problem._dataset.part("test")
    scores = tail.run(None, {"payload": head.run(None, {"image": images})[0]})[0]
    wrong = 100 * float(np.mean(scores.argmax(axis=1) != labels))
    assert problem.final(DESIGN) == {"test_error": pytest.approx(wrong)}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["genome"] == DESIGN
    assert manifest["classes"] == ["rising", "falling"]
    assert (
        manifest["payload"]["bytes_per_image"]
        == (problem.evaluate(DESIGN, ["payload_bytes"])["payload_bytes"])
    )


def test_every_design_exports(make, tmp_path):
    problem = make()
    for index, genome in enumerate(sample_designs(problem, 12)):
        directory = tmp_path / str(index)
        directory.mkdir()
        problem.export(genome, directory)
        assert (directory / "manifest.json").exists()


def test_a_pair_that_is_wrong_is_not_exported(make, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise WorkError("scores differ")

    monkeypatch.setattr("evonas.problems.split_cnn.deploy.verify", refuse)
    with pytest.raises(WorkError, match="scores differ"):
        make().export(DESIGN, tmp_path)
    assert not list(tmp_path.iterdir())


def test_objectives_and_bounds_are_options(make):
    problem = make(objectives="error, payload_bytes", max_latency_ms=20, max_error=5)
    assert [o.metric for o in problem.objectives] == ["error", "payload_bytes"]
    assert {(c.metric, c.upper) for c in problem.constraints} == {("latency_ms", 20), ("error", 5)}
    assert [o.metric for o in make(objectives=["params"]).objectives] == ["params"]


def test_what_is_simulated_is_said(make):
    notes = make(device="phone", link="5g").notes
    assert "device phone (simulated, this machine's time x 2)" in notes[0]
    assert "server server (simulated, this machine's time x 0.1)" in notes[1]
    assert "ITU-R M.2410" in notes[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "fone"}, "did you mean 'phone'"),
        ({"server": "servr"}, "did you mean 'server'"),
        ({"link": "6g"}, "there is no link '6g'"),
        ({"objectives": "eror"}, "did you mean 'error'"),
        ({"objectives": "test_error"}, "not one of its metrics"),
        ({"max_latency_ms": "fast"}, "max_latency_ms is 'fast'; it must be a number"),
        ({"max_error": True}, "max_error is True; it must be a number"),
        ({"image_size": 4}, "image_size is 4; it must be a whole number from 8 on"),
        ({"image_size": "32x32"}, "image_size is '32x32'"),
        ({"validation_images": 0}, "validation_images is 0"),
        ({"epochs": 2.5}, "epochs is 2.5"),
        ({"train_seed": -1}, "'seed' is -1"),
        ({"data": "npz:nowhere.npz"}, "nowhere.npz'"),
        ({"data": "digts"}, "did you mean 'digits'"),
    ],
)
def test_a_wrong_option_is_named(data, options, message):
    with pytest.raises(EvonasError) as raised:
        load_problem("digits", {"data": data, **options})
    assert message in str(raised.value)
    assert not isinstance(raised.value, WorkError)


def test_it_is_prepared_before_it_evaluates(data):
    with pytest.raises(ProblemError, match="not prepared"):
        SplitCNN(data=data).evaluate(DESIGN, ["error"])


@pytest.mark.slow
def test_digits_from_training_to_a_pair(tmp_path, monkeypatch):
    monkeypatch.setattr(problem_module, "load_or_train", load_or_train)
    problem = SplitCNN(epochs=2)
    problem.prepare(silent)
    genome = problem.canonical({**DESIGN, "width": 1.0, "payload_bits": 4})
    found = all_values(problem, genome)
    # Nine in ten wrong is chance.
    assert found["error"] < 60
    assert problem.final(genome)["test_error"] < 60
    problem.export(genome, tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text())["classes"] == list("0123456789")
    again = SplitCNN(epochs=2)
    again.prepare(silent)
    assert again.evaluate(genome, ["error"])["error"] == found["error"]


@pytest.fixture
def fitted(make, make_profile, data):
    """A device 'board' of which ten designs were measured; its heads take 3 ms per million."""
    plain = make(device="this-machine")
    rng = np.random.default_rng(0)
    genomes = [plain.canonical(plain.space.decode(code)) for code in plain.space.sample(30, rng)]
    views = plain.views(genomes)
    profile = make_profile(
        dict.fromkeys(("head", "tail"), genomes[:10]),
        problem="digits",
        options={"data": data},
        space=json.loads(json.dumps(plain.space.describe())),
    )
    for kind, cost in profile.kinds.items():
        costs = 0.1 + 3 * views[kind][:10, [1, 4, 7, 10]].sum(axis=1)
        header, arrays = transfer_models().make_transfer(views).fit(range(10), costs).save()
        cost.predictor, cost.error = header, 0.03
        for probe, ms in zip(cost.probes, costs, strict=True):
            probe.measured, probe.uncertainty = 2 * ms, 1e-4
        profile.arrays.update({f"{kind}/{name}": array for name, array in arrays.items()})
    store.save(profile, store.devices_folder())
    energy = profile.kinds["head"].model_copy(update={"unit": "mJ"})
    arrays = {f"head energy{n[4:]}": a for n, a in profile.arrays.items() if n[:5] == "head/"}
    metered = profile.model_copy(update={"name": "metered"})
    metered.kinds["head energy"] = energy
    metered.arrays.update(arrays)
    store.save(metered, store.devices_folder())
    return plain


def board():
    return store.load("board", store.devices_folder())


def test_what_is_predicted_is_not_timed(make, fitted, monkeypatch):
    def timed(evaluator, pair):
        raise AssertionError("a pair is timed")

    monkeypatch.setattr(Evaluator, "times", timed)
    names = ["latency_ms", "device_ms", "server_ms", "device_energy_mj"]
    found = all_values(make(device="board", server="board"), DESIGN)
    assert all(found[name] > 0 for name in names)
    with pytest.raises(AssertionError):  # The server is this machine.
        all_values(make(device="board"), DESIGN)


def test_times_on_a_fitted_device_are_predicted_with_intervals(make, fitted):
    problem = pickle.loads(pickle.dumps(make(device="board", server="board")))
    assert problem.notes[0] == "device board: times predicted, powers assumed"
    assert (
        "head and tail on device board (predicted from 10 probes, error 3.0%" in problem.notes[-1]
    )
    names = [metric.name for metric in problem.metrics]
    found = all_values(problem, DESIGN)
    assert set(found) == set(names)
    for kind in ("head", "tail"):
        time = f"{kind}_ms"
        assert 0 < found[f"{time}_lower"] < found[time] < found[f"{time}_upper"]
        predictor = board().predictor(kind)
        expected = predictor.predict(fitted.views([DESIGN])).mean[0]
        assert found[time] == pytest.approx(expected)
    whole = found["device_ms"] + found["link_ms"] + found["server_ms"]
    assert found["latency_ms"] == pytest.approx(whole)
    on_device = all_values(problem, {**DESIGN, "split": LAST, "payload_bits": 32})
    assert on_device["server_ms"] == on_device["tail_ms_upper"] == 0
    assert not problem.timed_models
    assert fitted.timed_models


def test_energy_on_a_metered_device_is_predicted_with_its_interval(make, fitted):
    problem = make(device="metered")
    assert any("energy metered" in note for note in problem.notes)
    names = [metric.name for metric in problem.metrics]
    assert {"head_energy_mj_lower", "head_energy_mj_upper"} <= set(names)
    assert "head_energy_mj_lower" not in [metric.name for metric in make(device="board").metrics]
    found = all_values(problem, DESIGN)
    # The fixture's heads take as many mJ as ms; the rest is for sending and waiting.
    link = links.parse_link("802.15.4")
    rest = link.send_ms(int(found["payload_bytes"])) * link.transmit_watts
    rest += (found["link_ms"] + found["server_ms"]) * 5
    assert found["device_energy_mj"] == pytest.approx(found["head_energy_mj"] + rest)
    for end in ("", "_lower", "_upper"):
        assert found[f"head_energy_mj{end}"] == pytest.approx(found[f"head_ms{end}"])


def test_a_design_that_was_measured_keeps_its_measured_time(make, fitted):
    problem = make(device="board")
    assert problem.describe()["probes"] == {"board": 10}
    assert "probes" not in fitted.describe()
    probe = board().kinds["head"].probes[3]
    found = problem.evaluate(probe.genome, ["head_ms", "head_ms_lower", "head_ms_upper"])
    assert found["head_ms"] == probe.measured
    assert found["head_ms_upper"] == pytest.approx(probe.measured * np.exp(1.645e-4))
    assert found["head_ms_lower"] == pytest.approx(probe.measured * np.exp(-1.645e-4))


def test_a_fitted_device_is_for_its_own_networks(fitted):
    with pytest.raises(ConfigError, match=r"'board' was fitted for other models: .* 'digits'"):
        load_problem("digits", {"data": "digits", "device": "board"})
    with pytest.raises(ConfigError, match="there is no device 'bord'"):
        load_problem("digits", {"device": "bord"})
