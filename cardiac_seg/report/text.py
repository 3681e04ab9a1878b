"""What a report says in words: verdicts, what is missing, and the methods paragraph."""

import numpy as np
import pandas as pd

from cardiac_seg.drawing.styles import METRIC_NAMES, MODEL_NAMES
from cardiac_seg.meta.combine import MEAN, WEIGHTED_MEAN
from cardiac_seg.metrics.statistics import LEVEL, RESAMPLES
from cardiac_seg.pipeline.evaluate import REFERENCE_MASKS
from cardiac_seg.report.measure import BAND_MM, ROC_BINS, test_cases
from cardiac_seg.report.page import Verdict
from cardiac_seg.report.tables import ENSEMBLE, RECORDED_EF
from cardiac_seg.run.folder import Run, read_json
from cardiac_seg.run.meta_folder import calibrated_control, control_of, final_model, models_of

STATUS = {"better": "good", "worse": "bad", "not shown": "open"}
FEWEST_PATIENTS = 6  # below, no signed-rank test can reach .05
NOT_INDEPENDENT = (
    "Development figures are cross-fitted: each fold is scored by what was fitted on the others. "
    "The folds share most of their fitting patients and are not independent, so the spread between "
    "folds understates the uncertainty; intervals and tests here are over test patients."
)
NATIVE = "Per patient, native grid, after postprocessing."
POOLED = "Pooled over all test pixels, network grid, before postprocessing, as published."
BAND = f"Band: within {BAND_MM:g} mm of a reference boundary"
SECTIONS = {  # key -> title, text
    "overlap": ("Overlap and distances", ""),
    "cases": (
        "Pictures",
        "Every case has a page with all its slices; the table of cases links to them.",
    ),
    "stacking": ("Stacking against averaging", NOT_INDEPENDENT),
    "calibration": ("Calibration", ""),
    "uncertainty": ("Uncertainty and quality control", ""),
    "clinical": (
        "Clinical indices",
        "Against the reference masks. Echo volumes are by biplane discs, each phase with its own "
        "long axis (ASE/EACVI). CAMUS's recorded EF agrees with discs of one height in both "
        "phases, so that one is compared with it; the reference masks' own row there is the "
        "oracle: what masks without error would reach.",
    ),
    "training": ("Training", ""),
}
CAPTIONS = {  # file -> section, title, caption
    "dice_test": (
        "overlap",
        "Dice",
        f"{NATIVE} Bars: mean over patients; dots: patients; whiskers: 95 % bootstrap intervals.",
    ),
    "dice_ensemble": (
        "overlap",
        "Dice of the ensemble",
        f"{NATIVE} The ensemble is the model chosen on development patients.",
    ),
    "dice_groups": (
        "overlap",
        "Dice of the ensemble by group",
        f"{NATIVE} Mean over the patients of each group. Base, mid and apex (MRI) are thirds of "
        "the slices that hold LV in the reference.",
    ),
    "accuracy_distances": (
        "overlap",
        "Surface distances",
        "Cases, native grid, real spacing; undefined distances (an empty mask) are left out.",
    ),
    "confusion_test": (
        "overlap",
        "Confusion",
        f"{POOLED} Rows are the reference and sum to 100 %.",
    ),
    "accuracy_test": ("overlap", "Pixel accuracy", POOLED),
    "roc_test": (
        "overlap",
        "ROC",
        f"{POOLED} One class against the rest, from probabilities in {ROC_BINS} bins, narrow "
        "towards 0 and 1; the table of areas states the error that binning allows.",
    ),
    "samples_best_median_worst": (
        "cases",
        "Best, median and worst case",
        "The saved masks on the native grid; the slice with the most wrong pixels of the ensemble.",
    ),
    "overlays_typical": (
        "cases",
        "The median case of each group, or of each view and phase",
        "White: reference; coloured: ensemble. The slice with the most wrong pixels.",
    ),
    "stacking_difference": (
        "stacking",
        "Difference to the mean",
        f"{NATIVE} Paired difference in mean Dice with 95 % bootstrap intervals; verdicts after "
        "Holm's correction inside each role.",
    ),
    "stacking_changes": (
        "stacking",
        "What is changed against the mean",
        "Test pixels whose class a combination changes, network grid, by distance to the reference "
        "boundary; 'over' holds slices without any structure too. Neither: wrong before and after.",
    ),
    "stacking_importance": (
        "stacking",
        "What the learners look at",
        "Growth of the log-loss when a feature group is shuffled, cross-fitted on development "
        "patients; lines: range over the folds.",
    ),
    "calibration_reliability": (
        "calibration",
        "Reliability",
        f"Network grid. {BAND}; the whole image is mostly easy background.",
    ),
    "calibration_scores": (
        "calibration",
        "Calibration error and Brier score",
        f"Network grid; smaller is better. {BAND}.",
    ),
    "uncertainty_maps": (
        "uncertainty",
        "Uncertainty beside errors",
        "Entropy of the ensemble over log C, brought to the native grid.",
    ),
    "uncertainty_quality": (
        "uncertainty",
        "Predicted and true quality",
        "Cases. The members' Dice with each other, the mean entropy at the ensemble's boundary, "
        "and the Dice that its probabilities let expect: none needs a reference.",
    ),
    "uncertainty_risk_coverage": (
        "uncertainty",
        "Risk and coverage",
        "Mean error of the cases that remain when those of lowest predicted quality are reviewed.",
    ),
    "bland_altman_ensemble": (
        "clinical",
        "Agreement of clinical indices",
        "Ensemble minus reference masks; volumes from voxels (MRI) or biplane discs (echo). Lines: "
        "bias and 95 % limits of agreement.",
    ),
    "training_curves": (
        "training",
        "Training",
        "Training loss, and validation Dice on the network grid.",
    ),
}


def verdicts(run: Run, tables: dict[str, pd.DataFrame]) -> list[Verdict]:
    """The questions of the study with plain answers."""
    final = final_model(run)
    told = [_beats(run, tables, final)] if len(run.config.members) > 1 else []
    comparisons = tables["comparisons"]
    secondary = comparisons[(comparisons.role == "secondary") & (comparisons.against != final)]
    told += [_secondary(row) for row in secondary.itertuples()]
    told.append(_quality(tables["quality_agreement"]))
    ef = _agreement(tables["agreement"], ENSEMBLE, "lv_ef_percent", "reference masks")
    if ef is not None:
        told.append(
            Verdict(
                "How close is the LV ejection fraction to the reference masks'?",
                f"bias {ef.bias:+.1f} points, mean absolute error {ef.mae:.1f}",
                "open",
                f"{ef.patients} patients: r {ef.r:.3f}, SD {ef.sd:.1f}, 95 % limits of agreement "
                f"{ef.low:+.1f} to {ef.high:+.1f} points.",
            )
        )
    return told


def missing(run: Run, tables: dict[str, pd.DataFrame]) -> list[str]:
    """What the report cannot show, and what was left out of a mean, a line each."""
    cases, lines = tables["cases"], []
    patients = cases.patient.nunique()
    if patients < 2:
        lines.append("One test patient: no intervals, no tests.")
    elif patients < FEWEST_PATIENTS:
        lines.append(
            f"{patients} test patients: no paired test can reach .05, so every verdict is "
            "'not shown'."
        )
    if len(run.config.members) == 1:
        lines.append("One network: nothing is combined, so there is no comparison to the mean.")
    shown = [*run.config.members, control_of(run), ENSEMBLE]
    for structure in run.dataset.structures:
        of = cases[cases.structure == structure]
        if not (of.tp + of.fn).any():
            lines.append(f"{structure}: in no reference mask of the test cases.")
        for model in dict.fromkeys(shown):
            some = of[of.model == model]
            name = MODEL_NAMES.get(model, model)
            if not (some.tp + some.fp).any():
                if (some.tp + some.fn).any():
                    lines.append(f"{structure}: never predicted by {name}; its Dice is 0.")
                continue
            lost = some[some.hd95_mm.isna() & some.dice.notna()]
            if len(lost):
                lines.append(
                    f"{name}, {structure}: mask or reference empty in {len(lost)} of {len(some)} "
                    f"cases ({', '.join(lost.case.head(4))}{', ...' if len(lost) > 4 else ''}); "
                    "Dice 0, distances undefined and left out of their means."
                )
            both = int(some.dice.isna().sum())
            if both and model == ENSEMBLE:
                lines.append(
                    f"{structure}: absent from mask and reference in {both} of {len(some)} cases; "
                    "undefined and left out."
                )
    return lines + _missing_indices(run, tables) + _missing_stacking(run, tables)


def methods(run: Run) -> str:
    """A methods paragraph, from the configuration and what the run chose."""
    config, split = run.config, run.split()
    count = split.subset.value_counts()
    data, train, stacking = config.data, config.train, config.stacking
    kind = "phantom " if run.manifest["dataset"]["phantom"] else ""
    images = ", ".join([*(data.views if run.dataset.modality == "echo" else []), *data.phases])
    grid = f"{config.preprocess.size[0]} x {config.preprocess.size[1]} pixels"
    spacing = config.preprocess.spacing
    resampled = f"at {spacing:g} mm" if spacing else "by resizing the whole image"
    members = [f"{m} ({_filters(config, m)} filters)" for m in config.members]
    loss = {"dice_ce": "Dice plus cross-entropy", "ce": "cross-entropy"}
    stop = f", early stopping after {train.early_stopping}" if train.early_stopping else ""
    lines = [
        f"{len(split)} {kind}patients of {data.dataset.upper()} ({images}) were split by patient "
        f"into {count.get('train', 0)} for training, {count.get('validation', 0)} for validation "
        f"and {count.get('test', 0)} for testing ({config.split.scheme} split, seed "
        f"{config.split.seed}). Slices were brought to {grid} {resampled}, intensities clipped at "
        f"percentiles {config.preprocess.clip[0]:g} and {config.preprocess.clip[1]:g} and "
        f"normalised ({config.preprocess.normalize}).",
        f"Networks: {', '.join(members)}; at most {train.epochs} epochs{stop}, batch "
        f"{train.batch_size}, {loss.get(train.loss, train.loss)}, {train.optimizer} with learning "
        f"rate {train.learning_rate:g} ({train.schedule}); {config.predict.checkpoint} weights.",
    ]
    if len(config.members) > 1:
        lines.append(_stacking_methods(run, stacking))
    steps = read_json(run.folder / "metrics.json")["postprocessing"]
    cleaned = [f"{s.replace('_', ' ')} ({', '.join(w)})" for s, w in steps.items() if w]
    lines.append(
        "Softmax maps were resampled to each image's own grid before the argmax; postprocessing, "
        "the same for every model and chosen on development patients: "
        f"{'; '.join(cleaned) or 'none'}. "
        "Dice, IoU, precision, recall, HD95, ASSD and normalised surface Dice (1, 2, 3 mm) were "
        f"measured on the native grid with its spacing, in {_dimensions(run)}; where one mask is "
        "empty Dice is 0 and distances are undefined, where both are all are undefined. A "
        "patient's value is the mean of the patient's cases. HD95 is the larger of the two "
        "directed 95th percentiles of surface distance (google-deepmind/surface-distance); ASSD "
        f"pools both surfaces. Intervals are {LEVEL:.0%} percentile bootstrap intervals over "
        f"patients ({RESAMPLES:,} draws); paired comparisons are Wilcoxon signed-rank tests over "
        "patients with Holm's correction. ROC, confusion, accuracy and calibration are pooled over "
        "pixels of the network grid, before postprocessing; the band lies within "
        f"{BAND_MM:g} mm of a reference boundary."
    )
    return " ".join(lines)


def _beats(run: Run, tables: dict, final: str) -> Verdict:
    comparisons, control = tables["comparisons"], calibrated_control(run)
    name = MODEL_NAMES[control].lower()
    question = f"Does the meta-learner beat the {name}?"
    by_config = read_json(run.meta / "choice.json").get("by") == "config"
    explored = comparisons[comparisons.role == "exploratory"]
    better = [MODEL_NAMES[r.model] for r in explored.itertuples() if r.verdict == "better"]
    others = (
        f" Of the {len(explored)} other models, tested on the same patients and corrected for "
        f"their number, better than the mean: {', '.join(better) or 'none'}."
    )
    if final == control:
        why = f"no combination was shown to beat it on development patients: {name} in use"
        if not run.config.stacking.learners:
            why = f"no learner is configured, the {name} is in use"
        elif by_config:
            why = f"the configuration chose the {name}"
        return Verdict(question, f"not shown: {why}", "open", f"No primary test.{others}")
    if final in (MEAN, WEIGHTED_MEAN):
        question = f"Does the combination in use, which is no meta-learner, beat the {name}?"
    row = next(comparisons[comparisons.role == "primary"].itertuples())
    chosen = "by the configuration" if by_config else "on development patients"
    return Verdict(
        question,
        f"{row.verdict}: Dice {row.difference:+.4f} {in_brackets(row)}",
        STATUS[row.verdict],
        f"{MODEL_NAMES[final]}, chosen {chosen}, minus the {name}, {row.patients} test patients, "
        f"Wilcoxon p {p_value(row.p)}, rank-biserial effect {row.effect:+.2f} (positive: better); "
        f"the one primary test.{others}",
    )


def _secondary(row) -> Verdict:
    against = MODEL_NAMES[row.against].lower()
    metric = METRIC_NAMES[row.metric]
    unit = " mm" if row.metric.endswith("mm") else ""
    return Verdict(
        f"{metric}: ensemble against the {against}?",
        f"{row.verdict}: {row.difference:+.4f}{unit} {in_brackets(row)}",
        STATUS[row.verdict],
        f"{row.model_value:.4f}{unit} against {row.against_value:.4f}{unit}. Secondary; "
        f"{row.patients} patients, p {p_value(row.p)}, after Holm {p_value(row.p_holm)}, effect "
        f"{row.effect:+.2f} (positive: better).",
    )


def _quality(agreement: pd.DataFrame) -> Verdict:
    question = "Does the run know its bad cases without a reference?"
    known = agreement.set_index("score")
    if "predicted_quality" not in known.index or np.isnan(known.spearman["predicted_quality"]):
        return Verdict(question, "cannot be told from so few cases", "open")
    row, random = known.loc["predicted_quality"], known.aurc["random"]
    return Verdict(
        question,
        f"Spearman correlation of predicted quality with Dice: {row.spearman:.2f}, mean absolute "
        f"error {row.mae:.3f}",
        "open",
        f"Area under the risk-coverage curve {row.aurc:.4f}; a random order {random:.4f}, an "
        f"oracle {known.aurc['oracle']:.4f} (smaller is better).",
    )


def _missing_indices(run: Run, tables: dict) -> list[str]:
    cases, clinical, lines = test_cases(run), tables["clinical"], []
    if run.dataset.modality == "mri" and cases.heart_rate.isna().all():
        lines.append("No heart rate in the data: no cardiac output.")
    if run.dataset.modality == "echo":
        told = tables["agreement"]
        methods = clinical.groupby(["patient", "model"]).method.first().unstack()
        reference = methods[REFERENCE_MASKS]
        for method, count in reference[reference != "biplane"].value_counts().items():
            lines.append(f"{count} patients: reference volumes by method '{method}'.")
        if differ := int((methods[ENSEMBLE] != reference).sum()):
            lines.append(
                f"{differ} patients: the ensemble's volumes come by another method than the "
                "reference's (a view without LV), so they are left out of the agreement."
            )
        if cases.recorded_ef.isna().all():
            lines.append("No recorded EF in the data: no oracle row.")
        elif not told[told.against == RECORDED_EF].patients.any():
            lines.append("ED and ES are not both in the run: no EF.")
    return lines


def _missing_stacking(run: Run, tables: dict) -> list[str]:
    lines = []
    if len(run.config.members) > 1 and not len(tables["importance"]):
        lines.append("No learner was fitted on the full features: no importance.")
    if tables["history"].empty:
        lines.append("No training history in the run: no training curves.")
    return lines


def _agreement(table: pd.DataFrame, model: str, index: str, against: str):
    some = table[(table.model == model) & (table["index"] == index) & (table.against == against)]
    rows = [row for row in some.itertuples(index=False) if row.patients > 1]
    return rows[0] if rows else None


def _stacking_methods(run: Run, stacking) -> str:
    learners = [m for m in models_of(run) if m not in run.config.members]
    scheme = {
        "holdout": "Learners were fitted on the maps of the validation patients, whom no network "
        "was trained on",
        "out_of_fold": f"Each network was trained in {run.config.split.folds} folds of the "
        "development patients; learners were fitted on the maps of patients that their network had "
        f"not seen, and the networks in use are {_deployed(stacking.deploy)}",
    }[stacking.scheme]
    chosen = read_json(run.meta / "choice.json").get("by", "unknown")
    how = "by the configuration" if chosen == "config" else "by cross-fitted development Dice"
    return (
        f"{scheme}. Combinations: {', '.join(learners)}; features beside probability, entropy and "
        f"confidence: {', '.join(stacking.features) or 'none'}; learners act where the mean's "
        f"confidence is below {stacking.act_below:g}. The model in use ({final_model(run)}) was "
        f"chosen {how}, before any test patient was scored."
    )


def _deployed(deploy: str) -> str:
    refit = "refitted on all development patients"
    return refit if deploy == "refit" else "the mean of the folds' networks"


def _filters(config, member: str) -> int:
    return getattr(config.networks, member).filters


def _dimensions(run: Run) -> str:
    return "3D" if run.dataset.modality == "mri" else "2D"


def in_brackets(row) -> str:
    return f"[{row.low:+.4f} {row.high:+.4f}]" if not np.isnan(row.low) else "[no interval]"


def p_value(value: float) -> str:
    return "undefined" if np.isnan(value) else "< .001" if value < 0.001 else f"{value:.3f}"
