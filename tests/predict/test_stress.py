"""A stress test: whom it looks at, with which networks, what it writes and how it goes on."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from cardiac_seg.__main__ import main
from cardiac_seg.data.perturbations.perturbation import NOT_COUNTED, Perturbation
from cardiac_seg.pipeline.stages import stack
from cardiac_seg.predict import stress as driver
from cardiac_seg.predict.predictor import Ensemble
from cardiac_seg.report.development import development_scores
from cardiac_seg.run.meta_folder import final_method, read_predicted_dice
from cardiac_seg.run.open import open_run
from tests.support.finished_runs import quick
from tests.support.stacking_runs import set_up


def blind(image, label, spacing, strength, rng):
    """Nothing is left of the image; the left half is not counted."""
    label = label.copy()
    label[:, :, : label.shape[2] // 2] = NOT_COUNTED
    return rng.standard_normal(image.shape).astype(np.float32), label, spacing


@pytest.fixture
def few(monkeypatch):
    """One perturbation of two strengths; figures are blank."""
    kinds = (Perturbation("blind", "%", (50, 100), blind),)
    monkeypatch.setattr(driver, "perturbations_of", lambda modality: kinds)
    with quick():
        yield


@pytest.fixture(scope="module")
def made(mri_root, cache_of_small, tmp_path_factory):
    """A stacked run, and what its networks are asked; read only."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("stress")
        run, data, asked = set_up(folder, mri_root, cache_of_small, patch, stacking__learners=[])
        stack(run, data)
        yield run, asked


@pytest.fixture
def run(made, few, tmp_path):
    made[1].clear()
    return open_run(shutil.copytree(made[0].folder, tmp_path / "run"))


def table(folder):
    return pd.read_csv(folder / "stress.csv", keep_default_na=False, na_values=[""])


def test_each_validation_case_is_scored_as_it_is_and_perturbed(run, capsys):
    assert main(["stress", str(run.folder)]) == 0
    rows, limit = table(run.folder / "stress"), read_predicted_dice(run)["review_below"]
    split = run.split()
    assert set(rows.patient) == set(split.patient[split.subset == "validation"])
    assert list(rows.strength[:3]) == [0, 50, 100] and len(rows) == 3 * rows.case.nunique()
    assert ((rows.predicted_dice < limit) == (rows.review == "yes")).all()
    own = rows[rows.perturbation == "as_is"].set_index("case")
    scores = development_scores(run).query(f"method == '{final_method(run)}'")
    for row in scores.itertuples():
        assert own.loc[row.case, f"dice_{row.structure}"] == pytest.approx(row.dice, abs=1e-12)
    assert own.dice.to_numpy() == pytest.approx(
        own.filter(regex="dice_[A-Z]").mean(axis=1).to_numpy()
    )
    assert (rows[rows.perturbation == "blind"].dice < own.dice.min()).all()
    out = capsys.readouterr().out.splitlines()
    assert out[1].split()[:2] == ["as_is", "0"] and out[3].split()[:2] == ["blind", "100"]
    names = {path.name for path in (run.folder / "stress").iterdir()}
    assert names == {
        *("cases", "stress.csv", "stress.json", "stress_summary.csv", "stress.png", "stress.pdf")
    }
    run.forget_stacking()
    assert not (run.folder / "stress").exists()


def test_pixels_that_are_not_counted_change_no_score(run, monkeypatch):
    def veiled(image, label, spacing, strength, rng):
        label = label.copy()
        label[:, : label.shape[1] // 2] = NOT_COUNTED
        return image, label, spacing

    kinds = (Perturbation("veiled", "%", (1,), veiled),)
    monkeypatch.setattr(driver, "perturbations_of", lambda modality: kinds)
    ensemble = Ensemble.load(run.folder)
    for rows in driver.unseen_cases(run, None, 1).values():
        case = driver.read_case(rows[0], 4)
        scores = driver.stress_case(ensemble, case, list(driver.steps_of(kinds)), 0.5)
        mask = ensemble.segment(case.image, case.spacing).mask
        half = np.s_[:, mask.shape[1] // 2 :]
        expected = driver.dice_from_confusion(driver.confusion(case.label[half], mask[half], 4))
        assert scores.filter(regex="dice_[A-Z]").iloc[1].tolist() == pytest.approx(
            expected[1:].tolist(), nan_ok=True
        )


def test_a_killed_stress_test_goes_on_where_it_was(run, monkeypatch):
    first = driver.stress(run.folder, output=run.folder / "first")
    segment, asked = Ensemble.segment, []

    def until(stop):
        def counted(self, image, spacing):
            if len(asked) == stop:
                raise KeyboardInterrupt
            asked.append(image.shape)
            return segment(self, image, spacing)

        monkeypatch.setattr(Ensemble, "segment", counted)

    until(4)  # in the second case
    assert main(["stress", str(run.folder)]) == 130
    folder, cases = run.folder / "stress", len(table(first)) // 3
    assert len(list((folder / "cases").iterdir())) == 1 and not (folder / "stress.csv").exists()
    asked.clear()
    until(None)
    assert main(["stress", str(run.folder)]) == 0
    assert len(asked) == 3 * (cases - 1)
    assert (folder / "stress.csv").read_bytes() == (first / "stress.csv").read_bytes()
    asked.clear()
    assert main(["stress", str(run.folder)]) == 0 and not asked
    # What other perturbations or networks made is not mixed with it.
    notes = json.loads((folder / "stress.json").read_text())
    (folder / "stress.json").write_text(json.dumps(notes | {"made_of": "another"}))
    assert main(["stress", str(run.folder), "--patients", "1"]) == 0
    assert len(asked) == 6 and table(folder).patient.nunique() == 1


def test_out_of_fold_each_patient_is_segmented_by_networks_that_have_not_seen_it(run, made):
    config, split = run.folder / "config.yaml", run.split()
    config.write_text(config.read_text().replace("scheme: holdout", "scheme: out_of_fold"))
    split["fold"] = np.where(split.subset == "test", -1, np.arange(len(split)) % 2)
    split.to_csv(run.folder / "split.csv", index=False)
    assert main(["stress", str(run.folder), "--patients", "3"]) == 0
    patients = split.patient[split.fold >= 0][:3]
    assert set(table(run.folder / "stress").patient) == set(patients)
    fold_of = split.set_index("patient").fold
    assert set(made[1]) == {(f"fold{fold_of[patient]}", patient) for patient in patients}
    assert fold_of[patients].nunique() == 2


def test_an_exported_run_takes_its_data_and_its_folder_from_the_command(run, tmp_path, capsys):
    run.update_manifest(exported=True)
    command, data = ["stress", str(run.folder), "--patients", "1"], ["--root", str(run.root)]
    output = ["--output", str(tmp_path / "out")]
    assert main([*command, *data]) == 2
    assert "give --output DIR" in capsys.readouterr().err
    assert main([*command, *output]) == 2
    assert "give --root DATA" in capsys.readouterr().err
    assert main([*command, *data, *output]) == 0
    assert (tmp_path / "out" / "stress.png").is_file()
    assert not (run.folder / "stress").exists()


def test_bad_requests_are_one_line(run, echo_root, mri_copy, tmp_path, capsys):
    command = ["stress", str(run.folder)]

    def refusal(*more):
        assert main([*command, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "no ACDC patients" in refusal("--root", str(echo_root))
    assert "development patients are not there" in refusal("--root", str(mri_copy))
    run.update_manifest(exported=True)
    config = run.folder / "config.yaml"
    config.write_text(config.read_text().replace("scheme: holdout", "scheme: out_of_fold"))
    assert "exported without the networks" in refusal("--output", str(tmp_path / "out"))
    run.forget_stacking()
    assert main([*command[:1], str(tmp_path)]) == 2
    assert "not a run directory" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--patients", "0"])


def test_a_run_that_is_not_stacked_is_refused(run, capsys):
    run.forget_stacking()
    assert main(["stress", str(run.folder)]) == 2
    assert "choice.json" in capsys.readouterr().err
