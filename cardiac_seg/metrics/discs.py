"""LV volume from apical views by the method of discs."""

import cv2
import numpy as np
from scipy import ndimage

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.metrics.volumes import check_spacing

DISCS = 20
_MIN_STRETCH = 1 / 50  # of the outline: shorter stretches of wall or gap are not anatomy
Discs = tuple[float, np.ndarray]


def biplane_volume_ml(discs_2ch: Discs | None = None, discs_4ch: Discs | None = None) -> float:
    """LV volume in mL by the method of discs (Lang et al. 2015, doi 10.1016/j.echo.2014.10.003).

    Elliptic discs with one diameter from each view, together as high as the longer long axis;
    circular ones where there is one view.

    Args:
        discs_2ch: Long axis (mm) and disc diameters (mm), as `discs` gives them.
        discs_4ch: The same of the other view.

    Raises:
        ValueError: If there is no view.
    """
    views = [view for view in (discs_2ch, discs_4ch) if view is not None]
    if not views:
        raise ValueError("no view; expected the discs of one or two")
    length = max(length for length, _ in views)
    products = views[0][1] * views[-1][1]
    return float(np.pi / 4 * products.sum() * length / len(products) / 1000)


def discs(label: np.ndarray, spacing: tuple[float, float], anatomy: Anatomy) -> Discs:
    """Cuts the LV cavity of an apical view into discs of equal height.

    The cavity is the largest component, its holes filled. The long axis runs from the middle
    of the mitral plane to the apex, the point of the outline farthest from it. The mitral plane
    joins the ends of a stretch of outline that touches no myocardium: of the one that touches
    the atrium most, or else of the longest. Where there is none, as without myocardium, it is where
    the cavity touches the atrium; without that, the major axis leaves the cavity at its base on
    the blunter side.

    Args:
        label: (height, width) integers.
        spacing: (row, column) distance in mm.
        anatomy: The label set; it has an LV cavity. Without myocardium or LA it is as if there were
            none in the image.

    Returns:
        Length of the long axis in mm, and (20,) float64 diameters in mm from base to apex. A
        diameter is the cavity's area in a disc over the disc's height, and the discs hold the
        whole area: where the mitral plane is tilted, the half that lies below its middle fills,
        mirrored, what is missing above.

    Raises:
        ValueError: If the label image is not two-dimensional or holds no cavity, or a distance is
            not positive.
    """
    if label.ndim != 2:
        raise ValueError(f"label image of shape {label.shape}; expected (height, width)")
    check_spacing(spacing, 2)
    cavity, outline = _largest_component(label == anatomy.label("lv_cavity"))
    pixels = np.argwhere(cavity) * spacing
    border = outline * spacing
    myocardium, la = label == anatomy.label("myocardium"), label == anatomy.label("la")
    base = _mitral_middle(myocardium, la, outline, spacing)
    if base is None:
        base = _blunt_end(pixels)
    apex = border[np.linalg.norm(border - base, axis=1).argmax()]
    length = np.linalg.norm(apex - base)
    axis = (apex - base) / length if length else np.array([1.0, 0.0])
    # Points are centres of pixels, the cavity ends half a pixel beyond them.
    extent = np.abs(axis) @ spacing
    length += extent
    along = np.abs((pixels - base) @ axis + extent / 2)
    edges = np.linspace(0, length, DISCS + 1)[1:-1]
    below = np.clip((edges[:, None] - along) / extent + 0.5, 0, 1).sum(1)
    areas = np.diff(below, prepend=0, append=len(along)) * np.prod(spacing)
    return float(length), areas * DISCS / length


def _largest_component(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest component, holes filled, and its outline: (points, 2) row, column in order."""
    count, components, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=4
    )
    if count < 2:
        raise ValueError("no LV cavity in the label image; check for one first")
    component = components == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    (outline,), _ = cv2.findContours(
        component.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    filled = cv2.drawContours(np.zeros(mask.shape, np.uint8), [outline], -1, 1, cv2.FILLED)
    return filled > 0, outline[:, 0, ::-1]


def _mitral_middle(
    myocardium: np.ndarray, la: np.ndarray, outline: np.ndarray, spacing: tuple[float, float]
) -> np.ndarray | None:
    """Middle of the mitral plane, (row, column) in mm; None where nothing tells it.

    Args:
        myocardium, la: (height, width) bool, what borders on the cavity.
        outline: (points, 2) row, column of the cavity's outermost pixels, in order around it.
        spacing: (row, column) distance in mm.
    """
    near_muscle, atrium = (
        cv2.dilate(structure.astype(np.uint8), np.ones((3, 3)))[tuple(outline.T)]
        for structure in (myocardium, la)
    )
    # Predicted walls have gaps and specks; the majority of the neighbours goes over them.
    wall = (
        ndimage.median_filter(
            near_muscle, 2 * int(len(near_muscle) * _MIN_STRETCH) + 1, mode="wrap"
        )
        > 0
    )
    if wall.all() or not wall.any():
        wall = atrium == 0
    if wall.all() or not wall.any():
        return None
    # Begun in the wall, the outline cuts no stretch in two.
    start = wall.argmax()
    points = np.roll(outline * spacing, -start, 0)
    atrium, wall = np.roll(atrium, -start), np.roll(wall, -start)
    stretches, _ = ndimage.label(~wall)
    extent, contact = np.bincount(stretches)[1:], np.bincount(stretches, atrium)[1:]
    mitral = 1 + np.lexsort((extent, contact))[-1]
    return points[stretches == mitral][[0, -1]].mean(0)


def _blunt_end(pixels: np.ndarray) -> np.ndarray:
    """Where the major axis of pixels (mm) leaves them on their broader side."""
    centre = pixels.mean(0)
    axis = np.linalg.svd(pixels - centre, full_matrices=False)[2][0]
    along = (pixels - centre) @ axis
    # The side that tapers reaches farther from the centroid.
    reach = along.min() if -along.min() < along.max() else along.max()
    return centre + reach * axis
