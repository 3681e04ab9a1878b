"""What the parts of the stacking are worth: variants, cross-fitted on the saved maps."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.config.registry import CORE_FEATURES
from cardiac_seg.config.sections import Section, Stacking
from cardiac_seg.data.case import CaseFile
from cardiac_seg.meta.methods import WEIGHTED_MEAN, list_learners
from cardiac_seg.metrics.patient_means import average_cases
from cardiac_seg.pipeline.cross_fit import DEVELOPMENT, cross_fit, fit_on
from cardiac_seg.pipeline.development import draw_samples, folds_of
from cardiac_seg.pipeline.scores import score
from cardiac_seg.report.development import development_scores, wide
from cardiac_seg.report.tables.comparisons import compare
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored_table
from cardiac_seg.run.meta_folder import calibrated_control, plain_combiner, read_steps
from cardiac_seg.run.open import open_run
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar, log
from cardiac_seg.system.numbers import plain_interval, plain_number

ABLATION = "ablation"  # the folder of the variants' scores
LEARNER_KEYS = {  # of a learner's own settings: the factors that vary them, the variant's name
    "min_samples_leaf": ((0.25, 4), "at least {} pixels per leaf"),
    "trees": ((0.5, 2), "{} trees"),
    "iterations": ((0.5, 2), "{} iterations"),
    "min_patients": ((0.2, 2), "at least {} patients per leaf"),
}
QUARTERS = 4
CURVE = (8, 16, 32, 64, 128)  # fitting patients
WHAT = (
    "Dice per patient on the native grid, cross-fitted on the development patients, each learner "
    "acting wherever it is fitted to; differences are paired over patients, [95 % interval]"
)


def ablate(folder: Path, learner: str | None = None, groups: list[str] | None = None) -> str:
    """Cross-fits a learner with one setting changed at a time, and compares the scores.

    No test patient is looked at. What was scored is kept in the run, so that an interrupted
    ablation continues where it stopped.

    Args:
        folder: A run whose stage `stack` is done, with its data where it was.
        learner: The one to vary; default the run's best on development patients.
        groups: Only leaves out one of these groups of features at a time; empty for each that the
            run's features have beside the core. None for all variants.

    Returns:
        Markdown: one row per method of the run, then one per variant.

    Raises:
        UserError: If the run is not stacked, or has no such learner.
    """
    run, tables, learner, files = _stacked(folder, learner)
    varied_settings = dict(variants(run.config.stacking, learner))
    if groups is not None:
        known = [g for g in plain_combiner(run).features.groups if g not in CORE_FEATURES]
        if unknown := [group for group in groups if group not in known]:
            raise UserError(
                f"--groups: {folder} has no features {unknown[0]!r} beside the core, it has "
                f"{', '.join(known)}"
            )
        varied_settings = {n: varied_settings[n] for n in (f"without {g}" for g in groups or known)}
    for name, settings in bar(list(varied_settings.items()), "variants", unit="variant"):
        varied = replace(run, config=run.config.model_copy(update={"stacking": settings}))
        tables[name] = _kept(run, learner, name, partial(_cross_fitted, varied, files, learner))
    return _markdown(run, tables, calibrated_control(run), learner)


def learning_curve(folder: Path, learner: str | None = None) -> str:
    """Cross-fits a learner on fewer and fewer patients: what it gains, by how many it is fitted on.

    The development patients are divided in four, whatever the run's folds are; each quarter is
    scored by learners fitted on the first patients, in random order, of the others. Kept and
    continued as in `ablate`.

    Args:
        folder: See `ablate`.
        learner: See `ablate`.

    Returns:
        Markdown: one row per number of fitting patients.

    Raises:
        UserError: See `ablate`.
    """
    run, tables, learner, files = _stacked(folder, learner)
    control = calibrated_control(run)
    patients = sorted({file.patient for file in files})
    drawn = [patients[i] for i in np.random.default_rng(run.config.seed).permutation(len(patients))]
    quarters = {k: drawn[k::QUARTERS] for k in range(QUARTERS)}
    folds = {k: [file for file in files if file.patient in quarters[k]] for k in quarters}
    most = len(drawn) - max(map(len, quarters.values()))
    counts = [n for n in CURVE if n < most] + [most]
    shown = {control: tables[control]}
    for count in bar(counts, "learning curve", unit="fit"):
        name, first = f"{count} fitting patients", partial(_of_first, drawn, count)
        fits = partial(_cross_fitted, run, files, learner, folds, first)
        shown[name] = _kept(run, learner, name, fits)
    return _markdown(run, shown, control, learner)


def _of_first(patients: list[str], count: int, files: list[CaseFile]) -> list[CaseFile]:
    """The cases of the first patients, of those that have any."""
    known = {file.patient for file in files}
    first = [patient for patient in patients if patient in known][:count]
    return [file for file in files if file.patient in first]


def _stacked(
    folder: Path, learner: str | None
) -> tuple[Run, dict[str, pd.DataFrame], str, list[CaseFile]]:
    """A run, its methods' development scores, the learner to look at, and the cases."""
    run = open_run(folder)
    stacked = development_scores(run)
    tables = {method: wide(run, rows) for method, rows in stacked.groupby("method", sort=False)}
    fitted = [m for m in run.config.stacking.learners if m != WEIGHTED_MEAN]
    if not fitted:
        raise UserError(f"{folder}: has no learners; stack it with stacking.learners first")
    learner = learner or max(fitted, key=lambda name: _mean(tables[name]).mean())
    if learner not in fitted:
        raise UserError(f"{folder}: has no learner {learner!r}, it has {', '.join(fitted)}")
    return run, tables, learner, _development_files(run, tables[calibrated_control(run)])


def _development_files(run: Run, table: pd.DataFrame) -> list[CaseFile]:
    """The cases that a table of development scores holds."""
    names = set(table.index.get_level_values("case"))
    cases = run.dataset.find(run.root, run.config.data.views, run.config.data.phases)
    files = [file for file in cases if file.name in names]
    if len(files) < len(names):
        raise UserError(f"{run.root}: {len(names) - len(files)} development cases are gone")
    return files


def _kept(
    run: Run, learner: str, name: str, cross_fitted: Callable[[], pd.DataFrame]
) -> pd.DataFrame:
    """Dice of a variant of a learner, cross-fitted where it is not kept from before."""
    path = run.folder / ABLATION / learner / f"{name}.csv"
    if not path.is_file():
        log.info("%s: %s", learner, name)
        rows = cross_fitted()
        with whole_file(path) as partial:
            rows.to_csv(partial, index=False)
    columns: dict[str, type | None] = dict.fromkeys(("patient", "case", "structure"), str)
    columns["dice"] = float
    return wide(run, read_stored_table(path, columns, "delete it, it is made again"))


def _markdown(run: Run, tables: dict[str, pd.DataFrame], control: str, learner: str) -> str:
    """One row per method and variant, with its differences from the control and the learner.

    With `stacking.scheme: both` one more column has the difference from the control over the
    patients that the networks in use have mapped: what repairs the folds' maps need not repair
    theirs.
    """
    base, others = tables[control], [name for name in (control, learner) if name in tables]
    titles = [f"minus {name}" for name in others]
    in_use = _mapped_as_in_use(run, base)
    if in_use:
        titles.append(f"minus {control}, {len(in_use)} patients as mapped by the networks in use")
    lines = [
        f"{run.folder}: {base.index.get_level_values('patient').nunique()} patients, {len(base)} "
        f"images. {WHAT}.",
        "",
        "| | " + " | ".join([*base, "mean", *titles]) + " |",
        "|---" * (len(base.columns) + 2 + len(titles)) + "|",
    ]
    for name, table in tables.items():
        means = _mean(table)
        cells = [plain_number(value, 4) for value in [*means, means.mean()]]
        for other in others:
            same = table is tables[other]
            cells.append("" if same else _difference(table, tables[other], run.config.seed))
        if in_use:
            part, its_base = (one.loc[in_use] for one in (table, base))
            same = table is base
            cells.append("" if same else _difference(part, its_base, run.config.seed))
        lines.append(
            f"| {_title(name, learner, run.config.stacking)} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def _mapped_as_in_use(run: Run, table: pd.DataFrame) -> list[str]:
    """The patients of a table that the networks in use have mapped; none where all are alike."""
    if run.config.stacking.scheme != "both":
        return []
    split = run.split()
    held_out = set(split.patient[split.subset == "validation"])
    return sorted(held_out.intersection(table.index.get_level_values("patient")))


def variants(settings: Stacking, learner: str) -> Iterator[tuple[str, Stacking]]:
    """Settings that differ from a run's in one thing each, by name."""
    groups, scales = settings.features, settings.context_mm
    for group in groups:
        yield f"without {group}", _with(settings, features=[g for g in groups if g != group])
    for group in groups:
        yield f"core and {group}", _with(settings, features=[group])
    if "context" in groups and len(scales) > 1:
        for scale in scales:
            yield f"context of {scale:g} mm alone", _with(settings, context_mm=[scale])
    if settings.temperature:
        yield "without temperature", _with(settings, temperature=False)
    for factor in (0.25, 4):
        pixels = round(settings.pixels_per_case * factor)
        yield f"{pixels} pixels per case", _with(settings, pixels_per_case=pixels)
    for confidence in (0.9, 0.999):
        if confidence != settings.act_below:
            yield f"acting below {confidence:g}", _with(settings, act_below=confidence)
    yield from _variants_of_learner(settings, learner)


def _variants_of_learner(settings: Stacking, learner: str) -> Iterator[tuple[str, Stacking]]:
    """Those of the learner's own settings."""
    section = getattr(settings, learner, None)
    if not isinstance(section, Section):
        return  # a learner without settings
    for key, (factors, title) in LEARNER_KEYS.items():
        if key not in type(section).model_fields:
            continue
        for factor in factors:
            value = max(round(getattr(section, key) * factor), 1)
            changed = section.model_copy(update={key: value})
            yield title.format(value), _with(settings, **{learner: changed})


def _with(settings: Stacking, **changes) -> Stacking:
    return settings.model_copy(update=changes)


def _cross_fitted(
    run: Run,
    files: list[CaseFile],
    learner: str,
    folds: dict[int, list[CaseFile]] | None = None,
    fitted_on: Callable[[list[CaseFile]], list[CaseFile]] = lambda others: others,
) -> pd.DataFrame:
    """The scores of a learner on each fold, fitted on the others.

    Args:
        run: The run.
        files: Its development cases.
        learner: Which.
        folds: Of patients; default the run's.
        fitted_on: Which cases of the other folds it is fitted on.
    """
    samples, steps = draw_samples(run, files), read_steps(run)
    methods = [m for m in list_learners(run.config.stacking) if m.name == learner]
    tables = cross_fit(
        folds or folds_of(run, files),
        lambda others: fit_on(run, fitted_on(others), samples, methods),
        lambda combiner, cases: score(run, cases, combiner, [learner], DEVELOPMENT, steps).cases,
    )
    return pd.concat([table for _, table in tables])


def _mean(table: pd.DataFrame) -> pd.Series:
    """Structure -> mean of a patient's cases, then of the patients."""
    return average_cases(table).mean()


def _difference(table: pd.DataFrame, other: pd.DataFrame, seed: int) -> str:
    result = compare(table.loc[other.index], other, "dice", seed)
    interval = plain_interval(result["low"], result["high"], 4, "+")
    return f"{plain_number(result['difference'], 4, '+')} {interval}"


def _title(name: str, learner: str, settings: Stacking) -> str:
    on_core = {m.name: m.learner for m in list_learners(settings) if m.features == "core"}
    if name in on_core:
        return f"{on_core[name]}, core features"
    return f"**{name}**" if name == learner else name
