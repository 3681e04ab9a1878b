"""What MRI and echo phantoms share: the patient they hand over, its beat, soft-edged painting."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class PhantomPatient:
    """One synthetic patient, not yet on disk."""

    folder: str  # relative to the root, such as "training/patient001"
    images: dict[str, np.ndarray]  # per file name without ".nii.gz"
    spacings: Mapping[str, tuple[float, ...]]  # mm per axis, then s per phase, same keys
    cfgs: dict[str, dict]  # contents per cfg file name
    truth: Mapping[str, float | list[float]]  # mL, percent and beats/min; lists have one per frame


def contraction(frames: int, ed: int, es: int) -> list[float]:
    """How far each frame of one beat has contracted: 0 at ED, 1 at ES, strictly between elsewhere.

    It rises smoothly from ED to ES and falls smoothly from ES, past the last frame, to ED again.

    Args:
        frames: Number of frames.
        ed: Frame number of ED, from 1.
        es: Frame number of ES, from `ed` + 1 to `frames`.
    """
    since_ed, systole = (np.arange(1, frames + 1) - ed) % frames, es - ed
    filling = 1 + (since_ed - systole) / (frames - systole)
    turn = np.where(since_ed <= systole, since_ed / systole, filling)
    return ((1 - np.cos(np.pi * turn)) / 2).tolist()


def paint(image: np.ndarray, depth: np.ndarray, value, soft: float) -> None:
    """Blend `value` into `image` in place where `depth` (mm inside) is positive.

    The edge is a ramp `soft` mm wide, which stands for the partial volume effect.
    """
    cover = depth / np.float32(soft)
    cover += 0.5
    np.clip(cover, 0, 1, out=cover)
    image += cover * (value - image)


def ellipse(x, y, centre, radii, wobble: float = 0.0, phase: float = 0.0) -> np.ndarray:
    """Approximate depth (mm, positive inside) in an ellipse whose outline may wobble."""
    # Python floats, so that float32 coordinates stay float32.
    dx = (x - float(centre[0])) / float(radii[0])
    dy = (y - float(centre[1])) / float(radii[1])
    reach = np.sqrt(dx * dx + dy * dy)
    if wobble:
        angle = np.arctan2(dy, dx)
        reach = reach / (1 + wobble * (np.sin(3 * angle + float(phase)) + np.sin(5 * angle)))
    return (1 - reach) * float(min(radii))


def window(x, y, centre, reach: float) -> tuple[slice, slice]:
    """Slices of the pixels within `reach` (mm) of `centre`, for blobs not worth a whole image."""
    near = np.abs(x - float(centre[0])) + np.abs(y - float(centre[1])) < 1.5 * reach
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def smooth_noise(rng, shape: tuple[int, int], sigma: float) -> np.ndarray:
    """Float32 Gaussian noise smoothed over `sigma` pixels, zero mean, unit deviation."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return (noise - noise.mean()) / (noise.std() + 1e-6)
