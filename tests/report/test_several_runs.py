"""Runs compared with each other."""

import json
import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
import yaml

from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.run.open import open_run
from tests.support.analyses import analyze, names_of_cases, refused, table, without_patients
from tests.support.finished_runs import make_run, quick, without_figures

pytestmark = pytest.mark.usefixtures("few_draws")


def with_seed(folder, seed):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"seed": seed}))
    return folder


def test_runs_that_differ_in_the_seed_are_compared_and_averaged(echo, echo_root, copied, tmp_path):
    twin = with_seed(copied("twin"), 43)
    other = make_run(tmp_path / "other", "camus", echo_root, "seed=44", noise=1).folder
    output = tmp_path / "seeds"
    with quick():
        assert analyze(echo.folder, twin, other, output=output) == 0
    read = {p.stem: pd.read_csv(p) for p in (output / "tables").iterdir()}

    of_twin = read["comparisons"].query("method == 'twin'")
    assert set(read["comparisons"].against) == {"echo"}
    assert of_twin.metric.tolist() == ["dice", "hd95_mm", "band_ece"]
    assert (of_twin[["difference", "low", "high", "effect"]] == 0).all(axis=None)
    assert (of_twin.verdict == "not shown").all() and (of_twin.p == 1).all()
    of_other = read["comparisons"].query("method == 'other' and metric == 'dice'").iloc[0]

    keys = ["method", "structure", "metric"]
    wide = read["summary"].pivot(index=keys, columns="run", values="mean")
    assert set(wide.columns) == {"echo", "twin", "other"}
    assert set(read["summary"].method) == {*MEMBERS, "mean", "ensemble"}
    dice = wide.loc["ensemble", "mean", "dice"]
    assert dice.echo == dice.twin != dice.other
    assert of_other.difference == pytest.approx(dice.other - dice.echo)
    seeds = read["seeds"].set_index(keys)
    assert (seeds.seeds == 3).all() and set(seeds.runs) == {"echo, twin, other"}
    np.testing.assert_allclose(seeds["mean"], wide.loc[seeds.index].mean(axis=1))
    np.testing.assert_allclose(seeds.sd, wide.loc[seeds.index].std(axis=1, ddof=1), atol=1e-12)
    runs = read["runs"].query("run == 'echo' and method == 'mean'").iloc[0]
    own = table(echo, "summary").query(
        "method == 'mean' and structure == 'mean' and metric == 'dice'"
    )
    assert runs["mean"] == pytest.approx(own["mean"].item()) and runs.patients == 3
    assert read["differences"].to_numpy().tolist() == [["seed", 42, 43, 44]]

    results = json.loads((output / "numerical_results.json").read_text())
    assert list(results)[:3] == [f"echo: {method}" for method in (*MEMBERS, "Ensemble")]
    assert {p.name for p in (output / "figures").iterdir()} == {"dice_runs.pdf", "dice_runs.png"}
    page = (output / "report.html").read_text()
    assert "other, Ensemble (logistic): better than echo, Ensemble (logistic)?" in page
    titles = ("Mean Dice of the structures (echo: ", "in use: echo, ", "first run&#39;s (echo: ")
    for words in titles:
        assert f"{words}Ensemble (logistic)" in page
    assert str(tmp_path) not in page and str(echo_root) not in page
    links = re.findall(r'href="([^"]+)"', page)
    pages = [link for link in links if "cases/" in link]
    assert pages and all((output / unquote(link)).is_file() for link in pages)


def test_only_common_patients_are_compared(copied, tmp_path, capsys):
    first, second, third = dict.fromkeys(
        name.split("_")[0] for name in names_of_cases(open_run(copied("all")))
    )
    left = without_patients(copied("left"), third)
    right = without_patients(copied("right"), first)
    with without_figures():
        assert analyze(left, right, output=tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "2 runs, 1 common test patients" in told
    assert "left: 4 of its 8 test cases are not in every run and left out" in told
    cases = pd.read_csv(tmp_path / "out" / "tables" / "cases.csv")
    assert set(cases.patient) == {second}
    assert len(pd.read_csv(tmp_path / "out" / "tables" / "seeds.csv")) > 0


def test_runs_that_cannot_be_compared_are_refused(mri, echo, copied, tmp_path, capsys):
    output = tmp_path / "out"
    assert "compare one dataset" in refused(capsys, echo.folder, mri.folder, output=output)
    twice = (echo.folder, echo.folder.parent / "." / "echo")
    assert "given twice" in refused(capsys, *twice, output=output)
    patients = dict.fromkeys(name.split("_")[0] for name in names_of_cases(echo))
    first, *others = patients
    left, right = (
        without_patients(copied("left"), first),
        without_patients(copied("right"), *others),
    )
    with without_figures():
        line = refused(capsys, left, right, output=output)
    assert "left, right: no test case in common" in line
    assert not output.exists()
    assert analyze(left, right) == 2
    assert "comparing runs needs --output DIR" in capsys.readouterr().err


def test_runs_of_one_name_in_folders_of_one_name_stay_apart(copied, tmp_path):
    one, two = copied("one/outputs/echo"), copied("two/outputs/echo")
    with without_figures():
        assert analyze(one, two, output=tmp_path / "out") == 0
    assert pd.read_csv(tmp_path / "out" / "tables" / "runs.csv").run.nunique() == 2
