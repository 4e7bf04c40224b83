import os
import socket
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evonas.errors import UsageError
from evonas.problems.toy import ZDT1
from evonas.runners.ray import cluster as ray_cluster
from evonas.runners.ray.cluster import (
    Quarantine,
    answers,
    copy_sources,
    joined,
    remove_leftovers,
    slots,
    source_root,
)


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "expected"),
    [
        ([node(CPU=4.0)], 1, 0, 4),
        ([node(CPU=4.0), node(CPU=3.0)], 2, 0, 3),
        ([node(CPU=4.0), node(alive=False, CPU=4.0)], 1, 0, 4),
        ([node(CPU=8.0, GPU=1.0), node(CPU=8.0)], 1, 0.25, 4),
        ([node(CPU=0.3)], 0.1, 0, 3),
        ([node(memory=1.0)], 1, 0, 0),
    ],
)
def test_slots_are_what_fits_each_node(nodes, cpus, gpus, expected):
    assert slots(nodes, cpus, gpus) == expected


def test_a_node_is_left_alone_after_losses_in_a_row_and_longer_each_time():
    now = [0.0]
    quarantine = Quarantine(strikes=2, seconds=10, clock=lambda: now[0])
    assert quarantine.loss("a") == 0
    quarantine.success("a")
    assert quarantine.loss("a") == 0
    assert quarantine.loss("a") == 10
    assert quarantine.avoided(["a", "b"]) == {"a"}
    now[0] = 10.0
    assert quarantine.avoided(["a", "b"]) == set()
    assert (quarantine.loss("a"), quarantine.loss("a")) == (0, 20)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())), st.sets(st.sampled_from("abc")))
def test_never_are_all_nodes_left_alone(events, alive):
    quarantine = Quarantine(strikes=1, clock=lambda: 0.0)
    for name, lost in events:
        (quarantine.loss if lost else quarantine.success)(name)
    avoided = quarantine.avoided(alive)
    assert avoided < alive or not alive


def test_only_folders_of_processes_that_have_ended_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "_folder", lambda: tmp_path)
    gone = 2**22 + 1  # beyond the largest process number there can be
    for name in (f"evonas-ray-{gone}-x", f"evonas-ray-{os.getpid()}-x", "evonas-ray-x", "other"):
        (tmp_path / name).mkdir()
    remove_leftovers()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"evonas-ray-{os.getpid()}-x", "evonas-ray-x", "other"}


def test_sources_are_modules_and_packages_but_no_data(tmp_path):
    root, target = tmp_path / "root", tmp_path / "target"
    target.mkdir()
    for name in ("mine.py", "near.py", "notes.txt", "pack/__init__.py", "pack/deep/__init__.py",
                 "pack/deep/a.py", "pack/b.bin", "data/c.py"):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    copy_sources(root, target)
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == {
        "mine.py", "near.py", "pack/__init__.py", "pack/deep/__init__.py", "pack/deep/a.py",
    }  # fmt: skip


def test_an_installed_problem_needs_no_sources_and_another_those_beside_its_package(
    tmp_path, monkeypatch
):
    assert source_root(ZDT1()) is None
    for name, file in (
        ("my_file", "my_file.py"),
        ("my.deep", "my/deep.py"),
        ("my", "my/__init__.py"),
    ):
        module = ModuleType(name)
        module.__file__ = str(tmp_path / file)
        monkeypatch.setitem(sys.modules, name, module)
        problem = type("Mine", (ZDT1,), {"__module__": name})()
        assert source_root(problem) == tmp_path


def test_a_closed_port_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert answers(address)
    assert not answers(address)


@pytest.mark.parametrize(
    ("address", "message"),
    [("ray://head:10001", "on a machine of the cluster"), ("head", "host:port"),
     ("127.0.0.1:1", "is its head running")],
)  # fmt: skip
def test_a_wrong_address_is_refused_in_one_sentence(address, message):
    with (
        pytest.raises(UsageError, match=message),
        joined(address, ZDT1(), cpus=1, store_bytes=0, threads=1),
    ):
        pass
