"""The cache: what preprocessing gives, made once, found again, never half made."""

import numpy as np
import pytest

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.data.case import read_case
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.grid.cache import fingerprint, open_cache
from cardiac_seg.grid.field import Field, bounding_box, field_about, middle
from cardiac_seg.grid.resample import label_to_grid, normalize, to_grid
from cardiac_seg.system.errors import UserError

SETTINGS = Preprocess(spacing=3.0, size=(64, 96))


def listed(root, dataset="acdc"):
    return DATASETS[dataset].find(root, ["2CH", "4CH"], ["ED", "ES"])


def state(folder):
    """Every file below a folder with the time of its last change."""
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*")}


@pytest.mark.parametrize("dataset", ["acdc", "camus"])
def test_rows_are_what_preprocessing_gives(dataset, mri_root, echo_root, tmp_path):
    files = listed(mri_root if dataset == "acdc" else echo_root, dataset)[:4]
    cache = open_cache(tmp_path, files, 4, SETTINGS, "print")
    assert list(cache.cases) == [f.name for f in files]
    assert cache.images.shape == cache.labels.shape
    expected_start = 0
    for file in files:
        case, cached = read_case(file, 4), cache.cases[file.name]
        on_grid = to_grid(case.image, case.spacing[1:], SETTINGS)
        label = label_to_grid(case.label, on_grid.grid)
        assert (cached.start, cached.stop) == (expected_start, expected_start + len(label))
        assert (cached.patient, cached.grid) == (file.patient, on_grid.grid)
        assert np.array_equal(cache.label(cached), label)
        for method in ("zscore", "minmax"):
            expected = normalize(on_grid.pixels, on_grid.mean, on_grid.std, method)
            assert np.array_equal(cache.image(cached, method), expected)
        counts = [[int(np.sum(plane == v)) for v in range(4)] for plane in label]
        assert cached.class_pixels == counts
        expected_start = cached.stop
    assert len(cache.images) == expected_start


def test_cases_are_found_by_patient(mri_root, tmp_path):
    cache = open_cache(tmp_path, listed(mri_root)[:6], 4, SETTINGS, "print")
    found = cache.of_patients({"patient003", "patient001"})
    assert [c.name for c in found] == [
        f"patient{n}_{phase}" for n in ("001", "003") for phase in ("ED", "ES")
    ]


def test_a_second_opening_makes_nothing_anew(mri_root, tmp_path):
    files = listed(mri_root)[:2]
    first = open_cache(tmp_path, files, 4, SETTINGS, "print")
    before = state(tmp_path)
    second = open_cache(tmp_path, files, 4, SETTINGS, "print")
    assert state(tmp_path) == before and len(list(tmp_path.iterdir())) == 1
    assert second.cases == first.cases and np.array_equal(second.images, first.images)


def test_other_settings_data_or_cases_get_a_folder_of_their_own(mri_root, tmp_path):
    files = listed(mri_root)[:2]
    others = SETTINGS.model_copy(update={"clip": (1.0, 99.0)})
    for count, (chosen, settings, data) in enumerate(
        [
            (files, SETTINGS, "print"),
            (files, others, "print"),
            (files, SETTINGS, "other print"),
            (files[:1], SETTINGS, "print"),
        ],
        start=1,
    ):
        open_cache(tmp_path, chosen, 4, settings, data)
        assert len(list(tmp_path.iterdir())) == count


@pytest.mark.parametrize("which", ["image_path", "label_path"])
def test_the_fingerprint_sees_one_changed_byte(which, echo_copy):
    files = listed(echo_copy, "camus")
    before = fingerprint(files)
    assert fingerprint(listed(echo_copy, "camus")) == before
    path = getattr(files[-1], which)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert fingerprint(files) != before


def test_the_fingerprint_does_not_depend_on_where_the_data_lie(echo_copy):
    before = fingerprint(listed(echo_copy, "camus"))
    moved = echo_copy.rename(echo_copy.with_name("elsewhere"))
    assert fingerprint(listed(moved, "camus")) == before


def test_a_failure_in_the_middle_leaves_no_folder(mri_copy, tmp_path):
    files = listed(mri_copy)
    content = files[2].image_path.read_bytes()
    files[2].image_path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=files[2].image_path.name):
        open_cache(tmp_path / "cache", files, 4, SETTINGS, "print")
    assert list((tmp_path / "cache").iterdir()) == []
    files[2].image_path.write_bytes(content)
    assert len(open_cache(tmp_path / "cache", files, 4, SETTINGS, "print").cases) == 4


def test_training_sees_more_than_the_field_about_the_reference_in_its_contrast(mri_root, tmp_path):
    files = listed(mri_root)[:2]
    settings = SETTINGS.model_copy(update={"field": "heart"})
    cache = open_cache(tmp_path, files, 4, settings, "print")
    assert cache.images.shape[1:] == (96, 144)  # half as much again
    for file in files:
        case, cached = read_case(file, 4), cache.cases[file.name]
        centre = middle(bounding_box(case.reference))
        field = field_about(centre, case.spacing[1:], settings)
        alone = to_grid(case.image, case.spacing[1:], settings, field)
        assert (cached.mean, cached.std) == (alone.mean, alone.std)
        wide = field_about(centre, case.spacing[1:], settings, (96, 144))
        assert cached.grid.window == wide.window
        assert cached.beyond == 0 and cached.label_pixels == np.count_nonzero(case.reference)


def test_given_fields_have_a_cache_of_their_own(mri_root, tmp_path):
    files = listed(mri_root)[:2]
    settings = SETTINGS.model_copy(update={"field": "heart"})
    fields = {file.name: Field((k, 5, 60, 70), (64, 96)) for k, file in enumerate(files)}
    cache = open_cache(tmp_path, files, 4, settings, "print", fields)
    for file in files:
        case, cached = read_case(file, 4), cache.cases[file.name]
        assert cached.grid.window == fields[file.name].window
        seen = to_grid(case.image, case.spacing[1:], settings, fields[file.name])
        assert np.array_equal(cache.pixels(cached), seen.pixels)
    moved = fields | {files[0].name: Field((9, 5, 60, 70), (64, 96))}
    for others in (None, moved):
        open_cache(tmp_path, files, 4, settings, "print", others)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 3
