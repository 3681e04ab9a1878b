"""What a report says in words: verdicts, and what is missing."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cardiac_seg.data.split import TRAINING_CASES
from cardiac_seg.drawing.styles import METRIC_NAMES
from cardiac_seg.metrics.indices import possible_indices
from cardiac_seg.report.page.page import Verdict
from cardiac_seg.report.shown import Shown
from cardiac_seg.report.tables.columns import ENSEMBLE, RECORDED_EF
from cardiac_seg.run.folder import REFERENCE_MASKS, Run
from cardiac_seg.run.meta_folder import calibrated_control, final_method, read_choice
from cardiac_seg.run.scored_cases import read_test_cases
from cardiac_seg.system.numbers import interval_text, number_text, p_equation, p_text

STATUS = {"better": "good", "worse": "bad", "not shown": "open"}
MIN_PATIENTS = 6  # below, no signed-rank test can reach 0.05


def verdicts(run: Run, tables: dict[str, pd.DataFrame], shown: Shown) -> list[Verdict]:
    """The questions of the study with plain answers."""
    final, comparisons = final_method(run), tables["comparisons"]
    answers = [_beats(run, tables, shown)] if len(run.config.members) > 1 else []
    secondary = comparisons[(comparisons.role == "secondary") & (comparisons.against != final)]
    answers += [_secondary(row, shown.titles) for row in secondary.itertuples()]
    answers.append(_predicted_dice(tables["quality_agreement"]))
    ef = _agreement(tables["agreement"], ENSEMBLE, "lv_ef_percent", "reference masks")
    if ef is not None:
        answers.append(
            Verdict(
                "How close is the LV ejection fraction to the reference masks'?",
                f"bias {number_text(ef.bias, 1, '+')} points, mean absolute error "
                f"{number_text(ef.mae, 1)}",
                "open",
                f"{ef.patients} patients: r {number_text(ef.r, 3, undefined='undefined')}, SD "
                f"{number_text(ef.sd, 1)}, 95 % limits of agreement {number_text(ef.low, 1, '+')} "
                f"to {number_text(ef.high, 1, '+')} points.",
            )
        )
    if shown.holds_out:
        return answers
    return [replace(one, answer=f"{one.answer} ({TRAINING_CASES})") for one in answers]


def missing(run: Run, tables: dict[str, pd.DataFrame], shown: Shown) -> list[str]:
    """What the report cannot show, and what was left out of a mean, one line each."""
    cases, lines = tables["cases"], []
    patients = cases.patient.nunique()
    if patients < 2:
        lines.append(f"One {shown.scored} patient: no intervals, no tests.")
    elif patients < MIN_PATIENTS:
        lines.append(
            f"{patients} {shown.scored} patients: no paired test can reach 0.05, so every verdict "
            "is 'not shown'."
        )
    if len(run.config.members) == 1:
        lines.append("One network: nothing is combined, so there is no comparison to the mean.")
    methods = dict.fromkeys([*shown.members, shown.control, shown.ensemble])
    for structure in run.dataset.structures:
        of_structure = cases[cases.structure == structure]
        if not (of_structure.tp + of_structure.fn).any():
            lines.append(f"{structure}: in no reference mask of the {shown.scored} cases.")
        for method in methods:
            rows = of_structure[of_structure.method == method.name]
            lines += _undefined(structure, method.title, rows, method is shown.ensemble)
    return lines + _missing_indices(run, tables) + _missing_stacking(run, tables)


def _undefined(structure: str, title: str, rows: pd.DataFrame, in_use: bool) -> list[str]:
    """What is undefined of a structure in the masks of one method."""
    if not (rows.tp + rows.fp).any():
        there = (rows.tp + rows.fn).any()
        return [f"{structure}: never predicted by {title}; its Dice is 0."] if there else []
    lines, lost = [], rows[rows.hd95_mm.isna() & rows.dice.notna()]
    if len(lost):
        lines.append(
            f"{title}, {structure}: mask or reference empty in {len(lost)} of {len(rows)} "
            f"cases ({', '.join(lost.case.head(4))}{', ...' if len(lost) > 4 else ''}); "
            "Dice 0, distances undefined and left out of their means."
        )
    both = int(rows.dice.isna().sum())
    if both and in_use:
        lines.append(
            f"{structure}: absent from mask and reference in {both} of {len(rows)} cases; "
            "undefined and left out."
        )
    return lines


def _beats(run: Run, tables: dict[str, pd.DataFrame], shown: Shown) -> Verdict:
    comparisons, final = tables["comparisons"], final_method(run)
    name = shown.titles[calibrated_control(run)].lower()
    question = f"Does the meta-learner beat the {name}?"
    by_config = read_choice(run).by == "config"
    explored = comparisons[comparisons.role == "exploratory"]
    better = [shown.titles[r.method] for r in explored.itertuples() if r.verdict == "better"]
    others = (
        f" Of the {len(explored)} other methods, tested on the same patients and corrected for "
        f"their number, better than the mean: {', '.join(better) or 'none'}."
    )
    if final == calibrated_control(run):
        why = f"no combination was shown to beat it on development patients: {name} in use"
        if not run.config.stacking.learners:
            why = f"no learner is configured, the {name} is in use"
        elif by_config:
            why = f"the configuration chose the {name}"
        return Verdict(question, f"not shown: {why}", "open", f"No primary test.{others}")
    if shown.ensemble.kind != "learner":
        question = f"Does the combination in use, which is no meta-learner, beat the {name}?"
    row = next(comparisons[comparisons.role == "primary"].itertuples())
    chosen = "by the configuration" if by_config else "on development patients"
    return Verdict(
        question,
        f"{row.verdict}: Dice {_difference(row)} {interval_text(row.low, row.high, 4, '+')}",
        STATUS[row.verdict],
        f"{shown.titles[final]}, chosen {chosen}, minus the {name}, {row.patients} test patients, "
        f"Wilcoxon {p_equation(row.p)}, rank-biserial effect {_effect(row)}; the one primary test."
        f"{others}",
    )


def _secondary(row, titles: dict[str, str]) -> Verdict:
    against, metric = titles[row.against].lower(), METRIC_NAMES[row.metric]
    unit = " mm" if row.metric.endswith("mm") else ""
    interval = interval_text(row.low, row.high, 4, "+")
    return Verdict(
        f"{metric}: ensemble against the {against}?",
        f"{row.verdict}: {_difference(row)}{unit} {interval}",
        STATUS[row.verdict],
        f"{number_text(row.method_value, 4)}{unit} against {number_text(row.against_value, 4)}"
        f"{unit}. Secondary; "
        f"{row.patients} patients, {p_equation(row.p)}, after Holm {p_text(row.p_holm)}, effect "
        f"{_effect(row)}.",
    )


def _difference(row) -> str:
    return number_text(row.difference, 4, "+", "undefined")


def _effect(row) -> str:
    return f"{number_text(row.effect, 2, '+', 'undefined')} (positive: better)"


def _predicted_dice(agreement: pd.DataFrame) -> Verdict:
    question = "Does the run know its bad cases without a reference?"
    scores = agreement.set_index("score")
    if "predicted_dice" not in scores.index or np.isnan(scores.spearman["predicted_dice"]):
        return Verdict(question, "too few cases to say", "open")
    row, random = scores.loc["predicted_dice"], scores.aurc["random"]
    return Verdict(
        question,
        f"Spearman correlation of the predicted with the true Dice: "
        f"{number_text(row.spearman, 2)}, mean absolute error {number_text(row.mae, 3)}",
        "open",
        f"Area under the risk-coverage curve {number_text(row.aurc, 4)}; a random order "
        f"{number_text(random, 4)}, an oracle {number_text(scores.aurc['oracle'], 4)} (smaller is "
        "better).",
    )


def _missing_indices(run: Run, tables: dict) -> list[str]:
    cases, clinical, lines = read_test_cases(run), tables["clinical"], []
    possible = possible_indices(run.dataset.anatomy, run.dataset.modality.ndim)
    if not possible:
        return ["No structure that a clinical index is computed from: no volumes and no EF."]
    with_output = run.dataset.modality.ndim == 3 and "cardiac_output_l_min" in possible
    if with_output and cases.heart_rate.isna().all():
        lines.append("No heart rate in the data: no cardiac output.")
    if run.dataset.modality.ndim == 2:
        agreement = tables["agreement"]
        cavity = run.dataset.anatomy.name("lv_cavity")
        volume_methods = clinical.groupby(["patient", "method"]).volume_method.first().unstack()
        reference = volume_methods[REFERENCE_MASKS]
        for volume_method, count in reference[reference != "biplane"].value_counts().items():
            lines.append(f"{count} patients: reference volumes by method '{volume_method}'.")
        if differ := int((volume_methods[ENSEMBLE] != reference).sum()):
            lines.append(
                f"{differ} patients: the ensemble's volumes come by another method than the "
                f"reference's (a view without {cavity}), so they are left out of the agreement."
            )
        if cases.recorded_ef.isna().all():
            lines.append("No recorded EF in the data: no oracle row.")
        elif not agreement[agreement.against == RECORDED_EF].patients.any():
            lines.append("ED and ES are not both in the run: no EF.")
    return lines


def _missing_stacking(run: Run, tables: dict) -> list[str]:
    lines = []
    if len(run.config.members) > 1 and not len(tables["importance"]):
        lines.append("No learner was fitted on the full features: no importance.")
    if tables["history"].empty:
        lines.append("No training history in the run: no training curves.")
    return lines


def _agreement(table: pd.DataFrame, method: str, index: str, against: str):
    matches = table[
        (table.method == method) & (table["index"] == index) & (table.against == against)
    ]
    rows = [row for row in matches.itertuples(index=False) if row.patients > 1]
    return rows[0] if rows else None
