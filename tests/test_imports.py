"""That ``import evonas`` stays light; who may import whom is import-linter's to check."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKS = ("problems", "surrogates", "runners")
HEAVY = {"torch", "ray", "xgboost", "onnxruntime", "matplotlib"}


def kernel():
    return sorted(
        path.relative_to(ROOT)
        for path in (ROOT / "evonas").rglob("*.py")
        if path.relative_to(ROOT / "evonas").parts[0] not in LINKS
    )


def imported(node):
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {str(node.module).split(".")[0]}
    return set()


def imports(path, top_level=False):
    """Names of the packages that a module imports, at its top level or anywhere."""
    tree = ast.parse((ROOT / path).read_text())
    nodes = list(ast.walk(tree))
    if top_level:
        inner = [f for f in nodes if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)]
        guarded = [
            i for i in nodes if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test)
        ]
        skipped = {id(n) for parent in (*inner, *guarded) for n in ast.walk(parent)}
        nodes = [n for n in nodes if id(n) not in skipped]
    return set().union(*map(imported, nodes))


FOUNDATION = {"evonas", "numpy", "platformdirs", "pydantic", "pydantic_core", "pymoo", "scipy"}


def test_the_kernel_stands_on_few_light_libraries_and_the_standard_library():
    for path in kernel():
        assert imports(path, top_level=True) <= sys.stdlib_module_names | FOUNDATION, path
        lazy = imports(path) - sys.stdlib_module_names - FOUNDATION
        assert lazy <= {"pandas", "pyarrow", "matplotlib"}, path


def test_importing_evonas_is_light():
    code = "import sys, evonas; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not set(loaded.stdout.split()) & (HEAVY | {"pymoo", "pydantic", "pandas", "scipy"})


def test_every_public_name_is_there():
    import evonas

    assert sorted(evonas.__all__) == evonas.__all__
    assert all(getattr(evonas, name) is not None for name in evonas.__all__)
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        _ = evonas.serach
