"""What is made of a stress test: its summary, its figure, and its place in the report."""

import numpy as np
import pandas as pd
import pytest

from cardiac_seg.report.figures.stress import stress_curves
from cardiac_seg.report.one_run import analyze_run
from cardiac_seg.report.tables.stress import summarize_stress
from cardiac_seg.system.errors import UserError
from tests.support.finished_runs import quick

pytestmark = pytest.mark.usefixtures("few_draws")

ROWS = [  # case, perturbation, strength, Dice, predicted Dice, review
    ("a", "as_is", 0, 0.9, 0.9, "no"),
    ("b", "as_is", 0, 0.8, 0.6, "yes"),
    ("a", "gain", -20, 0.86, 0.9, "no"),
    ("b", "gain", -20, 0.76, 0.6, "yes"),
    ("a", "gain", 20, 0.5, 0.9, "no"),
    ("b", "gain", 20, 0.1, 0.1, "yes"),
]


@pytest.fixture
def table():
    columns = ["case", "perturbation", "strength", "dice", "predicted_dice", "review"]
    table = pd.DataFrame(ROWS, columns=columns)
    return table.assign(patient=table.case, unit=np.where(table.strength == 0, "", "%"))


def test_the_summary_says_what_was_lost_and_whether_it_was_noticed(table):
    own, weak, strong = summarize_stress(table).to_dict("records")
    assert (own["cases"], own["reviewed"], own["lost"]) == (2, 0.5, 0)
    assert own["dice"] == pytest.approx(0.85)
    assert np.isnan(own["noticed"]) and own["unit"] == ""
    assert (weak["lost"], weak["reviewed"], weak["unit"]) == (0, 0.5, "%")
    assert (strong["lost"], strong["noticed"], strong["predicted_dice"]) == (1, 0.5, 0.5)


def test_a_panel_holds_the_images_as_they_are_in_the_order_of_strength(table):
    figure = stress_curves(summarize_stress(table), 0.7)
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["-20", "as is", "20"]
    dice, predicted, limit = axes.lines
    assert dice.get_ydata().tolist() == pytest.approx([0.81, 0.85, 0.3])
    assert predicted.get_ydata().tolist() == pytest.approx([0.75, 0.75, 0.5])
    assert predicted.get_linestyle() == "--" and list(limit.get_ydata()) == [0.7, 0.7]
    assert axes.get_ylim()[0] == 0 and axes.get_xlabel() == "%"
    assert stress_curves(pd.DataFrame(), 0.7) is None


def test_the_report_shows_a_stress_test_when_there_is_one(copied, table):
    run = copied()
    page, csv = run / "analysis" / "report.html", run / "stress" / "stress.csv"
    assert "Perturbed images" not in page.read_text()
    csv.parent.mkdir()
    table.to_csv(csv, index=False)
    with quick():
        analyze_run(run, overrides=["report.figures=[stress]"])
    assert "Perturbed images" in page.read_text()
    assert (run / "analysis" / "figures" / "stress.png").is_file()
    summary = pd.read_csv(run / "analysis" / "tables" / "stress.csv")
    assert summary.dice.tolist() == pytest.approx([0.85, 0.81, 0.3])
    csv.write_text("case,dice\na,0.9\n")
    with pytest.raises(UserError, match="no column 'patient'; delete it"):
        analyze_run(run)
