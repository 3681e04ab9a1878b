"""Features through the heart by hand: the stack's profile, the other phase, the other view."""

from dataclasses import replace

import numpy as np
import pytest

from cardiac_seg.config.sections import Stacking
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.grid.companions import Companions, OtherMaps
from cardiac_seg.grid.resample import Grid, GridImage
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.meta.features.feature_set import Beside, MeanMap, feature_set, pixel_features
from cardiac_seg.meta.features.phase import SIGMA_MM
from cardiac_seg.meta.temperature import temper

MEMBERS = ["unet_advanced", "deep_unet_improved"]
SIDE, ROW_MM, COLUMN_MM = 40, 2.0, 1.0
BACKGROUND, RV, MYO, LV = np.eye(4, dtype=np.float32)
GRID = Grid((SIDE, SIDE), (SIDE, SIDE), (SIDE, SIDE), (ROW_MM, COLUMN_MM))
MRI = feature_set(
    Stacking(features=["neighbours", "profile", "phase", "position"]), MEMBERS, DATASETS["acdc"]
)
ECHO = feature_set(Stacking(features=["phase", "sizes", "position"]), MEMBERS, DATASETS["camus"])


def stack(slices):
    """(slices, SIDE, SIDE, classes) that see nothing."""
    return np.tile(BACKGROUND, (slices, SIDE, SIDE, 1))


def named(mean, features=MRI, grid=GRID, beside=None, alone=None):
    """Name -> (slices, height, width), every feature of every pixel; both members say the mean."""
    maps = np.stack([mean, mean])
    image = GridImage(np.zeros(mean.shape[:3], np.uint8), 0.0, 1.0, grid)
    everywhere = np.ones(mean.shape[:3], bool)
    columns = pixel_features(maps, image, everywhere, features, beside or Beside(), alone).T
    return dict(zip(features.names, columns.reshape(-1, *mean.shape[:3]), strict=True))


def test_neighbours_are_the_two_slices_on_each_side_and_the_outermost_stands_in():
    mean = stack(4)
    for z, structure in enumerate((LV, MYO, RV, BACKGROUND)):
        mean[z] = structure  # a whole slice of one class: smoothing leaves it as it is
    found, order = named(mean), ("LV", "MYO", "RV")
    seen = {
        step: [found[f"neighbours: z{step:+d} {c}"][:, 9, 9].round(5).tolist() for c in order]
        for step in (-2, -1, 1, 2)
    }
    assert seen[-2] == [[1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert seen[-1] == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert seen[1] == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    assert seen[2] == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_neighbours_are_smoothed_by_5_mm_whatever_the_pixels():
    mean = stack(2)
    mean[0, 20, 20] = LV
    after = named(mean)["neighbours: z-1 LV"][1]
    total = after.sum()
    rows, columns = np.indices(after.shape)
    spread = [
        np.sqrt((after * (at - 20) ** 2).sum() / total) * step
        for at, step in ((rows, ROW_MM), (columns, COLUMN_MM))
    ]
    assert total == pytest.approx(1, abs=0.01) and spread == pytest.approx([5, 5], abs=0.2)


def test_the_profile_is_each_slices_area_in_cm2():
    mean = stack(3)
    mean[0, :10, :10] = LV  # 100 pixels of 2 mm2: 2 cm2
    mean[1, :5, :10] = LV  # 1 cm2
    mean[2, 0, :10] = RV  # 0.2 cm2
    found = named(mean)

    def of(name):
        column = found[f"profile: {name}"]
        assert (column == column[:, :1, :1]).all()  # alike over a slice
        return column[:, 0, 0].tolist()

    assert of("LV cm2") == pytest.approx([2, 1, 0])
    assert of("LV cm2 before") == pytest.approx([2, 2, 1])
    assert of("LV cm2 after") == pytest.approx([1, 0, 0])
    assert of("LV share of largest") == pytest.approx([1, 0.5, 0])
    assert of("RV share of largest") == pytest.approx([0, 0, 1])
    assert of("MYO share of largest") == [0, 0, 0]


def test_the_other_phase_is_seen_at_the_same_place_of_the_patient():
    es = stack(2)
    es[1, 10:30, 10:30] = LV
    window = replace(GRID, size=(20, 20), window=(10, 10, 20, 20), resampled=(20, 20))
    ed = np.tile(BACKGROUND, (2, 20, 20, 1))
    found = named(ed, grid=window, beside=Beside("ED", MeanMap(es, GRID)))
    assert (found["phase: ES"] == 0).all()
    other = found["phase: other LV"]
    assert (other[0] == 0).all() and (other[1] == 1).all()
    smooth = found["phase: other 3 mm LV"][1]
    assert smooth[10, 10] == pytest.approx(1)
    assert named(es, beside=Beside("ES", MeanMap(ed, window)))["phase: ES"].min() == 1


def test_the_other_phase_is_smoothed_by_3_mm():
    es = stack(1)
    es[0, 20, 20] = LV
    found = named(stack(1), beside=Beside("ED", MeanMap(es, GRID)))
    plain, smooth = (found[f"phase: other{how} LV"][0] for how in ("", " 3 mm"))
    columns = np.arange(SIDE) - 20
    spread = np.sqrt((smooth.sum(0) * columns**2).sum() / smooth.sum()) * COLUMN_MM
    assert plain.sum() == 1 and spread == pytest.approx(SIGMA_MM, abs=0.1)


@pytest.mark.parametrize(
    "beside",
    [
        Beside(),
        Beside("ED"),
        Beside("ED", MeanMap(stack(3), GRID)),  # another number of slices
        Beside("ED", MeanMap(stack(2), replace(GRID, native=(SIDE, SIDE + 1)))),
    ],
)
def test_without_another_phase_of_the_same_geometry_it_is_missing_as_such(beside):
    found = named(stack(2), beside=beside)
    others = [name for name in MRI.names if name.startswith("phase: other")]
    assert len(others) == 8 and all(np.isnan(found[name]).all() for name in others)
    assert np.isnan(found["phase: ES"]).all() == (beside.phase == "")


def test_some_pixels_may_be_as_if_the_image_were_alone():
    es, rng = stack(2), np.random.default_rng(0)
    es[:, 5:20, 5:20] = LV
    beside, alone = Beside("ED", MeanMap(es, GRID)), rng.random(es[..., 0].size) < 0.5
    mixed, full, single = (
        np.stack(list(named(stack(2), **how).values())).reshape(len(MRI.names), -1)
        for how in ({"beside": beside, "alone": alone}, {"beside": beside}, {})
    )
    np.testing.assert_array_equal(mixed[:, alone], single[:, alone])
    np.testing.assert_array_equal(mixed[:, ~alone], full[:, ~alone])


def test_sizes_are_the_areas_here_in_the_other_phase_and_in_the_other_view():
    here, es, four = stack(1), stack(1), stack(1)
    here[0, :10, :10], es[0, :5, :10], four[0, 0, :10] = RV, RV, LV  # classes 1, 1, 3
    fine = replace(GRID, spacing=(1.0, 1.0))
    beside = Beside("ED", MeanMap(es, GRID), MeanMap(four, fine))
    found = {k: v[0, 0, 0] for k, v in named(here, ECHO, beside=beside).items()}
    assert [found[f"sizes: {c} cm2"] for c in ("LV", "MYO", "LA")] == pytest.approx([2, 0, 0])
    other = [found[f"sizes: {c} cm2 other phase"] for c in ("LV", "MYO", "LA")]
    assert other == pytest.approx([1, 0, 0])
    view = [found[f"sizes: {c} cm2 other view"] for c in ("LV", "MYO", "LA")]
    assert view == pytest.approx([0, 0, 0.1])
    lonely = named(here, ECHO)
    assert np.isnan(lonely["sizes: LV cm2 other view"]).all()
    assert lonely["sizes: LV cm2"][0, 0, 0] == pytest.approx(2)


def test_position_counts_from_the_centre_of_the_left_ventricle_in_units_of_its_spread():
    mean = stack(2)
    mean[0, 19:22, 10] = LV  # rows 38, 40, 42 mm: centre 40 mm, spread sqrt(8 / 3) mm
    spread = np.sqrt(8 / 3)
    found = named(mean)
    down, right = found["position: down"], found["position: right"]
    assert down[1, 20, 10] == right[1, 20, 10] == 0  # one centre for the whole stack
    assert down[0, 25, 10] == pytest.approx(10 / spread)
    assert right[0, 20, 17] == pytest.approx(7 / spread)
    assert np.isnan(named(stack(2))["position: down"]).all()


def test_stacks_have_the_profile_and_planes_the_sizes():
    groups = ["neighbours", "profile", "phase", "sizes", "position"]
    wanted = {
        name: feature_set(Stacking(features=groups), MEMBERS, DATASETS[name]).groups[3:]
        for name in ("acdc", "camus")
    }
    assert wanted["acdc"] == ("neighbours", "profile", "phase", "position")
    assert wanted["camus"] == ("phase", "sizes", "position")


def test_a_combiner_shows_the_features_the_calibrated_mean_of_the_other_images():
    rng = np.random.default_rng(1)
    raw = {m: rng.dirichlet(np.ones(4), (1, SIDE, SIDE)).astype(np.float16) for m in MEMBERS}
    temperatures = {MEMBERS[0]: 2.0, MEMBERS[1]: 0.5}
    combiner = Combiner(tuple(MEMBERS), MRI, 0.99, temperatures)
    beside = combiner.beside(Companions("ED", OtherMaps(raw, GRID)), MRI)
    wanted = np.mean([temper(raw[m], t) for m, t in temperatures.items()], axis=0)
    assert beside.phase == "ED" and beside.other_view is None
    np.testing.assert_allclose(beside.other_phase.mean, wanted, rtol=1e-6)
    assert combiner.beside(Companions("ED", OtherMaps(raw, GRID)), MRI.core()) == Beside()
