import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evonas.devices.links import LINKS, Link, parse_link
from evonas.errors import ConfigError


@pytest.mark.parametrize("name", LINKS)
def test_presets_have_a_source_with_a_year(name):
    found = parse_link(name)
    assert found.name == name
    assert any(f"20{year:02}" in found.source for year in range(30)) or "3GPP" in found.source
    assert min(found.uplink_mbps, found.round_trip_ms, found.transmit_watts) > 0
    assert found.source in str(found)


@given(
    st.floats(0.01, 1000),
    st.floats(0, 500),
    st.integers(1, 10**7),
)
def test_a_payload_takes_its_bits_at_the_rate_and_one_round_trip(rate, round_trip, size):
    found = Link("", "", rate, round_trip, 1.0)
    seconds = size * 8 / (rate * 1e6)
    assert math.isclose(found.send_ms(size), seconds * 1e3)
    assert math.isclose(found.total_ms(size), round_trip + seconds * 1e3)


@pytest.mark.parametrize("name", LINKS)
def test_without_a_payload_nothing_crosses(name):
    assert LINKS[name].total_ms(0) == 0


def test_a_link_is_given_by_its_numbers():
    found = parse_link("uplink_mbps=10,round_trip_ms=30")
    assert (found.uplink_mbps, found.round_trip_ms, found.transmit_watts) == (10, 30, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wi-fi", "no link 'wi-fi'; did you mean 'wifi'"),
        ("4g", "no link '4g'; known: 5g"),
        ("uplink_mbps=1", "lacks round_trip_ms"),
        ("round_trip_ms=1", "lacks uplink_mbps"),
        ("uplink=1,round_trip_ms=1", "no 'uplink'; did you mean 'uplink_mbps'"),
        ("uplink_mbps=0,round_trip_ms=1", "it must be above 0"),
        ("uplink_mbps=1,round_trip_ms=-1", "it must be 0 or more"),
    ],
)
def test_a_wrong_link_is_named(text, message):
    with pytest.raises(ConfigError) as raised:
        parse_link(text)
    assert message in str(raised.value)
