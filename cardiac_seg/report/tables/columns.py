"""Names of columns and metrics that the tables share."""

from cardiac_seg.run.folder import FINAL_MASKS

ENSEMBLE = FINAL_MASKS  # the chosen method, under the name it is published with
OVERLAP = ("dice", "iou", "precision", "recall")
DISTANCES = ("hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm", "nsd_3mm")
METRICS = (*OVERLAP, *DISTANCES, "size_difference")
SMALLER_IS_BETTER = ("hd95_mm", "band_ece")
RECORDED_EF = "recorded EF"
