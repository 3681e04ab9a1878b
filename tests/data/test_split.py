"""Splits: patients stay whole, strata keep their shares, folds never see a test patient."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cardiac_seg.config.sections import Config
from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.data.split import (
    ALL,
    SUBSETS,
    deployed_folds,
    fold_patients,
    held_out,
    make_split,
    stacking_folds,
    trained_folds,
)
from cardiac_seg.system.errors import UserError

ACDC = DATASETS["acdc"]


def listed(groups):
    """Two cases (ED and ES) of a patient for each group."""
    return [
        CaseFile(f"p{i:03d}_{phase}", f"p{i:03d}", Path("x"), Path("y"), Path(), group=group)
        for i, group in enumerate(groups)
        for phase in ("ED", "ES")
    ]


def config_of(stacking="holdout", deploy="refit", **settings):
    return Config(
        data={"dataset": "acdc", "root": "x"},
        split=settings,
        stacking={"scheme": stacking, "deploy": deploy},
    )


def split_of(groups, stacking="holdout", **settings):
    return make_split(config_of(stacking, **settings), ACDC, Path("root"), listed(groups))


def test_twenty_patients_give_hand_counted_subsets():
    split = split_of("A" * 20, validation=0.15, test=0.2)
    assert split.subset.value_counts().to_dict() == {"train": 13, "test": 4, "validation": 3}
    assert list(split.patient) == [f"p{i:03d}" for i in range(20)]
    train, validation = fold_patients(split, "full", "holdout")
    assert len(train) == 13 and validation == set(split.patient[split.subset == "validation"])
    # Learners are fitted on the validation patients, one in each of the three folds.
    assert sorted(split.fold[split.subset == "validation"]) == [0, 1, 2]
    assert (split.fold[split.subset != "validation"] == -1).all()


@pytest.mark.parametrize(
    ("stacking", "deploy", "fitted_on", "in_use", "trained"),
    [
        ("holdout", "refit", ["full"], ["full"], ["full"]),
        ("out_of_fold", "refit", ["fold0", "fold1"], ["full"], ["fold0", "fold1", "full"]),
        ("both", "refit", *(folds := (["full", "fold0", "fold1"], ["full"])), folds[0]),
        ("out_of_fold", "fold_mean", ["fold0", "fold1"], ["fold0", "fold1"], ["fold0", "fold1"]),
    ],
)
def test_a_scheme_says_which_networks_there_are(stacking, deploy, fitted_on, in_use, trained):
    config = config_of(stacking, deploy, folds=2)
    assert stacking_folds(config) == fitted_on
    assert deployed_folds(config) == in_use
    assert trained_folds(config) == trained


def test_all_hold_nobody_out():
    config = Config(
        data={"dataset": "acdc", "root": "x"},
        members=["unet_3d"],
        split={"scheme": "all", "folds": 3},
        stacking={"learners": []},
    )
    split = make_split(config, ACDC, Path("root"), listed("AB"))  # fewer patients than folds
    assert set(split.subset) == {ALL} and set(split.fold) == {0, 1}
    everyone = {"p000", "p001"}
    assert fold_patients(split, "full", "holdout") == (everyone, everyone)
    assert held_out(split, "full", "holdout") == set()


@pytest.mark.parametrize("stacking", ["holdout", "out_of_fold", "both"])
def test_others_hold_out_whom_they_validate_and_test_on(stacking):
    split = split_of("A" * 20, stacking)
    for fold in trained_folds(config_of(stacking)):
        train, validation = fold_patients(split, fold, stacking)
        unseen = held_out(split, fold, stacking)
        assert unseen == validation | set(split.patient[split.subset == "test"])
        assert train and unseen.isdisjoint(train)


def test_a_refitted_network_trains_on_all_development_patients():
    split = split_of("A" * 20, "out_of_fold", test=0.2)
    train, validation = fold_patients(split, "full", "out_of_fold")
    assert train == set(split.patient[split.subset != "test"]) and not validation


def test_the_seed_decides():
    one, again, other = (split_of("AB" * 20, seed=s, folds=3) for s in (1, 1, 2))
    assert one.equals(again)
    assert not one.equals(other)


groups = st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=60)
shares = st.floats(0, 0.6)
schemes = st.sampled_from(["holdout", "out_of_fold", "both"])


@given(groups, shares, shares, st.sampled_from([2, 3, 5]), st.booleans(), schemes)
def test_patients_are_complete_undivided_and_never_seen_twice(
    groups, validation, test, folds, stratify, scheme
):
    if validation + test >= 1:
        return
    shares = {"validation": validation, "test": test}
    try:
        split = split_of(groups, scheme, **shares, folds=folds, stratify=stratify)
    except (UserError, ValidationError):  # too few patients; the answers are tested below
        return
    assert list(split.patient) == [f"p{i:03d}" for i in range(len(groups))]
    assert set(split.subset) <= set(SUBSETS)
    tested = set(split.patient[split.subset == "test"])
    assert tested and abs(len(tested) - test * len(groups)) < 1
    development = set(split.patient) - tested
    config = config_of(scheme, folds=folds)
    fitted_on = []
    for part in stacking_folds(config):
        train, unseen = fold_patients(split, part, scheme)
        assert train and train.isdisjoint(unseen)
        # With `both` the validation patients train no network at all.
        spared = set(split.patient[split.subset == "validation"]) if scheme == "both" else set()
        assert train | unseen == development - (spared if part != "full" else set())
        assert part == "full" or train.isdisjoint(spared)
        fitted_on += unseen
    # Learners see each of these patients once, by networks that did not, and no others.
    assert sorted(fitted_on) == sorted(split.patient[split.fold >= 0])
    if scheme != "holdout":
        assert sorted(fitted_on) == sorted(development)
    for part in deployed_folds(config):
        assert tested.isdisjoint(fold_patients(split, part, scheme)[0])
    assert set(split.fold[split.fold >= 0]) == set(range(folds))  # cross-fitting has work to do


@given(groups, st.sampled_from([2, 5]), st.integers(0, 99))
def test_each_stratum_gives_its_share_within_one_patient(groups, folds, seed):
    groups = groups + ["A", "B", "C"] * 4
    split = split_of(groups, "out_of_fold", validation=0.2, test=0.25, folds=folds, seed=seed)
    rest_share = 1 - (split.subset == "test").mean()
    for _, rows in split.groupby("stratum"):
        rest = (rows.subset != "test").sum()
        assert abs((rows.subset == "test").sum() - 0.25 * len(rows)) < 1
        assert abs((rows.subset == "validation").sum() - 0.2 / rest_share * rest) < 1
        sizes = [(rows.fold == k).sum() for k in range(folds)]
        assert max(sizes) - min(sizes) <= 1


def test_without_stratify_the_strata_play_no_part():
    mixed, uniform = (split_of(g, stratify=False).subset for g in ("ABCD" * 8, "A" * 32))
    assert mixed.equals(uniform)


def test_the_official_camus_split_is_respected(echo_root):
    camus = DATASETS["camus"]
    files = camus.find(echo_root, ["2CH"], ["ED"])
    config = config_of("out_of_fold", scheme="official", validation=0.6, test=0.1)
    split = make_split(config, camus, echo_root, files)
    official = camus.official_split(echo_root, list(split.patient))
    assert dict(zip(split.patient, split.subset, strict=True)) == official


def acdc_folders(root, train, test):
    """An official ACDC layout of empty patient folders, and its cases."""
    patients = [f"p{i:03d}" for i in range(train + test)]
    for i, patient in enumerate(patients):
        (root / ("training" if i < train else "testing") / patient).mkdir(parents=True)
    return listed("A" * len(patients))


def test_the_official_acdc_split_draws_validation_from_training_only(tmp_path):
    files = acdc_folders(tmp_path, train=10, test=5)
    config = config_of(scheme="official", validation=0.2, test=0)
    split = make_split(config, ACDC, tmp_path, files)
    assert list(split.subset[10:]) == ["test"] * 5
    assert list(split.subset[:10]).count("validation") == 3  # a fifth of all fifteen


def test_the_official_acdc_split_needs_test_patients(tmp_path):
    files = acdc_folders(tmp_path, train=3, test=0)
    with pytest.raises(UserError, match="testing: no patients"):
        make_split(config_of(scheme="official"), ACDC, tmp_path, files)


@pytest.mark.parametrize(
    ("patients", "settings", "words"),
    [
        (3, {"validation": 0.5, "test": 0.1}, "no test patient among the 3"),
        (3, {"validation": 0.1, "test": 0.4}, "no validation patient"),
        (1, {"validation": 0.1, "test": 0.1}, "no validation patient"),
        (2, {"validation": 0.05, "test": 0.9}, "no train patient"),
        (9, {"validation": 0.2, "test": 0.2}, "3 folds, but only 2 validation patients"),
        (
            5,
            {"stacking": "out_of_fold", "test": 0.2, "folds": 5},
            "split.folds: 5 folds, but only 4 development patients",
        ),
    ],
)
def test_too_few_patients_are_answered(patients, settings, words):
    with pytest.raises(UserError, match=words):
        split_of("A" * patients, **settings)


def test_only_test_patients_are_answered(tmp_path):
    files = acdc_folders(tmp_path, train=0, test=3)
    with pytest.raises(UserError, match="no train patient among the 3"):
        make_split(config_of(scheme="official"), ACDC, tmp_path, files)


def test_folds_need_no_validation_patients_of_their_own():
    split = split_of("A" * 10, "out_of_fold", validation=0, test=0.2, folds=4)
    assert np.bincount(split.fold[split.fold >= 0]).tolist() == [2, 2, 2, 2]
