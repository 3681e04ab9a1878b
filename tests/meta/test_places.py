"""Where learners help and what they change there, on pixels that can be counted by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from cardiac_seg.meta.evidence import summarize_evidence
from cardiac_seg.meta.features.feature_set import FeatureSet
from cardiac_seg.meta.interpretation import PermutedLosses, permuted_losses
from cardiac_seg.meta.places import (
    add_by_place,
    changes_by_place,
    importance_by_place,
    place_name,
    place_order,
    slice_regions,
    summarize_importance,
)

LV, MYO = 1, 2
STRUCTURES = ("LV", "MYO")
# Two groups of two columns each.
PAIRS = FeatureSet(("a", "b"), ("background", "LV"), ("confidence", "margin"), (2.0,))


def test_regions_are_thirds_of_the_slices_that_hold_the_cavity():
    reference = np.zeros((7, 2, 2), np.uint8)
    reference[1:5, 0, 0] = LV
    reference[6] = MYO
    wanted = ["beyond", "base", "base", "mid", "apex", "beyond", "beyond"]
    assert slice_regions(reference, LV).tolist() == wanted
    assert slice_regions(reference[1:2], LV).tolist() == [""]  # a plane has no base
    assert set(slice_regions(reference, None)) == {""}


def test_places_are_named_and_ordered_from_base_to_apex_in_each_phase():
    assert place_name("base", "", "ED") == "base ED"
    assert place_name("", "4CH", "ES") == "4CH ES"
    assert place_name("", None, "") == "image"
    places = ["beyond ES", "apex ED", "base ES", "mid ED", "beyond ED", "base ED"]
    assert sorted(places, key=place_order) == [
        *("base ED", "mid ED", "apex ED", "beyond ED", "base ES", "beyond ES")
    ]
    assert sorted(["4CH ED", "2CH ES", "2CH ED"], key=place_order) == ["2CH ED", "2CH ES", "4CH ED"]


def test_a_group_that_matters_in_one_place_alone_shows_there():
    """The last column says the class at the apex; at the base the first one does."""
    rng = np.random.default_rng(0)
    labels, apex = rng.integers(0, 2, 600), np.arange(600) % 2 == 1
    values = np.zeros((600, 4), np.float32)
    values[:, 0], values[:, 2] = np.where(apex, 0.5, labels), apex
    values[:, 3] = np.where(apex, labels, 0.5)
    # Group `margin` is shuffled among all; columns 0 and 1 are group `confidence`.

    def predict(values):
        told = np.where(values[:, 3] == 0.5, values[:, 0], values[:, 3]) * 0.98 + 0.01
        return np.stack([1 - told, told], axis=1)

    losses = permuted_losses(
        SimpleNamespace(predict=predict), PAIRS, values, labels, np.ones(600), seed=0
    )
    places = np.where(apex, "apex ED", "base ED")
    found = importance_by_place(losses, labels, labels, places, ("LV",))
    nats = {place: by["LV"]["nats"] for place, by in found.items()}
    pixels = {place: by["LV"]["pixels"] for place, by in found.items()}
    assert list(nats) == ["base ED", "apex ED"]
    assert sum(pixels.values()) == labels.sum()
    assert nats["apex ED"]["confidence"] == 0
    assert nats["apex ED"]["margin"] > 0.5 * pixels["apex ED"]
    assert nats["base ED"]["confidence"] > 0.5 * pixels["base ED"]


def test_a_pixel_counts_for_the_structure_it_is_and_for_the_one_it_is_taken_for():
    losses = PermutedLosses(
        np.arange(5), np.array([1.0, 2, 3, 4, 5]), {"a": np.array([1.0, 10, 100, 1000, 10000])}
    )
    labels, means = np.array([LV, LV, 0, 0, MYO]), np.array([LV, MYO, LV, 0, MYO])
    places = np.array(["4CH ED"] * 4 + ["4CH ES"])
    assert importance_by_place(losses, labels, means, places, STRUCTURES) == {
        "4CH ED": {
            "LV": {"drawn": 3, "pixels": 6, "nats": {"a": 1 + 20 + 300}},
            "MYO": {"drawn": 1, "pixels": 2, "nats": {"a": 20}},
        },
        "4CH ES": {"MYO": {"drawn": 1, "pixels": 5, "nats": {"a": 50000}}},
    }


def test_pixels_that_enter_or_leave_a_structure_are_counted_by_place():
    label = np.array([[[LV, LV, 0, 0]], [[LV, MYO, 0, 0]]])
    mean = np.array([[[LV, 0, 0, 0]], [[MYO, MYO, LV, LV]]])
    mask = np.array([[[LV, LV, 0, MYO]], [[LV, LV, MYO, LV]]])
    places = np.array(["base ED", "apex ED"])
    assert changes_by_place(label, mean, mask, places, STRUCTURES) == {
        "base ED": {
            "LV": {"pixels": 2, "changed": 1, "better": 1, "worse": 0},
            "MYO": {"pixels": 0, "changed": 1, "better": 0, "worse": 1},
        },
        "apex ED": {  # the third pixel is wrong before and after
            "LV": {"pixels": 3, "changed": 3, "better": 1, "worse": 1},
            "MYO": {"pixels": 2, "changed": 3, "better": 1, "worse": 1},
        },
    }


def test_slices_of_one_place_are_counted_together_and_cases_add_up():
    label = np.full((2, 1, 1), LV)
    counts = changes_by_place(label, 0 * label, label, np.array(["beyond", "beyond"]), ("LV",))
    sums = {}
    add_by_place(sums, counts)
    add_by_place(sums, counts)
    assert sums == {"beyond": {"LV": {"pixels": 4, "changed": 4, "better": 4, "worse": 0}}}


FOLDS = [
    {"base": {"LV": {"drawn": 1, "pixels": 10.0, "nats": {"a": 1.0}}}},
    {
        "base": {"LV": {"drawn": 2, "pixels": 30.0, "nats": {"a": 5.0}}},
        "apex": {"LV": {"drawn": 1, "pixels": 4.0, "nats": {"a": -1.0}}},
    },
]


def test_folds_weigh_as_many_pixels_as_they_have():
    summary = summarize_importance(FOLDS)
    nats = summary["base"]["LV"].pop("nats_per_1000_pixels")["a"]
    assert nats["mean"] == pytest.approx(1000 * 6 / 40)
    assert nats["folds"] == pytest.approx([100, 1000 * 5 / 30])
    assert summary["base"]["LV"] == {"drawn": 3, "pixels": 40}
    assert summary["apex"]["LV"]["nats_per_1000_pixels"]["a"] == {"mean": -250, "folds": [-250]}


def test_places_are_left_out_where_a_fold_knows_nothing_of_them():
    counts = {"bins": [[1.0, 0.5, 1.0]], "predicted": [1.0], "observed": [1]}
    fold = {
        "calibration": {"forest": counts},
        "errors": {},
        "changes": {},
        "changes_by_place": {"forest": {"base": {"LV": {"changed": 1}}}},
        "importance": {},
        "importance_by_place": {"forest": FOLDS[0]},
    }
    notes = summarize_evidence([fold, fold])["forest"]
    assert notes["changes_by_place"] == {"base": {"LV": {"changed": 2}}}
    assert notes["importance_by_place"]["base"]["LV"]["drawn"] == 2
    earlier = fold | {"changes_by_place": {}, "importance_by_place": {}}
    for folds in ([fold, earlier], [earlier, fold]):
        assert set(summarize_evidence(folds)["forest"]) == {"calibration"}
