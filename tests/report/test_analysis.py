"""What an analysis of a run of stand-in networks writes."""

import json
import re
import shutil
from urllib.parse import unquote

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.members.maps import read_maps
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion
from cardiac_seg.report import one_run
from tests.support.analyses import analyze, edited, names_of_cases, table
from tests.support.finished_runs import without_figures

pytestmark = pytest.mark.usefixtures("few_draws")

MODELS = [*MEMBERS, "mean", "calibrated_mean", "logistic_core", "logistic"]


FIGURES = {
    "median_case",
    *("accuracy_test", "bland_altman_ensemble", "calibration_reliability", "calibration_scores"),
    *("confusion_test", "dice_ensemble", "dice_groups", "dice_test", "accuracy_distances"),
    *("overlays_typical", "roc_test", "samples_best_median_worst", "stacking_changes"),
    *("stacking_difference", "stacking_importance", "uncertainty_maps", "uncertainty_quality"),
    *("uncertainty_risk_coverage", "training_curves", "stacking_places", "repairs", "harms"),
}


@pytest.mark.parametrize("kind", ["mri", "echo"])
def test_an_analysis_writes_what_the_interface_promises(kind, request):
    run = request.getfixturevalue(kind)
    folder = run.folder / "analysis"
    drawn = FIGURES if kind == "mri" else FIGURES - {"training_curves"}  # echo has no history
    wanted = {f"{stem}.{suffix}" for stem in drawn for suffix in ("pdf", "png")}
    assert {p.name for p in (folder / "figures").iterdir()} == wanted
    assert {p.stem for p in (folder / "cases").iterdir()} == set(names_of_cases(run))
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in folder.rglob("*.png"))
    assert all(p.read_bytes().startswith(b"%PDF") for p in folder.rglob("*.pdf"))
    tables = {p.stem for p in (folder / "tables").iterdir()}
    assert tables >= {
        *("cases", "summary", "groups", "comparisons", "confusion", "accuracy", "roc", "auc"),
        *("reliability", "calibration", "history", "quality", "risk_coverage", "changes"),
        *("quality_agreement", "importance", "clinical", "agreement"),
        *("methods_test", "methods_development"),
        *("importance_places", "changes_places", "moved_slices"),
    }
    results = json.loads((folder / "numerical_results.json").read_text())
    assert list(results) == [*MEMBERS, "Ensemble", *MODELS[2:]]
    dice = pd.read_csv(folder / "dice_scores.csv")
    assert list(dice.columns) == ["Model", "Class", "Dice_Score"]
    assert dice.Class.tolist()[:4] == ["background", *run.dataset.structures]
    assert dice.Dice_Score.tolist() == [
        score for told in results.values() for score in told["dice_scores"].values()
    ]
    asked = "Does the meta-learner beat the calibrated mean?"
    assert asked in (folder / "summary_report.txt").read_text()
    assert not list(folder.rglob(".partial*"))


def test_scores_are_those_of_the_evaluation(mri):
    metrics = json.loads((mri.folder / "metrics.json").read_text())["subsets"]["test"]["methods"]
    dice = table(mri, "summary").query("metric == 'dice'").set_index(["method", "structure"])
    for method in [*MODELS, "ensemble"]:
        scores = metrics["logistic" if method == "ensemble" else method]
        told = scores["dice_native_per_patient"] | {"mean": scores["mean_foreground_dice"]}
        assert dice.loc[method]["mean"].to_dict() == pytest.approx(told)
        intervals = dict(scores["interval_95"])
        intervals["mean"] = intervals.pop("mean_foreground_dice")
        for structure, bounds in intervals.items():
            assert dice.loc[(method, structure), ["low", "high"]].tolist() == pytest.approx(bounds)
    keys = ["case", "method", "structure"]
    evaluated = pd.read_csv(mri.folder / "cases.csv").query("subset == 'test'")
    both = evaluated.merge(table(mri, "cases"), on=keys, suffixes=("_evaluated", ""))
    assert len(both) == len(evaluated)
    np.testing.assert_allclose(both.dice, both.dice_evaluated)
    counts = table(mri, "confusion").query("method == 'ensemble'").pixels
    assert (
        counts.tolist()
        == np.ravel(metrics["logistic"]["pooled_network_grid"]["confusion"]).tolist()
    )


def masks_of(run, method, case):
    paths = pd.read_csv(run.folder / "test_cases.csv").set_index("case").path
    nifti = nib.load(run.folder / "masks" / method / paths[case])
    return np.atleast_3d(np.asarray(nifti.dataobj)).T, np.array(nifti.header.get_zooms())


def test_regions_and_volumes_are_those_of_the_masks(mri):
    case = names_of_cases(mri)[0]
    patient, phase = case.split("_")
    reference, zooms = masks_of(mri, "reference", case)
    clinical = table(mri, "clinical").set_index(["patient", "method", "index"]).value
    voxel = zooms.prod() / 1000
    wanted = (reference == 3).sum() * voxel
    assert clinical[patient, "reference", f"lv_{phase.lower()}v_ml"] == pytest.approx(wanted)
    rows = table(mri, "cases").query("case == @case and method == 'mean' and structure == 'RV'")
    mask, _ = masks_of(mri, "mean", case)
    assert rows["size"].item() == pytest.approx((mask == 1).sum() * voxel)
    difference = rows.size_difference.item()
    assert difference == pytest.approx(((mask == 1).sum() - (reference == 1).sum()) * voxel)

    values = []
    for other in names_of_cases(mri):
        reference, _ = masks_of(mri, "reference", other)
        mask, _ = masks_of(mri, "ensemble", other)
        held = np.flatnonzero((reference == 3).any(axis=(1, 2)))
        base = held[: -(-len(held) // 3)]  # the longer third where thirds are uneven
        dice = dice_from_confusion(confusion(reference[base], mask[base], 4))[2]
        values.append({"patient": other.split("_")[0], "dice": dice})
    groups = table(mri, "groups").set_index(["by", "value", "method", "structure"])
    wanted = pd.DataFrame(values).groupby("patient").dice.mean().mean()
    assert groups.dice["region", "base", "ensemble", "MYO"] == pytest.approx(wanted)


def test_areas_under_the_curve_are_those_of_the_maps(mri):
    maps = [read_maps(mri.map(case), list(MEMBERS)) for case in names_of_cases(mri)]
    labels = np.concatenate([m.label.ravel() for m in maps])
    means = [
        np.mean([m.probabilities[n].astype(np.float32) for n in MEMBERS], axis=0) for m in maps
    ]
    probabilities = np.concatenate([mean.reshape(-1, 4) for mean in means])
    areas = table(mri, "auc").set_index(["method", "class"])
    for label, name in enumerate(("background", *mri.dataset.structures)):
        row = areas.loc[("mean", name)]
        true = roc_auc_score(labels == label, probabilities[:, label])
        assert abs(row.auc - true) <= row.error_bound + 1e-9 < 1e-3
    accuracy = table(mri, "accuracy").set_index("method").accuracy
    assert accuracy["mean"] == pytest.approx((probabilities.argmax(1) == labels).mean())


def test_echo_has_ejection_fractions_an_oracle_and_no_regions(echo):
    agreement = table(echo, "agreement").set_index(["method", "against", "index"])
    for key in (
        ("ensemble", "reference masks", "lv_ef_percent"),
        ("ensemble", "recorded EF", "lv_ef_one_height_percent"),
        ("reference", "recorded EF", "lv_ef_one_height_percent"),
    ):
        assert agreement.patients[key] == 3
    values = table(echo, "clinical").query("index == 'lv_ef_percent'")
    wide = values.pivot(index="patient", columns="method", values="value")
    bias = agreement.bias["ensemble", "reference masks", "lv_ef_percent"]
    assert bias == pytest.approx((wide.ensemble - wide.reference).mean())
    assert set(table(echo, "clinical").volume_method) == {"biplane"}
    assert set(table(echo, "groups").by) == {"view", "phase", "image quality"}
    rows = table(echo, "cases").query("method == 'mean' and structure == 'LV'").set_index("case")
    case = names_of_cases(echo)[0]
    mask, zooms = masks_of(echo, "mean", case)
    assert rows["size"][case] == pytest.approx((mask == 1).sum() * zooms[:2].prod() / 100)  # cm2


def test_every_link_of_a_report_leads_somewhere(mri):
    folder = mri.folder / "analysis"
    links = re.findall(r'(?:href|src)="([^"]+)"', (folder / "report.html").read_text())
    files = [link for link in links if not link.startswith(("data:", "#", "http"))]
    assert len(files) > 2 * len(FIGURES)
    assert [link for link in files if not (folder / unquote(link)).is_file()] == []


@pytest.mark.parametrize("kind", ["mri", "echo"])
def test_nothing_written_names_a_folder_of_this_machine(kind, request):
    run = request.getfixturevalue(kind)
    for path in (run.folder / "analysis").rglob("*"):
        if path.suffix in (".html", ".txt", ".csv", ".json"):
            text = path.read_text(encoding="utf-8")
            for private in (run.root, run.folder.parent, run.config.data.cache):
                assert str(private) not in text, path


def test_a_report_tells_whose_figures_these_are(mri):
    page = (mri.folder / "analysis" / "report.html").read_text()
    text = (mri.folder / "analysis" / "summary_report.txt").read_text()
    for told in (page, text):
        assert "phantom" in told
        assert "3 test patients: no paired test can reach 0.05" in told
        assert "No heart rate in the data: no cardiac output." in told
    assert "No training history" not in text
    assert "ACDC (ED, ES)" in text  # short axis: no echo views
    history = table(mri, "history")
    assert history.groupby("member").val_dice.max().to_dict() == dict.fromkeys(MEMBERS, 0.5)
    importance = table(mri, "importance")
    assert set(importance.method) == {"logistic"}
    assert ((importance.low <= importance["mean"]) & (importance["mean"] <= importance.high)).all()
    by_place = table(mri, "importance_places")
    assert set(by_place.group) == set(importance.group)
    assert set(by_place.place.str.split().str[-1]) == {"ED", "ES"}
    changes = table(mri, "changes_places")
    assert (changes.better + changes.worse <= changes.changed).all()


def test_a_group_is_one_row_of_the_report_in_the_order_of_the_heart(mri, tmp_path, monkeypatch):
    # No RV in the apex of one patient, in reference or mask: undefined there.
    folder = shutil.copytree(mri.folder, tmp_path / "run")
    patient = names_of_cases(mri)[0].split("_")[0]
    for path in (folder / "masks").rglob(f"{patient}_*.nii.gz"):
        edited(
            path, lambda array: np.where((np.arange(array.shape[2]) > 4) & (array == 1), 0, array)
        )
    (folder / "measures" / f"{patient}.npz").unlink()
    pages = []
    monkeypatch.setattr(one_run.page, "write_report", lambda path, page: pages.append(page))
    with without_figures():
        assert analyze(folder) == 0
    groups = table(folder, "groups").query("method == 'ensemble' and value == 'apex'")
    assert groups.set_index("structure").patients.to_dict() == {
        **{"RV": 2, "MYO": 3, "LV": 3, "mean": 3}
    }
    shown = [t.frame for section in pages[0].sections for t in section.tables]
    (frame,) = [frame for frame in shown if {"by", "value"} <= set(frame.columns)]
    regions = frame[frame.by == "region"]
    assert regions.value.tolist() == ["base", "mid", "apex"]
    assert regions.patients.tolist() == [3, 3, 3] and regions.notna().all(axis=None)
