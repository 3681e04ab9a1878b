"""The way to the network grid and back, over odd, non-square and anisotropic planes."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.grid.resample import _fit, from_grid, label_to_grid, make_grid, normalize, to_grid

sides = st.integers(60, 141)
native_spacings = st.floats(0.8, 2.0)
geometries = st.tuples(
    st.tuples(sides, sides),
    st.tuples(native_spacings, native_spacings),
    st.sampled_from([None, 1.0, 1.37, 2.0]),
    st.tuples(st.sampled_from([64, 96, 128]), st.sampled_from([64, 96, 128])),
)


def settings_of(spacing, size, **others):
    return Preprocess(spacing=spacing, size=size, **others)


def positions(shape, spacing):
    """Row and column positions of pixel centres in mm from the plane's centre."""
    return np.meshgrid(
        *((np.arange(n) + 0.5 - n / 2) * s for n, s in zip(shape, spacing, strict=True)),
        indexing="ij",
    )


def disc(shape, spacing, centre, radius):
    rows, columns = positions(shape, spacing)
    return ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2).astype(np.uint8)


def there_and_back(label, spacing, settings):
    """Native label -> grid -> one-hot -> native -> argmax."""
    grid = make_grid(label.shape[1:], spacing, settings)
    on_grid = label_to_grid(label, grid)
    back = from_grid(np.eye(4, dtype=np.float32)[on_grid], grid)
    return on_grid, back.argmax(-1).astype(np.uint8), grid


def dice(a, b):
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


@given(geometries, st.floats(-1, 1), st.floats(-1, 1))
def test_a_disc_comes_back_in_place_and_in_size(geometry, down, right):
    """A disc 12 pixels in radius: Dice at least 0.94, area to 12 %, centre to half a pixel.

    The nearest neighbour may double or drop one row and one column of the disc, not more.
    """
    native, spacing, target, size = geometry
    settings = settings_of(target, size)
    grid = make_grid(native, spacing, settings)
    step = max(*grid.spacing, *spacing)
    radius = 12 * step
    extents = [
        min(n * s, m * t) for n, s, m, t in zip(native, spacing, size, grid.spacing, strict=True)
    ]
    room = [extent / 2 - radius - 2 * step for extent in extents]
    assume(min(room) >= 0)
    centre = (down * room[0], right * room[1])
    label = disc(native, spacing, centre, radius)[None]

    on_grid, back, _ = there_and_back(label, spacing, settings)

    assert back.shape == label.shape
    assert dice(back == 1, label == 1) >= 0.94
    mm2 = np.prod(spacing)
    assert back.sum() * mm2 == pytest.approx(label.sum() * mm2, rel=0.12)
    assert on_grid.sum() * np.prod(grid.spacing) == pytest.approx(label.sum() * mm2, rel=0.12)
    for axis in positions(native, spacing):
        shift = axis[back[0] == 1].mean() - axis[label[0] == 1].mean()
        assert abs(shift) < 0.5 * step
    # A crop about the centre is off it by half a pixel where the sides differ in parity.
    for axis, native_axis in zip(
        positions(size, grid.spacing), positions(native, spacing), strict=True
    ):
        shift = axis[on_grid[0] == 1].mean() - native_axis[label[0] == 1].mean()
        assert abs(shift) < step


@given(geometries, st.sampled_from([0, 1]))
def test_a_ramp_in_mm_keeps_its_slope_on_the_grid_and_its_values_on_the_way_back(geometry, axis):
    native, spacing, target, size = geometry
    ramp = positions(native, spacing)[axis].astype(np.float32)
    low, high = float(ramp.min()), float(ramp.max())
    image = to_grid(ramp[None], spacing, settings_of(target, size, clip=(0, 100)))
    values = image.pixels[0].astype(np.float64) / 255 * (high - low) + low
    grid, quantum = image.grid, (high - low) / 255

    seen = [
        slice((m - min(m, r)) // 2 + 2, (m - min(m, r)) // 2 + min(m, r) - 2)
        for m, r in zip(size, grid.resampled, strict=True)
    ]
    inner = values[tuple(seen)]
    slope = (inner.take(-1, axis) - inner.take(0, axis)) / (inner.shape[axis] - 1)
    assert slope == pytest.approx(grid.spacing[axis], abs=2 * quantum / inner.shape[axis])
    place = positions(size, grid.spacing)[axis][tuple(seen)]
    assert np.abs(inner - place).max() <= 0.5 * grid.spacing[axis] + quantum

    probability = (values - low) / (high - low)
    back = from_grid(np.stack([1 - probability, probability], -1)[None], grid)[0, ..., 1]
    margin = [
        int(np.ceil(max(0, (r - m) / 2) * n / r + 2 * max(1, n / r)))
        for n, r, m in zip(native, grid.resampled, size, strict=True)
    ]
    inner = tuple(slice(m, n - m) for m, n in zip(margin, native, strict=True))
    assert np.abs(back * (high - low) + low - ramp)[inner].max() <= quantum


@given(geometries, st.integers(0, 99))
def test_probabilities_stay_probabilities(geometry, seed):
    native, spacing, target, size = geometry
    scores = np.random.default_rng(seed).exponential(size=(2, *size, 4))
    softmax = (scores / scores.sum(-1, keepdims=True)).astype(np.float16)
    back = from_grid(softmax, make_grid(native, spacing, settings_of(target, size)))
    assert back.shape == (2, *native, 4) and back.dtype == np.float32
    assert back.min() >= 0
    assert np.allclose(back.sum(-1), 1, atol=5e-3)  # float16 maps


@pytest.mark.parametrize("side", [100, 101])
def test_outside_the_crop_lies_background_for_certain(side):
    grid = make_grid((side, side), (1.5, 1.5), settings_of(1.5, (32, 64)))
    maps = np.zeros((1, 32, 64, 3), np.float32)
    maps[..., 2] = 1
    back = from_grid(maps, grid)[0]
    inside = np.zeros((side, side), bool)
    inside[34:66, 18:82] = True  # (100 - 32) // 2 and (100 - 64) // 2
    assert (back[inside] == [0, 0, 1]).all()
    assert (back[~inside] == [1, 0, 0]).all()


@given(st.tuples(*[st.integers(1, 40)] * 4))
def test_fit_undoes_itself(sides):
    small = (min(sides[0], sides[1]), min(sides[2], sides[3]))
    large = (max(sides[0], sides[1]), max(sides[2], sides[3]))
    planes = np.arange(1, 2 * small[0] * small[1] + 1).reshape(2, *small)
    padded = _fit(planes, large, fill=0)
    assert padded.shape == (2, *large) and (padded > 0).sum() == planes.size
    assert np.array_equal(_fit(padded, small, fill=0), planes)
    whole = np.arange(1, 2 * large[0] * large[1] + 1).reshape(2, *large)
    kept = _fit(_fit(whole, small, fill=0), large, fill=0)
    assert np.array_equal(kept[kept > 0], whole[kept > 0]) and (kept > 0).sum() == planes.size
    for axis, (few, many) in enumerate(zip(small, large, strict=True), start=1):
        used = np.flatnonzero((kept > 0).any(axis=tuple({0, 1, 2} - {axis})))
        before, behind = used[0], many - 1 - used[-1]
        assert len(used) == few and 0 <= behind - before <= 1


def test_equal_spacing_and_size_change_nothing():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 64, 96)).astype(np.float32)
    image[0, 0, :2] = 0, 255
    label = rng.integers(0, 4, image.shape).astype(np.uint8)
    settings = settings_of(1.5, (64, 96), clip=(0, 100))
    on_grid = to_grid(image, (1.5, 1.5), settings)
    assert on_grid.pixels.dtype == np.uint8 and np.array_equal(on_grid.pixels, image)
    assert on_grid.grid.spacing == (1.5, 1.5)
    assert np.array_equal(label_to_grid(label, on_grid.grid), label)
    assert np.array_equal(there_and_back(label, (1.5, 1.5), settings)[1], label)


def test_without_spacing_the_whole_plane_fills_the_grid():
    grid = make_grid((80, 120), (1.0, 0.5), settings_of(None, (160, 96)))
    assert grid.resampled == grid.size == (160, 96)
    assert grid.spacing == (0.5, 0.625)
    label = np.zeros((1, 80, 120), np.uint8)
    label[:, 0], label[:, :, -1] = 1, 2
    on_grid = label_to_grid(label, grid)
    assert (on_grid[0, :2, :-1] == 1).all() and (on_grid[0, :, -1] == 2).all()


def test_zscore_and_minmax_hold_inside_the_image():
    image = np.random.default_rng(0).normal(300, 40, (2, 40, 50)).astype(np.float32)
    on_grid = to_grid(image, (1.5, 1.5), settings_of(1.5, (64, 64)))
    inside = (slice(None), slice(12, 52), slice(7, 57))  # 40 and 50 in the middle of 64
    padding = np.ones(on_grid.pixels.shape, bool)
    padding[inside] = False
    assert (on_grid.pixels[padding] == 0).all()
    values = normalize(on_grid.pixels, on_grid.mean, on_grid.std, "zscore")
    assert values.dtype == np.float32
    assert values[inside].mean() == pytest.approx(0, abs=1e-4)
    assert values[inside].std() == pytest.approx(1, abs=1e-4)
    scaled = normalize(on_grid.pixels, on_grid.mean, on_grid.std, "minmax")
    assert scaled.dtype == np.float32 and (scaled.min(), scaled.max()) == (0, 1)


def test_clipping_keeps_an_outlier_from_darkening_the_rest():
    image = np.tile(np.linspace(0, 100, 64, dtype=np.float32), (1, 64, 1))
    image[0, 0, 0] = 1e6
    pixels = to_grid(image, (1, 1), settings_of(1.0, (64, 64), clip=(0, 99))).pixels
    assert pixels[0, 0, 0] == 255 and abs(int(pixels[0, 5, 32]) - 128) < 5


@pytest.mark.filterwarnings("error")
def test_a_flat_or_sparse_image_divides_by_nothing():
    flat = np.full((1, 64, 64), 7, np.float32)
    sparse = flat.copy()
    sparse[0, 30, 30] = 9
    for image, brightest in ((flat, 0), (sparse, 255)):
        on_grid = to_grid(image, (1, 1), settings_of(1.0, (64, 64)))
        assert on_grid.pixels.max() == on_grid.pixels[0, 30, 30] == brightest
        values = normalize(on_grid.pixels, on_grid.mean, on_grid.std, "zscore")
        assert on_grid.std >= 1 and np.isfinite(values).all()
