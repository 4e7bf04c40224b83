"""Files, links and figures that the pages name are there."""

import csv
import re
from pathlib import Path

import pytest

from evonas.devices.links import LINKS
from evonas.devices.presets import DEVICES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ROOMS = "evonas|problems|surrogates|runners|benchmarks|tests|docs|results"


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if "://" in link or not path:
            continue
        target = page.parent / path
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in slugs, link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_of_the_repository_exist(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", text):
        made_by_a_search = path.startswith(("results/runs", "docs/_build"))
        assert made_by_a_search or (ROOT / path).exists(), path


def test_the_rows_of_the_front_in_the_readme_are_of_the_front_in_the_picture():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    with (ROOT / "results/digits_front.csv").open(encoding="utf-8") as file:
        front = {
            (
                f"{float(row['error']):.2f}",
                f"{float(row['latency_ms']):.1f}",
                f"{float(row['head_memory_bytes']) / 1000:.0f}",
                row["split"],
            )
            for row in csv.DictReader(file)
        }
    shown = re.findall(r"^\| ([\d.]+) \| ([\d.]+) \| (\d+) \| (\d+) \|", readme, re.MULTILINE)
    assert len(shown) == 3
    assert set(shown) <= front


def test_the_guide_lists_every_preset_and_every_link():
    guide = (ROOT / "docs/guides/devices.md").read_text(encoding="utf-8")
    devices = re.findall(r"^\| `([\w-]+)`.*\| ([\d.]+) \|$", guide, re.MULTILINE)
    assert dict(devices) == {name: f"{d.factor:g}" for name, d in DEVICES.items()}
    row = r"^\| `([\w.-]+)`.* \| ([\d.]+) Mbit/s \| ([\d.]+) ms \|$"
    links = {name: numbers for name, *numbers in re.findall(row, guide, re.MULTILINE)}
    assert links == {
        name: [f"{link.uplink_mbps:g}", f"{link.round_trip_ms:g}"] for name, link in LINKS.items()
    }
