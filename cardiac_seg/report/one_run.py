"""The analysis of one run: tables, figures, published files and the report."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cardiac_seg.data.split import TRAINING_CASES
from cardiac_seg.pipeline.measure_run import measure_run
from cardiac_seg.pipeline.patient_measures import PatientMeasures
from cardiac_seg.report import text
from cardiac_seg.report.drawings import draw_all, run_drawings
from cardiac_seg.report.headline import headline_table
from cardiac_seg.report.methods import methods_paragraph
from cardiac_seg.report.page import page
from cardiac_seg.report.pictures import draw_cases
from cardiac_seg.report.published import (
    followed_protocol,
    numerical_results,
    per_case_table,
    published_table,
    target_table,
    write_published,
)
from cardiac_seg.report.sections import case_rows, run_sections
from cardiac_seg.report.shown import Shown, methods_shown
from cardiac_seg.report.stress import stress_summary
from cardiac_seg.report.tables.build import build_tables
from cardiac_seg.report.tables.localisation import localisation_table
from cardiac_seg.report.tables.slices import moved_slices
from cardiac_seg.run.environment import package_versions
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored
from cardiac_seg.run.meta_folder import calibrated_control, control_of, methods_of
from cardiac_seg.run.metrics_file import patients_text, score_table, scores_usable
from cardiac_seg.run.open import open_run
from cardiac_seg.run.scored_cases import score_again
from cardiac_seg.run.scoring import describe_scorings, scored_title
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.numbers import plain_text


def analyze_run(folder: Path, output: Path | None = None, overrides: Sequence[str] = ()) -> str:
    """Writes tables, figures, published files and the report of a run.

    Args:
        folder: A finished run.
        output: Where they go; default `<run>/analysis`.
        overrides: `report.key=value`: what the page shows, in place of the run's own settings.

    Returns:
        Lines of text for the terminal: the scores, verdicts and where the report is.

    Raises:
        UserError: If the run is not finished, or a file of it is missing or damaged.
    """
    run, output = open_finished(folder, overrides), output or folder / "analysis"
    shown = methods_shown(run)
    measured = measure_run(run, measures_home(run, output))
    tables = _tables(run, measured, shown)
    verdicts, missing = text.verdicts(run, tables, shown), text.missing(run, tables, shown)
    methods = methods_paragraph(run)
    summary = _summary(run, verdicts, missing, methods)
    scored_on = "" if run.holds_out else TRAINING_CASES
    results = write_published(output, tables["confusion"], run.config.members, summary, scored_on)
    published = beside_published(run, results, tables["cases"])
    written = tables | ({} if published is None else {"published": published})
    write_tables(written, output / "tables", scored_on)
    drawings = run_drawings(run, tables, measured, shown)
    pictures = draw_cases(run, measured, output)
    drawn = draw_all(drawings, output / "figures", run.config.report)
    content = page.Report(
        title=f"{run.folder.resolve().name}: {run.dataset.title}",
        subtitle=_subtitle(run, tables, shown),
        headline=tables["headline"],
        picture=next(iter(drawn.pop("first", [])), None),
        verdicts=verdicts,
        targets=targets_of(run, tables),
        missing=missing,
        sections=run_sections(run, tables, drawn, published, output, shown),
        cases=case_rows(run.dataset, pictures, tables),
        methods=methods,
        provenance=provenance(run),
        scored_on=scored_on,
    )
    page.write_report(output / "report.html", content)
    return "\n".join(
        [
            score_table(read_stored(run.folder / "metrics.json"), run.scored),
            "",
            *(plain_text(f"{v.question} {v.answer}") for v in verdicts),
            *missing,
            "",
            f"report: {output / 'report.html'}",
        ]
    )


def _tables(run: Run, measured: list[PatientMeasures], shown: Shown) -> dict[str, pd.DataFrame]:
    """All tables by name; those that a run has nothing for are left out."""
    tables = build_tables(run, measured)
    tables["headline"] = headline_table(
        tables["summary"], tables["clinical"], run.dataset.anatomy, run.config.seed
    )
    if len(located := localisation_table(run)):
        tables["localisation"] = located
    if len(stressed := stress_summary(run)):
        tables["stress"] = stressed
    if shown.learner:
        moved = moved_slices(run, shown.learner.name, calibrated_control(run))
        tables["moved_slices"] = moved
    return tables


def targets_of(run: Run, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The published targets; none of other images or of phantoms, which they are not for."""
    protocol = followed_protocol(run)
    if protocol is None or not protocol.targets or run.manifest.dataset.phantom:
        return pd.DataFrame()
    confusion = tables["confusion"]
    results = numerical_results(confusion, run.config.members)
    return target_table(results, list(dict.fromkeys(confusion.truth)), protocol.targets)


def beside_published(
    run: Run, results: dict[str, dict], cases: pd.DataFrame
) -> pd.DataFrame | None:
    """The run beside the published figures of the same images; None where there are none."""
    if (protocol := followed_protocol(run)) is None:
        return None
    if protocol.per_case:
        scored_on = "test patients" if run.holds_out else TRAINING_CASES
        return per_case_table(cases, run.config.members, protocol, scored_on)
    classes = ["background", *run.dataset.structures]
    return published_table(results, run.config.members, classes, protocol)


def measures_home(run: Run, elsewhere: Path) -> Path:
    """Where a run's measures are: in the run, or elsewhere if it is read only and has none."""
    here = run.measures
    writable = os.access(here if here.is_dir() else run.folder, os.W_OK)
    return here if writable else elsewhere / "measures"


def open_finished(folder: Path, overrides: Sequence[str] = ()) -> Run:
    """Opens a run that has been scored.

    Raises:
        UserError: If it is not finished or by an earlier version.
    """
    run = open_run(folder, overrides)
    run.check_whole()
    path = run.folder / "metrics.json"
    if not path.is_file():
        raise UserError(
            f"{folder}: not finished (no metrics.json); run train_ensemble.py --resume {folder}"
        )
    metrics = read_stored(path)
    if isinstance(metrics, dict) and "control" not in metrics:
        raise UserError(f"{path}: written by an earlier version; train in another --run-dir")
    if not scores_usable(metrics, run.scored, control_of(run), methods_of(run)):
        raise UserError(f"{path}: of another run or changed; {score_again(run)}")
    data = run.manifest.dataset
    if data.phantom is None or data.fingerprint is None:
        raise UserError(f"{folder / 'manifest.json'}: says nothing of the dataset; restore it")
    return run


def write_tables(tables: dict[str, pd.DataFrame], folder: Path, scored_on: str = "") -> None:
    """Writes each table as CSV, all digits kept.

    Args:
        tables: By name.
        folder: Where they go.
        scored_on: Stands in a column of this name in every row, where it is given.
    """
    for name, table in tables.items():
        with whole_file(folder / f"{name}.csv") as partial:
            missing = scored_on and "scored_on" not in table
            said = table.assign(scored_on=scored_on) if missing else table
            said.to_csv(partial, index=False)


def _summary(run: Run, verdicts: list[page.Verdict], missing: list[str], methods: str) -> str:
    """`summary_report.txt`."""
    metrics = read_stored(run.folder / "metrics.json")
    lines = [f"{run.folder.resolve().name}: {run.dataset.title}", ""]
    lines += [score_table(metrics, run.scored), ""]
    kind = "test" if run.holds_out else "training"
    lines += [f"Pooled over {kind} pixels, network grid, before postprocessing, as published:"]
    for method, scores in metrics["subsets"][run.scored]["methods"].items():
        pooled = scores["pooled_network_grid"]
        lines.append(
            f"{method:<25} accuracy {pooled['accuracy']:.4f}  mean Dice of all classes "
            f"{pooled['mean_dice']:.4f}"
        )
    lines += ["", *(plain_text(f"{v.question}\n    {v.answer}. {v.detail}") for v in verdicts)]
    lines += ["", "Missing or undefined:", *missing] if missing else []
    return "\n".join([*lines, "", methods, ""])


def _subtitle(run: Run, tables: dict[str, pd.DataFrame], shown: Shown) -> str:
    cases = tables["cases"]
    kind = "phantom" if run.manifest.dataset.phantom else ""
    return (
        f"{patients_text(cases.patient.nunique(), run.scored, kind)}, {cases.case.nunique()} "
        f"cases. Method in use: {shown.ensemble.title}"
    )


def provenance(run: Run) -> dict[str, str]:
    """Where a run and its analysis come from: commands, data, versions, hardware; no paths."""
    manifest, name = run.manifest, run.folder.resolve().name
    data, stages = manifest.dataset, manifest.stages
    peak = max((stage.peak_memory_mib or 0 for stage in stages.values()), default=0)
    return {
        "analysis": f"python analyze_results.py {name}",
        "analysis versions": ", ".join(f"{k} {v}" for k, v in package_versions().items()),
        "training": f"python train_ensemble.py --config {name}/config.yaml",
        "dataset": f"{data.name}{' (phantom)' if data.phantom else ''}, {data.patients} patients, "
        f"{data.cases} cases",
        "dataset fingerprint": data.fingerprint or "unknown",
        scored_title(run).lower(): describe_scorings(run),
        "training commit": manifest.git_commit or "unknown",
        "training versions": ", ".join(f"{k} {v}" for k, v in manifest.versions.items()),
        "hardware": manifest.device or "unknown",
        "stages": ", ".join(
            f"{name} {'?' if stage.seconds is None else stage.seconds} s"
            for name, stage in stages.items()
        )
        + f"; peak memory {peak} MiB",
    }
