"""What the report's tests share: analysed runs, and a run that is only a configuration."""

import json
import shutil

import pytest

from cardiac_seg.config.loading import load_config
from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.pipeline import measure_run
from cardiac_seg.report import pictures
from cardiac_seg.run.folder import Run
from cardiac_seg.run.open import open_run
from tests.support.analyses import analyze, few_resamples
from tests.support.finished_runs import make_run, quick
from tests.support.made_once import made_once
from tests.support.measured import QUALITY


@pytest.fixture
def few_draws():
    """Intervals are of few draws, in the evaluation too."""
    with few_resamples():
        yield


@pytest.fixture(scope="session")
def mri(mri_root, tmp_path_factory):
    """Three test patients, analysed; two epochs of training are on record."""

    def make(folder):
        with few_resamples(), quick(("_test.png", "dice_test.pdf")):
            run = make_run(folder / "mri", "acdc", mri_root)
            for member in MEMBERS:
                path = run.history(member, "full")
                path.parent.mkdir(parents=True)
                path.write_text("epoch,loss,val_dice,seconds\n1,1.5,0.3,1\n2,1.0,0.5,1\n")
            assert analyze(run.folder) == 0

    return open_run(made_once(tmp_path_factory, "analysed_mri", make) / "mri")


@pytest.fixture(scope="session")
def echo(echo_root, tmp_path_factory):
    """Three test patients, analysed."""

    def make(folder):
        with few_resamples(), quick():
            run = make_run(folder / "echo", "camus", echo_root)
            assert analyze(run.folder) == 0

    return open_run(made_once(tmp_path_factory, "analysed_echo", make) / "echo")


@pytest.fixture
def copied(echo, tmp_path):
    """Copies of the echo run, with or without its measures and its analysis."""

    def copy(name="copy", analysis=True):
        folder = shutil.copytree(echo.folder, tmp_path / name)
        if not analysis:  # as a run that was evaluated before measures were kept
            shutil.rmtree(folder / "analysis")
            shutil.rmtree(folder / "measures")
        return folder

    return copy


@pytest.fixture
def measured(monkeypatch):
    """The patients that are measured during a test, in order."""
    patients, one = [], measure_run.measure_patient

    def spy(study, cases, heart_rate):
        measures = one(study, cases, heart_rate)
        patients.append(measures.cases.patient.iloc[0])
        return measures

    monkeypatch.setattr(measure_run, "measure_patient", spy)
    return patients


@pytest.fixture
def drawn(monkeypatch):
    """The cases whose pictures are drawn during a test, in order."""
    cases, one = [], pictures.case_page

    def spy(name, *rest):
        cases.append(name)
        return one(name, *rest)

    monkeypatch.setattr(pictures, "case_page", spy)
    return cases


@pytest.fixture
def run(tmp_path):
    """A run of which only the configuration and the choice exist; gives the makers of others."""

    def make(members=MEMBERS, dataset="acdc", choice="logistic"):
        (tmp_path / "config.yaml").write_text(
            f"data: {{dataset: {dataset}, root: none}}\n"
            f"members: [{', '.join(members)}]\n"
            f"stacking: {{learners: {'[logistic]' if len(members) > 1 else '[]'}}}\n"
        )
        (tmp_path / "meta").mkdir(exist_ok=True)
        (tmp_path / "meta" / "choice.json").write_text(
            json.dumps({"method": choice, "predicted_dice": QUALITY})
        )
        return Run(tmp_path, load_config(tmp_path / "config.yaml", []))

    return make
