"""Predicted Dice, entropy and referral: risk and coverage by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.report.tables.uncertainty import quality_table, risk_coverage
from tests.support.measured import cases_table


def test_cases_of_low_predicted_quality_are_looked_at_first():
    names = [f"patient{i}_ED" for i in range(4)]
    quality = pd.DataFrame({"case": names, "predicted_dice": [0.9, 0.5, 0.5, 0.7]})
    rows = [("ensemble", f"patient{i}", "ED", (9 - i) / 10) for i in range(4)]
    table = quality_table(quality, cases_table(rows))
    assert table.case.str[7].tolist() == ["1", "2", "3", "0"]  # equals: by name
    assert table.review_rank.tolist() == [1, 2, 3, 4]
    assert table.dice.tolist() == pytest.approx([0.8, 0.7, 0.6, 0.9])


def risk(dice, **scores):
    frame = pd.DataFrame({"dice": dice, **scores})
    for name in ("pairwise_dice", "boundary_entropy", "predicted_dice"):
        frame[name] = frame.get(name, np.linspace(0.4, 0.5, len(dice)))
    return risk_coverage(frame)


def test_risk_and_coverage_by_hand():
    table, found = risk([0.9, 0.5, 0.7], pairwise_dice=[0.8, 0.9, 0.7])
    curves = {name: some.risk.tolist() for name, some in table.groupby("score")}
    assert curves["pairwise_dice"] == pytest.approx([0.5, 0.3, 0.3])  # kept: .5, then .9, then .7
    assert curves["oracle"] == pytest.approx([0.1, 0.2, 0.3])
    assert curves["random"] == pytest.approx([0.3, 0.3, 0.3])
    assert table[table.score == "oracle"].coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    found = found.set_index("score")
    assert found.aurc["pairwise_dice"] == pytest.approx(1.1 / 3)
    assert found.aurc["oracle"] == pytest.approx(0.2)
    assert found.spearman["pairwise_dice"] == pytest.approx(-0.5)
    assert found.spearman["oracle"] == pytest.approx(1)
    assert np.isnan(found.spearman["random"])


def test_the_quality_score_is_compared_with_the_dice_it_is():
    _, found = risk([0.9, 0.5, 0.7], predicted_dice=[0.8, 0.7, 0.7])
    row = found.set_index("score").loc["predicted_dice"]
    assert row.bias == pytest.approx(0.1 / 3) and row.mae == pytest.approx(0.1)


def test_a_small_entropy_is_a_good_sign():
    _, found = risk([0.9, 0.5, 0.7], boundary_entropy=[0.1, 0.3, 0.2])
    found = found.set_index("score")
    assert found.aurc["boundary_entropy"] == pytest.approx(found.aurc["oracle"])
    assert found.pearson["boundary_entropy"] == pytest.approx(-1)  # of the entropy as it is


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=1, max_size=20))
def test_no_score_beats_the_oracle_at_any_coverage(pairs):
    dice, score = np.array(pairs).T / 10
    table, found = risk(dice, pairwise_dice=score)
    curves = {name: some.risk.to_numpy() for name, some in table.groupby("score")}
    for curve in curves.values():
        assert (curves["oracle"] <= curve + 1e-12).all()
        assert curve[-1] == pytest.approx((1 - dice).mean())
    np.testing.assert_allclose(curves["random"], (1 - dice).mean())
    assert found.aurc.min() == found.set_index("score").aurc["oracle"]


def test_cases_without_a_dice_are_left_out_and_none_leave_no_rows():
    table, _ = risk([0.9, np.nan, 0.7])
    assert len(table) == 2 * 5  # five scores
    table, found = risk([np.nan])
    assert table.empty and found.empty
