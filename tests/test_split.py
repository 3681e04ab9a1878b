"""Splits: patients stay whole, strata keep their shares, folds never see a test patient."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.config import Split
from cardiac_seg.data.cases import CaseFile
from cardiac_seg.data.datasets import DATASETS
from cardiac_seg.data.split import SUBSETS, make_split, part_names, part_patients
from cardiac_seg.errors import UserError

ACDC = DATASETS["acdc"]


def listed(groups):
    """Two cases (ED and ES) of a patient for each group."""
    return [
        CaseFile(f"p{i:03d}_{phase}", f"p{i:03d}", Path("x"), Path("y"), Path(), group=group)
        for i, group in enumerate(groups)
        for phase in ("ED", "ES")
    ]


def split_of(groups, **settings):
    return make_split(Split(**settings), ACDC, Path("root"), listed(groups))


def test_twenty_patients_give_hand_counted_subsets():
    split = split_of("A" * 20, validation=0.15, test=0.2)
    assert split.subset.value_counts().to_dict() == {"train": 13, "test": 4, "validation": 3}
    assert list(split.patient) == [f"p{i:03d}" for i in range(20)]
    assert part_names(split) == ["full"]
    train, validation = part_patients(split, "full")
    assert len(train) == 13 and validation == set(split.patient[split.subset == "validation"])


def test_the_seed_decides():
    one, again, other = (split_of("AB" * 20, seed=s, folds=3) for s in (1, 1, 2))
    assert one.equals(again)
    assert not one.equals(other)


groups = st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=60)
shares = st.floats(0, 0.6)


@given(groups, shares, shares, st.sampled_from([0, 2, 3, 5]), st.booleans(), st.integers(0, 99))
def test_patients_are_complete_undivided_and_never_seen_twice(
    groups, validation, test, folds, stratify, seed
):
    if validation + test >= 1:
        return
    shares = {"validation": validation, "test": test}
    try:
        split = split_of(groups, **shares, folds=folds, stratify=stratify, seed=seed)
    except UserError:  # too few patients; the answers are tested below
        return
    assert list(split.patient) == [f"p{i:03d}" for i in range(len(groups))]
    assert set(split.subset) <= set(SUBSETS)
    tested = set(split.patient[split.subset == "test"])
    assert tested and abs(len(tested) - test * len(groups)) < 1
    development = set(split.patient) - tested
    parts = part_names(split)
    assert len(parts) == max(folds, 1)
    validated = []
    for part in parts:
        train, validation_patients = part_patients(split, part)
        assert train and train.isdisjoint(validation_patients)
        assert train | validation_patients == development
        validated += validation_patients
    if folds:
        assert sorted(validated) == sorted(development)  # each in exactly one fold
    assert (split.fold[split.subset == "test"] == -1).all()


@given(groups, st.sampled_from([0, 2, 5]), st.integers(0, 99))
def test_each_stratum_gives_its_share_within_one_patient(groups, folds, seed):
    groups = groups + ["A", "B", "C"] * 4
    split = split_of(groups, validation=0.2, test=0.25, folds=folds, seed=seed)
    rest_share = 1 - (split.subset == "test").mean()
    for _, rows in split.groupby("stratum"):
        rest = (rows.subset != "test").sum()
        assert abs((rows.subset == "test").sum() - 0.25 * len(rows)) < 1
        assert abs((rows.subset == "validation").sum() - 0.2 / rest_share * rest) < 1
        if folds:
            sizes = [(rows.fold == k).sum() for k in range(folds)]
            assert max(sizes) - min(sizes) <= 1


def test_without_stratify_the_strata_play_no_part():
    mixed, uniform = (split_of(g, stratify=False).subset for g in ("ABCD" * 8, "A" * 32))
    assert mixed.equals(uniform)


def test_the_official_camus_split_is_respected(echo_root):
    camus = DATASETS["camus"]
    files = camus.find(echo_root, ["2CH"], ["ED"])
    split = make_split(Split(scheme="official", validation=0.6, test=0.1), camus, echo_root, files)
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
    config = Split(scheme="official", validation=0.2, test=0)
    split = make_split(config, ACDC, tmp_path, files)
    assert list(split.subset[10:]) == ["test"] * 5
    assert list(split.subset[:10]).count("validation") == 3  # a fifth of all fifteen


def test_the_official_acdc_split_needs_test_patients(tmp_path):
    files = acdc_folders(tmp_path, train=3, test=0)
    with pytest.raises(UserError, match="testing: no patients"):
        make_split(Split(scheme="official"), ACDC, tmp_path, files)


@pytest.mark.parametrize(
    ("patients", "settings", "words"),
    [
        (3, {"validation": 0.5, "test": 0}, "no test patient among the 3"),
        (3, {"validation": 0, "test": 0.4}, "no validation patient"),
        (1, {"validation": 0.1, "test": 0.1}, "no validation patient"),
        (2, {"validation": 0.05, "test": 0.9}, "no train patient"),
        (5, {"test": 0.2, "folds": 5}, "split.folds: 5 folds, but only 4 patients"),
    ],
)
def test_too_few_patients_are_answered(patients, settings, words):
    with pytest.raises(UserError, match=words):
        split_of("A" * patients, **settings)


def test_only_test_patients_are_answered(tmp_path):
    files = acdc_folders(tmp_path, train=0, test=3)
    with pytest.raises(UserError, match="no train patient among the 3"):
        make_split(Split(scheme="official"), ACDC, tmp_path, files)


def test_folds_need_no_validation_patients_of_their_own():
    split = split_of("A" * 10, validation=0, test=0.2, folds=4)
    assert np.bincount(split.fold[split.fold >= 0]).tolist() == [2, 2, 2, 2]
