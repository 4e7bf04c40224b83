import json
import re

import pytest

from evonas.runners.kit.formats import identify
from tests.runners.kit.stack import changed, measured


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda result: json.dumps(result)[:-20], "is damaged"),
        (lambda result: "[1]", "has the format None"),
        (changed(lambda r: r.update(format=2)), "has the format 2, not 1"),
        (changed(lambda r: r.pop("threads")), "damaged at threads"),
        (changed(lambda r: r["models"].pop()), "lacks 1 of 16 models"),
        (changed(lambda r: r.update(complete=False)), "is not complete"),
        (
            changed(lambda r: r["models"][0].update(ms=float("nan"))),
            "damaged at models.0.ms: nan should be a finite number; bring it from the device",
        ),
        (changed(lambda r: r["models"][0].update(ms=-1.0)), "models.0.ms: -1.0 should be greater"),
        (changed(lambda r: r["models"][0].update(ms=1e300)), r"models.0.ms: 1e\+300 should be"),
        (changed(lambda r: r["models"][0].update(ms=1e-300)), "models.0.ms: 1e-300 should be"),
        (
            changed(lambda r: r["models"][1].update(spread=1e200)),
            r"damaged at models.1.spread: 1e\+200 should be less than or equal to 2; bring",
        ),
        (changed(lambda r: r["models"][0].update(energy_mj=1e300)), "models.0.energy_mj: 1e"),
        (changed(lambda r: r.update(reference_ms=1e300)), "damaged at reference_ms: 1e"),
        (changed(lambda r: r["models"][0].update(bursts=10**400)), "damaged at models.0.bursts"),
        (changed(lambda r: r.update(threads=0)), "damaged at threads: 0 should be"),
        (changed(lambda r: r["models"][0].update(name="x")), "'x', which is not of its kit"),
        (changed(lambda r: r["models"].append(r["models"][0])), "holds a model twice"),
        (changed(lambda r: r["made_from"]["designs"].pop()), "its kit is not what"),
        (changed(lambda r: r.update(kit="0")), "its kit is not what"),
        (
            changed(lambda r: [m.update(spread=0.9) for m in r["models"][:5]]),
            "5 of 16 times .* uncertain by more than 15%",
        ),
    ],
)
def test_results_that_say_nothing_are_refused(made, fit, damage, sentence):
    code, printed, error = fit(damage(measured(made)))
    assert code == 2
    assert not printed
    assert re.search(sentence, error)
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda kit: kit["designs"].pop(), "times and views do not fit"),
        (lambda kit: kit["views"]["genes"].pop(), "times and views"),
        (lambda kit: kit["views"]["genes"][3].pop(), "times and views"),
        (lambda kit: kit["views"].clear(), "times and views"),
        (lambda kit: [row.clear() for view in kit["views"].values() for row in view], "views do"),
        (lambda kit: kit["views"]["genes"][0].__setitem__(0, 1e300), "views.genes.0.0: 1e+300 sho"),
        (lambda kit: kit["designs"].__setitem__(3, kit["designs"][2]), "has a design twice"),
        (lambda kit: kit["proxy_ms"].pop("tail"), "times and views"),
        (lambda kit: kit["models"][0].update(design=999), "is of no design"),
        (lambda kit: kit["models"][0].update(design=-1), "is of no design"),
        (lambda kit: kit["models"][0].update(kind="neck"), "is of no design"),
    ],
)
def test_kits_that_do_not_fit_together_are_refused(made, fit, change, sentence):
    result = measured(made)
    change(result["made_from"])
    result["kit"] = result["made_from"]["kit"] = identify(result["made_from"])
    code, printed, error = fit(result)
    assert (code, printed) == (2, "")
    assert sentence in error
