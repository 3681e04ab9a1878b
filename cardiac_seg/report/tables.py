"""The tables of an analysis; every number in a figure or in the report comes from one."""

import numpy as np
import pandas as pd

from cardiac_seg.data.split import part_names
from cardiac_seg.meta.interpretation import calibration_summary
from cardiac_seg.metrics.clinical import EF_AS_RECORDED, INDICES, agreement
from cardiac_seg.metrics.statistics import bootstrap_means, holm, interval, wilcoxon
from cardiac_seg.pipeline.evaluate import FINAL_MASKS, REFERENCE_MASKS
from cardiac_seg.report.measure import (
    AREAS,
    DISTANCES_MM,
    OUTCOMES,
    REGIONS,
    Measured,
    pixel_models,
    test_cases,
)
from cardiac_seg.run.folder import Run, read_json, read_table
from cardiac_seg.run.meta_folder import (
    calibrated_control,
    control_of,
    final_model,
    models_of,
    read_interpretation,
)

ENSEMBLE = FINAL_MASKS  # the chosen model, under the name it is published with
OVERLAP = ("dice", "iou", "precision", "recall")
DISTANCES = ("hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm", "nsd_3mm")
METRICS = (*OVERLAP, *DISTANCES, "size_difference")
SMALLER_IS_BETTER = ("hd95_mm", "band_ece")
SIGNIFICANT = 0.05
COMPARISON = [
    *("role", "model", "against", "metric", "patients", "model_value", "against_value"),
    *("difference", "low", "high", "p", "p_holm", "effect", "verdict", "excluded"),
]
ROC_POINTS = 300
RECORDED_EF = "recorded EF"


def build_tables(run: Run, measured: list[Measured]) -> dict[str, pd.DataFrame]:
    """All tables of a run.

    Args:
        run: A finished run.
        measured: Of its test patients.

    Returns:
        Name -> table; a table without rows keeps its columns where it can.
    """
    final, metrics = final_model(run), read_json(run.folder / "metrics.json")
    cases = with_ensemble(pd.concat([m.cases for m in measured], ignore_index=True), final)
    regions = with_ensemble(pd.concat([m.regions for m in measured], ignore_index=True), final)
    pixels = _Pixels(run, measured, final)
    clinical = pd.concat([m.clinical for m in measured], ignore_index=True)
    clinical = with_ensemble(clinical, final)
    recorded_ef = test_cases(run).groupby("patient").recorded_ef.first()
    quality = quality_table(pd.concat([m.quality for m in measured], ignore_index=True), cases)
    risk, quality_agreement = risk_coverage(quality)
    roc, auc = roc_tables(pixels.ranked, ("background", *run.dataset.structures))
    reliability, calibration = calibration_tables(pixels.bins, pixels.brier, run.config.seed)
    pooled = {m: s["pooled_network_grid"] for m, s in metrics["subsets"]["test"]["models"].items()}
    pooled[ENSEMBLE] = pooled[final]
    return {
        "cases": cases,
        "patients": patient_table(cases),
        "summary": summary_table(cases, run.dataset.structures, run.config.seed),
        "groups": group_table(run, cases, regions),
        "comparisons": comparison_table(run, cases, pixels.calibration_patients),
        "confusion": confusion_table(pooled, ("background", *run.dataset.structures)),
        "accuracy": pd.DataFrame(
            {"model": m, "accuracy": scores["accuracy"]} for m, scores in pooled.items()
        ),
        "roc": roc,
        "auc": auc,
        "reliability": reliability,
        "calibration": calibration,
        "calibration_patients": pixels.calibration_patients,
        "history": history_table(run),
        "quality": quality,
        "risk_coverage": risk,
        "quality_agreement": quality_agreement,
        "changes": change_table(pixels.changes),
        "importance": importance_table(run),
        "clinical": clinical,
        "agreement": agreement_table(clinical, recorded_ef),
        **{
            f"models_{subset}": model_table(metrics, run.manifest.get("combining", {}), subset)
            for subset in metrics["subsets"]
        },
    }


def with_ensemble(table: pd.DataFrame, final: str) -> pd.DataFrame:
    """The table with the chosen model's rows once more, as `ensemble`, last."""
    return pd.concat([table, table[table.model == final].assign(model=ENSEMBLE)], ignore_index=True)


def patient_table(cases: pd.DataFrame) -> pd.DataFrame:
    """The mean of each patient's cases, for every model, structure and metric."""
    keys = ["model", "structure", "patient"]
    return cases.groupby(keys, as_index=False, sort=False)[list(METRICS)].mean()


def summary_table(cases: pd.DataFrame, structures: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Mean over patients of every metric with its interval.

    Args:
        cases: The table `cases`.
        structures: In label order.
        seed: Of the bootstrap.

    Returns:
        model, structure (`mean`: of the structures), metric, mean, low, high, patients (with a
        value), undefined_cases.
    """
    patients = patient_table(cases)
    models = list(dict.fromkeys(cases.model))
    wide = patients.pivot(index="patient", columns=["model", "structure"], values=list(METRICS))
    columns = [(x, m, s) for x in METRICS for m in models for s in structures]
    wide = wide[columns].astype(float)
    means = wide.mean()
    draws = pd.DataFrame(bootstrap_means(wide.to_numpy(), seed), columns=wide.columns)
    undefined = cases[list(METRICS)].isna().groupby([cases.model, cases.structure]).sum()
    rows = []
    for metric in METRICS:
        for model in models:
            for structure in structures:
                at = (metric, model, structure)
                low, high = interval(draws[at].to_numpy()) or (np.nan, np.nan)
                rows.append(
                    {
                        "model": model,
                        "structure": structure,
                        "metric": metric,
                        "mean": means[at],
                        "low": low,
                        "high": high,
                        "patients": int(wide[at].notna().sum()),
                        "undefined_cases": int(undefined.loc[(model, structure), metric]),
                    }
                )
            every = [
                (metric, model, s) for s in structures if not np.isnan(means[metric, model, s])
            ]
            low, high = interval(draws[every].mean(axis=1).to_numpy()) or (np.nan, np.nan)
            rows.append(
                {
                    "model": model,
                    "structure": "mean",
                    "metric": metric,
                    "mean": means[every].mean(),
                    "low": low,
                    "high": high,
                    "patients": int(wide[metric][model].notna().any(axis=1).sum()),
                    "undefined_cases": int(undefined.loc[model, metric].sum()),
                }
            )
    return pd.DataFrame(rows)


def group_table(run: Run, cases: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """Dice by what is known of the cases: the mean over the patients of each group.

    Returns:
        by, value, model, structure (`mean`: of the structures), dice, low, high, patients.
    """
    stratum = run.dataset.stratum
    known = cases.assign(**{stratum: cases.group.map(group_name)})
    by = [stratum, "phase"] if run.dataset.modality == "mri" else ["view", "phase", stratum]
    seed = run.config.seed
    tables = [_grouped(known, column, seed) for column in by]
    if len(regions):
        total = 2 * regions.tp + regions.fp + regions.fn
        dice = (2 * regions.tp / total.where(total > 0)).rename("dice")
        # Base, mid, apex; alphabetical order would mix them.
        table = _grouped(regions.assign(dice=dice), "region", seed)
        order = table.value.map({region: i for i, region in enumerate(REGIONS)})
        tables.append(table.iloc[np.argsort(order, kind="stable")])
    return pd.concat(tables, ignore_index=True)


def group_name(group: str) -> str:
    """ACDC's group RV is printed `abnormal RV`, to tell it from the structure."""
    return "abnormal RV" if group == "RV" else group


def comparison_table(
    run: Run, cases: pd.DataFrame, calibration_patients: pd.DataFrame
) -> pd.DataFrame:
    """Paired comparisons over patients; the same postprocessing on both sides.

    Primary: the ensemble's Dice against that of the temperature-scaled mean (of the mean where no
    temperature is fitted), one test. Secondary: its HD95 and band calibration error against the
    same, and all three against the mean. Exploratory: the Dice of every other model against the
    mean. P values are corrected (Holm) inside each role.

    Args:
        run: The run.
        cases: The table `cases`.
        calibration_patients: model, patient, band_ece.

    Returns:
        role, model, against, metric, patients, model_value, against_value, difference (model
        minus control), low, high, p, p_holm, effect (positive: the model is better), verdict, see
        `verdict`, excluded, see `compare`. No rows where there is nothing to combine.
    """
    control, calibrated, models = control_of(run), calibrated_control(run), models_of(run)
    if len(run.config.members) == 1:
        return pd.DataFrame(columns=COMPARISON)
    final = final_model(run)
    planned = [("primary", calibrated, "dice"), ("secondary", calibrated, "hd95_mm")]
    planned += [("secondary", calibrated, "band_ece")]
    if control != calibrated:
        planned += [("secondary", control, m) for m in ("dice", "hd95_mm", "band_ece")]
    # A model is not tested against itself.
    tests = [(role, ENSEMBLE, against, m) for role, against, m in planned if against != final]
    others = [m for m in models if m not in (control, final)]
    tests += [("exploratory", m, control, "dice") for m in others]
    values = paired_values(cases, calibration_patients)
    rows = [
        {"role": role, "model": model, "against": against, "metric": metric}
        | compare(values[metric][model], values[metric][against], metric, run.config.seed)
        for role, model, against, metric in tests
    ]
    return corrected(pd.DataFrame(rows))[COMPARISON]


def paired_values(
    cases: pd.DataFrame, calibration_patients: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Metric -> ((patient, case), (model, structure)) values that comparisons are made of."""
    calibration = calibration_patients.assign(case="all", structure="all")
    tables = {"dice": cases, "hd95_mm": cases, "band_ece": calibration}
    return {
        metric: table.pivot(
            index=["patient", "case"], columns=["model", "structure"], values=metric
        )
        for metric, table in tables.items()
    }


def corrected(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Adds p_holm, inside each role, and the verdict."""
    for _, some in comparisons.groupby("role"):
        comparisons.loc[some.index, "p_holm"] = holm(some.p.tolist())
    verdicts = [verdict(row) for row in comparisons.itertuples()]
    return comparisons.assign(verdict=verdicts)


def verdict(row) -> str:
    """`better` or `worse` where the interval is on one side and p_holm below .05."""
    if not row.p_holm < SIGNIFICANT or not (row.low > 0 or row.high < 0):
        return "not shown"
    better = row.high < 0 if row.metric in SMALLER_IS_BETTER else row.low > 0
    return "better" if better else "worse"


def compare(model: pd.DataFrame, control: pd.DataFrame, metric: str, seed: int) -> dict:
    """A paired comparison over patients.

    Args:
        model, control: (cases, structures) values, patients the first level of the index; NaN
            where undefined. A case counts where both are defined: a model that fails on a hard
            case must not gain by leaving it out.
        metric: Says which direction is better.
        seed: Of the bootstrap.

    Returns:
        patients, model_value and against_value (means over these pairs), difference (mean of a
        patient's cases, of patients, of structures), low, high, p, effect, excluded (pairs of
        which only one side is defined).
    """
    defined = model.notna() & control.notna()
    excluded = int((model.notna() ^ control.notna()).sum().sum())
    sides = [some.where(defined).groupby(level=0, sort=False).mean() for some in (model, control)]
    apart = sides[0] - sides[1]
    apart = apart.loc[:, apart.notna().any()]
    per_patient = apart.mean(axis=1).to_numpy(float)
    low, high = np.nan, np.nan
    if apart.size:
        draws = bootstrap_means(apart.to_numpy(float), seed)
        low, high = interval(draws.mean(axis=1)) or (np.nan, np.nan)
    p, effect = wilcoxon(-per_patient if metric in SMALLER_IS_BETTER else per_patient)
    return {
        "patients": int((~np.isnan(per_patient)).sum()),
        "model_value": sides[0].mean().mean(),
        "against_value": sides[1].mean().mean(),
        "difference": apart.mean().mean(),
        "low": low,
        "high": high,
        "p": p,
        "effect": effect,
        "excluded": excluded,
    }


def confusion_table(pooled: dict[str, dict], classes: tuple[str, ...]) -> pd.DataFrame:
    """Pooled confusion; `share` is of the true class's pixels (rows sum to 1)."""
    rows = []
    for model, scores in pooled.items():
        counts = np.array(scores["confusion"])
        for truth, row in zip(classes, counts, strict=True):
            share = row / row.sum() if row.sum() else np.full(len(row), np.nan)
            rows += [
                {"model": model, "truth": truth, "predicted": c, "pixels": int(n), "share": s}
                for c, n, s in zip(classes, row, share, strict=True)
            ]
    return pd.DataFrame(rows)


def roc_tables(
    ranked: dict[str, np.ndarray], classes: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One-vs-rest ROC curves and their areas from binned probabilities.

    Args:
        ranked: Model -> (classes, 2, bins) pixels by probability; others first, then the class.
        classes: Names.

    Returns:
        Curves, thinned to `ROC_POINTS`, and areas by the trapezoid rule over all bins. Pixels
        of one bin are ties; the true area lies within `error_bound` of the stated one, half of
        the share of pairs that are in one bin.
    """
    curves, areas = [], []
    for model, counts in ranked.items():
        for name, (others, own) in zip(classes, counts, strict=True):
            false, true = (np.concatenate([[0], np.cumsum(c[::-1])]) for c in (others, own))
            if not false[-1] or not true[-1]:
                areas.append({"model": model, "class": name, "auc": np.nan, "error_bound": np.nan})
                continue
            tied = (others / false[-1] * (own / true[-1])).sum() / 2
            fpr, tpr = false / false[-1], true / true[-1]
            auc = float(np.trapezoid(tpr, fpr))
            areas.append({"model": model, "class": name, "auc": auc, "error_bound": tied})
            # Equal steps along the curve as it is drawn, over the logarithm of false positives.
            drawn = np.log10(np.maximum(fpr, 1e-6)) / 6
            length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(drawn), np.diff(tpr)))])
            wanted = np.searchsorted(length, np.linspace(0, length[-1], ROC_POINTS))
            kept = np.unique(np.minimum(wanted, len(fpr) - 1))
            curve = {"model": model, "class": name}
            curve |= {"false_positive_rate": fpr[kept], "true_positive_rate": tpr[kept]}
            curves.append(pd.DataFrame(curve))
    columns = ["model", "class", "false_positive_rate", "true_positive_rate"]
    curves = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=columns)
    return curves, pd.DataFrame(areas)


def calibration_tables(
    bins: dict[str, np.ndarray], brier: dict[str, np.ndarray], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reliability by bin of confidence, and expected calibration error and Brier score.

    Args:
        bins: Model -> (patients, areas, bins, 3) pixels, summed confidence, right pixels.
        brier: Model -> (patients, areas) summed squared errors of all classes (Brier 1950).
        seed: Of the bootstrap.

    Returns:
        The lines of a reliability diagram, and per model and area: pixels, ece, brier, each of
        the two with its interval over patients (`ece_low`, ...). All are of the patients' pixels
        together; a patient's own calibration error is in `calibration_patients`.
    """
    lines, scores = [], []
    for model, counts in bins.items():
        for area, of_patients, squares in zip(
            AREAS, counts.swapaxes(0, 1), brier[model].T, strict=True
        ):
            pixels, confidence, right = of_patients.sum(axis=0).T
            filled = pixels > 0
            line = {"model": model, "area": area, "bin": np.flatnonzero(filled)}
            line |= {"pixels": pixels[filled].astype(int)}
            line |= {"confidence": confidence[filled] / pixels[filled]}
            line |= {"accuracy": right[filled] / pixels[filled]}
            lines.append(pd.DataFrame(line))
            total = pixels.sum()
            row = {"model": model, "area": area, "pixels": int(total)}
            row |= {"ece": _calibration_error(of_patients.sum(axis=0))}
            row |= {"brier": squares.sum() / total if total else np.nan}
            # A draw's sums are its means times the number of patients: ratios stay.
            sums = np.column_stack([of_patients.reshape(len(squares), -1), squares])
            draws = bootstrap_means(sums, seed)
            drawn = draws[:, :-1].reshape(len(draws), *of_patients.shape[1:])
            drawn_pixels = drawn[..., 0].sum(axis=1)
            apart = np.abs(drawn[..., 1] - drawn[..., 2]).sum(axis=1)
            for name, sizes in (("ece", apart), ("brier", draws[:, -1])):
                share = np.divide(
                    sizes, drawn_pixels, out=np.full(len(draws), np.nan), where=drawn_pixels > 0
                )
                low, high = interval(share) or (np.nan, np.nan)
                row |= {f"{name}_low": low, f"{name}_high": high}
            scores.append(row)
    return pd.concat(lines, ignore_index=True), pd.DataFrame(scores)


def history_table(run: Run) -> pd.DataFrame:
    """Loss and validation Dice of every training."""
    tables = [
        read_table(
            run.history(member, part),
            dict.fromkeys(("epoch", "loss", "val_dice")),
            f"run train_ensemble.py --resume {run.folder} --stage train, which writes it again",
        ).assign(member=member, part=part)
        for member in run.config.members
        for part in part_names(run.config)
        if run.history(member, part).is_file()
    ]
    columns = ["member", "part", "epoch", "loss", "val_dice"]
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True).reindex(columns=columns)


def quality_table(quality: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Predicted beside true quality of each case, those to review first on top."""
    ensemble = cases[cases.model == ENSEMBLE]
    table = quality.assign(dice=quality.case.map(ensemble.groupby("case").dice.mean()))
    table = table.sort_values(["predicted_quality", "case"], ignore_index=True)
    return table.assign(review_rank=table.index + 1)


def risk_coverage(quality: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Risk of the cases kept when those with the lowest predicted quality are set aside.

    Returns:
        score, coverage, risk (mean of 1 - Dice of the covered cases), of each predicted score,
        of the oracle that knows the Dice and of a random order; and per score its correlation
        with the true Dice, bias and mean absolute error of the one that is a Dice itself, and the
        area under its curve, the mean risk over all coverages (Geifman and El-Yaniv 2017; smaller
        is better).
    """
    known = quality[quality.dice.notna()]
    dice, n = known.dice.to_numpy(), len(known)
    scores = {
        "pairwise_dice": known.pairwise_dice.to_numpy(float),
        "boundary_entropy": -known.boundary_entropy.to_numpy(float),
        "predicted_quality": known.predicted_quality.to_numpy(float),
        "oracle": dice,
    }
    curves, agreed = [], []
    for name, score in scores.items():
        if not n or np.isnan(score).all():
            continue
        order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
        risk = np.cumsum(1 - dice[order]) / np.arange(1, n + 1)
        curves.append((name, risk))
        # The entropy as it is: it falls where the Dice rises.
        plain = known.get(name, known.dice)
        constant = n < 3 or plain.nunique() < 2 or known.dice.nunique() < 2
        spearman, pearson = (
            np.nan if constant else plain.corr(known.dice, method=m)
            for m in ("spearman", "pearson")
        )
        row = {"score": name, "spearman": spearman, "pearson": pearson}
        if name == "predicted_quality":  # the only one that is a Dice
            row["bias"], row["mae"] = (plain - known.dice).mean(), (plain - known.dice).abs().mean()
        agreed.append(row)
    if n:
        curves.append(("random", np.full(n, (1 - dice).mean())))
        agreed.append({"score": "random", "spearman": np.nan, "pearson": np.nan})
    coverage = np.arange(1, n + 1) / n if n else []
    tables = [pd.DataFrame({"score": s, "coverage": coverage, "risk": r}) for s, r in curves]
    table = pd.DataFrame(columns=["score", "coverage", "risk"])
    table = pd.concat(tables, ignore_index=True) if tables else table
    areas = [
        {**row, "aurc": float(risk.mean())} for row, (_, risk) in zip(agreed, curves, strict=True)
    ]
    columns = ["score", "spearman", "pearson", "bias", "mae", "aurc"]
    return table, pd.DataFrame(areas, columns=columns)


def change_table(changes: dict[str, np.ndarray]) -> pd.DataFrame:
    """Pixels whose class a combination changes against the mean, and whether for the better."""
    bounds = zip(DISTANCES_MM[:-1], DISTANCES_MM[1:], strict=True)
    names = [f"{a:g}-{b:g} mm" if np.isfinite(b) else f"over {a:g} mm" for a, b in bounds]
    rows = []
    for model, counts in changes.items():
        for name, row in zip(names, counts, strict=True):
            outcome = dict(zip(OUTCOMES, map(int, row), strict=True))
            rows.append({"model": model, "distance": name, "changed": int(row.sum()), **outcome})
    return pd.DataFrame(rows, columns=["model", "distance", "changed", *OUTCOMES])


def importance_table(run: Run) -> pd.DataFrame:
    """Permutation importance of the feature groups, cross-fitted on development patients."""
    rows = []
    for model, told in read_interpretation(run).items():
        for group, value in told.get("importance", {}).items():
            row = {"model": model, "group": group, "mean": value["mean"]}
            rows.append(row | {"low": min(value["folds"]), "high": max(value["folds"])})
    return pd.DataFrame(rows, columns=["model", "group", "mean", "low", "high"])


def agreement_table(clinical: pd.DataFrame, recorded_ef: pd.Series) -> pd.DataFrame:
    """Clinical indices of models against the reference masks, and of both against recorded EF.

    A patient counts where a model's volumes come by the same method as the reference's (a model
    that misses a view's cavity has monoplane ones). The reference's own row against the recorded
    EF is the oracle: what masks without any error would reach.

    Args:
        clinical: patient, model, method, index, value.
        recorded_ef: By patient, percent; NaN where there is none.
    """
    columns = ["model", "against", "index", "unit", "patients", "r", "bias", "sd", "low", "high"]
    wide = clinical.pivot_table("value", "patient", ["model", "index"], dropna=False)
    methods = clinical.groupby(["patient", "model"]).method.first().unstack()
    rows, recorded = [], recorded_ef.reindex(wide.index)
    for model in dict.fromkeys(clinical.model):
        same = (methods[model] == methods[REFERENCE_MASKS]).reindex(wide.index)
        for index, (_, unit) in INDICES.items():
            if (model, index) not in wide or (REFERENCE_MASKS, index) not in wide:
                continue
            about = {"model": model, "index": index, "unit": unit}
            if model != REFERENCE_MASKS:
                against = wide[REFERENCE_MASKS, index].where(same).to_numpy(float)
                told = agreement(wide[model, index].to_numpy(float), against)
                rows.append(about | {"against": "reference masks"} | told)
            if index == EF_AS_RECORDED and recorded.notna().any():
                told = agreement(wide[model, index].to_numpy(float), recorded.to_numpy(float))
                rows.append(about | {"against": RECORDED_EF} | told)
    return pd.DataFrame(rows, columns=[*columns, "mae"])


def model_table(metrics: dict, costs: dict, subset: str) -> pd.DataFrame:
    """One row a model: Dice with intervals, the difference to the control, and what it costs.

    Args:
        metrics: Content of `metrics.json`.
        costs: `combining` of the manifest: seconds a test case and, of learners, number of
            features, seconds of fitting and MiB on disk.
        subset: `development` (cross-fitted) or `test`.

    Returns:
        Dice per patient on the native grid, each followed by the two ends of its interval.
    """
    rows = []
    for model, scores in metrics["subsets"][subset]["models"].items():
        values = {**scores["dice_native_per_patient"], "mean": scores["mean_foreground_dice"]}
        intervals = dict(scores["interval_95"])
        intervals["mean"] = intervals.pop("mean_foreground_dice")
        if against := scores.get(f"against_{metrics['control']}"):
            values["difference"] = against["difference"]
            intervals["difference"] = against["interval_95"]
        row = {"model": model}
        for name, value in values.items():
            low, high = intervals[name] or (np.nan, np.nan)
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(row | costs.get(model, {}))
    return pd.DataFrame(rows)


class _Pixels:
    """The per-pixel measures by model; the ensemble is one of them."""

    def __init__(self, run: Run, measured: list[Measured], final: str):
        self.models, self.final = pixel_models(run), final
        self.bins = self._by_model(np.stack([m.bins for m in measured], axis=1))
        self.brier = self._by_model(np.stack([m.brier for m in measured], axis=1))
        shown = {*run.config.members, control_of(run), ENSEMBLE}
        ranked = self._by_model(sum(m.ranked for m in measured))
        self.ranked = {model: counts for model, counts in ranked.items() if model in shown}
        changes = self._by_model(sum(m.changes for m in measured))
        self.changes = {model: counts for model, counts in changes.items() if model not in shown}
        band = AREAS.index("band")
        errors = np.array([[_calibration_error(some[band]) for some in m.bins] for m in measured])
        patients = [m.cases.patient.iloc[0] for m in measured]
        self.calibration_patients = pd.DataFrame(
            {"model": model, "patient": patient, "band_ece": value}
            for model, values in self._by_model(errors.T).items()
            for patient, value in zip(patients, values, strict=True)
        )

    def _by_model(self, values: np.ndarray) -> dict[str, np.ndarray]:
        named = dict(zip(self.models, values, strict=True))
        return named | {ENSEMBLE: named[self.final]}


def _calibration_error(bins: np.ndarray) -> float:
    """Of (bins, 3) sums; NaN without pixels."""
    if not bins[:, 0].sum():
        return np.nan
    counts = {"bins": bins, "predicted": [], "observed": []}
    return calibration_summary(counts)["expected_calibration_error"]


def _grouped(cases: pd.DataFrame, column: str, seed: int) -> pd.DataFrame:
    """Dice by one column: mean over the patients of each group, with its interval."""
    known = cases[cases[column] != ""]
    keys = [column, "model", "structure"]
    wide = known.pivot_table("dice", "patient", keys, "mean", dropna=False, sort=False)
    draws = pd.DataFrame(bootstrap_means(wide.to_numpy(float), seed), columns=wide.columns)
    means, rows = wide.mean(), []
    for value, model in dict.fromkeys((v, m) for v, m, _ in sorted(wide.columns)):
        of = {s: [(value, model, s)] for s in dict.fromkeys(known.structure)}
        of["mean"] = [one[0] for one in of.values() if not np.isnan(means[one[0]])]
        for structure, some in of.items():
            low, high = interval(draws[some].mean(axis=1).to_numpy()) or (np.nan, np.nan)
            row = {"by": column, "value": value, "model": model, "structure": structure}
            row |= {"dice": means[some].mean(), "low": low, "high": high}
            rows.append(row | {"patients": int(wide[some].notna().any(axis=1).sum())})
    return pd.DataFrame(rows)
