"""What is kept between analyses, and what is measured again."""

import json

import pandas as pd
import pytest

from cardiac_seg.report import measure
from cardiac_seg.run.open import open_run
from tests.support.analyses import analyze, names_of_cases, table, without_patients
from tests.support.finished_runs import quick, without_figures

pytestmark = pytest.mark.usefixtures("few_draws")


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def of_one_patient(folder):
    _, *others = dict.fromkeys(name.split("_")[0] for name in names_of_cases(open_run(folder)))
    return open_run(without_patients(folder, *others))


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
