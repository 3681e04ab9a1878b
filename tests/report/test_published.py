"""Tables in the published form, and the published figures."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import classification_report

from cardiac_seg.config.loading import load_config
from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.data.acdc import ACDC
from cardiac_seg.data.camus import CAMUS
from cardiac_seg.data.dataset import PublishedProtocol
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.data.split import TRAINING_CASES
from cardiac_seg.metrics.overlap import confusion, overlap_metrics
from cardiac_seg.report import one_run, published, sections
from cardiac_seg.report.one_run import targets_of
from cardiac_seg.report.results import published_table as published_results
from cardiac_seg.report.tables.overlap import confusion_table
from cardiac_seg.run.folder import Run
from tests.support.measured import STRUCTURES

CAMUS_CLASSES = ["background", *CAMUS.structures]
CLASSES = ("background", *STRUCTURES)


def pixels_table(truth, predicted, methods=("mean",), classes=CLASSES):
    counts = confusion(truth, predicted, len(classes)).tolist()
    return confusion_table({m: {"confusion": counts} for m in methods}, classes)


def some_pixels(seed=0, labels=4):
    rng = np.random.default_rng(seed)
    truth = rng.choice(labels, 5000, p=np.array([0.7, 0.1, 0.1, 0.1][:labels]))
    wrong = rng.random(5000) < 0.2
    return truth, np.where(wrong, rng.integers(0, labels, 5000), truth)


def test_rows_of_the_confusion_sum_to_one():
    truth, predicted = some_pixels()
    table = pixels_table(truth, predicted)
    assert table.groupby("truth").share.sum().tolist() == pytest.approx([1] * 4)
    row = table[(table.truth == "LV") & (table.predicted == "background")].iloc[0]
    assert row.pixels == ((truth == 3) & (predicted == 0)).sum()
    assert row.share == pytest.approx(row.pixels / (truth == 3).sum())
    absent = pixels_table(np.array([0, 1]), np.array([0, 1]))
    assert absent[absent.truth == "LV"].share.isna().all()


def flat(values, path=""):
    for key, value in values.items():
        nested = isinstance(value, dict)
        yield from flat(value, f"{path}{key}/") if nested else [(path + key, value)]


@pytest.mark.parametrize("seed", range(3))
def test_the_report_is_scikit_learns(seed):
    truth, predicted = some_pixels(seed)
    told = published.numerical_results(pixels_table(truth, predicted), [])["mean"]
    expected = classification_report(truth, predicted, target_names=CLASSES, output_dict=True)
    assert dict(flat(told["classification_report"])) == pytest.approx(dict(flat(expected)))
    assert told["accuracy"] == pytest.approx((truth == predicted).mean())
    assert list(told["dice_scores"]) == ["0", "1", "2", "3"]
    f1 = [expected[name]["f1-score"] for name in CLASSES]
    assert list(told["dice_scores"].values()) == pytest.approx(f1)
    assert told["mean_dice"] == pytest.approx(np.mean(f1))


def test_the_members_and_the_ensemble_come_first_under_their_published_names():
    truth, predicted = some_pixels()
    methods = ("mean", "deep_unet_improved", "random_forest", "unet_advanced", "ensemble")
    results = published.numerical_results(pixels_table(truth, predicted, methods), MEMBERS)
    assert list(results) == [*MEMBERS, "Ensemble", "mean", "random_forest"]
    table = published.dice_scores(results, list(CLASSES))
    assert list(table.columns) == ["Model", "Class", "Dice_Score"] and len(table) == 5 * 4
    assert table.Class.tolist()[:4] == list(CLASSES)


def test_what_is_undefined_is_null_and_no_part_of_a_mean():
    truth = np.array([0, 0, 0, 1, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 1, 0, 0])  # 2 is missed, 3 is nowhere
    told = published.numerical_results(pixels_table(truth, predicted), [])["mean"]
    entry = told["classification_report"]["LV"]
    assert entry == {"precision": None, "recall": None, "f1-score": None, "support": 0}
    assert told["classification_report"]["MYO"]["precision"] is None
    assert told["dice_scores"]["2"] == 0 and told["dice_scores"]["3"] is None
    # 4 of (3 + 4) background pixels, 4 of (3 + 3) of class 1.
    assert told["mean_dice"] == pytest.approx((4 / 7 + 4 / 6 + 0) / 3)
    json.loads(json.dumps(told, allow_nan=False))


@pytest.mark.parametrize("members", [["one"], ["three", "one", "two"]])
def test_any_members_come_first_in_their_order(members):
    truth, predicted = some_pixels()
    methods = ("mean", *sorted(members), "ensemble")
    results = published.numerical_results(pixels_table(truth, predicted, methods), members)
    assert list(results) == [*members, "Ensemble", "mean"]


def results_of(dice, accuracy, methods=("Ensemble",)):
    told = {"dice_scores": {str(i): v for i, v in enumerate(dice)}, "accuracy": accuracy}
    known = [v for v in dice if v is not None]
    return dict.fromkeys(methods, told | {"mean_dice": float(np.mean(known))})


def test_targets_are_met_or_missed():
    results = results_of([0.95, 0.91, 0.79, 0.86], 0.97)
    table = published.target_table(results, CAMUS_CLASSES, CAMUS.protocol.targets)
    assert [what.split()[-1] for what in table.target] == ["0.85", "0.90", "0.80", "0.95", "0.90"]
    # Background misses: a target is more than 0.95, not 0.95.
    assert table.met.tolist() == ["met", "met", "missed", "missed", "met"]
    assert table.value.tolist() == pytest.approx([0.8775, 0.91, 0.79, 0.95, 0.97])
    results = results_of([0.99, None, 0.9, 0.9], 0.97)
    table = published.target_table(results, CAMUS_CLASSES, CAMUS.protocol.targets)
    assert table.met[1] == "-" and np.isnan(table.value[1])


def test_the_published_figures_are_the_papers():
    titles = (*MEMBERS, "Ensemble")
    results = results_of([0.9, 0.8, None, 0.6], 0.95, titles)
    table = published.published_table(results, MEMBERS, CAMUS_CLASSES, CAMUS.protocol)
    there = table.pivot(index="method", columns="quantity", values="published")
    columns = ["background", "LV", "MYO", "LA", "mean of 4", "pixel accuracy"]
    assert there.loc["unet_advanced", columns].tolist() == [
        *(0.9797, 0.9324, 0.8529, 0.8612, 0.9066, 0.9557)
    ]
    assert there.loc["deep_unet_improved", columns].tolist() == [
        *(0.9776, 0.9251, 0.8385, 0.8497, 0.8977, 0.9512)
    ]
    assert there.loc["ensemble", columns].tolist() == [
        *(0.9801, 0.9339, 0.8563, 0.8662, 0.9091, 0.9567)
    ]
    lv = table[(table.method == "ensemble") & (table.quantity == "LV")].iloc[0]
    assert lv.here == 0.8 and lv.difference == pytest.approx(0.8 - 0.9339)
    assert table[table.quantity == "MYO"].difference.isna().all()


@pytest.mark.parametrize(
    ("dataset", "data", "follows"),
    [
        ("camus", ["data.views=[2CH]", "data.phases=[ED]"], True),
        ("camus", ["data.phases=[ED]"], False),
        ("camus", ["data.views=[2CH]"], False),
        ("acdc", ["data.phases=[ED]"], False),
    ],
)
def test_only_runs_on_the_published_images_stand_beside_the_paper(run, dataset, data, follows):
    here = run(dataset=dataset)
    config = load_config(here.folder / "config.yaml", data)
    protocol = published.followed_protocol(Run(here.folder, config))
    assert protocol is (CAMUS.protocol if follows else None)


def test_networks_that_were_not_published_stand_alone():
    results = results_of([0.9, 0.8, 0.7, 0.6], 0.95, ("mine", "Ensemble"))
    table = published.published_table(results, ["mine"], CAMUS_CLASSES, CAMUS.protocol)
    assert table.method.unique().tolist() == ["mine", "ensemble"]
    assert table[table.method == "mine"].published.isna().all() and table.here.notna().all()


def test_another_dataset_brings_figures_of_its_own(run, monkeypatch):
    figures = {"ensemble": (0.99, 0.9, 0.8, 0.7, 0.8475, 0.98)}
    protocol = PublishedProtocol("Doe 2026", ("2CH", "4CH"), ("ED", "ES"), figures)
    monkeypatch.setitem(DATASETS, "acdc", replace(DATASETS["acdc"], protocol=protocol))
    assert published.followed_protocol(run()) is protocol
    results = results_of([0.9, 0.8, 0.7, 0.6], 0.95)
    table = published.published_table(results, [], ["background", "RV", "MYO", "LV"], protocol)
    assert table.set_index("quantity").published["RV"] == 0.9


@pytest.mark.parametrize(
    ("members", "phases", "follows"),
    [
        (["unet_3d"], "[ED, ES]", True),
        (["unet_advanced", "unet_3d"], "[ED, ES]", True),
        (["unet_advanced"], "[ED, ES]", False),
        (["unet_3d"], "[ED]", False),
    ],
)
def test_mri_runs_of_the_published_network_stand_beside_it(run, members, phases, follows):
    here = run(members)
    config = load_config(here.folder / "config.yaml", [f"data.phases={phases}"])
    protocol = published.followed_protocol(Run(here.folder, config))
    assert protocol is (ACDC.protocol if follows else None)


def cases_of(masks, method="unet_3d"):
    """The table `cases` of pairs of reference and mask, a row of voxels each."""
    rows = []
    for i, (reference, mask) in enumerate(masks):
        counts = confusion(np.array(reference), np.array(mask), 4)
        for label, structure in enumerate(STRUCTURES, start=1):
            about = {"case": f"c{i}", "method": method, "structure": structure}
            rows.append(about | overlap_metrics(counts, label))
    return pd.DataFrame(rows)


def test_overlap_of_each_case_is_that_counted_by_hand():
    cases = cases_of(
        [
            # RV 2 right, 2 missed; MYO 1 right, 2 too many; LV in neither
            ([1, 1, 1, 1, 2, 0, 0], [1, 1, 2, 2, 2, 0, 0]),
            # RV 3 right, 1 too many; MYO missed; LV 1 right
            ([1, 1, 1, 2, 3, 0, 0], [1, 1, 1, 1, 3, 0, 0]),
        ]
    )
    table = published.per_case_table(cases, ["unet_3d"], ACDC.protocol, "test patients")
    here = table[table.figures == "here"].set_index("structure")
    assert set(here.scored_on) == {"test patients"} and set(here.method) == {"unet_3d"}
    rv = here.loc["RV"]
    assert rv.dice == pytest.approx((4 / 6 + 6 / 7) / 2)
    assert rv.dice_sd == pytest.approx((6 / 7 - 4 / 6) / np.sqrt(2))
    assert (rv.iou, rv.iou_sd) == pytest.approx(((2 / 4 + 3 / 4) / 2, 0.25 / np.sqrt(2)))
    assert (rv.tp, rv.fp, rv.fn, rv.cases) == (2.5, 0.5, 1, 2)
    assert (rv.tp_sd, rv.fn_sd) == pytest.approx((1 / np.sqrt(2), 2 / np.sqrt(2)))
    myo, lv = here.loc["MYO"], here.loc["LV"]
    assert (myo.dice, myo.iou) == pytest.approx((0.5 / 2, (1 / 3) / 2))
    assert (myo.tp, myo.fp, myo.fn) == (0.5, 1, 0.5)
    # Where no LV is in mask and reference, there is no Dice; a count is a count.
    assert (lv.dice, lv.cases, lv.tp) == (1, 1, 0.5) and np.isnan(lv.dice_sd)
    mean = here.loc["mean"]
    assert mean.dice == pytest.approx((rv.dice + myo.dice + lv.dice) / 3)
    each = [(4 / 6 + 2 / 4) / 2, (6 / 7 + 0 + 1) / 3]
    assert mean.dice_sd == pytest.approx(np.std(each, ddof=1))


def test_the_published_figures_of_training_cases_say_so():
    cases = cases_of([([1, 2, 3, 0], [1, 2, 3, 0])])
    table = published.per_case_table(cases, ["unet_3d"], ACDC.protocol, TRAINING_CASES)
    there = table[table.figures != "here"]
    assert dict(zip(there.structure, there.dice, strict=True)) == {
        **{"RV": 0.979, "MYO": 0.965, "LV": 0.985},
        "mean": 0.976,
    }
    assert set(there.scored_on) == {"training cases, not a held-out figure"}
    unknown = there.drop(columns=["figures", "scored_on", "method", "structure", "dice"])
    assert unknown.isna().all(axis=None)


def test_of_several_networks_the_ensemble_stands_beside_too():
    masks = [([1, 2, 3, 0], [1, 2, 3, 0])]
    members = ["unet_advanced", "unet_3d"]
    cases = pd.concat(cases_of(masks, method) for method in (*members, "ensemble"))
    table = published.per_case_table(cases, members, ACDC.protocol, "test patients")
    assert list(dict.fromkeys(table.method[table.figures == "here"])) == [*members, "ensemble"]


def test_a_run_of_the_published_network_has_the_table_of_cases(run):
    here = run(["unet_3d"])
    cases = cases_of([([1, 2, 3, 0], [1, 2, 3, 0])])
    table = one_run.beside_published(here, {}, cases)
    assert dict(table.groupby("scored_on").size()) == {"test patients": 4, TRAINING_CASES: 4}
    caption = sections.published_caption(here)
    assert "native grid" in caption and f"of {TRAINING_CASES}" in caption
    assert one_run.beside_published(run(["unet_advanced"]), {}, cases) is None


def test_the_list_of_published_results_says_which_are_of_training_cases():
    (line,) = [line for line in published_results(ACDC).splitlines() if "0.979" in line]
    assert line.startswith(
        f"| unet_3d, published, {TRAINING_CASES} | 0.979 | 0.965 | 0.985 | 0.976"
    )


@pytest.mark.parametrize(
    ("dataset", "phases", "phantom", "count"),
    [
        ("camus", "[ED]", False, 5),
        ("camus", "[ED]", True, 0),  # phantoms
        ("camus", "[ED, ES]", False, 0),  # other images
        ("acdc", "[ED]", False, 0),  # MRI
    ],
)
def test_targets_are_shown_of_the_published_images_alone(run, dataset, phases, phantom, count):
    here = run(dataset=dataset)
    (here.folder / "manifest.json").write_text(json.dumps({"dataset": {"phantom": phantom}}))
    settings = ["data.views=[2CH]", f"data.phases={phases}"]
    here = Run(here.folder, load_config(here.folder / "config.yaml", settings))
    confusion = pixels_table(*some_pixels(), ["ensemble"], ("background", *here.dataset.structures))
    assert len(targets_of(here, {"confusion": confusion})) == count
