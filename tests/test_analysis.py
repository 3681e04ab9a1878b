"""Analyses of small runs of stand-in networks: what is written, kept, compared and refused."""

import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from finished_runs import make_run, quick, without_figures
from sklearn.metrics import roc_auc_score

import analyze_results
from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.members.maps import read_maps
from cardiac_seg.metrics import statistics
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion
from cardiac_seg.report import measure, one_run
from cardiac_seg.report.results import results_table
from cardiac_seg.run.open import open_run

PLAIN = ["stacking.learners=[]", "stacking.choose=auto"]
MODELS = [*MEMBERS, "mean", "calibrated_mean", "logistic_core", "logistic"]
FIGURES = {
    *("accuracy_test", "bland_altman_ensemble", "calibration_reliability", "calibration_scores"),
    *("confusion_test", "dice_ensemble", "dice_groups", "dice_test", "accuracy_distances"),
    *("overlays_typical", "roc_test", "samples_best_median_worst", "stacking_changes"),
    *("stacking_difference", "stacking_importance", "uncertainty_maps", "uncertainty_quality"),
    *("uncertainty_risk_coverage", "training_curves"),
}


def analyze(*runs, output=None):
    """The exit code of the command."""
    return analyze_results.main([*map(str, runs), *(["--output", str(output)] if output else [])])


@pytest.fixture(autouse=True, scope="module")
def few_draws():
    """Intervals are of few draws, in the evaluation too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "RESAMPLES", 200)
        yield


@pytest.fixture(scope="module")
def mri(mri_root, tmp_path_factory):
    """Three test patients, analysed; two epochs of training are on record."""
    run = make_run(tmp_path_factory.mktemp("analysis") / "mri", "acdc", mri_root)
    for member in MEMBERS:
        path = run.history(member, "full")
        path.parent.mkdir(parents=True)
        path.write_text("epoch,loss,val_dice,seconds\n1,1.5,0.3,1\n2,1.0,0.5,1\n")
    with quick(("_test.png", "dice_test.pdf")):
        assert analyze(run.folder) == 0
    return run


@pytest.fixture(scope="module")
def echo(echo_root, tmp_path_factory):
    """Three test patients, analysed."""
    run = make_run(tmp_path_factory.mktemp("analysis") / "echo", "camus", echo_root)
    with quick():
        assert analyze(run.folder) == 0
    return run


@pytest.fixture
def copied(echo, tmp_path):
    """Copies of the echo run, with or without its analysis."""

    def copy(name="copy", analysis=True):
        folder = shutil.copytree(echo.folder, tmp_path / name)
        if not analysis:
            shutil.rmtree(folder / "analysis")
        return folder

    return copy


@pytest.fixture
def measured(monkeypatch):
    """The patients that are measured during a test, in order."""
    patients, one = [], measure._measure

    def spy(run, combiner, final, cases, output):
        patients.append(cases.patient.iloc[0])
        return one(run, combiner, final, cases, output)

    monkeypatch.setattr(measure, "_measure", spy)
    return patients


def table(run, name):
    return pd.read_csv(Path(getattr(run, "folder", run)) / "analysis" / "tables" / f"{name}.csv")


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def names_of_cases(run):
    return pd.read_csv(run.folder / "test_cases.csv").case.tolist()


def without_patients(folder, *patients):
    cases = pd.read_csv(folder / "test_cases.csv")
    cases[~cases.patient.isin(patients)].to_csv(folder / "test_cases.csv", index=False)
    return folder


def of_one_patient(folder):
    _, *others = dict.fromkeys(name.split("_")[0] for name in names_of_cases(open_run(folder)))
    return open_run(without_patients(folder, *others))


# What an analysis writes


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
    means = [np.mean([m.members[n].astype(np.float32) for n in MEMBERS], axis=0) for m in maps]
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
        assert "3 test patients: no paired test can reach .05" in told
        assert "No heart rate in the data: no cardiac output." in told
    assert "No training history" not in text
    assert "ACDC (ED, ES)" in text  # short axis: no echo views
    history = table(mri, "history")
    assert history.groupby("member").val_dice.max().to_dict() == dict.fromkeys(MEMBERS, 0.5)
    importance = table(mri, "importance")
    assert set(importance.method) == {"logistic"}
    assert ((importance.low <= importance["mean"]) & (importance["mean"] <= importance.high)).all()


def test_a_group_is_one_row_of_the_report_in_the_order_of_the_heart(mri, tmp_path, monkeypatch):
    # No RV in the apex of one patient, in reference or mask: undefined there.
    folder = shutil.copytree(mri.folder, tmp_path / "run")
    patient = names_of_cases(mri)[0].split("_")[0]
    for path in (folder / "masks").rglob(f"{patient}_*.nii.gz"):
        edited(
            path, lambda array: np.where((np.arange(array.shape[2]) > 4) & (array == 1), 0, array)
        )
    (folder / "analysis" / "measured" / f"{patient}.npz").unlink()
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


# What is kept between analyses


def test_a_second_analysis_measures_nothing_and_says_the_same(copied, measured):
    folder = copied()
    before = contents(folder / "analysis" / "tables")
    kept = contents(folder / "analysis" / "measured") | contents(folder / "analysis" / "cases")
    summary = (folder / "analysis" / "summary_report.txt").read_text()
    with without_figures():
        assert analyze(folder) == 0
    assert measured == []
    assert contents(folder / "analysis" / "tables") == before
    again = contents(folder / "analysis" / "measured") | contents(folder / "analysis" / "cases")
    assert again == kept
    # The title is the folder's name.
    assert (folder / "analysis" / "summary_report.txt").read_text() == summary.replace(
        "echo:", "copy:", 1
    )


@pytest.mark.parametrize("what", ["measures", "damaged measures", "page"])
def test_only_what_is_lost_is_measured_again(copied, measured, what):
    run = open_run(copied())
    output = run.folder / "analysis"
    first, second, *_ = dict.fromkeys(name.split("_")[0] for name in names_of_cases(run))
    lost = output / "measured" / f"{second}.npz"
    if what == "page":
        lost = next(output.glob(f"cases/{second}_*.png"))
    content = lost.read_bytes()
    lost.write_bytes(content[:100]) if what == "damaged measures" else lost.unlink()
    leftovers = [output / folder / ".partial-1-x.npz" for folder in ("measured", "cases")]
    for leftover in leftovers:
        leftover.touch()
    with quick():
        found = measure.measure_run(run, output)
    assert measured == [second]
    assert lost.is_file() and not any(leftover.exists() for leftover in leftovers)
    if what == "page":
        assert lost.read_bytes() == content
    # What is read again is what was measured, in the order of the cases.
    cases = pd.concat([one.cases for one in found], ignore_index=True)
    wanted = table(run, "cases").query("method != 'ensemble'").fillna({"view": "", "phase": ""})
    pd.testing.assert_frame_equal(cases, wanted.reset_index(drop=True), check_dtype=False)


@pytest.mark.parametrize("change", ["scores", "version"])
def test_other_scores_or_another_version_measure_anew(copied, measured, monkeypatch, change):
    run = of_one_patient(copied())
    if change == "version":
        monkeypatch.setattr(measure, "VERSION", measure.VERSION + 1)
    else:
        with (run.folder / "metrics.json").open("a") as file:
            file.write("\n")
    with quick():
        measure.measure_run(run, run.folder / "analysis")
        assert len(measured) == 1
        measure.measure_run(run, run.folder / "analysis")
    assert len(measured) == 1


def test_another_choice_is_seen_in_the_same_process(copied, monkeypatch):
    run, finals, one = of_one_patient(copied()), [], measure._measure

    def spy(run, combiner, final, cases, output):
        finals.append(final)
        return one(run, combiner, final, cases, output)

    monkeypatch.setattr(measure, "_measure", spy)
    for choice in ("logistic", "mean"):  # as after another stacking section
        chosen = json.loads((run.meta / "choice.json").read_text()) | {"method": choice}
        (run.meta / "choice.json").write_text(json.dumps(chosen))
        with (run.folder / "metrics.json").open("a") as file:
            file.write("\n")
        with quick():
            measure.measure_run(run, run.folder / "analysis")
    assert finals == ["logistic", "mean"]


# Several runs


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


def refused(capsys, *runs, output=None):
    """The one line that a refused analysis says."""
    assert analyze(*runs, output=output) == 2
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in printed.err and "report:" not in printed.out
    return line


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


# Bad input


def mask_path(folder, method):
    path = pd.read_csv(folder / "test_cases.csv").path[1]
    return folder / "masks" / method / path


def edited(path, change):
    nifti = nib.load(path)
    array = change(np.asarray(nifti.dataobj).copy())
    nib.Nifti1Image(array, nifti.affine).to_filename(path)


def foreign_value(array):
    array[0, 0] = 9
    return array


def unlink(name):
    return lambda folder: (folder / name).unlink()


def first_map(folder):
    return folder / "maps" / f"{pd.read_csv(folder / 'test_cases.csv').case[1]}.npz"


def without_control(folder):
    path = folder / "metrics.json"
    path.write_text(json.dumps({"subsets": {}}))


DAMAGE = {
    "unfinished": (unlink("metrics.json"), r"not finished \(no metrics\.json\).*--resume"),
    "not JSON": (lambda f: (f / "metrics.json").write_text("{"), r"metrics\.json: not valid JSON"),
    "of an earlier version": (without_control, r"metrics\.json: written by an earlier version"),
    "no run": (unlink("config.yaml"), r"not a run directory"),
    "no list of cases": (unlink("test_cases.csv"), r"test_cases\.csv: cannot be read .*--resume"),
    "a damaged list of cases": (
        lambda f: (f / "test_cases.csv").write_text("case,patient\n"),
        r"test_cases\.csv: .*--resume",
    ),
    "no choice": (unlink("meta/choice.json"), r"choice\.json: cannot be read"),
    "no learner": (unlink("meta/logistic.skops"), r"logistic\.skops: missing"),
    "a map deleted": (lambda f: first_map(f).unlink(), r"2CH_ES\.npz: missing; .*--resume"),
    "a map damaged": (lambda f: first_map(f).write_bytes(b"PK"), r"2CH_ES\.npz: damaged"),
    "a reference deleted": (
        lambda f: mask_path(f, "reference").unlink(),
        r"masks/reference/.*2CH_ES\.nii\.gz: no such file",
    ),
    "a mask of another shape": (
        lambda f: edited(mask_path(f, "mean"), lambda a: a[:-1]),
        r"masks/mean/.*2CH_ES\.nii\.gz: shape .*--resume",
    ),
    "a mask of foreign values": (
        lambda f: edited(mask_path(f, "logistic"), foreign_value),
        r"masks/logistic/.*2CH_ES\.nii\.gz: .*9",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_one_line_that_names_the_file(what, copied, capsys):
    damage, message = DAMAGE[what]
    folder = copied(analysis=False)
    damage(folder)
    with quick():
        assert re.search(message, refused(capsys, folder))
    assert not (folder / "analysis" / "report.html").exists()


def test_a_mask_damaged_after_measuring_is_named_too(copied, capsys):
    folder = copied()
    for path in (folder / "masks" / "mean").rglob("*.nii.gz"):
        path.write_bytes(path.read_bytes()[:60])
    with without_figures():
        assert re.search(r"masks/mean/.*\.nii\.gz: not a readable", refused(capsys, folder))


def test_damage_found_by_another_process_is_one_line(copied, monkeypatch, capsys):
    folder = copied(analysis=False)
    path = mask_path(folder, "ensemble")
    path.write_bytes(path.read_bytes()[:60])
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert re.search(r"masks/ensemble/.*: not a readable NIfTI", refused(capsys, folder))


def test_an_output_that_cannot_be_written_is_named(echo, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with without_figures():
        line = refused(capsys, echo.folder, output=tmp_path / "file" / "out")
    assert str(tmp_path / "file") in line


# Runs of which little can be said


def test_a_structure_that_is_never_predicted_is_said(echo_root, tmp_path, capsys):
    published = ["data.views=[2CH]", "data.phases=[ED]"]
    run = make_run(tmp_path / "blind", "camus", echo_root, *published, *PLAIN, blind=lambda c: [1])
    with quick():
        assert analyze(run.folder) == 0
    told = capsys.readouterr().out
    for name in ("U-Net advanced", "Deep U-Net improved", "Mean", "Ensemble"):
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
    assert all(f"{s}: never predicted by Ensemble" in told for s in run.dataset.structures)
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
