"""Gaussian smoothing in the plane, in mm: what several groups of features share."""

import cv2
import numpy as np


def smoothed(maps: np.ndarray, sigma: float, spacing: tuple[float, float]) -> np.ndarray:
    """Smooths every plane; beyond its edge the outermost pixel goes on.

    Args:
        maps: (slices, height, width, classes) float32.
        sigma: Of the Gaussian, in mm.
        spacing: (row, column) distance in mm.

    Returns:
        An array of the same shape and dtype.
    """
    rows, columns = (sigma / step for step in spacing)
    planes = [
        cv2.GaussianBlur(plane, (0, 0), columns, sigmaY=rows, borderType=cv2.BORDER_REPLICATE)
        for plane in maps
    ]
    return np.stack(planes)
