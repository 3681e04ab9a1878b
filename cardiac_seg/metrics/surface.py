"""How far the surface of a structure's mask lies from that of its reference, in mm."""

import numpy as np
from surface_distance import (
    compute_robust_hausdorff,
    compute_surface_dice_at_tolerance,
    compute_surface_distances,
)

TOLERANCES = (1, 2, 3)  # mm


def surface_metrics(
    truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, float, float]
) -> dict[str, float]:
    """HD95, ASSD and normalised surface Dice of one structure.

    Measured with DeepMind's surface-distance (Nikolov et al. 2021). A surface runs between pixels,
    and along the array's border where the mask meets it. It is sampled at the corners that pixels
    share, each weighted by the length (2D) or area (3D) that marching squares or cubes give it, so
    distances come in steps of the grid. A stack is one body: a missed or added end slice counts
    with the slice spacing.

    Args:
        truth, prediction: (slices, height, width) bool. A single slice is measured in 2D.
        spacing: Slice, row and column distance in mm.

    Returns:
        hd95_mm: The larger of the two directed 95th percentiles of the distance, weighted.
        assd_mm: Weighted mean of the distances of both surfaces pooled (Heimann et al. 2009), not
            the mean of the two directed means.
        nsd_1mm, nsd_2mm, nsd_3mm: Share of both surfaces pooled that lies at most so far from
            the other, 0 to 1.
        With one mask empty the distances are NaN and the shares 0; with both, all are NaN.

    Raises:
        ValueError: If a mask is not bool or not 3D, if the shapes differ, or if the spacing is
            not three positive numbers.
    """
    _check(truth, prediction, spacing)
    shares = [f"nsd_{tolerance}mm" for tolerance in TOLERANCES]
    found = [mask.any() for mask in (truth, prediction)]
    if not all(found):  # the library has no answer under NumPy 2
        overlap = 0.0 if any(found) else np.nan
        return {"hd95_mm": np.nan, "assd_mm": np.nan} | dict.fromkeys(shares, overlap)
    if len(truth) == 1:
        surfaces = compute_surface_distances(truth[0], prediction[0], spacing[1:])
    else:
        surfaces = compute_surface_distances(truth, prediction, spacing)
    distances = np.concatenate(
        [surfaces[f"distances_{way}"] for way in ("gt_to_pred", "pred_to_gt")]
    )
    sizes = np.concatenate([surfaces[f"surfel_areas_{mask}"] for mask in ("gt", "pred")])
    return {
        "hd95_mm": float(compute_robust_hausdorff(surfaces, 95)),
        "assd_mm": float(np.average(distances, weights=sizes)),
    } | {
        name: float(compute_surface_dice_at_tolerance(surfaces, tolerance))
        for name, tolerance in zip(shares, TOLERANCES, strict=True)
    }


def _check(truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...]) -> None:
    for mask in (truth, prediction):
        if mask.dtype != bool or mask.ndim != 3:
            raise ValueError(f"expected a 3D bool mask, found {mask.ndim}D {mask.dtype}")
    if truth.shape != prediction.shape:
        raise ValueError(f"shapes differ: {truth.shape} and {prediction.shape}")
    if len(spacing) != 3 or not all(0 < step < np.inf for step in spacing):
        raise ValueError(f"expected a spacing of three positive numbers in mm, found {spacing}")
