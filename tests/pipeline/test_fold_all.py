"""A split that holds nobody out: what is scored, and that everything says what it is."""

import json
import re
import shutil

import pandas as pd
import pytest

from cardiac_seg.data.split import TRAINING_CASES
from cardiac_seg.predict.stress import stress
from cardiac_seg.report.development import compare_development, describe_errors
from cardiac_seg.report.model_card import model_card
from cardiac_seg.report.results import results_table
from cardiac_seg.run.describe import describe_run
from cardiac_seg.run.open import open_run
from cardiac_seg.run.scoring import scorings_sentence
from cardiac_seg.system.errors import UserError
from tests.support.analyses import analyze, few_resamples
from tests.support.finished_runs import make_run, quick, without_figures

ALONE = ["members=[unet_advanced]", "stacking.learners=[]", "stacking.choose=auto"]


@pytest.fixture(scope="module")
def analysed(mri_root, tmp_path_factory):
    """A run that holds nobody out, and what its analysis prints; read only."""
    run = make_run(
        tmp_path_factory.mktemp("all") / "everyone", "acdc", mri_root, *ALONE, "split.scheme=all"
    )
    with few_resamples(), quick():
        assert analyze(run.folder) == 0
    return run


@pytest.fixture(scope="module")
def held_out(mri_root, tmp_path_factory):
    """The same network's run with test patients; read only."""
    return make_run(tmp_path_factory.mktemp("some") / "some", "acdc", mri_root, *ALONE)


def test_every_patient_is_scored_once_as_what_it_is(analysed):
    split = pd.read_csv(analysed.folder / "split.csv")
    assert set(split.subset) == {"all"}
    cases = pd.read_csv(analysed.folder / "cases.csv")
    assert set(cases.subset) == {"all"} and set(cases.fold) == {"full"}
    assert set(cases.patient) == set(split.patient)
    assert not cases.duplicated(["case", "method", "structure"]).any()
    metrics = json.loads((analysed.folder / "metrics.json").read_text())
    assert list(metrics["subsets"]) == ["all"]
    assert metrics["subsets"]["all"]["patients"] == len(split)
    assert metrics["chosen_by"] == "config"
    masks = list((analysed.folder / "masks" / "ensemble").rglob("*.nii.gz"))
    assert len(masks) == cases.case.nunique()


def test_every_table_and_caption_says_what_it_is_of(analysed):
    analysis = analysed.folder / "analysis"
    tables = [*(analysis / "tables").glob("*.csv"), analysis / "dice_scores.csv"]
    assert len(tables) > 20
    for path in tables:
        table = pd.read_csv(path)
        assert set(table.scored_on) <= {TRAINING_CASES}, path
    results = json.loads((analysis / "numerical_results.json").read_text())
    assert results["scored_on"] == TRAINING_CASES
    page = (analysis / "report.html").read_text()
    captions = re.findall(r"<figcaption[^>]*>(.*?)</figcaption>", page, re.DOTALL)
    assert len(captions) > 20
    for caption in captions:
        assert "not a held-out figure" in caption, caption
    assert f"phantom patients, {TRAINING_CASES}" in page
    assert f"Ensemble on {TRAINING_CASES}, with 95 % intervals" in page
    summary = (analysis / "summary_report.txt").read_text()
    assert "not a held-out figure" in summary.splitlines()[2]
    assert "Pooled over training pixels" in summary
    for words in ("test patient", "test pixel", "development"):
        assert words not in page + summary


def test_every_line_about_the_run_says_what_it_is_of(analysed, tmp_path):
    told = describe_run(analysed.folder)
    assert f"patients, {TRAINING_CASES}, " in told and f"({TRAINING_CASES})" in told
    assert "test Dice" not in told and "test scored" not in told
    for text in (
        results_table([analysed.folder]).split("published")[0],
        compare_development([analysed.folder]),
        describe_errors(analysed.folder),
        model_card(analysed, tmp_path / "exported"),
    ):
        assert "not a held-out figure" in text
        assert "test patients" not in text and "development" not in text
    assert scorings_sentence(analysed).startswith("Training cases scored once")


def test_beside_another_run_it_is_still_said(analysed, held_out, tmp_path, capsys):
    with few_resamples(), without_figures():
        assert analyze(held_out.folder, analysed.folder, output=tmp_path / "both") == 0
    printed = capsys.readouterr().out
    said = f"everyone: {TRAINING_CASES}"
    assert said in printed.splitlines()[0] and "some: training" not in printed
    for path in (tmp_path / "both" / "tables").glob("*.csv"):
        assert set(pd.read_csv(path).scored_on) <= {said}
    assert said in (tmp_path / "both" / "report.html").read_text()
    lines = compare_development([held_out.folder, analysed.folder]).splitlines()
    assert [TRAINING_CASES in line for line in lines[2:]] == [False, True]


def test_a_run_with_test_patients_says_nothing_of_it(held_out):
    with few_resamples(), quick():
        assert analyze(held_out.folder) == 0
    page = (held_out.folder / "analysis" / "report.html").read_text()
    assert "held-out figure" not in page and "Ensemble on the test patients" in page
    table = pd.read_csv(held_out.folder / "analysis" / "tables" / "summary.csv")
    assert "scored_on" not in table


def test_no_perturbed_images_where_the_network_has_seen_every_patient(analysed):
    with pytest.raises(UserError, match="split.scheme: all, its network has seen every patient"):
        stress(analysed.folder)


def test_neither_split_nor_scheme_can_be_edited_to_hide_or_to_allow_a_leak(
    analysed, held_out, tmp_path
):
    for name, run, scheme, other in (
        ("hidden", analysed, "all", "random"),
        ("allowed", held_out, "random", "all"),
    ):
        folder = shutil.copytree(run.folder, tmp_path / name)
        config = folder / "config.yaml"
        config.write_text(config.read_text().replace(f"scheme: {scheme}", f"scheme: {other}", 1))
        with pytest.raises(UserError, match=r"split\.csv: not as the run wrote it"):
            open_run(folder).split()
    folder = shutil.copytree(held_out.folder, tmp_path / "one")
    split = pd.read_csv(folder / "split.csv")
    split.loc[0, "subset"] = "all"
    split.to_csv(folder / "split.csv", index=False)
    with pytest.raises(UserError, match=r"split\.csv: not as the run wrote it"):
        open_run(folder).split()
