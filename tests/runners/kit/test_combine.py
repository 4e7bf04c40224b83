from evonas.runners.cli.main import main
from evonas.runners.kit.formats import identify
from tests.runners.kit.stack import measured, probe


def test_results_that_do_not_go_together_are_refused(made, fit, tmp_path, capsys):
    assert main(probe(made, "Other", "another")) == 0
    assert main(probe(made, "Stack", "scaled", "--set", "scale=2")) == 0
    assert main(probe(made, "Stack", "second", "--seed", "1")) == 0
    capsys.readouterr()
    second = measured(made, kit="second")
    wider = measured(made, kit="second")
    views = wider["made_from"]["views"]
    views["wider"] = views.pop(next(iter(views)))
    wider["kit"] = wider["made_from"]["kit"] = identify(wider["made_from"])
    for other, sentence in (
        (wider, "result 2 describes designs otherwise than the first"),
        (measured(made), "result 2 is of the same kit as one before"),
        (measured(made, kit="another"), "their spaces differ"),
        (measured(made, kit="scaled"), "was made with the options {'scale': 2} and the first with"),
        ({**second, "threads": 2}, "was measured with --threads 2 and the first with 1"),
        ({**second, "host": {}}, "was measured on the processor None and the first with 'abacus'"),
    ):
        code, printed, error = fit([measured(made), other])
        assert code == 2
        assert not printed
        assert sentence in error
    code, _, error = fit([measured(made), second])
    assert code == 0, error
    code, _, error = fit([measured(made), second, second])
    assert (code, "result 3 is of the same kit as one before" in error) == (2, True)
