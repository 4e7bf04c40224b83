import json

import evonas
from evonas.problems.toy import Blocks
from tests.evonas.searches import SERIAL


def test_the_manifest_says_how_the_run_was_made(tmp_path):
    evonas.search(Blocks(), evaluations=5, seed=7, out=tmp_path / "run", **SERIAL)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["seed"] == 7
    assert manifest["versions"]["pymoo"]
    assert manifest["host"]["name"]
