"""What is kept between analyses, and what is measured again."""

import json
import shutil

import pandas as pd
import pytest

from cardiac_seg.pipeline import measure_run
from cardiac_seg.report import pictures
from cardiac_seg.run.open import open_run
from tests.support.analyses import analyze, names_of_cases, table, without_patients
from tests.support.finished_runs import quick, without_figures

pytestmark = pytest.mark.usefixtures("few_draws")


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def of_one_patient(folder):
    _, *others = dict.fromkeys(name.split("_")[0] for name in names_of_cases(open_run(folder)))
    return open_run(without_patients(folder, *others))


def kept_files(folder):
    analysis = folder / "analysis"
    return contents(folder / "measures") | contents(analysis / "cases")


def test_an_analysis_measures_nothing_that_the_evaluation_has(copied, measured, drawn):
    folder = copied()
    shutil.rmtree(folder / "analysis")
    with quick():
        assert analyze(folder) == 0
    assert measured == [] and drawn == names_of_cases(open_run(folder))


def test_a_run_without_measures_is_measured_to_the_same(echo, copied, measured):
    folder = copied(analysis=False)
    with quick():
        assert analyze(folder) == 0
    assert len(measured) == 3
    assert contents(folder / "analysis" / "tables") == contents(echo.folder / "analysis" / "tables")


def test_a_second_analysis_measures_and_draws_nothing_and_says_the_same(copied, measured, drawn):
    folder = copied()
    before = contents(folder / "analysis" / "tables")
    kept = kept_files(folder)
    summary = (folder / "analysis" / "summary_report.txt").read_text()
    with without_figures():
        assert analyze(folder) == 0
    assert measured == [] and drawn == []
    assert contents(folder / "analysis" / "tables") == before
    assert kept_files(folder) == kept
    # The title is the folder's name.
    assert (folder / "analysis" / "summary_report.txt").read_text() == summary.replace(
        "echo:", "copy:", 1
    )


@pytest.mark.parametrize("what", ["measures", "damaged measures", "page"])
def test_only_what_is_lost_is_made_again(copied, measured, drawn, what):
    run = open_run(copied())
    output = run.folder / "analysis"
    first, second, *_ = dict.fromkeys(name.split("_")[0] for name in names_of_cases(run))
    lost = run.measures / f"{second}.npz"
    if what == "page":
        lost = next(output.glob(f"cases/{second}_*.png"))
    content = lost.read_bytes()
    lost.write_bytes(content[:100]) if what == "damaged measures" else lost.unlink()
    leftovers = [folder / ".partial-1-x.npz" for folder in (run.measures, output / "cases")]
    for leftover in leftovers:
        leftover.touch()
    with quick():
        found = measure_run.measure_run(run)
        pictures.draw_cases(run, found, output)
    assert measured == ([] if what == "page" else [second])
    assert {name.split("_")[0] for name in drawn} == ({second} if what == "page" else set())
    assert lost.is_file() and not any(leftover.exists() for leftover in leftovers)
    if what == "page":
        assert lost.read_bytes() == content
    # What is read again is what was measured, in the order of the cases.
    cases = pd.concat([one.cases for one in found], ignore_index=True)
    wanted = table(run, "cases").query("method != 'ensemble'").fillna({"view": "", "phase": ""})
    pd.testing.assert_frame_equal(cases, wanted.reset_index(drop=True), check_dtype=False)


@pytest.mark.parametrize("change", ["scores", "version"])
def test_other_scores_or_another_version_measure_and_draw_anew(
    copied, measured, drawn, monkeypatch, change
):
    run = of_one_patient(copied())
    if change == "version":
        monkeypatch.setattr(measure_run, "VERSION", measure_run.VERSION + 1)
    else:
        with (run.folder / "metrics.json").open("a") as file:
            file.write("\n")
    with quick():
        for _ in range(2):
            measures = measure_run.measure_run(run)
            assert len(measured) == 1
            pictures.draw_cases(run, measures, run.folder / "analysis")
            assert len(drawn) == 4


def test_another_choice_is_seen_in_the_same_process(copied, monkeypatch):
    run, finals, one = of_one_patient(copied()), [], measure_run.measure_patient

    def spy(study, cases, heart_rate):
        finals.append(study.final)
        return one(study, cases, heart_rate)

    monkeypatch.setattr(measure_run, "measure_patient", spy)
    for choice in ("logistic", "mean"):  # as after another stacking section
        chosen = json.loads((run.meta / "choice.json").read_text()) | {"method": choice}
        (run.meta / "choice.json").write_text(json.dumps(chosen))
        with (run.folder / "metrics.json").open("a") as file:
            file.write("\n")
        with quick():
            measure_run.measure_run(run)
    assert finals == ["logistic", "mean"]
