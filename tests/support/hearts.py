"""Apical views of known shape."""

import numpy as np

from cardiac_seg.data.camus import CAMUS

LV, MYO, LA = 1, 2, 3
APICAL = CAMUS.anatomy


SPACING = (0.7, 0.9)


def apical(radius=20.0, length=80.0, spacing=SPACING, turn=0.0, tilt=0.0, wall=9.0):
    """A half ellipse with its flat side on the mitral plane, in wall, above an atrium.

    Radius, length and wall in mm; turn (rad) of the whole, tilt (rad) of the mitral plane alone.
    """
    shape = [int(220 / s) for s in spacing]
    row, column = np.indices(shape) * np.reshape(spacing, (2, 1, 1)) - 110
    up = -row * np.cos(turn) - column * np.sin(turn)
    across = column * np.cos(turn) - row * np.sin(turn)
    above = up > across * np.tan(tilt)
    # Below the middle of a tilted plane the walls go straight on.
    inside = np.hypot(across / radius, np.maximum(up, 0) / length) < 1
    epi = np.hypot(across / (radius + wall), np.maximum(up, 0) / (length + wall)) < 1
    atrium = np.hypot(across / 18, (up + 15) / 22) < 1
    return np.select([inside & above, epi & above, atrium & ~above], [LV, MYO, LA], 0)


def half_ellipsoid_ml(a, b, length):
    return 2 / 3 * np.pi * a * b * length / 1000
