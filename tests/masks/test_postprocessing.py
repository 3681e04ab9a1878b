"""Clean-up of masks: one part per structure, no holes, other structures untouched."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cardiac_seg.anatomy import Anatomy, Structure
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.masks.postprocessing import STEPS, Postprocessing, possible_steps
from cardiac_seg.masks.postprocessing import postprocess as apply

masks = arrays(np.uint8, (2, 7, 7), elements=st.sampled_from([0, 0, 1, 2, 3]))
EVERY_STEP = dict.fromkeys(STEPS, [1, 2, 3])


def postprocess(mask, steps):
    """In the labels of `ring`."""
    return apply(mask, Postprocessing(steps, myocardium=2))


def ring():
    """A myocardium (2) around a cavity (3): 7 x 7 outside, 3 x 3 inside."""
    mask = np.zeros((1, 9, 9), np.uint8)
    mask[0, 1:8, 1:8] = 2
    mask[0, 3:6, 3:6] = 3
    return mask


def test_the_largest_part_is_kept_across_slices():
    mask = np.zeros((3, 6, 12), np.uint8)
    mask[:, 0, 0:2] = 1  # six voxels, two in each slice
    mask[1, 3:5, 8:10] = 1  # four voxels, the larger part within slice 1
    expected = mask.copy()
    expected[1, 3:5, 8:10] = 0
    assert np.array_equal(postprocess(mask, {"largest_component": [1]}), expected)


def test_a_part_outside_the_heart_goes_though_it_is_the_larger_one():
    mask = np.zeros((1, 9, 16), np.uint8)
    mask[:, :, :9] = ring()
    mask[0, 3:6, 3:6] = 2
    mask[0, 4, 4] = 3  # almost closed
    expected = mask.copy()
    mask[0, 2:5, 12:15] = 3  # nine pixels of stomach
    cleaned = postprocess(mask, {"heart": [3], "largest_component": [3]})
    assert np.array_equal(cleaned, expected)


def test_parts_within_the_heart_stay():
    mask = np.array([[[2, 3, 2, 0, 2, 0, 3]]], np.uint8)
    cleaned = postprocess(mask, {"heart": [2, 3]})
    assert cleaned.tolist() == [[[2, 3, 2, 0, 0, 0, 0]]]


def test_a_cavity_beside_another_structure_is_not_in_the_heart():
    mask = np.array([[[2, 2, 3, 2, 2, 1, 3, 3]]], np.uint8)
    cleaned = postprocess(mask, {"heart": [1, 2, 3]})
    assert cleaned.tolist() == [[[2, 2, 3, 2, 2, 1, 0, 0]]]


def test_pieces_that_the_myocardium_holds_together_stay():
    mask = np.full((2, 1, 5), 2, np.uint8)
    mask[0, 0, 1] = mask[1, 0, 3] = 3
    assert np.array_equal(postprocess(mask, {"heart": [3]}), mask)


def test_the_heart_is_found_by_the_myocardium_s_own_label():
    swapped = np.array([[[3, 3, 3, 0, 2, 0]]], np.uint8)  # a myocardium (3) and a cavity apart
    chosen = Postprocessing({"heart": [2, 3]}, myocardium=3)
    assert apply(swapped, chosen).tolist() == swapped.tolist()
    swapped[0, 0, 1] = 2
    assert apply(swapped, chosen).tolist() == [[[3, 2, 3, 0, 0, 0]]]


def test_a_label_set_without_myocardium_has_no_heart_step():
    blobs = Anatomy((Structure("left"), Structure("right")))
    assert possible_steps(blobs) == ("fill_holes", "largest_component")
    assert possible_steps(DATASETS["acdc"].anatomy) == STEPS
    with pytest.raises(ValueError, match="myocardium"):
        Postprocessing({"heart": [1]})


def test_a_structure_outside_the_heart_alone_is_kept():
    mask = np.array([[[2, 2, 2, 0, 3, 0, 3, 3]]], np.uint8)
    assert np.array_equal(postprocess(mask, {"heart": [3]}), mask)


@pytest.mark.parametrize(
    ("slices", "gap", "kept"), [(1, 0, 3), (1, 4, 3), (1, 5, 2), (2, 3, 3), (2, 4, 2)]
)
def test_parts_that_are_near_are_one(slices, gap, kept):
    mask = np.zeros((slices, 1, 20), np.uint8)
    mask[0, 0, 4:6] = 1
    mask[-1, 0, 6 + gap] = 1
    assert postprocess(mask, {"largest_component": [1]}).sum() == kept


def test_the_largest_part_has_the_most_pixels_not_the_widest_surroundings():
    mask = np.zeros((1, 30, 80), np.uint8)
    mask[0, 4:14, 4:14] = 1  # 100 pixels
    mask[0, 25, 4:76] = 1  # 72 pixels in a line, which grow to more
    assert postprocess(mask, {"largest_component": [1]}).sum() == 100


def test_a_structure_with_a_speck_in_the_heart_stays():
    mask = np.zeros((1, 16, 9), np.uint8)
    mask[0, :8] = 2
    mask[0, 8, 0] = 1  # touches
    mask[0, 10:] = 1  # 54 pixels, a pixel apart
    assert np.array_equal(postprocess(mask, {"heart": [1]}), mask)


def test_other_structures_keep_all_their_parts():
    mask = np.array([[[1, 1, 0, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 0, 2, 2]]], np.uint8)
    cleaned = postprocess(mask, {"largest_component": [1]})
    assert cleaned.tolist() == [[[1, 1, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 2, 2]]]


def test_a_hole_is_filled_within_its_slice():
    mask = np.zeros((2, 5, 5), np.uint8)
    mask[0, 1:4, 1:4] = 1
    mask[0, 2, 2] = 0
    filled = postprocess(mask, {"fill_holes": [1]})
    assert filled[0, 2, 2] == 1 and filled.sum() == 9


def test_an_open_bay_is_no_hole():
    mask = np.zeros((1, 5, 5), np.uint8)
    mask[0, 1:4, 1:4] = 1
    mask[0, 2, 2:4] = 0
    assert np.array_equal(postprocess(mask, {"fill_holes": [1]}), mask)


def test_the_cavity_is_no_hole_of_the_myocardium():
    assert np.array_equal(postprocess(ring(), {"fill_holes": [2]}), ring())


def test_a_gap_between_cavity_and_myocardium_goes_to_the_myocardium():
    mask = ring()
    mask[0, 2, 4] = 0
    assert np.array_equal(postprocess(mask, {"fill_holes": [2, 3]}), ring())


def test_a_cavity_that_is_taken_out_does_not_become_myocardium():
    mask = np.zeros((1, 9, 30), np.uint8)
    mask[:, :, :9] = ring()
    mask[0, 2:7, 20:25] = 3  # larger than the cavity
    cleaned = postprocess(mask, EVERY_STEP | {"heart": []})
    assert (cleaned == 2).sum() == (mask == 2).sum()


@pytest.mark.parametrize("labels", [[3], [2, 3], [3, 2]])
def test_a_hole_in_the_cavity_goes_to_the_cavity(labels):
    mask = ring()
    mask[0, 4, 4] = 0
    assert np.array_equal(postprocess(mask, {"fill_holes": labels}), ring())


@given(masks)
def test_no_step_changes_its_input_or_invents_labels(mask):
    before = mask.copy()
    cleaned = postprocess(mask, EVERY_STEP)
    assert np.array_equal(mask, before)
    assert cleaned.shape == mask.shape and cleaned.dtype == mask.dtype
    assert set(np.unique(cleaned)) <= set(np.unique(mask)) | {0}
    assert np.array_equal(postprocess(mask, {}), mask)


@given(masks)
def test_filling_only_turns_background_into_structure(mask):
    filled = postprocess(mask, {"fill_holes": [1, 2, 3]})
    assert np.array_equal(filled[mask > 0], mask[mask > 0])


@given(masks)
def test_keeping_one_part_only_turns_structure_into_background(mask):
    cleaned = postprocess(mask, {"heart": [1, 2, 3], "largest_component": [1, 2, 3]})
    assert np.array_equal(cleaned[cleaned > 0], mask[cleaned > 0])
    assert set(np.unique(cleaned)) | {0} == set(np.unique(mask)) | {0}  # none vanishes
    assert np.array_equal(postprocess(cleaned, {"largest_component": [1, 2, 3]}), cleaned)


@given(masks)
def test_steps_one_by_one_are_the_steps_together(mask):
    # What `choose_steps` relies on.
    one_by_one = mask
    for step, labels in EVERY_STEP.items():
        for label in labels:
            one_by_one = postprocess(one_by_one, {step: [label]})
    assert np.array_equal(one_by_one, postprocess(mask, EVERY_STEP))
