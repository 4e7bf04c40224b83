"""Profiles of devices as files."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from evonas.devices import store
from evonas.devices.profile import Profile
from evonas.errors import ConfigError, DataError


def checksum(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def rewrite(path, change):
    """Change the header of a profile as if an earlier version had written it."""
    content = json.loads(path.read_text())
    del content["checksum"]
    change(content)
    content["checksum"] = checksum(content)
    path.write_text(json.dumps(content))


def without_digest(content):
    del content["arrays"]


def interrupt(monkeypatch, name, number):
    """Let the given call of a method of paths fail as if the process ended there."""
    method, calls = getattr(Path, name), []

    def stop(path, *arguments, **options):
        calls.append(path)
        if len(calls) == number:
            raise KeyboardInterrupt
        return method(path, *arguments, **options)

    monkeypatch.setattr(Path, name, stop)


@pytest.fixture
def profile(make_profile):
    """A function that makes a profile whose only array holds a value."""

    def make(value, name="board"):
        return make_profile(name=name, arrays={"costs": np.full(9, value)})

    return make


@pytest.mark.parametrize("change", [lambda content: None, without_digest])
def test_a_profile_is_read_as_it_was_written(tmp_path, profile, change):
    path = store.save(profile(1.0), tmp_path)
    rewrite(path, change)
    found = store.load("board", tmp_path)
    assert found.model_dump() == profile(1.0).model_dump()
    np.testing.assert_array_equal(found.arrays["costs"], np.ones(9))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["board.json", "board.npz"]


def test_a_profile_of_the_version_before_opens(tmp_path, profile):
    """It lists no designs to measure next, and may hold what nobody reads any more."""

    def age(content):
        del content["next"]
        for cost in content["kinds"].values():
            cost["next"] = []

    rewrite(store.save(profile(1.0), tmp_path), age)
    found = store.load("board", tmp_path)
    assert found.next is None
    assert found.kinds == profile(1.0).kinds


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.update(format=1), "has the format 1, which versions before commit 1faabc3"),
        (lambda c: c.update(format=3), "has the format 3, which another version of EvoNAS can rea"),
        (lambda c: c.clear(), "has the format None"),
        (lambda c: c["kinds"]["head"].pop("unit"), "kinds.head.unit: Field required"),
        (lambda c: c.pop("reference"), "reference: Field required"),
    ],
)
def test_a_profile_of_another_version_is_refused(tmp_path, profile, change, sentence):
    rewrite(store.save(profile(1.0), tmp_path), change)
    with pytest.raises(DataError, match=re.escape(sentence)) as raised:
        store.load("board", tmp_path)
    assert str(raised.value).endswith(
        "fit the device again from its kit-result.json, with 'evonas device fit'"
    )


def test_the_arrays_of_another_fit_are_refused(tmp_path, profile):
    store.save(profile(1.0), tmp_path)
    store.save(profile(2.0, "other"), tmp_path)
    (tmp_path / "board.npz").write_bytes((tmp_path / "other.npz").read_bytes())
    with pytest.raises(DataError, match=r"of another fit than 'board.json' beside it; fit the dev"):
        store.load("board", tmp_path)


@pytest.mark.parametrize("method", ["write_text", "write_bytes", "replace"])
def test_what_is_not_written_to_its_end_leaves_the_profile_before(
    tmp_path, profile, monkeypatch, method
):
    store.save(profile(1.0), tmp_path)
    interrupt(monkeypatch, method, 1)
    with pytest.raises(KeyboardInterrupt):
        store.save(profile(2.0), tmp_path)
    assert store.load("board", tmp_path).arrays["costs"][0] == 1.0


@pytest.mark.parametrize("digest", [True, False])
def test_a_new_header_beside_old_arrays_is_refused(tmp_path, profile, monkeypatch, digest):
    path = store.save(profile(1.0), tmp_path)
    if not digest:
        rewrite(path, without_digest)
    interrupt(monkeypatch, "replace", 2)
    with pytest.raises(KeyboardInterrupt):
        store.save(profile(2.0), tmp_path)
    with pytest.raises(DataError, match="fit the device again"):
        store.load("board", tmp_path)


def test_profiles_are_kept_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EVONAS_DEVICES", "~/lab")
    assert store.devices_folder() == tmp_path / "lab"


def test_profiles_are_found_from_any_folder(tmp_path, profile, monkeypatch):
    monkeypatch.delenv("EVONAS_DEVICES", raising=False)
    assert store.devices_folder().is_absolute()
    store.save(profile(1.0), store.devices_folder())
    monkeypatch.chdir(tmp_path)
    assert store.load("board", store.devices_folder()).name == "board"


def test_a_profile_in_the_earlier_folder_is_said_to_be_moved(tmp_path, profile, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store.save(profile(1.0), Path("results/devices"))
    with pytest.raises(ConfigError) as raised:
        store.load("board", tmp_path / "new")
    command = f"mkdir -p {tmp_path}/new && mv results/devices/board.* {tmp_path}/new"
    assert command in str(raised.value)
    assert isinstance(profile(1.0), Profile)


def test_a_device_that_is_not_there_is_named(tmp_path, profile):
    with pytest.raises(ConfigError, match="'evonas device fit' makes one"):
        store.load("bord", tmp_path)
    store.save(profile(1.0), tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'board'"):
        store.load("bord", tmp_path)
    with pytest.raises(ConfigError, match="cannot name a device"):
        store.load("../board", tmp_path)
