"""Methods as values: their names, kinds, features and titles, for any number of members."""

import pytest

from cardiac_seg.config.sections import Stacking
from cardiac_seg.meta.methods import (
    ensemble_of,
    list_combinations,
    list_methods,
    names_of,
    title_of,
)


def test_a_method_says_its_kind_and_its_features_without_its_name_being_taken_apart():
    methods = {m.name: m for m in list_methods(["a_core", "b"], Stacking(learners=["logistic"]))}
    assert list(methods) == ["a_core", "b", "mean", "calibrated_mean", "logistic_core", "logistic"]
    assert [m.kind for m in methods.values()] == ["member"] * 2 + ["mean"] * 2 + ["learner"] * 2
    assert methods["a_core"].features == "none"  # a name that ends so is a name
    assert methods["logistic_core"].features == "core"
    assert methods["logistic_core"].learner == methods["logistic"].learner == "logistic"


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_any_number_of_members_is_listed_in_order(count):
    members = [f"net_{i}" for i in range(count)]
    methods = list_methods(members, Stacking(learners=[]))
    assert names_of(methods) == members + (["mean"] if count > 1 else [])
    assert [m.order for m in methods[:count]] == list(range(count))


def test_titles_are_words_and_the_ensemble_says_which_method_it_is():
    assert title_of("calibrated_mean") == "Calibrated mean"
    assert title_of("my_own_net") == "My own net"
    assert title_of("unet_advanced") == "U-Net advanced"
    chosen = list_combinations(["a", "b"], Stacking())[1]
    assert ensemble_of(chosen).title == "Ensemble (calibrated mean)"
    assert (ensemble_of(chosen).name, ensemble_of(chosen).kind) == ("ensemble", "mean")
