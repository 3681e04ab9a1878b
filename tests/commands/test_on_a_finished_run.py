"""The commands on a finished and analysed run."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import analyze_results
from cardiac_seg import Ensemble
from cardiac_seg.__main__ import main as cardiac_seg_main
from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.members.seen import read_seen
from cardiac_seg.report.model_card import model_card
from cardiac_seg.run.open import open_run
from tests.support.paths import REPO


@pytest.fixture(scope="module")
def analysed(finished, tmp_path_factory):
    run = Path(shutil.copytree(finished, tmp_path_factory.mktemp("analysed") / "run"))
    assert analyze_results.main([str(run)]) == 0
    return run


def test_figures_and_info(analysed, capsys):
    assert (analysed / "analysis" / "report.html").is_file()
    assert (analysed / "analysis" / "figures" / "training_curves.png").is_file()
    table = pd.read_csv(analysed / "analysis" / "tables" / "methods_test.csv").set_index("method")
    row = table.loc["random_forest"]
    assert row.RV_low <= row.RV <= row.RV_high and row.fit_seconds >= 0
    assert row.difference == pytest.approx(row["mean"] - table.loc["mean", "mean"], abs=2e-4)
    assert cardiac_seg_main(["info", str(analysed)]) == 0
    assert "acdc (phantom): 4 train, 2 validation, 2 test patients" in capsys.readouterr().out


def test_results_are_one_row_per_method_beside_the_published_ones(analysed, capsys):
    assert cardiac_seg_main(["results", str(analysed)]) == 0
    own, published = capsys.readouterr().out.split("ACDC, published")
    rows = [line.split("|")[1:-1] for line in own.splitlines() if line.startswith("| ")]
    head, *methods = [[cell.strip() for cell in row] for row in rows]
    metrics = json.loads((analysed / "metrics.json").read_text())
    scores = metrics["subsets"]["test"]["methods"]
    named = [m[0].split("*")[2 * m[0].startswith("*")] for m in methods]
    assert [name.replace(", core", "_core") for name in named] == list(scores)
    reach = methods[0][head.index("HD95 mm (by structure)")]
    assert reach.count(",") == 2  # a number for each of the three structures
    assert "- secondary: HD95, " in own
    assert sum("(chosen)" in row[0] for row in methods) == 1
    mean = dict(zip(head, next(row for row in methods if "mean" in row[0]), strict=True))
    assert mean["LV"] == f"{scores['mean']['dice_native_per_patient']['LV']:.3f}"
    assert "--config" in own
    assert "nnU-Net" in published


def test_results_of_a_run_without_analysis_are_refused(finished, capsys):
    assert cardiac_seg_main(["results", str(finished)]) == 2
    assert "run analyze_results.py" in capsys.readouterr().err


def test_a_run_compared_with_its_copy_on_development_patients_is_no_better(
    finished, tmp_path, capsys
):
    copy = shutil.copytree(finished, tmp_path / "copy")
    assert cardiac_seg_main(["compare", str(finished), str(copy), "--method", "mean"]) == 0
    title, _, first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{finished} (mean) ") and second.startswith(f"{copy} (mean) ")
    assert title.startswith("2 patients, 4 images")
    assert "+0.0000 [+0.0000, +0.0000]" in second and "+" not in first
    chosen = json.loads((finished / "meta" / "choice.json").read_text())["method"]
    assert chosen != "mean"
    for path in (copy / "meta" / "cross_fit").glob("*.csv"):
        scores = pd.read_csv(path)
        scores.loc[(scores.method == chosen) & (scores.structure == "RV"), "dice"] += 0.03
        scores.to_csv(path, index=False)
    assert cardiac_seg_main(["compare", str(finished), str(copy)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"({chosen})" in line and "+0.0100 [+0.0100, +0.0100]" in line
    assert cardiac_seg_main(["compare", str(finished), "--method", "nobody"]) == 2
    assert "no method 'nobody'" in capsys.readouterr().err


def test_errors_are_told_by_phase_group_and_slice_and_the_worst_are_drawn(
    finished, tmp_path, capsys
):
    assert cardiac_seg_main(["errors", str(finished), "--pictures", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert {"by phase", "by group", "slices", "worst 10"} <= {
        title for line in out.splitlines() if (title := line[:12].strip())
    }
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert len(drawn) == 4 and all(name in out for name in drawn)
    scores = pd.concat(pd.read_csv(p) for p in (finished / "meta" / "cross_fit").glob("*.csv"))
    ed = scores[(scores.method == "mean") & (scores.phase == "ED") & (scores.structure == "LV")]
    line = next(line for line in out.splitlines() if line.startswith("ED "))
    assert float(line.split()[3]) == pytest.approx(ed.dice.mean(), abs=5e-4)


def test_an_exported_run_is_small_and_predicts_the_same(analysed, mri_root, tmp_path, capsys):
    out = tmp_path / "pretrained"
    assert cardiac_seg_main(["export", str(analysed), str(out)]) == 0
    suffixes = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert suffixes <= {".keras", ".json", ".yaml", ".csv", ".md", ".skops", ".onnx"}
    for member in MEMBERS:
        whole, small = (run / "models" / member / "full" / "last.keras" for run in (analysed, out))
        assert small.stat().st_size < whole.stat().st_size / 2
        assert read_seen(small) == read_seen(whole) != {}
    card = (out / "README.md").read_text()
    assert "Test patients scored once, " in card
    exported = open_run(out).manifest
    assert exported.scored == open_run(analysed).manifest.scored != []
    assert exported.scored_from_start
    assert "Phantoms" in card and "Bernard" not in card and "Where it fails" in card
    image = next(p for p in mri_root.rglob("*.nii.gz") if not p.name.endswith("_gt.nii.gz"))
    expected, found = (Ensemble.load(run).predict(image) for run in (analysed, out))
    assert (found.mask == expected.mask).mean() > 0.99
    assert abs(found.probabilities - expected.probabilities).mean() < 1e-3
    assert cardiac_seg_main(["info", str(out)]) == 0
    assert cardiac_seg_main(["export", str(analysed), str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_whole_run_tells_no_absolute_path(analysed, config_file, mri_root):
    texts = {".txt", ".csv", ".json", ".yaml", ".html", ".md"}
    told = [p for p in analysed.rglob("*") if p.suffix in texts and p.name != "local.yaml"]
    assert {"log.txt", "manifest.json", "config.yaml", "report.html"} <= {p.name for p in told}
    secrets = [str(folder) for folder in (analysed.parent, config_file.parent, mri_root, REPO)]
    for path in told:
        text = path.read_text()
        assert not [secret for secret in secrets if secret in text], path


def test_a_card_of_real_data_names_licence_source_and_who_trained(analysed, tmp_path):
    copy = Path(shutil.copytree(analysed, tmp_path / "copy"))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["dataset"]["phantom"] = False
    (copy / "manifest.json").write_text(json.dumps(manifest))
    card = model_card(open_run(copy), Path("pretrained/acdc"))
    assert "CC BY-NC-SA 4.0" in card and "Bernard" in card
    assert "trained on 4 patients; what combines them was fitted on 2 others; 2 are" in card
    assert "predict pretrained/acdc INPUT" in card and str(tmp_path) not in card
