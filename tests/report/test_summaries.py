"""Summaries over cases, patients, groups and volumes."""

import numpy as np
import pandas as pd
import pytest

from cardiac_seg.metrics.agreement import agreement
from cardiac_seg.metrics.indices import EF_AS_RECORDED
from cardiac_seg.report.tables.clinical import agreement_table
from cardiac_seg.report.tables.columns import METRICS
from cardiac_seg.report.tables.overlap import group_table, summary_table
from tests.support.measured import STRUCTURES, cases_table


def summary_of(rows, **options):
    table = summary_table(cases_table(rows, **options), ("MYO", "LV"), seed=0)
    return table[table.metric == "dice"].set_index(["method", "structure"])


def test_a_summary_averages_cases_then_patients_then_structures():
    rows = [
        ("mean", "patient1", "ED", {"MYO": 0.6, "LV": 0.9}),
        ("mean", "patient1", "ES", {"MYO": 0.8, "LV": np.nan}),
        ("mean", "patient2", "ED", {"MYO": 0.5, "LV": 0.7}),
    ]
    table = summary_of(rows, structures=("MYO", "LV"))
    myo, lv, mean = (table.loc[("mean", s)] for s in ("MYO", "LV", "mean"))
    assert myo["mean"] == pytest.approx((0.7 + 0.5) / 2)  # not (.6 + .8 + .5) / 3
    assert lv["mean"] == pytest.approx(0.8)  # the undefined case is left out
    assert mean["mean"] == pytest.approx(0.7)
    assert [row["undefined_cases"] for row in (myo, lv, mean)] == [0, 1, 1]
    assert [row["patients"] for row in (myo, lv, mean)] == [2, 2, 2]
    # Of two patients, one draw in four takes each twice: the interval is from one to the other.
    assert (myo.low, myo.high) == pytest.approx((0.5, 0.7))
    assert (mean.low, mean.high) == pytest.approx((0.6, 0.8))


def test_one_patient_has_no_interval():
    rows = [("mean", "patient1", phase, 0.5) for phase in ("ED", "ES")]
    table = summary_of(rows, structures=("MYO", "LV"))
    assert table["mean"].tolist() == [0.5] * 3
    assert table[["low", "high"]].isna().all(axis=None)


def test_a_structure_that_is_nowhere_is_left_out_of_the_mean():
    rows = [("mean", f"patient{i}", "ED", {"MYO": np.nan, "LV": 0.8}) for i in (1, 2)]
    table = summary_of(rows, structures=("MYO", "LV"))
    assert np.isnan(table.loc[("mean", "MYO"), "mean"])
    assert table.loc[("mean", "MYO"), "patients"] == 0
    assert table.loc[("mean", "mean"), "mean"] == pytest.approx(0.8)
    assert table.loc[("mean", "mean"), "low"] == pytest.approx(0.8)


def test_every_metric_of_every_model_is_summarised():
    rows = [(m, f"patient{i}", "ED", 0.5 + i / 10) for m in ("mean", "ensemble") for i in range(3)]
    table = summary_table(cases_table(rows), STRUCTURES, seed=0)
    assert len(table) == len(METRICS) * 2 * 4
    assert set(table.metric) == set(METRICS)
    hd95 = table[(table.metric == "hd95_mm") & (table.structure == "mean")]
    assert hd95["mean"].tolist() == pytest.approx([4.0, 4.0])


def test_groups_average_patients_and_regions_come_from_their_pixels(run):
    about = {"view": "", "group": "RV", "method": "ensemble"}
    cases = cases_table(
        [
            ("ensemble", "patient1", "ED", 0.6),
            ("ensemble", "patient1", "ES", 0.8),
            ("ensemble", "patient2", "ED", 0.9),
        ]
    )
    cases["group"] = cases.patient.map({"patient1": "RV", "patient2": ""})
    counts = [("ED", "apex", 3, 1, 1), ("ES", "apex", 1, 1, 1), ("ED", "base", 5, 0, 0)]
    counts += [("ED", "mid", 0, 0, 0)]
    regions = pd.DataFrame(
        about
        | {"patient": "patient1", "case": f"patient1_{phase}", "phase": phase}
        | {"structure": "LV", "region": region, "tp": tp, "fp": fp, "fn": fn}
        for phase, region, tp, fp, fn in counts
    )
    table = group_table(run(), cases, regions).set_index(["by", "value", "structure"])
    assert table.dice["group", "abnormal RV", "LV"] == pytest.approx(0.7)
    assert table.patients["group", "abnormal RV", "LV"] == 1
    assert "patient2" not in table.index and len(table.loc["group"]) == 4  # no group known
    assert table.dice["phase", "ED", "mean"] == pytest.approx(0.75)
    assert table.patients["phase", "ED", "mean"] == 2
    assert table.low["phase", "ED", "mean"] < 0.75 < table.high["phase", "ED", "mean"]
    assert table.dice["region", "apex", "LV"] == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert table.dice["region", "base", "LV"] == 1
    assert np.isnan(table.dice["region", "mid", "LV"])
    assert list(dict.fromkeys(table.loc["region"].index.get_level_values(0))) == [
        *("base", "mid", "apex")
    ]


def test_the_reference_has_its_own_row_against_the_recorded_ef():
    recorded = pd.Series([50.0, 60.0, 40.0], index=["0001", "0002", "0003"])
    values = {"reference": [55.0, 63.0, 47.0], "ensemble": [54.0, 66.0, 44.0]}
    clinical = pd.DataFrame(
        {"patient": patient, "method": method, "index": EF_AS_RECORDED, "value": value}
        for method, of in values.items()
        for patient, value in zip(recorded.index, of, strict=True)
    )
    clinical = clinical.assign(volume_method="biplane")
    table = agreement_table(clinical, recorded).set_index(["method", "against"])
    assert list(table.index) == [
        ("reference", "recorded EF"),
        ("ensemble", "reference masks"),
        ("ensemble", "recorded EF"),
    ]
    oracle = table.loc[("reference", "recorded EF")]
    assert oracle.bias == pytest.approx((5 + 3 + 7) / 3) and oracle.mae == pytest.approx(5)
    expected = agreement(np.array(values["ensemble"]), np.array(values["reference"]))
    assert table.loc[("ensemble", "reference masks"), list(expected)].to_dict() == expected
    assert table.unit.unique().tolist() == ["%"]


def test_volumes_by_another_method_are_left_out_of_the_agreement():
    rows = [("reference", "biplane", [100.0, 120.0]), ("mean", None, [110.0, 150.0])]
    clinical = pd.DataFrame(
        {"patient": p, "method": m, "volume_method": how or w, "index": "lv_edv_ml", "value": v}
        for m, how, of in rows
        for p, w, v in zip(("p1", "p2"), ("biplane", "monoplane 2CH"), of, strict=True)
    )
    table = agreement_table(clinical, pd.Series(np.nan, index=["p1", "p2"]))
    assert table[["patients", "bias"]].to_numpy().tolist() == [[1, 10]]


def test_indices_without_a_recorded_ef_have_no_oracle():
    clinical = pd.DataFrame(
        {"patient": p, "method": m, "index": "lv_edv_ml", "value": v}
        for m, of in (("reference", [100.0, 120.0]), ("mean", [110.0, np.nan]))
        for p, v in zip(("p1", "p2"), of, strict=True)
    )
    clinical = clinical.assign(volume_method="voxels")
    table = agreement_table(clinical, pd.Series(np.nan, index=["p1", "p2"]))
    assert table[["method", "against", "patients"]].to_numpy().tolist() == [
        ["mean", "reference masks", 1]
    ]
    assert table.bias[0] == 10


def test_groups_come_in_the_order_of_the_run_and_of_the_heart(run):
    methods, structures = ("mean", "logistic", "ensemble"), ("RV", "MYO", "LV")
    rows = [(m, "patient1", phase, 0.5) for phase in ("ES", "ED") for m in methods]
    cases = cases_table(rows).assign(view="", group="RV")
    # Patients, methods and structures come otherwise here: the table's order is not theirs.
    cases = cases.iloc[np.argsort(cases.structure == "RV", kind="stable")]
    regions = pd.DataFrame(
        {"patient": "patient1", "case": "patient1_ED", "method": method, "structure": structure}
        | {"region": region, "tp": 1, "fp": 0, "fn": 0}
        for region in ("apex", "base", "mid")
        for method in reversed(methods)
        for structure in reversed(structures)
    )
    table = group_table(run(), cases, regions)
    for _, group in table.groupby(["by", "value"]):
        expected = [(m, s) for m in methods for s in (*structures, "mean")]
        assert list(zip(group.method, group.structure, strict=True)) == expected
    assert list(dict.fromkeys(zip(table.by, table.value, strict=True))) == [
        *(("group", "abnormal RV"), ("phase", "ED"), ("phase", "ES")),
        *(("region", region) for region in ("base", "mid", "apex")),
    ]
