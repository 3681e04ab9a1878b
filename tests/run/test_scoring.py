"""How often the test patients were scored: the manifest counts, and says with what."""

import json
import shutil

import pytest

from cardiac_seg.pipeline import evaluate as stage
from cardiac_seg.pipeline.evaluate import evaluate
from cardiac_seg.pipeline.repair import repair
from cardiac_seg.pipeline.stages import run_stages, stack
from cardiac_seg.report.methods import methods_paragraph
from cardiac_seg.report.one_run import provenance
from cardiac_seg.run.describe import describe_run
from cardiac_seg.run.open import open_run
from cardiac_seg.run.scoring import (
    ELSEWHERE,
    describe_scorings,
    scorings_sentence,
)
from tests.support.stacking_runs import set_up

MEANS, LOGISTIC = ["weighted_mean"], ["logistic"]


@pytest.fixture(scope="module")
def scored_once(mri_root, cache_of_small, tmp_path_factory):
    """The folder of a run that was scored once with the means, `stacked` before that beside it."""
    folder = tmp_path_factory.mktemp("scored_once")
    with pytest.MonkeyPatch.context() as patch:
        run, data, _ = set_up(folder, mri_root, cache_of_small, patch, stacking__learners=MEANS)
        stack(run, data)
        shutil.copytree(run.folder, folder / "stacked")
        evaluate(run, data)
    return run.folder


@pytest.fixture
def stacked(scored_once, tmp_path):
    """A run that is stacked, for `scored` to score."""
    shutil.copytree(scored_once.parent / "stacked", tmp_path / "run")


@pytest.fixture
def scored(prepared, scored_once, tmp_path):
    """Makes a run, stacks and scores it with some settings; again where it is there."""

    def scored(**overrides):
        if not overrides and not (tmp_path / "run").exists():
            shutil.copytree(scored_once, tmp_path / "run")
        run, data, _ = prepared(**({"stacking__learners": MEANS} | overrides))
        if not run.is_done("stack"):
            stack(run, data)
        if not run.is_done("evaluate"):
            evaluate(run, data)
        return run, data

    return scored


def test_a_run_that_scored_once_says_so_in_a_plain_sentence(scored, prepared):
    run, _, _ = prepared(stacking__learners=MEANS)
    assert describe_scorings(run) == f"not yet; {ELSEWHERE}"
    run, _ = scored()
    (record,) = run.manifest.scored
    assert record.number == 1 and record.finished and record.changed == []
    assert len(record.settings) == 12 and record.date.endswith("+00:00")
    assert record.method in ("weighted_mean", "calibrated_mean")
    said = f"once, {record.date[:10]}, {record.method} in use; {ELSEWHERE}"
    assert scorings_sentence(run) == f"Test patients scored {said}."
    assert f"test scored    {said}" in describe_run(run.folder)
    assert provenance(run)["test patients scored"] == said
    paragraph = methods_paragraph(run)
    assert paragraph.endswith(f"Test patients scored {said}.")
    assert "before any test patient was scored" in paragraph
    run_stages(run)  # done: nothing is scored
    assert len(run.manifest.scored) == 1


def test_what_differs_from_the_scoring_before_is_told(scored):
    first, _ = scored()
    second, data = scored(stacking__learners=LOGISTIC)
    one, two = second.manifest.scored
    assert one.settings != two.settings and one.values is None and two.values
    assert two.changed == ['stacking.learners: ["weighted_mean"] -> ["logistic"]']
    run = second
    run.forget_stacking()  # also as a network that is trained anew does
    assert len(run.manifest.scored) == 2
    stack(run, data)
    evaluate(run, data)
    assert run.manifest.scored[-1].changed == []
    assert run.manifest.scored[-1].settings == two.settings
    said = scorings_sentence(run)
    assert said.startswith("Test patients scored 3 times: (1) ")
    assert f"{two.changed[0]}; (3)" in said and said.endswith(f"the same settings; {ELSEWHERE}.")
    assert "before any test patient was scored" not in methods_paragraph(run)


def test_scores_that_are_deleted_and_made_again_are_another_scoring(scored):
    run, data = scored()
    (run.folder / "metrics.json").unlink()
    repair(run, ("evaluate",))
    evaluate(run, data)
    assert [one.number for one in run.manifest.scored] == [1, 2]


@pytest.mark.usefixtures("stacked")
@pytest.mark.parametrize("at", ["map_cases", "evaluate_patients", "keep_measures", "_costs"])
def test_a_scoring_that_is_killed_counts_once(scored, prepared, monkeypatch, at):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage, at, killed)
        scored()
    run, data, _ = prepared(stacking__learners=MEANS)
    (record,) = run.manifest.scored
    assert not record.finished and ", not finished" in describe_scorings(run)
    evaluate(run, data)
    (again,) = run.manifest.scored
    assert again.finished and again.date == record.date


@pytest.mark.usefixtures("stacked")
def test_a_scoring_that_is_killed_and_given_up_for_other_settings_counts(scored, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage, "keep_measures", killed)
        scored()
    run, _ = scored(stacking__learners=LOGISTIC)
    assert [one.finished for one in run.manifest.scored] == [False, True]


def test_scorings_of_earlier_versions_are_not_known(scored):
    run, data = scored()
    path = run.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["scored"], manifest["scored_from_start"]
    path.write_text(json.dumps(manifest))
    run = open_run(run.folder)
    assert scorings_sentence(run) == ("Test patients scored: not recorded (by an earlier version).")
    assert "before any test patient was scored" not in methods_paragraph(run)
    evaluate(run, data)
    assert describe_scorings(run).startswith("once since it is recorded, and unknown how often")


def test_no_path_of_a_machine_is_among_the_settings(scored):
    run, _ = scored()
    assert "data.dataset" in run.manifest.scored[-1].values
    for text in (str(run.root), str(run.folder.parent)):
        assert text not in (run.folder / "manifest.json").read_text()
