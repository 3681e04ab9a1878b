"""Random changes to a training slice, image and label together, with OpenCV."""

import cv2
import numpy as np

from cardiac_seg.config.sections import Augment


def augment(
    image: np.ndarray,
    label: np.ndarray,
    rng: np.random.Generator,
    settings: Augment,
    size: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Changes one slice.

    Args:
        image: (height, width) float32 in 0..1 (the case's contrast range), padding 0.
        label: (height, width) uint8.
        rng: The only source of randomness; the same state gives the same slice.
        settings: The `augment` section.
        size: (height, width) of the part about the middle that is wanted, at most the image's;
            all of it by default.

    Returns:
        Image and label of that size and the same dtypes; label values are never mixed.
    """
    image, label = _symmetry(image, label, rng, settings.symmetry)
    image, label = _deform(image, label, rng, settings, size or label.shape)
    image = _acquisition(image, rng, settings)
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
        turns = rng.integers(4) if image.shape[0] == image.shape[1] else 2 * rng.integers(2)
        image, label = np.rot90(image, turns), np.rot90(label, turns)
    if rng.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    return image, label


def _deform(image, label, rng, settings, size):
    """Rotation, scale, shift, elastic displacement and the cut to `size` in one resampling."""
    (height, width), (new_height, new_width) = label.shape, size
    top, left = (height - new_height) // 2, (width - new_width) // 2
    angle = rng.uniform(-1, 1) * settings.rotation
    scale = 1 + rng.uniform(-1, 1) * settings.scale
    shift = rng.uniform(-1, 1, 2) * settings.shift * (new_width, new_height)
    elastic = rng.uniform(0, 1) * settings.elastic
    coarse = rng.uniform(-1, 1, (2, 6, 6)).astype(np.float32)
    if not (angle or elastic or scale != 1 or shift.any()):
        cut = np.s_[top : top + new_height, left : left + new_width]
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
    image = np.ascontiguousarray(image)
    label = np.ascontiguousarray(label)
    outside = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": 0}
    return (
        cv2.remap(image, x, y, cv2.INTER_LINEAR, **outside),
        cv2.remap(label, x, y, cv2.INTER_NEAREST, **outside),
    )


def _acquisition(image, rng, settings):
    """What differs between scanners: resolution in plane, coil sensitivity, gain of a slice.

    Values stay at or above 0 and padding stays 0; the case's mean and deviation, used afterwards,
    undo none of it. Nothing is drawn for what is off: stored runs resume with the same slices.
    Slices displaced by another breath-hold need nothing here: to a 2D network that is `shift`, or
    where the crop was cut out.
    """
    if settings.low_resolution and rng.random() < 0.5:
        image = _lower_resolution(image, 1 - rng.uniform(0, settings.low_resolution))
    if settings.bias_field:
        image = image * np.exp(_smooth_field(image.shape, rng, settings.bias_field))
    if settings.gain:
        image = image * np.float32(np.exp(rng.uniform(-1, 1) * settings.gain))
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
        image = cv2.GaussianBlur(np.ascontiguousarray(image, np.float32), (0, 0), blur)
    if noise:
        image = image + noise * rng.standard_normal(image.shape, dtype=np.float32)
    return image
