"""Augmentation: image and label move together, labels never mix, one seed gives one slice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.config.sections import Augment
from cardiac_seg.members.augmentation import DISPLACED, acoustic_shadow, augment

MOVES = {
    "rotation": {"rotation": 40},
    "scale": {"scale": 0.3},
    "shift": {"shift": 0.15},
    "elastic": {"elastic": 6},
    "horizontal": {"symmetry": "horizontal"},
    "dihedral": {"symmetry": "dihedral"},
    "all": {"symmetry": "dihedral", "rotation": 20, "scale": 0.2, "shift": 0.1, "elastic": 4},
}
SCANNERS = {"low_resolution": 0.5, "bias_field": 0.3, "gain": 0.5}
LOOKS = SCANNERS | {
    "gamma": 0.3,
    "contrast": 0.2,
    "brightness": 0.1,
    "noise": 0.05,
    "blur": 1,
    "shadow": 1,
}
seeds = st.integers(0, 10**6)


def augmented(image, label, seed, size=None, **settings):
    return augment(image, label, np.random.default_rng(seed), Augment(**settings), size)


def random_slice(seed=0, shape=(48, 64)):
    rng = np.random.default_rng(seed)
    return rng.random(shape, dtype=np.float32), rng.choice([0, 1, 3], shape).astype(np.uint8)


def bright_square():
    """A square off the middle, of value 1 in image and label."""
    label = np.zeros((96, 96), np.uint8)
    label[24:56, 44:70] = 1
    return label.astype(np.float32), label


def test_without_settings_nothing_changes():
    image, label = random_slice()
    new_image, new_label = augmented(image, label, 5)
    assert np.array_equal(new_image, image) and np.array_equal(new_label, label)


@given(seeds)
def test_labels_are_never_mixed_and_shapes_and_types_kept(seed):
    image, label = random_slice()
    before = image.copy(), label.copy()
    new_image, new_label = augmented(image, label, seed, **MOVES["all"], **LOOKS)
    assert set(np.unique(new_label)) <= {0, 1, 3}
    assert new_image.shape == new_label.shape == image.shape
    assert new_image.dtype == np.float32 and new_label.dtype == np.uint8
    assert np.isfinite(new_image).all()
    assert np.array_equal(image, before[0]) and np.array_equal(label, before[1])


@given(seeds)
def test_one_seed_gives_one_slice(seed):
    one, again, other = (
        augmented(*random_slice(), s, **MOVES["all"], **LOOKS) for s in (seed, seed, seed + 1)
    )
    assert np.array_equal(one[0], again[0]) and np.array_equal(one[1], again[1])
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("move", MOVES)
def test_image_and_label_move_together(move):
    image, label = bright_square()
    moved = 0
    for seed in range(12):
        new_image, new_label = augmented(image, label, seed, **MOVES[move])
        bright = new_image > 0.5
        assert 2 * np.sum(bright & (new_label == 1)) / (bright.sum() + new_label.sum()) > 0.95
        moved += not np.array_equal(new_label, label)
    assert moved >= 3


@pytest.mark.parametrize("move", [m for m in MOVES if m not in ("shift", "elastic", "all")])
@given(seed=seeds)
def test_a_smaller_size_is_the_middle_of_the_whole(move, seed):
    image, label = random_slice()
    whole = augmented(image, label, seed, **MOVES[move])
    part = augmented(image, label, seed, size=(32, 32), **MOVES[move])
    # Coordinates of the warp are rounded to 1/32 of a pixel.
    np.testing.assert_allclose(part[0], whole[0][8:40, 16:48], atol=0.04)
    assert np.mean(part[1] == whole[1][8:40, 16:48]) > 0.99


@pytest.mark.parametrize("look", LOOKS)
def test_a_change_of_looks_leaves_the_label_in_place(look):
    image, label = random_slice()
    # Seed 3 is of the half that low_resolution changes.
    new_image, new_label = augmented(image, label, 3, **{look: LOOKS[look]})
    assert np.array_equal(new_label, label)
    assert not np.allclose(new_image, image)


def test_scale_and_shift_stay_within_their_limits():
    image, label = bright_square()
    for seed in range(20):
        area = augmented(image, label, seed, scale=0.2)[1].sum() / label.sum()
        assert 0.8**2 - 0.06 < area < 1.2**2 + 0.06
        rows, columns = np.nonzero(augmented(image, label, seed, shift=0.1)[1])
        assert abs(rows.min() - 24) <= 10 and abs(columns.min() - 44) <= 10  # 0.1 of 96


def test_horizontal_symmetry_never_turns_upside_down():
    image, label = random_slice()
    mirrored = 0
    for seed in range(20):
        new_image, new_label = augmented(image, label, seed, symmetry="horizontal")
        flip = not np.array_equal(new_image, image)
        mirrored += flip
        assert np.array_equal(new_image, image[:, ::-1] if flip else image)
        assert np.array_equal(new_label, label[:, ::-1] if flip else label)
    assert 0 < mirrored < 20


def test_all_eight_symmetries_of_a_square_occur():
    image, label = random_slice(shape=(5, 5))
    seen = {augmented(image, label, s, symmetry="dihedral")[0].tobytes() for s in range(100)}
    turned = [np.rot90(image, k) for k in range(4)]
    assert seen == {np.ascontiguousarray(t).tobytes() for r in turned for t in (r, r[:, ::-1])}


def test_an_oblong_plane_keeps_its_shape_under_symmetry():
    image, label = random_slice(shape=(4, 6))
    seen = {augmented(image, label, s, symmetry="dihedral")[0].tobytes() for s in range(50)}
    assert len(seen) == 4
    assert augmented(image, label, 0, symmetry="dihedral")[0].shape == (4, 6)


@given(seeds)
def test_a_shadow_darkens_one_beam_and_gain_depends_on_depth_alone(seed):
    image = np.ones((64, 160), np.float32)
    shadowed = acoustic_shadow(image, np.random.default_rng(seed))
    assert shadowed.shape == image.shape and np.isfinite(shadowed).all()
    assert shadowed.min() >= 0 and shadowed.max() <= 1.2  # a gain of 20 % either way
    lit = shadowed.max(axis=1)  # outside the wedge only the gain is left
    slope = np.diff(lit)
    assert np.allclose(slope, slope[0], atol=2e-3)
    assert (shadowed[-1] / lit[-1]).min() < 0.75


def test_shadow_is_drawn_as_often_as_asked():
    image, label = random_slice()
    drawn = sum(
        not np.array_equal(augmented(image, label, seed, shadow=0.25)[0], image)
        for seed in range(200)
    )
    assert 30 <= drawn <= 70


def test_what_is_off_draws_nothing():
    # Stored runs resume with the same slices. Drawn are angle, scale, shift, strength and 2 x 6 x 6
    # values of the elastic field; gamma, contrast and brightness; noise and blur.
    rng, counted = np.random.default_rng(3), np.random.default_rng(3)
    augment(*random_slice(), rng, Augment(), None)
    counted.random(1 + 1 + 2 + 1 + 72 + 3 + 2)
    assert rng.bit_generator.state == counted.bit_generator.state


@given(seeds)
def test_scanner_changes_leave_the_movement_as_it_is(seed):
    image, label = random_slice()
    plain = augmented(image, label, seed, **MOVES["all"])
    changed = augmented(image, label, seed, **MOVES["all"], **SCANNERS)
    assert np.array_equal(changed[1], plain[1])
    assert changed[0].min() >= 0


def test_gain_is_one_factor_for_the_slice_within_its_limits():
    image, label = np.full((16, 16), 0.5, np.float32), np.zeros((16, 16), np.uint8)
    factors = []
    for seed in range(100):
        gained = augmented(image, label, seed, gain=0.7)[0] / 0.5
        assert np.ptp(gained) == 0
        factors.append(gained[0, 0])
    assert np.exp(-0.7) <= min(factors) < 0.55 and 1.8 < max(factors) <= np.exp(0.7)  # 0.50, 2.01
    assert 0.35 < np.mean(np.array(factors) < 1) < 0.65


@given(seeds)
def test_a_bias_field_is_smooth_and_within_its_limits(seed):
    image, label = np.ones((48, 64), np.float32), np.zeros((48, 64), np.uint8)
    field = np.log(augmented(image, label, seed, bias_field=0.4)[0])
    assert np.abs(field).max() <= 0.4 + 1e-6
    # From one extreme to the other is 0.8, and 4 x 4 points lie 12 rows and 16 columns apart.
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1)) < 2 * 0.8 / 12
    assert np.ptp(field) > 0


def test_a_dark_border_stays_at_zero_under_field_and_gain():
    image, label = np.pad(np.ones((8, 8), np.float32), 4), np.zeros((16, 16), np.uint8)
    changed = augmented(image, label, 1, bias_field=0.5, gain=0.5)[0]
    assert np.array_equal(changed == 0, image == 0)


def test_low_resolution_blurs_half_of_the_slices_and_keeps_their_mean():
    board = (np.indices((48, 64)).sum(axis=0) % 2).astype(np.float32)
    label = np.zeros(board.shape, np.uint8)
    low = [augmented(board, label, seed, low_resolution=0.5)[0] for seed in range(200)]
    low = [image for image in low if not np.array_equal(image, board)]
    assert 70 <= len(low) <= 130
    assert all(abs(image.mean() - 0.5) < 0.01 for image in low)
    # A pixel-wide pattern is 0.5 everywhere at half the resolution.
    assert min(image.std() for image in low) < 0.1 and max(image.std() for image in low) < 0.5


def of_stack(image, label, seed, anisotropy=np.inf, **settings):
    return augment(
        image, label, np.random.default_rng(seed), Augment(**settings), anisotropy=anisotropy
    )


@given(seeds)
def test_all_slices_of_a_coarse_stack_are_moved_alike(seed):
    image, label = bright_square()
    stack, labels = of_stack(np.stack([image] * 3), np.stack([label] * 3), seed, **MOVES["all"])
    assert stack.shape == labels.shape == (3, 96, 96)
    for k in (1, 2):
        assert np.array_equal(stack[k], stack[0]) and np.array_equal(labels[k], labels[0])
    alone = augmented(image, label, seed, **MOVES["all"])
    assert np.array_equal(alone[0], stack[0]) and np.array_equal(alone[1], labels[0])


@pytest.mark.parametrize("look", [name for name in LOOKS if name != "shadow"])
def test_a_stack_keeps_its_label_under_a_change_of_looks(look):
    image, label = random_slice(shape=(3, 32, 32))
    new_image, new_label = of_stack(image, label, 3, **{look: LOOKS[look]})
    assert new_image.shape == image.shape and new_image.dtype == np.float32
    assert np.array_equal(new_label, label) and not np.allclose(new_image, image)


def test_each_slice_of_a_stack_has_a_gain_of_its_own():
    image = np.ones((4, 8, 8), np.float32)
    changed, _ = of_stack(image, image.astype(np.uint8), 0, gain=0.5)
    gains = changed[:, 0, 0]
    assert len(set(gains.tolist())) == 4 and (changed == gains[:, None, None]).all()


def test_some_slices_are_displaced_with_their_label_and_by_no_more_than_is_wanted():
    image, label = bright_square()
    image, label = np.stack([image] * 20), np.stack([label] * 20)
    displaced = 0
    for seed in range(20):
        moved, labels = of_stack(image, label, seed, slice_shift=4)
        for plane, its_label in zip(moved, labels, strict=True):
            rows, columns = np.nonzero(its_label)
            assert abs(rows.min() - 24) <= 4 and abs(columns.min() - 44) <= 4
            assert np.sum((plane > 0.5) != (its_label == 1)) < 60  # of 832, along the edge
            displaced += not np.array_equal(plane, image[0])
    assert abs(displaced / 400 - DISPLACED) < 0.08


def test_slices_that_stand_for_one_of_the_file_are_changed_alike():
    image, label = bright_square()
    image, label = np.stack([image] * 6), np.stack([label] * 6)
    settings = Augment(slice_shift=4, gain=0.5)
    rows, displaced = np.array([0, 0, 1, 1, 2, 2]), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        moved, labels = augment(image, label, rng, settings, acquired=rows)
        for k in (0, 2, 4):
            assert np.array_equal(moved[k], moved[k + 1])
            assert np.array_equal(labels[k], labels[k + 1])
        assert moved[0].max() != moved[2].max()
        displaced += not np.array_equal(labels[0], labels[2])
    assert displaced > 3


def test_a_stack_of_fine_slices_is_turned_out_of_plane_too():
    label = np.zeros((24, 32, 32), np.uint8)
    label[6:18, 8:24, 10:14] = 1  # a plate that stands on the planes
    turned, its_label = of_stack(label.astype(np.float32), label, 3, anisotropy=1.0, rotation=40)
    assert 0.85 < its_label.sum() / label.sum() < 1.15
    assert np.sum((turned > 0.5) != (its_label == 1)) < 0.2 * label.sum()
    columns = [np.nonzero(plane)[1].mean() for plane in its_label if plane.any()]
    assert np.ptp(columns) > 2  # from slice to slice it lies elsewhere
    _, coarse = of_stack(label.astype(np.float32), label, 3, anisotropy=6.0, rotation=40)
    columns = [np.nonzero(plane)[1].mean() for plane in coarse if plane.any()]
    assert np.ptp(columns) == 0
