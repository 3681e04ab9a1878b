"""Ablation of the stacking: one thing changed at a time, scored as the run's own learners are."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest

from cardiac_seg.__main__ import main
from cardiac_seg.config.sections import Stacking
from cardiac_seg.pipeline.stages import stack
from cardiac_seg.report import ablation
from cardiac_seg.run.open import open_run
from tests.support.stacking_runs import set_up


@pytest.fixture(scope="module")
def forest_once(mri_root, cache_of_small, tmp_path_factory):
    """The folder of a run stacked with a random forest; read only."""
    learners = ["weighted_mean", "random_forest"]
    folder = tmp_path_factory.mktemp("forest_once")
    with pytest.MonkeyPatch.context() as patch:
        run, data, _ = set_up(folder, mri_root, cache_of_small, patch, stacking__learners=learners)
        stack(run, data)
    return run.folder


@pytest.fixture
def stacked(forest_once, tmp_path):
    """A copy of it, to change."""
    return open_run(shutil.copytree(forest_once, tmp_path / "stacked"))


def test_variants_change_one_thing_each():
    settings = Stacking()
    for learner in ("logistic", "random_forest", "gradient_boosting"):
        found = dict(ablation.variants(settings, learner))
        for name, changed in found.items():
            before, after = settings.model_dump(), changed.model_dump()
            assert sum(before[key] != after[key] for key in before) == 1, name
        assert [n for n in found if n.startswith("without")] == [
            *(f"without {group}" for group in settings.features),
            "without temperature",
        ]
        assert len(found) == len(set(found)) and not any("/" in name for name in found)
    assert found["30 iterations"].gradient_boosting.iterations == 30
    assert found["at least 800 pixels per leaf"].gradient_boosting.min_samples_leaf == 800


def test_a_learner_without_settings_has_only_the_variants_that_all_have():
    settings = Stacking()
    names = list(dict(ablation.variants(settings, "of_a_user")))
    assert names == list(dict(ablation.variants(settings, "logistic")))
    assert names[-1] == "acting below 0.999"


def test_a_variant_that_changes_nothing_scores_as_the_run_does(stacked, monkeypatch, capsys):
    monkeypatch.setattr(ablation, "variants", lambda settings, learner: [("the same", settings)])
    assert main(["ablate", str(stacked.folder)]) == 0
    table = capsys.readouterr().out
    scores = pd.read_csv(stacked.folder / "ablation" / "random_forest" / "the same.csv")
    own = ablation.development_scores(stacked).query("method == 'random_forest'")
    assert scores.dice.tolist() == own.dice.tolist()
    same, base = (next(x for x in table.splitlines() if word in x) for word in ("same", "**"))
    assert same.split("|")[2:6] == base.split("|")[2:6]
    assert "| +0.0000 [+0.0000, +0.0000] |" in same
    # Nothing but the variant is written: the run's own learners and scores stay.
    assert [p.name for p in stacked.folder.glob("ablation/*")] == ["random_forest"]


def test_what_is_scored_is_kept_until_the_run_is_stacked_anew(stacked, monkeypatch):
    asked = []

    def fitted(run, files, learner):
        asked.append(run.config.stacking.features)
        return ablation.development_scores(stacked).query("method == 'random_forest'")

    monkeypatch.setattr(ablation, "_cross_fitted", fitted)
    first = ablation.ablate(stacked.folder)
    assert asked[:4] == [["slices"], ["margin"], ["margin"], ["slices"]]
    count = len(asked)
    assert ablation.ablate(stacked.folder) == first and len(asked) == count
    stacked.forget_stacking()
    assert not (stacked.folder / "ablation").exists()


def test_groups_may_be_left_out_alone(stacked, monkeypatch, capsys):
    asked = []

    def fitted(run, files, learner):
        asked.append(run.config.stacking.features)
        return ablation.development_scores(stacked).query("method == 'random_forest'")

    monkeypatch.setattr(ablation, "_cross_fitted", fitted)
    assert main(["ablate", str(stacked.folder), "--groups"]) == 0
    assert asked == [["slices"], ["margin"]]
    assert main(["ablate", str(stacked.folder), "--groups", "slices"]) == 0
    assert len(asked) == 2 and "without slices" in capsys.readouterr().out  # kept from before
    assert main(["ablate", str(stacked.folder), "--groups", "entropy"]) == 2
    assert "no features 'entropy' beside the core, it has margin" in capsys.readouterr().err


def test_bad_requests_are_one_line(stacked, capsys):
    assert main(["ablate", str(stacked.folder), "--learner", "logistic"]) == 2
    assert "no learner 'logistic', it has random_forest" in capsys.readouterr().err
    stacked.forget_stacking()
    assert main(["ablate", str(stacked.folder)]) == 2
    assert "not stacked" in capsys.readouterr().err


def test_the_learning_curve_fits_on_the_first_patients_of_the_other_quarters(
    stacked, monkeypatch, capsys
):
    fitted, fit_on = [], ablation.fit_on

    def noting(run, files, *others):
        fitted.append({file.patient for file in files})
        return fit_on(run, files, *others)

    monkeypatch.setattr(ablation, "fit_on", noting)
    monkeypatch.setattr(ablation, "CURVE", (2, 3, 1000))
    monkeypatch.setattr(ablation, "QUARTERS", 3)
    assert main(["ablate", str(stacked.folder), "--curve"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "fitting patients" in line]
    development = set(ablation.development_scores(stacked).patient)
    most = len(development) - -(-len(development) // 3)
    counts = sorted({n for n in (2, 3) if n < most} | {most})
    assert [int(row.split()[1]) for row in rows] == counts
    assert [len(patients) for patients in fitted] == [n for n in counts for _ in range(3)]
    for fewer, more in zip(fitted, fitted[3:], strict=False):
        assert fewer < more  # each is fitted on those of before and others
    scored = pd.read_csv(stacked.folder / f"ablation/random_forest/{most} fitting patients.csv")
    assert set(scored.patient) == development


def test_where_two_kinds_of_networks_have_mapped_those_in_use_have_a_column(stacked):
    split = stacked.split()
    half = sorted(set(ablation.development_scores(stacked).patient))[::2]
    split.loc[split.patient.isin(half), "subset"] = "validation"
    split.loc[~split.patient.isin(half) & (split.subset == "validation"), "subset"] = "train"
    split.to_csv(stacked.folder / "split.csv", index=False)
    both = stacked.config.stacking.model_copy(update={"scheme": "both"})
    run = replace(stacked, config=stacked.config.model_copy(update={"stacking": both}))
    scores = ablation.development_scores(stacked)
    tables = {name: ablation.wide(run, rows) for name, rows in scores.groupby("method")}
    better = tables["mean"].copy()
    better.loc[half] = tables["calibrated_mean"].loc[half] + 0.25
    tables = {"calibrated_mean": tables["calibrated_mean"], "better": better}
    *_, head, _, control, row = ablation._markdown(run, tables, "calibrated_mean", "").splitlines()
    title = f"minus calibrated_mean, {len(half)} patients as mapped by the networks in use"
    assert head.split("|")[-2].strip() == title and control.split("|")[-2].strip() == ""
    assert row.split("|")[-2].strip().startswith("+0.2500 ")
