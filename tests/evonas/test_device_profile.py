"""Profiles of devices as files."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from evonas.devices.profile import FORMAT, Profile, load
from evonas.errors import DataError


def profile(value, name="board"):
    return Profile({"format": FORMAT, "name": name, "value": value}, {"costs": np.full(9, value)})


def without_digest(path):
    """Rewrite a profile's header as it was before it told what its arrays are."""
    content = json.loads(path.read_text())
    del content["arrays"], content["checksum"]
    text = json.dumps(content, sort_keys=True)
    content["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(content))


def interrupt(monkeypatch, name, number):
    """Let the given call of a method of paths fail as if the process ended there."""
    method, calls = getattr(Path, name), []

    def stop(path, *arguments, **options):
        calls.append(path)
        if len(calls) == number:
            raise KeyboardInterrupt
        return method(path, *arguments, **options)

    monkeypatch.setattr(Path, name, stop)


def test_a_profile_is_read_as_it_was_written(tmp_path):
    path = profile(1.0).save(tmp_path)
    for change in (lambda: None, lambda: without_digest(path)):
        change()
        found = load("board", tmp_path)
        assert found.content == profile(1.0).content
        np.testing.assert_array_equal(found.arrays["costs"], np.ones(9))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["board.json", "board.npz"]


def test_a_design_is_one_probe_however_often_and_as_what_it_was_measured():
    heads = [{"genome": {"split": split}} for split in (1, 2, 3, 2)]
    tails = [{"genome": {"split": split}} for split in (0, 1, 2)]
    found = Profile({"kinds": {"head": {"probes": heads}, "tail": {"probes": tails}}}, {})
    assert found.probes == 4


def test_the_arrays_of_another_fit_are_refused(tmp_path):
    profile(1.0).save(tmp_path)
    profile(2.0, "other").save(tmp_path)
    (tmp_path / "board.npz").write_bytes((tmp_path / "other.npz").read_bytes())
    with pytest.raises(DataError, match=r"of another fit than 'board.json' beside it; fit it aga"):
        load("board", tmp_path)


@pytest.mark.parametrize("method", ["write_text", "write_bytes", "replace"])
def test_what_is_not_written_to_its_end_leaves_the_profile_before(tmp_path, monkeypatch, method):
    profile(1.0).save(tmp_path)
    interrupt(monkeypatch, method, 1)
    with pytest.raises(KeyboardInterrupt):
        profile(2.0).save(tmp_path)
    assert load("board", tmp_path).arrays["costs"][0] == 1.0


@pytest.mark.parametrize("digest", [True, False])
def test_a_new_header_beside_old_arrays_is_refused(tmp_path, monkeypatch, digest):
    path = profile(1.0).save(tmp_path)
    if not digest:
        without_digest(path)
    interrupt(monkeypatch, "replace", 2)
    with pytest.raises(KeyboardInterrupt):
        profile(2.0).save(tmp_path)
    with pytest.raises(DataError, match="fit it again"):
        load("board", tmp_path)
