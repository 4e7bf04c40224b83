import math

import pytest

from evonas.devices import store
from evonas.devices.presets import DEVICES, Device, fitted_device, parse_device
from evonas.errors import ConfigError


@pytest.mark.parametrize("name", DEVICES)
def test_presets_say_that_they_are_simulated(name):
    found = parse_device(name)
    assert found.name == name
    assert found.factor > 0
    assert min(found.compute_watts, found.idle_watts) >= 0
    assert ("simulated, this machine's time x" in str(found)) == (name != "this-machine")
    assert found.simulated == (name != "this-machine")


def test_a_device_is_given_by_its_numbers():
    found = parse_device("factor=20, compute_watts=3")
    assert (found.factor, found.compute_watts) == (20, 3)
    assert found.idle_watts == DEVICES["this-machine"].idle_watts
    assert "simulated, this machine's time x 20" in str(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fone", "(set EVONAS_DEVICES to look elsewhere); did you mean 'phone'"),
        ("factr=3", "no 'factr'; did you mean 'factor'"),
        ("factor=fast", "factor of the device is 'fast'; it must be a number"),
        ("factor=-2", "it must be 0 or more"),
        ("factor=nan", "it must be 0 or more"),
        ("factor=inf", "it must be 0 or more"),
        ("factor=0", "it must be above 0"),
        ("compute_watts=3", "lacks factor; give a preset, or factor=NUMBER"),
        ("", "there is no device ''"),
    ],
)
def test_a_wrong_device_is_named(text, message):
    with pytest.raises(ConfigError) as raised:
        parse_device(text)
    assert message in str(raised.value)


def test_a_device_that_is_no_preset_is_looked_for(make_profile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    missing = f"nor fitted in '{store.devices_folder()}'"
    with pytest.raises(ConfigError) as raised:
        parse_device("board")
    assert missing in str(raised.value)
    store.save(make_profile(), store.EARLIER_FOLDER)
    with pytest.raises(ConfigError) as raised:
        parse_device("board")
    assert f"{missing}; earlier versions kept profiles in 'results/devices'" in str(raised.value)
    monkeypatch.setenv("EVONAS_DEVICES", str(tmp_path / "lab"))
    store.save(make_profile(), tmp_path / "lab")
    with pytest.raises(ConfigError, match="'board' is a fitted device; only load_problem"):
        parse_device("board")
    with pytest.raises(ConfigError, match="did you mean 'board'"):
        parse_device("bord")


def test_a_fitted_device_is_not_simulated():
    found = fitted_device("board")
    assert parse_device(found) is found
    assert not found.simulated
    assert str(found) == "board: times predicted, powers assumed"


@pytest.mark.parametrize("factor", [0, -1, math.nan])
def test_a_factor_is_above_zero(factor):
    with pytest.raises(ConfigError, match="above 0"):
        Device("d", "", factor, 1, 1)
