"""The locator: what it is shown, and that it finds what it was shown."""

import keras
import numpy as np
import pytest

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.grid.field import field_about
from cardiac_seg.grid.heart import SIDE, Overview, overview
from cardiac_seg.members import locator
from cardiac_seg.members.locator import CROP, Locator, augment, train_locator
from cardiac_seg.members.network_file import read_network
from cardiac_seg.members.seen import read_seen
from cardiac_seg.system.errors import UserError

SPACING = (2.0, 2.0)
SETTINGS = Preprocess(spacing=2.0, size=(64, 64), field="heart")


def stack(seed, shape=(160, 180)):
    """A bright disc of 30 mm on three slices of noise, its label, and its middle in pixels."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(40, 120, 2)
    rows, columns = np.indices(shape) + 0.5
    label = (np.hypot(rows - centre[0], columns - centre[1]) < 15).astype(np.uint8)
    image = rng.normal(100, 10, (3, *shape)) + 150 * label
    return image.astype(np.float32), np.stack([label] * 3), centre


def sample(shape=(50, 44)):
    """An overview's part whose pixels tell where they are, and a heart in it."""
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    label = np.zeros(shape, np.float32)
    label[20:28, 30:37] = 1
    label[19, 30:37] = 0.5
    return image, label


def test_augmented_squares_have_one_shape_and_shares_of_heart():
    for seed in range(60):
        for shape in ((50, 44), (80, 80), (38, 37)):
            image, label = augment(*sample(shape), np.random.default_rng(seed))
            assert image.shape == label.shape == (CROP, CROP)
            assert image.dtype == label.dtype == np.float32
            assert np.isfinite(image).all() and 0 <= label.min() <= label.max() <= 1


def test_a_slice_without_heart_has_none_when_augmented():
    image, label = sample()
    for seed in range(20):
        assert not augment(image, 0 * label, np.random.default_rng(seed))[1].any()


def test_a_smaller_field_of_view_never_cuts_the_heart():
    image, label = sample()
    shapes = set()
    for seed in range(200):
        part, heart = locator._field_of_view(image, label, np.random.default_rng(seed))
        assert part.shape == heart.shape and heart.sum() == label.sum()
        shapes.add(part.shape)
    assert len(shapes) > 100
    assert min(rows for rows, _ in shapes) < 35 and min(columns for _, columns in shapes) < 30


def test_image_and_label_are_changed_alike():
    _, label = sample()
    for seed in range(40):  # a label as its own image, which brightness scales and noise roughens
        image, heart = augment(label * 100, label, np.random.default_rng(seed))
        if heart.sum() > 10:
            assert np.corrcoef(image.ravel(), heart.ravel())[0, 1] > 0.8


def test_batches_are_the_same_for_a_seed_and_differ_by_step():
    first, again, other = (locator._Batches([sample()] * 3, 9, [seed]) for seed in (7, 7, 8))
    assert len(first) == 9
    images, labels = first[3]
    assert images.shape == labels.shape == (locator.BATCH, CROP, CROP, 1)
    first[0]  # what was read before changes nothing
    for one, two in zip(first[3], again[3], strict=True):
        assert np.array_equal(one, two)
    assert not np.array_equal(images, first[4][0]) and not np.array_equal(images, other[3][0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A little locator of bright discs, its file."""
    path = tmp_path_factory.mktemp("locator") / "fold0" / "locator.keras"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locator, "MIN_STEPS", 40)
        patch.setattr(locator, "MAX_STEPS", 40)
        patch.setattr(locator, "BATCH", 4)
        patch.setattr(locator, "FILTERS", (4, 8, 8))
        patch.setattr(locator, "LEARNING_RATE", 2e-2)
        stacks = [(*stack(seed)[:2], SPACING) for seed in range(4)]
        train_locator(path, lambda: stacks, [1], {"discs": frozenset("ab")})
    return path


def test_it_finds_what_it_was_shown_also_when_shifted_and_padded(trained):
    finder = Locator((read_network(trained),))
    for seed, widths in ((10, (0, 0, 0, 0)), (11, (70, 0, 0, 10)), (12, (0, 33, 51, 0))):
        image, _, centre = stack(seed)
        padded = np.pad(image, ((0, 0), widths[:2], widths[2:]))
        field = finder.field([padded], SPACING, SETTINGS)
        expected = centre + (widths[0], widths[2])
        assert np.hypot(*(np.subtract(field.centre, expected) * SPACING)) < 15
        unpadded = finder.field([image], SPACING, SETTINGS)
        assert np.subtract(field.centre, unpadded.centre).tolist() == [widths[0], widths[2]]
        assert field.window[2:] == unpadded.window[2:] == field.size == (64, 64)


def test_a_locator_that_is_there_is_kept(trained):
    before = trained.read_bytes()

    def unread():
        raise AssertionError("no case is read")

    train_locator(trained, unread, [2])
    assert trained.read_bytes() == before


def test_its_file_is_read_and_says_what_it_is(trained, tmp_path):
    network = read_network(trained)
    assert (network.name, network.output_shape) == ("locator", (None, None, None, 1))
    assert read_seen(trained) == {"discs": frozenset("ab")}
    (tmp_path / "damaged.keras").write_bytes(trained.read_bytes()[:500])
    with pytest.raises(UserError, match=r"damaged\.keras"):
        read_network(tmp_path / "damaged.keras")


class Reader(keras.Model):
    """Says that what is brighter than a level is heart."""

    def __init__(self, level):
        super().__init__()
        self.level = level

    def predict_on_batch(self, batch):
        assert batch.shape == (locator.BATCH, SIDE, SIDE, 1)
        return (batch > self.level).astype(np.float32)


def test_the_field_lies_about_what_is_heart_in_any_phase():
    ed, es = np.zeros((20, 120, 120), np.float32), np.zeros((20, 120, 120), np.float32)
    ed[:, 30:60, 30:90] = es[:, 60:90, 30:60] = 100
    for image in (ed, es):  # the image ends where they do
        image[:, [0, -1], :2] = image[:, :2, [0, -1]] = -1
    finder = Locator((Reader(1.0),))
    assert finder.field([ed, es], SPACING, SETTINGS) == field_about((60, 60), SPACING, SETTINGS)
    assert finder.field([ed], SPACING, SETTINGS) == field_about((45, 60), SPACING, SETTINGS)


def test_the_answers_of_several_folds_are_averaged_over_all_slices():
    view: Overview = overview(np.random.default_rng(0).normal(size=(37, 60, 60)), SPACING)
    both = Locator((Reader(0.5), Reader(1.0))).probabilities(view)
    assert both.shape == (37, SIDE, SIDE)
    expected = ((view.pixels > 0.5) * 1.0 + (view.pixels > 1.0)) / 2
    assert np.array_equal(both, expected)
