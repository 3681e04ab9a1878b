"""Surface distances of shapes measured by hand, their laws, and a second tool's answer."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cardiac_seg.metrics.surface import surface_metrics

UNIT = (1.0, 1.0, 1.0)
PERFECT = {"hd95_mm": 0, "assd_mm": 0, "nsd_1mm": 1, "nsd_2mm": 1, "nsd_3mm": 1}
DIAGONAL = 0.5**0.5  # a corner of a mask, cut off by marching squares

shapes = st.sampled_from([(1, 7, 6), (3, 5, 4), (2, 1, 6)])
pairs = shapes.flatmap(lambda shape: arrays(bool, (2, *shape))).filter(
    lambda pair: pair.any(axis=(1, 2, 3)).all()
)
steps = st.sampled_from([0.4, 0.75, 1.0, 1.3, 2.5, 8.0])
spacings = st.tuples(steps, steps, steps)


def box(shape, *sides):
    """A mask that is true in the (first, last + 1) ranges of slices, rows and columns."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def ball(shape, spacing, radius):
    """Voxels whose centre is at most the radius, in mm, from the array's middle."""
    return distance_from_middle(shape, spacing)[0] <= radius


def blob(rng, shape, spacing):
    """A ball with dents and bumps: one smooth piece."""
    distance, direction = distance_from_middle(shape, spacing)
    radius = 0.3 * min(n * step for n, step in zip(shape, spacing, strict=True) if n > 1)
    waves = [
        np.sin(np.tensordot(rng.normal(0, 2.5, 3), direction, 1) + rng.uniform(0, 6))
        for _ in range(3)
    ]
    return distance < radius * (1 + 0.13 * sum(waves))


def distance_from_middle(shape, spacing):
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"))
    distance = np.linalg.norm(places, axis=0)
    return distance, places / np.maximum(distance, 1e-9)


@pytest.mark.parametrize("shape", [(1, 9, 9), (6, 9, 9)])
def test_a_mask_agrees_with_itself(shape):
    mask = np.random.default_rng(0).random(shape) < 0.4
    assert surface_metrics(mask, mask.copy(), (8, 1.5, 1.2)) == PERFECT


def test_squares_two_columns_apart():
    """4 x 4 pixels. The contour has 12 corners of weight 1 and 4 of weight DIAGONAL.

    Of those, distance 2 for the far side (2 diagonal, 3) and the middle of the near one (1);
    distance 1 for two corners beside the far side and two of the near one.
    """
    shape = (1, 12, 14)
    square, moved = box(shape, (0, 1), (3, 7), (3, 7)), box(shape, (0, 1), (3, 7), (5, 9))
    length = 12 + 4 * DIAGONAL
    two_away = 2 * DIAGONAL + 3 + 1
    found = surface_metrics(square, moved, UNIT)
    assert found == pytest.approx(
        {
            "hd95_mm": 2,
            "assd_mm": (2 * two_away + 4) / length,
            "nsd_1mm": 1 - two_away / length,
            "nsd_2mm": 1,
            "nsd_3mm": 1,
        }
    )


@pytest.mark.parametrize(("axis", "expected"), [(0, 8), (1, 3), (2, 5)])
def test_a_plane_moved_by_two_voxels_along_each_axis(axis, expected):
    """Half the array is filled; only the plane between the halves moves."""
    truth, prediction = np.zeros((2, 12, 12, 12), bool)
    truth.swapaxes(0, axis)[:5] = prediction.swapaxes(0, axis)[:7] = True
    found = surface_metrics(truth, prediction, (4, 1.5, 2.5))
    assert found["hd95_mm"] == pytest.approx(expected)


@pytest.mark.parametrize(("axis", "step"), [(1, 1.5), (2, 2.5)])
def test_a_single_slice_is_measured_in_2d(axis, step):
    """The slice spacing does not matter; one pixel against the pixel three further.

    Each contour has two corners 2 and two 3 pixels from the other's nearest corner.
    """
    truth = box((1, 9, 9), (0, 1), (3, 4), (3, 4))
    prediction = np.roll(truth, 3, axis)
    found = surface_metrics(truth, prediction, (10, 1.5, 2.5))
    assert found["hd95_mm"] == pytest.approx(3 * step)
    assert found["assd_mm"] == pytest.approx(2.5 * step)
    assert found == surface_metrics(truth, prediction, (0.1, 1.5, 2.5))


def test_voxels_in_neighbouring_slices():
    """They share four of eight corners; the other four are a slice away."""
    voxel = box((5, 6, 6), (1, 2), (2, 3), (3, 4))
    found = surface_metrics(voxel, np.roll(voxel, 1, 0), (8, 1.5, 1.5))
    expected = {"hd95_mm": 8, "assd_mm": 4, "nsd_1mm": 0.5, "nsd_2mm": 0.5, "nsd_3mm": 0.5}
    assert found == pytest.approx(expected)


def test_a_structure_in_one_slice_of_a_stack():
    one = box((6, 14, 14), (2, 3), (3, 9), (3, 9))
    two = box((6, 14, 14), (2, 4), (3, 9), (3, 9))
    assert surface_metrics(one, one, (10, 1, 1)) == PERFECT
    assert surface_metrics(one, np.roll(one, 2, 2), (10, 1, 1))["hd95_mm"] == 2
    assert surface_metrics(one, two, (10, 1, 1))["hd95_mm"] == 10  # a slice too many


@pytest.mark.parametrize(
    ("shape", "spacing"), [((1, 101, 151), (1, 0.6, 0.4)), ((41, 61, 51), (1, 0.7, 0.8))]
)
@pytest.mark.parametrize("gap", [2.5, 4.5])
def test_concentric_balls_are_their_gap_apart(shape, spacing, gap):
    """The mean comes out somewhat small: each corner finds the nearest of the other's steps."""
    found = surface_metrics(ball(shape, spacing, 12), ball(shape, spacing, 12 + gap), spacing)
    half = np.linalg.norm(spacing[1:] if shape[0] == 1 else spacing) / 2  # voxel diagonal
    assert found["hd95_mm"] == pytest.approx(gap, abs=0.3)
    assert gap - half < found["assd_mm"] < gap
    assert found["nsd_1mm"] == 0
    assert found["nsd_3mm"] == (gap < 3)


@pytest.mark.parametrize("truth_has_it", [True, False])
def test_a_far_speck_in_one_mask(truth_has_it):
    """The contour of a 40 x 40 square, with a speck 30 pixels to its right.

    The percentile forgives a speck that is under 5 % of its mask's contour; a larger one counts
    in full, although the other direction knows nothing of it. The mean counts both.
    """
    shape = (1, 50, 90)
    square = box(shape, (0, 1), (5, 45), (5, 45))
    pixel = box(shape, (0, 1), (20, 21), (75, 76))
    patch = box(shape, (0, 1), (20, 24), (75, 79))

    def measure(speck):
        masks = (square | speck, square)
        return surface_metrics(*(masks if truth_has_it else masks[::-1]), UNIT)

    length, of_pixel = 4 * 39 + 4 * DIAGONAL, 4 * DIAGONAL
    found = measure(pixel)
    assert found["hd95_mm"] == 0
    assert found["assd_mm"] == pytest.approx(of_pixel * 30.5 / (2 * length + of_pixel))
    assert found["nsd_3mm"] == pytest.approx(2 * length / (2 * length + of_pixel))
    assert 30 < measure(patch)["hd95_mm"] <= 34


def test_a_shrunken_copy_is_near_and_a_disjoint_one_far():
    shape = (6, 20, 60)
    truth = box(shape, (1, 5), (4, 16), (4, 16))
    far = np.roll(truth, 40, 2)
    found = surface_metrics(truth, far, UNIT)
    assert 28 <= found["assd_mm"] <= found["hd95_mm"] <= 40
    assert found["nsd_3mm"] == 0
    shrunken = box(shape, (1, 5), (5, 15), (5, 15))
    assert surface_metrics(truth, shrunken, UNIT)["nsd_2mm"] == 1


@pytest.mark.parametrize("shape", [(1, 6, 6), (4, 6, 6), (0, 6, 6)])
def test_empty_masks_have_no_distance(shape):
    empty, full = np.zeros(shape, bool), np.ones(shape, bool)
    assert all(np.isnan(value) for value in surface_metrics(empty, empty, UNIT).values())
    if full.any():
        for found in (surface_metrics(full, empty, UNIT), surface_metrics(empty, full, UNIT)):
            assert np.isnan([found.pop("hd95_mm"), found.pop("assd_mm")]).all()
            assert found == {"nsd_1mm": 0, "nsd_2mm": 0, "nsd_3mm": 0}


@given(pairs, spacings)
def test_symmetry_and_ranges(pair, spacing):
    found = surface_metrics(*pair, spacing)
    assert found == pytest.approx(surface_metrics(*pair[::-1], spacing))
    assert list(found) == list(PERFECT) and all(type(value) is float for value in found.values())
    assert found["hd95_mm"] >= 0 and found["assd_mm"] >= 0
    assert 0 <= found["nsd_1mm"] <= found["nsd_2mm"] <= found["nsd_3mm"] <= 1


@given(pairs, spacings, st.sampled_from([0.25, 0.5, 2, 4]))
def test_distances_grow_with_the_spacing(pair, spacing, factor):
    """Factors that are exact in binary: rounding may move a percentile to the next corner."""
    found = surface_metrics(*pair, spacing)
    scaled = surface_metrics(*pair, tuple(factor * step for step in spacing))
    assert scaled["hd95_mm"] == factor * found["hd95_mm"]
    assert scaled["assd_mm"] == factor * found["assd_mm"]


@given(pairs, spacings, st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2))
def test_where_the_masks_lie_does_not_matter(pair, spacing, margins):
    """The drawn masks touch the border; background around them moves them to the middle."""
    moved = np.pad(pair, ((0, 0), (0, 0), *margins))
    assert surface_metrics(*moved, spacing) == surface_metrics(*pair, spacing)


@given(pairs.filter(lambda pair: pair.shape[1] > 1), spacings, st.integers(0, 2))
def test_slices_above_and_below_and_mirrors_do_not_matter(pair, spacing, axis):
    found = surface_metrics(*pair, spacing)
    padded = np.pad(pair, ((0, 0), (1, 2), (0, 0), (0, 0)))
    assert surface_metrics(*padded, spacing) == found
    assert surface_metrics(*np.flip(pair, axis + 1), spacing) == found


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((1, 80, 80), (1, 1, 1)),
        ((1, 80, 80), (1, 0.6, 0.4)),
        ((24, 40, 44), (1.3, 0.9, 1.1)),
        ((12, 64, 64), (8, 1.5, 1.5)),
    ],
)
def test_simpleitk_agrees(shape, spacing):
    """SimpleITK's contour voxels, unweighted, between their centres.

    Such a centre and the surface's nearest corner are half a voxel diagonal apart. With a half at
    either end, the largest distances can differ by one diagonal; on smooth masks the percentiles
    keep to that too. In the means the halves cancel: 0.11 diagonals at most over 100 seeds.
    """
    for seed in range(5):
        rng = np.random.default_rng(seed)
        masks = blob(rng, shape, spacing), blob(rng, shape, spacing)
        found = surface_metrics(*masks, spacing)
        flat = shape[0] == 1
        steps = spacing[1:] if flat else spacing
        expected = simpleitk_metrics(*(mask[0] if flat else mask for mask in masks), steps)
        diagonal = np.linalg.norm(steps)
        assert found["hd95_mm"] == pytest.approx(expected["hd95_mm"], abs=diagonal)
        assert found["assd_mm"] == pytest.approx(expected["assd_mm"], abs=0.15 * diagonal)
        assert expected["assd_mm"] > 0.3 * diagonal
        for share in ("nsd_1mm", "nsd_2mm", "nsd_3mm"):
            assert found[share] == pytest.approx(expected[share], abs=0.1)


def simpleitk_metrics(truth, prediction, spacing):
    """HD95, ASSD and NSD between contour voxels."""
    contours = []
    for mask in (truth, prediction):
        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        image.SetSpacing([float(step) for step in spacing[::-1]])
        contours.append(sitk.LabelContour(image, fullyConnected=True))
    maps = [
        sitk.SignedMaurerDistanceMap(contour, squaredDistance=False, useImageSpacing=True)
        for contour in contours
    ]
    on_truth, on_prediction = (sitk.GetArrayFromImage(contour) > 0 for contour in contours)
    to_truth, to_prediction = (np.abs(sitk.GetArrayFromImage(distance)) for distance in maps)
    directed = to_prediction[on_truth], to_truth[on_prediction]
    pooled = np.concatenate(directed)
    return {
        "hd95_mm": max(np.percentile(distances, 95) for distances in directed),
        "assd_mm": pooled.mean(),
    } | {f"nsd_{tolerance}mm": np.mean(pooled <= tolerance) for tolerance in (1, 2, 3)}


GOOD = np.ones((2, 3, 3), bool)


@pytest.mark.parametrize(
    ("truth", "prediction", "spacing", "message"),
    [
        (GOOD.astype(np.uint8), GOOD, UNIT, "3D bool mask, found 3D uint8"),
        (GOOD, GOOD.astype(float), UNIT, "found 3D float64"),
        (GOOD[0], GOOD[0], UNIT, "found 2D bool"),
        (GOOD, GOOD[:1], UNIT, r"\(2, 3, 3\) and \(1, 3, 3\)"),
        (GOOD, GOOD, (1.0, 1.0), "three positive numbers"),
        (GOOD, GOOD, (1.0, 0.0, 1.0), "three positive numbers"),
        (GOOD, GOOD, (1.0, -1.0, 1.0), "three positive numbers"),
        (GOOD, GOOD, (1.0, float("nan"), 1.0), "three positive numbers"),
        (GOOD, GOOD, (1.0, float("inf"), 1.0), "three positive numbers"),
    ],
)
def test_bad_input_is_refused(truth, prediction, spacing, message):
    with pytest.raises(ValueError, match=message):
        surface_metrics(truth, prediction, spacing)
