"""Analyses of runs of which little can be said."""

import json

import pytest

from cardiac_seg.report.results import results_table
from tests.support.analyses import analyze, names_of_cases, table
from tests.support.finished_runs import make_run, quick

pytestmark = pytest.mark.usefixtures("few_draws")

PLAIN = ["stacking.learners=[]", "stacking.choose=auto"]


def test_a_structure_that_is_never_predicted_is_said(echo_root, tmp_path, capsys):
    published = ["data.views=[2CH]", "data.phases=[ED]"]
    run = make_run(tmp_path / "blind", "camus", echo_root, *published, *PLAIN, blind=lambda c: [1])
    with quick():
        assert analyze(run.folder) == 0
    told = capsys.readouterr().out
    for name in ("U-Net advanced", "Deep U-Net improved", "Mean", "Ensemble (mean)"):
        assert f"LV: never predicted by {name}; its Dice is 0." in told
    assert "MYO: never" not in told
    assert "no combination was shown" not in told  # there is none
    for line in (
        "No learner was fitted",
        "No training history",
        "3 patients: reference volumes by method 'monoplane 2CH'",
        "3 patients: the ensemble's volumes come by another method",
        "ED and ES are not both in the run",
    ):
        assert line in told
    summary = table(run, "summary").query("method == 'ensemble' and structure == 'LV'")
    summary = summary.set_index("metric")
    assert summary["mean"]["dice"] == summary["mean"]["recall"] == 0
    assert summary.loc[["hd95_mm", "precision"], "mean"].isna().all()
    assert summary.undefined_cases["hd95_mm"] == 3
    both = table(run, "summary").query("method == 'ensemble' and metric == 'hd95_mm'")
    means = both.set_index("structure")["mean"]
    assert means["mean"] == pytest.approx((means.MYO + means.LA) / 2)
    # The published images: the paper's figures stand beside.
    beside = table(run, "published").query("method == 'ensemble'").set_index("quantity")
    assert beside.published["LV"] == 0.9339 and beside.here["LV"] == 0
    page = (run.folder / "analysis" / "report.html").read_text()
    assert "This run beside the published figures" in page
    assert "Dice below 0.5: LV 0.00" in page


def test_networks_that_predict_nothing_at_all_are_reported(echo_root, tmp_path, capsys):
    one_view = ["data.views=[2CH]", "data.phases=[ED]"]
    everything = [1, 2, 3]
    run = make_run(
        tmp_path / "empty", "camus", echo_root, *one_view, *PLAIN, blind=lambda c: everything
    )
    with quick():
        assert analyze(run.folder) == 0
    told = capsys.readouterr().out
    assert all(f"{s}: never predicted by Ensemble (mean)" in told for s in run.dataset.structures)
    dice = table(run, "summary").query("metric == 'dice'")
    assert (dice["mean"] == 0).all()
    quality = table(run, "quality")
    assert (quality.predicted_dice == 0).all() and quality.boundary_entropy.isna().all()
    assert len(list((run.folder / "analysis" / "cases").iterdir())) == 3


def test_one_network_is_compared_with_nothing(echo_root, tmp_path, capsys):
    alone = ["members=[unet_advanced]", "data.views=[4CH]", *PLAIN]
    run = make_run(tmp_path / "alone", "camus", echo_root, *alone)
    stale = run.folder / "analysis" / "figures" / "stacking_difference.png"
    stale.parent.mkdir(parents=True)
    stale.touch()
    with quick():
        assert analyze(run.folder) == 0
    told = capsys.readouterr().out
    assert "One network: nothing is combined" in told and "beat the mean" not in told
    results = json.loads((run.folder / "analysis" / "numerical_results.json").read_text())
    assert list(results) == ["unet_advanced", "Ensemble"]
    assert table(run, "comparisons").empty and table(run, "changes").empty
    assert table(run, "quality").pairwise_dice.isna().all()
    assert "pairwise_dice" not in set(table(run, "quality_agreement").score)
    assert not stale.exists()
    assert (stale.parent / "dice_test.png").is_file()
    own = results_table([run.folder]).split("published")[0]
    assert "**unet_advanced** (chosen)" in own and "minus the mean" not in own and "nan" not in own


def test_one_test_patient_gives_figures_without_intervals(mri_root, tmp_path, capsys):
    run = make_run(
        *(tmp_path / "single", "acdc", mri_root, "split.test=0.125"),
        blind=lambda case: [1] if case.endswith("_ES") else [],
    )
    (patient,) = {name.split("_")[0] for name in names_of_cases(run)}
    with quick():
        assert analyze(run.folder) == 0
    told = capsys.readouterr().out
    assert "One test patient: no intervals, no tests." in told
    assert (
        f"Mean, RV: mask or reference empty in 1 of 2 cases ({patient}_ES); Dice 0, distances "
        "undefined and left out of their means." in told
    )
    summary = table(run, "summary")
    assert summary[["low", "high"]].isna().all(axis=None)
    rv = summary.query("method == 'mean' and structure == 'RV'").set_index("metric")
    cases = table(run, "cases").query("method == 'mean' and structure == 'RV'").set_index("phase")
    assert rv["mean"]["dice"] == pytest.approx(cases.dice["ED"] / 2)
    assert rv["mean"]["hd95_mm"] == pytest.approx(cases.hd95_mm["ED"])
    assert rv.undefined_cases["hd95_mm"] == 1
    comparisons = table(run, "comparisons")
    assert (comparisons.verdict == "not shown").all() and comparisons.low.isna().all()
    figures = {p.stem for p in (run.folder / "analysis" / "figures").iterdir()}
    assert figures >= {"dice_test", "roc_test", "samples_best_median_worst", "overlays_typical"}
