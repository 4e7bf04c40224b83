"""Work in chunks."""

import numpy as np

from evonas.surrogates.transfer import chunks as module


def test_chunks_hold_everything_once_and_fit(monkeypatch):
    monkeypatch.setattr(module, "ELEMENTS", 100)
    for count, size in ((1, 1), (40, 9), (7, 500)):
        found = module.chunks(count, size)
        assert np.concatenate(found).tolist() == list(range(count))
        assert max(len(part) for part in found) <= max(1, 100 // size)
