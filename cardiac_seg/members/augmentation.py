"""Random changes to a training slice or stack, image and label together, with OpenCV."""

from collections.abc import Callable

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from cardiac_seg.config.sections import Augment

ANISOTROPIC = 3.0  # slices so many times as far apart as pixels are changed in plane alone
DISPLACED = 0.25  # share of the slices that another breath-hold displaces


def augment(
    image: np.ndarray,
    label: np.ndarray,
    rng: np.random.Generator,
    settings: Augment,
    size: tuple[int, int] | None = None,
    anisotropy: float = np.inf,
    acquired: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Changes one slice, or a stack of slices alike.

    Args:
        image: ([slices,] height, width) float32 in 0..1 (the case's contrast range), padding 0.
        label: The same shape, uint8.
        rng: The only source of randomness; the same state gives the same slice.
        settings: The `augment` section.
        size: (height, width) of the part about the middle that is wanted, at most the image's;
            all of it by default.
        anisotropy: Distance of a stack's slices in pixels. A stack is also turned out of plane
            where it is at most ANISOTROPIC; coarser ones are changed in plane alone, as nnU-Net
            does.
        acquired: (slices,) integers, equal for slices of a stack that stand for one slice of the
            file, which gain and displacement then change alike; each its own by default.

    Returns:
        Image and label of that size and the same dtypes; label values are never mixed.
    """
    image, label = _symmetry(image, label, rng, settings.symmetry)
    if image.ndim == 3 and anisotropy <= ANISOTROPIC and settings.rotation:
        image, label = _tilt(image, label, rng, settings.rotation, anisotropy)
    if acquired is None:
        acquired = np.arange(len(label)) if label.ndim == 3 else np.zeros(1, int)
    image, label = _deform(image, label, rng, settings, size or label.shape[-2:], acquired)
    image = _acquisition(image, rng, settings, acquired)
    image = _intensity(image, rng, settings)
    if settings.shadow and rng.random() < settings.shadow:
        image = acoustic_shadow(image, rng)
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(label)


def acoustic_shadow(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Echo: a dark wedge along one beam, and gain that changes with depth.

    Beams start at the middle of the upper edge, where the probe of an apical view is.

    Args:
        image: (height, width) float32.
        rng: Source of randomness.

    Returns:
        (height, width) float32.
    """
    height, width = image.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = np.arctan2(columns - width / 2, rows + 1)
    beam, half_width = rng.uniform(-0.6, 0.6), rng.uniform(0.03, 0.12)
    start, darkness = rng.uniform(0, 0.5) * height, rng.uniform(0.3, 0.9)
    wedge = np.exp(-(((angle - beam) / half_width) ** 2)) * (rows > start)
    # Time-gain compensation: a slope of up to 40 % over the depth, either way.
    gain = 1 + rng.uniform(-0.4, 0.4) * (rows / height - 0.5)
    return image * gain * (1 - darkness * wedge)


def _symmetry(image, label, rng, kind):
    if kind == "none":
        return image, label
    if kind == "dihedral":
        turns = rng.integers(4) if image.shape[-2] == image.shape[-1] else 2 * rng.integers(2)
        image, label = (np.rot90(array, turns, (-2, -1)) for array in (image, label))
    if rng.random() < 0.5:
        image, label = image[..., ::-1], label[..., ::-1]
    return image, label


def _tilt(image, label, rng, largest, anisotropy):
    """Turns a stack about its rows and its columns, in one resampling."""
    about_rows, about_columns = np.radians(rng.uniform(-1, 1, 2) * largest)
    (sa, ca), (sb, cb) = ((np.sin(a), np.cos(a)) for a in (about_rows, about_columns))
    turn = np.array([[ca, 0, -sa], [0, 1, 0], [sa, 0, ca]]) @ np.array(
        [[cb, -sb, 0], [sb, cb, 0], [0, 0, 1]]
    )
    pixels = np.array([anisotropy, 1.0, 1.0])  # of a step along each axis
    middle = (np.array(image.shape) - 1) / 2
    steps = np.indices(image.shape).reshape(3, -1) - middle[:, None]
    source = (turn @ (steps * pixels[:, None])) / pixels[:, None] + middle[:, None]
    turned = (
        map_coordinates(array, source, order=order, mode="constant").reshape(image.shape)
        for array, order in ((image, 1), (label, 0))
    )
    return tuple(turned)


def _deform(image, label, rng, settings, size, acquired):
    """Rotation, scale, shift, elastic displacement and the cut to `size` in one resampling."""
    (height, width), (new_height, new_width) = label.shape[-2:], size
    top, left = (height - new_height) // 2, (width - new_width) // 2
    angle = rng.uniform(-1, 1) * settings.rotation
    scale = 1 + rng.uniform(-1, 1) * settings.scale
    shift = rng.uniform(-1, 1, 2) * settings.shift * (new_width, new_height)
    elastic = rng.uniform(0, 1) * settings.elastic
    coarse = rng.uniform(-1, 1, (2, 6, 6)).astype(np.float32)
    apart = np.zeros((len(acquired), 2))
    if settings.slice_shift and label.ndim == 3:
        apart = _apart(acquired, rng, settings.slice_shift)
    if not (angle or elastic or scale != 1 or shift.any() or apart.any()):
        cut = np.s_[..., top : top + new_height, left : left + new_width]
        return image[cut], label[cut]

    # Output pixel -> input pixel, so the matrix is the inverse of the movement.
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1 / scale)
    matrix[:, 2] += shift
    rows, columns = np.mgrid[0:new_height, 0:new_width].astype(np.float32)
    rows, columns = rows + top, columns + left
    x, y = ((row[0] * columns + row[1] * rows + row[2]).astype(np.float32) for row in matrix)
    if elastic:
        dx, dy = (cv2.resize(c, size[::-1], interpolation=cv2.INTER_CUBIC) for c in coarse)
        x, y = x + elastic * dx, y + elastic * dy
    planes = len(apart)
    stacks = [
        np.ascontiguousarray(array).reshape(planes, height, width) for array in (image, label)
    ]
    outside = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": 0}
    moved = [
        np.stack(
            [
                cv2.remap(plane, x + dx, y + dy, rule, **outside)
                for plane, (dx, dy) in zip(stack, apart.astype(np.float32), strict=True)
            ]
        )
        for stack, rule in zip(stacks, (cv2.INTER_LINEAR, cv2.INTER_NEAREST), strict=True)
    ]
    return moved[0].reshape(*image.shape[:-2], *size), moved[1].reshape(*label.shape[:-2], *size)


def _apart(acquired, rng, largest):
    """(slices, 2) pixels by which each slice lies beside the others, most of them by none."""
    slices, of_slice = np.unique(acquired, return_inverse=True)
    displaced = rng.random(len(slices)) < DISPLACED
    return (displaced[:, None] * rng.uniform(-largest, largest, (len(slices), 2)))[of_slice]


def _by_plane(change: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """Changes a slice, or each slice of a stack."""
    return change(image) if image.ndim == 2 else np.stack([change(plane) for plane in image])


def _acquisition(image, rng, settings, acquired):
    """What differs between scanners: resolution in plane, coil sensitivity, gain of a slice.

    Values stay at or above 0 and padding stays 0; the case's mean and deviation, used afterwards,
    undo none of it. Nothing is drawn for what is off: stored runs resume with the same slices.
    """
    if settings.low_resolution and rng.random() < 0.5:
        zoom = 1 - rng.uniform(0, settings.low_resolution)
        image = _by_plane(lambda plane: _lower_resolution(plane, zoom), image)
    if settings.bias_field:
        image = image * np.exp(_smooth_field(image.shape[-2:], rng, settings.bias_field))
    if settings.gain:
        slices, of_slice = np.unique(acquired, return_inverse=True)
        gain = np.exp(rng.uniform(-1, 1, len(slices)) * settings.gain)[of_slice]
        image = image * gain.astype(np.float32).reshape(-1, *[1] * (image.ndim - 1))
    return image


def _lower_resolution(image, zoom):
    """To `zoom` times the resolution and back, as coarse files come to the network grid."""
    height, width = (max(1, round(zoom * side)) for side in image.shape)
    image = np.ascontiguousarray(image)
    coarse = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(coarse, image.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _smooth_field(shape, rng, largest):
    """(height, width) float32 that varies slowly, its extreme drawn from 0 to `largest`."""
    coarse = rng.uniform(-1, 1, (4, 4)).astype(np.float32)
    field = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    # Cubic interpolation overshoots, so the extreme is set on the fine grid.
    return field * np.float32(rng.uniform(0, largest) / np.abs(field).max())


def _intensity(image, rng, settings):
    gamma, contrast, brightness = rng.uniform(-1, 1, 3)
    noise, blur = rng.uniform(0, 1, 2) * (settings.noise, settings.blur)
    if settings.gamma:
        # Symmetric on a log scale: an exponent and its inverse are equally likely.
        exponent = (1 - settings.gamma) ** gamma
        image = np.clip(image, 0, None) ** np.float32(exponent)
    if settings.contrast or settings.brightness:
        mean = image.mean()
        image = (image - mean) * (1 + contrast * settings.contrast) + mean
        image = image + brightness * settings.brightness
    if blur > 0.2:  # a narrower kernel is the identity
        image = _by_plane(
            lambda plane: cv2.GaussianBlur(np.ascontiguousarray(plane, np.float32), (0, 0), blur),
            image,
        )
    if noise:
        image = image + noise * rng.standard_normal(image.shape, dtype=np.float32)
    return image
