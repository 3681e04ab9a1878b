"""Agreement of clinical indices."""

import pandas as pd

from cardiac_seg.metrics.agreement import agreement
from cardiac_seg.metrics.indices import EF_AS_RECORDED, INDICES
from cardiac_seg.report.tables.columns import RECORDED_EF
from cardiac_seg.run.folder import REFERENCE_MASKS


def agreement_table(clinical: pd.DataFrame, recorded_ef: pd.Series) -> pd.DataFrame:
    """Clinical indices of methods against the reference masks, and of both against recorded EF.

    A patient counts where a method's volumes come by the same method as the reference's (a method
    that misses a view's cavity has monoplane ones). The reference's own row against the recorded
    EF is the oracle: what masks without any error would reach.

    Args:
        clinical: patient, method, volume_method, index, value.
        recorded_ef: By patient, percent; NaN where there is none.
    """
    columns = ["method", "against", "index", "unit", "patients", "r", "bias", "sd", "low", "high"]
    wide = clinical.pivot_table("value", "patient", ["method", "index"], dropna=False)
    volume_methods = clinical.groupby(["patient", "method"]).volume_method.first().unstack()
    rows, recorded = [], recorded_ef.reindex(wide.index)
    for method in dict.fromkeys(clinical.method):
        same = (volume_methods[method] == volume_methods[REFERENCE_MASKS]).reindex(wide.index)
        for index, (_, unit) in INDICES.items():
            if (method, index) not in wide or (REFERENCE_MASKS, index) not in wide:
                continue
            keys = {"method": method, "index": index, "unit": unit}
            if method != REFERENCE_MASKS:
                against = wide[REFERENCE_MASKS, index].where(same).to_numpy(float)
                values = agreement(wide[method, index].to_numpy(float), against)
                rows.append(keys | {"against": "reference masks"} | values)
            if index == EF_AS_RECORDED and recorded.notna().any():
                values = agreement(wide[method, index].to_numpy(float), recorded.to_numpy(float))
                rows.append(keys | {"against": RECORDED_EF} | values)
    return pd.DataFrame(rows, columns=[*columns, "mae"])
