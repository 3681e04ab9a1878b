"""Pixel features by hand, group by group: read by name, so that names and columns must agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from cardiac_seg.config.registry import CORE_FEATURES
from cardiac_seg.config.sections import Stacking
from cardiac_seg.config.sections.stacking import MORE_FEATURES
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.grid.resample import Grid, GridImage
from cardiac_seg.meta.features.distance import MAX_MM
from cardiac_seg.meta.features.feature_set import feature_set, pixel_features
from cardiac_seg.metrics.calibration import entropy

SHAPE = (3, 6, 7)
ROW_MM, COLUMN_MM = 2.0, 1.0
MEMBERS = ["unet_advanced", "deep_unet_improved"]
MRI = feature_set(Stacking(context_mm=[2.0, 3.5]), MEMBERS, DATASETS["acdc"])
BACKGROUND, SURE_RV, SURE_MYO, SURE_LV = np.eye(4, dtype=np.float32)


def image(pixels=None, mean=0.0, std=1.0):
    pixels = np.zeros(SHAPE, np.uint8) if pixels is None else pixels
    size = pixels.shape[1:]
    return GridImage(pixels, mean, std, Grid(size, size, size, (ROW_MM, COLUMN_MM)))


def background(slices=3):
    """Two members that see nothing, (members, slices, height, width, classes)."""
    return np.tile(BACKGROUND, (2, slices, *SHAPE[1:], 1))


def of_pixel(first, second):
    """The named features of pixel (1, 2, 3) where the members say this; elsewhere background."""
    maps = background()
    maps[0, 1, 2, 3], maps[1, 1, 2, 3] = first, second
    return {name: plane[1, 2, 3] for name, plane in named(maps).items()}


def named(maps, picture=None):
    """Name -> (slices, height, width), every feature of every pixel."""
    everywhere = np.ones(maps.shape[1:4], bool)
    picture = picture or image(np.zeros(everywhere.shape, np.uint8))
    columns = pixel_features(maps, picture, everywhere, MRI).T
    return dict(zip(MRI.names, columns.reshape(-1, *everywhere.shape), strict=True))


def random_maps(seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(4), (2, *SHAPE)).astype(np.float32)


def test_probability_is_what_each_member_gives_each_class():
    found = of_pixel([0.7, 0.2, 0.1, 0.0], SURE_MYO)
    given = [found[f"probability: {m} {c}"] for m in MEMBERS for c in MRI.classes]
    assert given == pytest.approx([0.7, 0.2, 0.1, 0, 0, 0, 1, 0])


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [([0.25] * 4, 1), ([0, 1, 0, 0], 0), ([0, 0.5, 0, 0.5], 0.5)],
)
def test_entropy_runs_from_zero_for_a_certain_pixel_to_one_for_a_uniform_one(
    probabilities, expected
):
    found = of_pixel(probabilities, SURE_RV)
    assert found["entropy: unet_advanced"] == pytest.approx(expected, abs=1e-6)
    assert found["entropy: deep_unet_improved"] == pytest.approx(0, abs=1e-6)


def test_entropy_of_a_coin_is_log_two_nats():
    assert entropy(np.array([0.5, 0.5, 0.0])) == pytest.approx(np.log(2))


def test_confidence_is_the_largest_probability():
    found = of_pixel([0.1, 0.6, 0.3, 0], [0.25] * 4)
    assert found["confidence: unet_advanced"] == pytest.approx(0.6)
    assert found["confidence: deep_unet_improved"] == pytest.approx(0.25)


def test_margin_is_the_lead_over_the_second_class():
    found = of_pixel([0.1, 0.6, 0.3, 0], [0.25] * 4)
    assert found["margin: unet_advanced"] == pytest.approx(0.3)
    assert found["margin: deep_unet_improved"] == 0


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (SURE_RV, SURE_LV, 1),
        (SURE_RV, SURE_RV, 0),
        ([0.25] * 4, [0.25] * 4, 0),  # unsure alike is no disagreement
        # mean (3/4, 1/4): H = 0.811278 bit, less half the coin's bit
        ([1, 0, 0, 0], [0.5, 0.5, 0, 0], 0.811278 - 0.5),
    ],
)
def test_disagreement_is_the_jensen_shannon_divergence_in_bits(first, second, expected):
    found = of_pixel(first, second)
    assert found["disagreement: Jensen-Shannon"] == pytest.approx(expected, abs=1e-6)


def test_context_falls_off_with_the_distance_in_mm():
    maps = background()
    maps[0, 1, 3, 3] = SURE_RV  # one member of two: the mean is 0.5
    rv = named(maps)["context: RV 2 mm"]
    centre = rv[1, 3, 3]
    assert rv[1, 4, 3] == pytest.approx(centre * np.exp(-0.5 * (ROW_MM / 2) ** 2), rel=1e-4)
    assert rv[1, 3, 4] == pytest.approx(centre * np.exp(-0.5 * (COLUMN_MM / 2) ** 2), rel=1e-4)
    assert rv[1, 3, 5] == pytest.approx(rv[1, 4, 3], rel=1e-4)  # 2 columns are 1 row
    # Gaussians of 1 and 2 pixels: the peak is the product of two normal densities.
    assert centre == pytest.approx(0.5 / (2 * np.pi * 1 * 2), rel=2e-3)
    assert not rv[[0, 2]].any()  # in the plane


def test_context_of_each_sigma_and_class_has_its_name():
    maps = background()
    maps[:, 1, 3, 3] = SURE_MYO
    found = named(maps)
    narrow, wide = found["context: MYO 2 mm"][1, 3, 3], found["context: MYO 3.5 mm"][1, 3, 3]
    assert 0 < wide < narrow < 1
    for sigma, myo in (("2 mm", narrow), ("3.5 mm", wide)):
        assert found[f"context: background {sigma}"][1, 3, 3] == pytest.approx(1 - myo, rel=1e-5)
        assert not found[f"context: RV {sigma}"].any() and not found[f"context: LV {sigma}"].any()


def test_context_goes_on_beyond_the_edge():
    maps = background()
    maps[:, :, :, :3] = SURE_LV
    lv = named(maps)["context: LV 2 mm"]
    assert lv[0, 0] == pytest.approx(lv[0, 3], rel=1e-5)  # rows alike up to the corner
    assert named(background())["context: background 3.5 mm"] == pytest.approx(1, rel=1e-5)


def test_distance_is_one_spacing_on_either_side_of_the_boundary():
    maps = background()
    maps[:, 1, 2:5, 1:6] = SURE_MYO  # three rows of 2 mm, five columns of 1 mm
    distance = named(maps)["distance: MYO mm"][1]
    assert distance[2, 3] == ROW_MM and distance[1, 3] == -ROW_MM
    assert distance[3, 1] == COLUMN_MM and distance[3, 0] == -COLUMN_MM
    assert distance[3, 3] == 3  # three columns to either side are nearer than two rows
    assert distance[0, 3] == -2 * ROW_MM


def test_distance_ends_at_twenty_mm():
    maps = background()
    maps[:, 0] = SURE_RV
    maps[:, 2, :, 0] = SURE_RV
    distance = named(maps)["distance: RV mm"]
    assert (distance[0] == MAX_MM).all()  # fills the slice
    assert (distance[1] == -MAX_MM).all()  # absent from it
    assert distance[2, 0].tolist() == [1, -1, -2, -3, -4, -5, -6]

    long = np.tile(BACKGROUND, (2, 1, 3, 60, 1))
    long[..., :30, :] = SURE_RV
    row = named(long)["distance: RV mm"][0, 1]
    assert MAX_MM == 20
    assert row[[0, 10, 11, 29, 30, 48, 49, 59]].tolist() == [20, 20, 19, 1, -1, -19, -20, -20]


def test_distance_is_of_the_mask_of_the_mean():
    """One member has 0.9 RV, the other 0.4: the mean says RV though the members disagree."""
    maps = background()
    maps[0, 1, 2, 3] = [0.1, 0.9, 0, 0]
    maps[1, 1, 2, 3] = [0.6, 0.4, 0, 0]
    maps[0, 1, 4, 5] = [0.45, 0.55, 0, 0]  # and here it does not: (0.725, 0.275)
    distance = named(maps)["distance: RV mm"][1]
    assert distance[2, 3] == COLUMN_MM
    assert distance[4, 5] < 0


def test_slices_say_where_a_slice_lies_and_what_is_beside_it():
    maps = random_maps()
    mean = (maps[0] + maps[1]) / 2
    found = named(maps)
    assert found["slices: position"][:, 0, 0].tolist() == [0, 0.5, 1]
    for c, name in enumerate(MRI.classes):
        assert found[f"slices: before {name}"] == pytest.approx(mean[[0, 0, 1], ..., c])
        assert found[f"slices: after {name}"] == pytest.approx(mean[[1, 2, 2], ..., c])


def test_a_single_slice_is_its_own_neighbour_at_position_zero():
    maps = background(slices=1)
    maps[:, 0, 2, 3] = SURE_LV
    found = named(maps)
    assert not found["slices: position"].any()
    assert found["slices: before LV"][0, 2, 3] == found["slices: after LV"][0, 2, 3] == 1


def test_intensity_is_the_z_score():
    pixels = np.full(SHAPE, 100, np.uint8)
    pixels[1, 2, 3], pixels[2, 5, 6] = 130, 0
    z = named(background(), image(pixels, mean=100, std=20))["intensity: z-score"]
    assert (z[1, 2, 3], z[2, 5, 6], z[0, 0, 0]) == (1.5, -5, 0)


def test_names_are_unique_and_one_for_each_column():
    values = pixel_features(random_maps(), image(), np.ones(SHAPE, bool), MRI)
    assert values.dtype == np.float32 and values.shape == (np.prod(SHAPE), len(MRI.names))
    assert len(set(MRI.names)) == len(MRI.names)


def test_columns_of_a_group_are_those_named_after_it():
    assert MRI.groups == (*CORE_FEATURES, *(g for g in MORE_FEATURES if g != "sizes"))
    picked = [MRI.names[MRI.columns(group)] for group in MRI.groups]
    assert sum(picked, []) == MRI.names
    for group, names in zip(MRI.groups, picked, strict=True):
        assert names and all(name.startswith(f"{group}: ") for name in names)


def test_the_core_leads_whatever_the_config_adds():
    settings = Stacking(features=["intensity", "margin"])
    wanted = feature_set(settings, MEMBERS, DATASETS["acdc"])
    assert wanted.groups == (*CORE_FEATURES, "intensity", "margin")
    core = wanted.core()
    assert core.groups == CORE_FEATURES == ("probability", "entropy", "confidence")
    assert wanted.names[: len(core.names)] == core.names
    maps, some = random_maps(), np.arange(np.prod(SHAPE)).reshape(SHAPE) % 5 == 0
    full = pixel_features(maps, image(), some, wanted)
    assert np.array_equal(full[:, : len(core.names)], pixel_features(maps, image(), some, core))


def test_echo_has_no_neighbouring_slices():
    echo = feature_set(Stacking(), MEMBERS, DATASETS["camus"])
    assert echo.classes == ("background", "LV", "MYO", "LA")
    stacks = ("slices", "neighbours", "profile")
    assert set(echo.groups) == {*(g for g in MRI.groups if g not in stacks), "sizes"}
    values = pixel_features(random_maps(), image(), np.ones(SHAPE, bool), echo)
    assert values.shape[1] == len(echo.names)


@given(arrays(bool, SHAPE))
def test_the_features_of_some_pixels_are_those_rows_of_all(some):
    rng = np.random.default_rng(3)
    picture = image(rng.integers(0, 256, SHAPE, np.uint8), mean=90.0, std=30.0)
    every = pixel_features(random_maps(), picture, np.ones(SHAPE, bool), MRI)
    values = pixel_features(random_maps(), picture, some, MRI)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, every[some.ravel()], rtol=1e-6, atol=1e-7)
