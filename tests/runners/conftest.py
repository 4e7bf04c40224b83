import json
import textwrap

import pytest

from evonas.runners.cli.main import main
from tests.runners.kit.stack import PROBLEM, probe


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A kit of a small problem."""
    folder = tmp_path_factory.mktemp("device")
    (folder / "stack.py").write_text(textwrap.dedent(PROBLEM))
    assert main(probe(folder)) == 0
    return folder


@pytest.fixture
def fit(made, tmp_path, capsys):
    """Fit a result; give the exit code, what was printed, and the error."""

    def run(result, name="board", *options):
        paths = []
        for number, one in enumerate(result if isinstance(result, list) else [result]):
            paths.append(tmp_path / f"{number}.json")
            paths[-1].write_text(one if isinstance(one, str) else json.dumps(one))
        folder = str(tmp_path / "devices")
        code = main(["device", "fit", name, *map(str, paths), "--devices", folder, *options])
        return code, *capsys.readouterr()

    return run
