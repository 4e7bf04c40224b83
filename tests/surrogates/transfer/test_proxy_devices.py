"""Proxy devices and their costs."""

import numpy as np

from evonas.surrogates.transfer.proxy_devices import RelativeCosts


def test_proxy_devices_are_clustered_by_likeness():
    rng = np.random.default_rng(0)
    one, two = rng.random((2, 200)) + 0.5
    noise = np.exp(0.01 * rng.standard_normal((200, 5)))
    known = np.column_stack([one, two, one, two, one]) * noise
    devices = RelativeCosts({"x": one[:, None]}, known, known)
    groups = [sorted(members) for kind, members in devices.members("smooth") if kind == "group"]
    assert [0, 2, 4] in groups
    assert [1, 3] in groups
    assert all(1 < len(group) < 5 for group in groups)
