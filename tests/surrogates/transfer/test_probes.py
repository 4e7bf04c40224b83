"""The choice of probes."""

import numpy as np
import pytest

from evonas.surrogates.transfer import Transfer


@pytest.mark.parametrize("devices", [0, 1, 3])
def test_probes_differ_and_tell_more_than_the_cheapest(devices, additive, unseen_device):
    views, known = additive()
    target = unseen_device(views)
    transfer = Transfer(views, known[:, :devices])
    probes = transfer.choose_probes(8)
    assert len(set(probes)) == 8
    assert probes == Transfer(views, known[:, :devices]).choose_probes(8)
    cheapest = np.argsort(target)[:8].tolist()
    errors = [
        np.abs(transfer.fit(some, target[some]).predict().mean / target - 1).mean()
        for some in (probes, cheapest)
    ]
    assert errors[0] < errors[1]
