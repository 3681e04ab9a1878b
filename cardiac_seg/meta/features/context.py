"""The mean's probabilities around the pixel, smoothed in the plane."""

import cv2
import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet


def names(features: FeatureSet) -> list[str]:
    """One column per Gaussian and class."""
    return [f"{c} {s:g} mm" for s in features.context_mm for c in features.classes]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, Gaussians * classes); the Gaussians' sigmas are in mm."""
    blocks = []
    for sigma in case.features.context_mm:
        rows, columns = (sigma / step for step in case.image.grid.spacing)
        smooth = [
            cv2.GaussianBlur(plane, (0, 0), columns, sigmaY=rows, borderType=cv2.BORDER_REPLICATE)
            for plane in case.mean
        ]
        blocks.append(np.stack(smooth)[case.pixels])
    return np.concatenate(blocks, axis=1)
