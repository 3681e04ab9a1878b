"""What changes between scanners and protocols of cine MRI."""

import cv2
import numpy as np

from cardiac_seg.data.perturbations.geometry import narrow, resample, rotate, shift, widen
from cardiac_seg.data.perturbations.perturbation import Perturbation, Perturbed, Spacing

RANGE = (0.5, 99.5)  # percentiles: an image's contrast range, without outliers


def thicken(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Averages `strength` neighbouring slices, what is left at the end too.

    The label is that of the group's middle slice, of the earlier one of two.
    """
    groups = np.split(np.arange(len(image)), range(int(strength), len(image), int(strength)))
    planes = np.stack([image[group].mean(axis=0) for group in groups])
    labels = label[[group[(len(group) - 1) // 2] for group in groups]]
    return planes, labels, (spacing[0] * strength, *spacing[1:])


def drop_end_slices(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Leaves out `strength` slices at either end of the stack, but never all."""
    cut = min(int(strength), (len(image) - 1) // 2)
    kept = slice(cut, len(image) - cut)
    return image[kept], label[kept], spacing


def keep_one_slice(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """The middle slice alone."""
    middle = slice(len(image) // 2, len(image) // 2 + 1)
    return image[middle], label[middle], spacing


def gain_of_slices(
    image: np.ndarray,
    label: np.ndarray,
    spacing: Spacing,
    strength: float,
    rng: np.random.Generator,
) -> Perturbed:
    """Each slice has a brightness of its own: a log gain of standard deviation `strength`."""
    gain = np.exp(strength * rng.standard_normal(len(image))).astype(np.float32)
    return image * gain[:, None, None], label, spacing


def darken_ends(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """The first and the last slice lose `strength` percent of their brightness."""
    image = image.copy()
    for end in {0, len(image) - 1}:
        image[end] *= np.float32(1 - strength / 100)
    return image, label, spacing


def bias(image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng) -> Perturbed:
    """A coil on one side: the log gain rises from -`strength` to `strength` over the columns."""
    ramp = np.linspace(-strength, strength, image.shape[2])
    return image * np.exp(ramp).astype(np.float32), label, spacing


def noise(
    image: np.ndarray,
    label: np.ndarray,
    spacing: Spacing,
    strength: float,
    rng: np.random.Generator,
) -> Perturbed:
    """Noise of a magnitude image (Rician) of `strength` percent of the contrast range."""
    low, high = np.percentile(image, RANGE)
    drawn = strength / 100 * (high - low) * rng.standard_normal((2, *image.shape))
    real, imaginary = drawn.astype(np.float32)
    lowest = image.min()
    return lowest + np.hypot(image - lowest + real, imaginary), label, spacing


def blur(image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng) -> Perturbed:
    """A Gaussian of standard deviation `strength` mm in the plane."""
    down, across = strength / spacing[1], strength / spacing[2]
    planes = [cv2.GaussianBlur(plane, (0, 0), sigmaX=across, sigmaY=down) for plane in image]
    return np.stack(planes), label, spacing


def invert(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Dark becomes bright: each pixel is mirrored between the least and the greatest."""
    return image.min() + image.max() - image, label, spacing


MRI_PERTURBATIONS = (
    Perturbation("shift", "mm", (20, 40, 60, 80), shift),
    Perturbation("rotation", "degrees", (15, 45, 90, 180), rotate),
    Perturbation("wider_field", "%", (25, 50, 100, 200), widen),
    Perturbation("narrower_field", "% of the surroundings", (25, 50, 75, 100), narrow),
    Perturbation("pixel_spacing", "mm", (0.7, 1.0, 2.0, 2.5), resample),
    Perturbation("slice_thickness", "slices averaged", (2, 3, 4), thicken),
    Perturbation("missing_end_slices", "at either end", (1, 2, 3), drop_end_slices),
    Perturbation("one_slice", "the middle one", (1,), keep_one_slice),
    Perturbation("gain_of_slices", "SD of the log gain", (0.1, 0.2, 0.4, 0.8), gain_of_slices),
    Perturbation("dark_end_slices", "%", (25, 50, 75, 90), darken_ends),
    Perturbation("bias_field", "log gain at the edges", (0.25, 0.5, 1.0, 1.5), bias),
    Perturbation("noise", "% of the contrast", (5, 10, 20, 40), noise),
    Perturbation("blur", "mm", (1, 2, 3, 4), blur),
    Perturbation("inverted", "contrast", (1,), invert),
)
