"""Clinical indices from masks: volumes, ejection fraction, mass, and how two sets of them agree."""

import cv2
import numpy as np
from scipy import ndimage

# Key -> label and unit. Echo has the first four and the last.
INDICES = {
    "lv_edv_ml": ("LV EDV", "mL"),
    "lv_esv_ml": ("LV ESV", "mL"),
    "lv_sv_ml": ("LV stroke volume", "mL"),
    "lv_ef_percent": ("LV ejection fraction", "%"),
    "rv_edv_ml": ("RV EDV", "mL"),
    "rv_esv_ml": ("RV ESV", "mL"),
    "rv_sv_ml": ("RV stroke volume", "mL"),
    "rv_ef_percent": ("RV ejection fraction", "%"),
    "myocardial_mass_g": ("Myocardial mass", "g"),
    "cardiac_output_l_min": ("Cardiac output", "L/min"),
    "lv_ef_one_height_percent": ("LV EF, one disc height", "%"),
}
EF_AS_RECORDED = "lv_ef_one_height_percent"  # echo: how CAMUS's recorded EF was computed
DENSITY = 1.05  # of myocardium, g/mL
DISCS = 20
VIEWS, PHASES = ("2CH", "4CH"), ("ED", "ES")
_LV, _MYO, _LA = 1, 2, 3  # labels in echo
_SPECK = 1 / 50  # of the outline: shorter stretches of wall or gap are not anatomy
Discs = tuple[float, np.ndarray]


def volume_ml(mask: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """Volume of a mask in mL: its voxels, so slices times their distance.

    Args:
        mask: (slices, height, width) bool, on the native grid.
        spacing: (slice, row, column) distance in mm.

    Raises:
        ValueError: If the mask is not three-dimensional bool or a distance is not positive.
    """
    if mask.ndim != 3 or mask.dtype != bool:
        raise ValueError(f"mask of shape {mask.shape}, {mask.dtype}; expected three axes of bool")
    _check_spacing(spacing, 3)
    return float(np.count_nonzero(mask) * np.prod(spacing) / 1000)


def mri_indices(
    volumes: dict[str, dict[str, float]], heart_rate: float | None = None
) -> dict[str, float]:
    """Indices of one MRI patient; what cannot be computed is left out.

    Args:
        volumes: Phase (`ED`, `ES`) -> structure (`LV`, `RV`, `MYO`) -> mL.
        heart_rate: Beats per minute, for the cardiac output.

    Returns:
        Key of `INDICES` -> value. The EF is NaN where the EDV is 0. The mass is the ED one.

    Raises:
        ValueError: If the heart rate is not positive.
    """
    if heart_rate is not None and not heart_rate > 0:
        raise ValueError(f"heart rate of {heart_rate} beats/min; expected a positive one")
    indices = {}
    for ventricle in ("LV", "RV"):
        by_phase = {p: volumes[p][ventricle] for p in PHASES if ventricle in volumes.get(p, {})}
        indices |= _ventricle_indices(ventricle.lower(), by_phase)
    if "MYO" in volumes.get("ED", {}):
        indices["myocardial_mass_g"] = DENSITY * volumes["ED"]["MYO"]
    if heart_rate is not None and "lv_sv_ml" in indices:
        indices["cardiac_output_l_min"] = indices["lv_sv_ml"] * heart_rate / 1000
    return indices


def echo_indices(
    masks: dict[tuple[str, str], tuple[np.ndarray, tuple[float, float]]],
) -> tuple[dict[str, float], str]:
    """LV indices of one echo patient by the biplane method of discs.

    Both phases come from the same views: a view without a cavity in a phase that the other view
    shows is left out, and the volumes are monoplane.

    The EF that CAMUS records is another one: what discs as high at ES as at ED give, without the
    shortening of the long axis, and 7.8 points lower on average (450 patients). It is given too
    (`EF_AS_RECORDED`), for comparison with that record alone.

    Args:
        masks: View (`2CH`, `4CH`, or empty where nothing says which it is) and phase (`ED`, `ES`)
            -> label image (height, width) uint8 (1 LV, 2 MYO, 3 LA) on the native grid, and its
            (row, column) spacing in mm. An unknown view counts only where there is no other.

    Returns:
        Key of `INDICES` -> value (only the volume where only one phase is known), and the method:
        `biplane`, `monoplane 2CH`, `monoplane 4CH`, `monoplane`, or `none` with no indices.

    Raises:
        ValueError: If a label image or a spacing is malformed.
    """
    shown = {key for key, (label, _) in masks.items() if (label == _LV).any()}
    known = VIEWS if any(view for view, _ in shown) else ("",)
    phases = [p for p in PHASES if any((view, p) in shown for view in known)]
    views = [view for view in known if all((view, p) in shown for p in phases)]
    if not phases or not views:
        return {}, "none"
    cut = {p: [discs(*masks[view, p]) for view in views] for p in phases}
    indices = _ventricle_indices("lv", {p: biplane_volume_ml(*cut[p]) for p in phases})
    if len(phases) == 2:
        # The height that the discs share cancels out.
        ed, es = (float((cut[p][0][1] * cut[p][-1][1]).sum()) for p in PHASES)
        indices[EF_AS_RECORDED] = 100 * (1 - es / ed)
    return indices, "biplane" if len(views) == 2 else f"monoplane {views[0]}".strip()


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


def discs(label: np.ndarray, spacing: tuple[float, float]) -> Discs:
    """Cuts the LV cavity of an apical view into discs of equal height.

    The cavity is the largest connected part, its holes filled. The long axis runs from the middle
    of the mitral plane to the apex, the point of the outline farthest from it. The mitral plane
    joins the ends of a stretch of outline that touches no myocardium: of the one that touches
    the atrium most, or else of the longest. Where there is none, as without myocardium, it is where
    the cavity touches the atrium; without that, the major axis leaves the cavity at its base on
    the blunter side.

    Args:
        label: (height, width) integers: 1 LV, 2 MYO, 3 LA.
        spacing: (row, column) distance in mm.

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
    _check_spacing(spacing, 2)
    cavity, outline = _largest_part(label == _LV)
    pixels = np.argwhere(cavity) * spacing
    border = outline * spacing
    base = _mitral_middle(label, outline, spacing)
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


def agreement(values: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Agreement of paired measurements (Bland & Altman 1986, doi 10.1016/S0140-6736(86)90837-8).

    Args:
        values: (patients,) floats; a pair with a NaN is left out.
        reference: (patients,) floats.

    Returns:
        `patients` (int, the pairs), `r` (Pearson; NaN below three pairs or if one side is
        constant), `bias` (mean of values - reference), `sd` of the differences (ddof 1), the
        limits of agreement `low` and `high` (bias -+ 1.96 sd), and the mean absolute difference
        `mae`; NaN where there are too few pairs.

    Raises:
        ValueError: If the arrays are not one-dimensional or differ in length.
    """
    values, reference = np.asarray(values, float), np.asarray(reference, float)
    if values.ndim != 1 or values.shape != reference.shape:
        raise ValueError(f"arrays of shape {values.shape} and {reference.shape}; expected pairs")
    known = ~(np.isnan(values) | np.isnan(reference))
    values, reference = values[known], reference[known]
    patients, difference = len(values), values - reference
    r = bias = sd = mae = np.nan
    if patients:
        bias, mae = difference.mean(), np.abs(difference).mean()
    if patients > 1:
        sd = difference.std(ddof=1)
    if patients > 2 and np.ptp(values) and np.ptp(reference):
        r = np.corrcoef(values, reference)[0, 1]
    found = {
        "r": r,
        "bias": bias,
        "sd": sd,
        "low": bias - 1.96 * sd,
        "high": bias + 1.96 * sd,
        "mae": mae,
    }
    return {"patients": patients} | {name: float(value) for name, value in found.items()}


def _ventricle_indices(ventricle: str, volumes: dict[str, float]) -> dict[str, float]:
    """Volumes of one ventricle by phase (mL), and with both phases what follows from them."""
    indices = {f"{ventricle}_{p.lower()}v_ml": float(volumes[p]) for p in PHASES if p in volumes}
    if len(indices) == 2:
        edv, esv = indices.values()
        indices[f"{ventricle}_sv_ml"] = edv - esv
        indices[f"{ventricle}_ef_percent"] = 100 * (edv - esv) / edv if edv else np.nan
    return indices


def _largest_part(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest part, holes filled, and its outline: (points, 2) row, column in order."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        raise ValueError("no LV cavity in the label image; check for one first")
    part = parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    (outline,), _ = cv2.findContours(
        part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    filled = cv2.drawContours(np.zeros(mask.shape, np.uint8), [outline], -1, 1, cv2.FILLED)
    return filled > 0, outline[:, 0, ::-1]


def _mitral_middle(
    label: np.ndarray, outline: np.ndarray, spacing: tuple[float, float]
) -> np.ndarray | None:
    """Middle of the mitral plane, (row, column) in mm; None where nothing tells it.

    Args:
        label: (height, width) integers.
        outline: (points, 2) row, column of the cavity's outermost pixels, in order around it.
        spacing: (row, column) distance in mm.
    """
    wall, atrium = (
        cv2.dilate((label == structure).astype(np.uint8), np.ones((3, 3)))[tuple(outline.T)]
        for structure in (_MYO, _LA)
    )
    # Predicted walls have gaps and specks; the majority of the neighbours goes over them.
    wall = ndimage.median_filter(wall, 2 * int(len(wall) * _SPECK) + 1, mode="wrap") > 0
    if wall.all() or not wall.any():
        wall = atrium == 0
    if wall.all() or not wall.any():
        return None
    # Begun in the wall, the outline cuts no stretch in two.
    start = wall.argmax()
    points, atrium, wall = (np.roll(v, -start, 0) for v in (outline * spacing, atrium, wall))
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


def _check_spacing(spacing: tuple[float, ...], axes: int) -> None:
    if len(spacing) != axes or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise ValueError(f"spacing {spacing}; expected {axes} positive distances in mm")
