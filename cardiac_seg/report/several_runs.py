"""Several runs on the test patients they share: ablations and seeds, in one run's format."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from cardiac_seg.config.loading import dump_config
from cardiac_seg.data.split import TRAINING_CASES
from cardiac_seg.pipeline.measure_run import measure_run
from cardiac_seg.report import text
from cardiac_seg.report.captions import NOT_INDEPENDENT
from cardiac_seg.report.drawings import Drawing, draw_all
from cardiac_seg.report.figures.runs import run_dots
from cardiac_seg.report.methods import methods_paragraph
from cardiac_seg.report.one_run import (
    measures_home,
    open_finished,
    provenance,
    targets_of,
    write_tables,
)
from cardiac_seg.report.page import page
from cardiac_seg.report.pictures import draw_cases
from cardiac_seg.report.published import dice_scores, numerical_results
from cardiac_seg.report.sections import case_rows
from cardiac_seg.report.shown import Shown, methods_shown
from cardiac_seg.report.tables.build import build_tables
from cardiac_seg.report.tables.columns import ENSEMBLE
from cardiac_seg.report.tables.comparisons import COMPARISON, compare, corrected, paired_values
from cardiac_seg.report.tables.overlap import summary_table
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import control_of, read_steps
from cardiac_seg.run.settings import LOCAL_KEYS
from cardiac_seg.system.atomic import whole_file, write_json, write_text
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import log
from cardiac_seg.system.numbers import (
    interval_text,
    number_text,
    p_equation,
    p_text,
    plain_interval,
    plain_number,
    plain_text,
)

METRICS = ("dice", "hd95_mm", "band_ece")


def compare_runs(folders: list[Path], output: Path, overrides: Sequence[str] = ()) -> str:
    """Compares runs of one dataset on their common test patients; the first is the control.

    Args:
        folders: Finished runs.
        output: Where tables, figures and the report go. What each run's own analysis measures is
            kept in that run.
        overrides: `report.key=value`, as for `analyze_run`.

    Returns:
        Lines of text for the terminal.

    Raises:
        UserError: If a run is not finished, the structures differ or no patient is common.
    """
    runs = _named(folders, overrides)
    methods = {name: methods_shown(run) for name, run in runs.items()}
    parts, measured = {}, {}
    for name, run in runs.items():
        log.info("%s", name)
        measured[name] = measure_run(run, measures_home(run, output / "runs" / name))
        parts[name] = build_tables(run, measured[name])
    common = _common_cases(runs, parts)
    tables, known = _tables(runs, parts, common), _known(runs)
    write_tables(tables, output / "tables", known)
    _write_published(runs, parts, output, known)
    first, missing = next(iter(runs)), _missing(runs, parts, methods, common)
    in_use = {name: _in_use(shown) for name, shown in methods.items()}
    verdicts = [
        _verdict(row, in_use) for row in tables["comparisons"].itertuples() if row.metric == "dice"
    ]
    subtitle = _subtitle(tables["cases"], first, known)
    lines = [f"{len(runs)} runs, {subtitle}", ""]
    lines += [_line(row, in_use) for row in tables["runs"].itertuples()]
    lines += ["", *(plain_text(f"{v.question} {v.answer}") for v in verdicts), *missing]
    write_text(output / "summary_report.txt", "\n".join([*lines, ""]))
    drawings = [_drawing(tables["runs"], methods, in_use, known)]
    drawn = draw_all(drawings, output / "figures", runs[first].config.report)
    home = _home(runs[first], output / "runs" / first)
    pictures = draw_cases(runs[first], measured[first], home)
    rows = case_rows(runs[first].dataset, pictures, parts[first])
    rows = [row for row in rows if row.case in common]
    _copy_pages(rows, home, output)
    content = page.Report(
        title=f"{len(runs)} runs: {runs[first].dataset.title}",
        subtitle=subtitle,
        headline=_headline(tables["runs"], in_use),
        picture=next(iter(drawn.get("runs", [])), None),
        verdicts=verdicts,
        targets=targets_of(runs[first], parts[first]),
        missing=missing,
        sections=_sections(tables, in_use, output, known),
        cases=rows,
        methods=f"{first}: {methods_paragraph(runs[first])}",
        provenance={"comparison": f"python analyze_results.py {' '.join(runs)} --output DIR"}
        | {f"{name}, {k}": v for name, run in runs.items() for k, v in provenance(run).items()},
        scored_on=known,
    )
    page.write_report(output / "report.html", content)
    return "\n".join([*lines, "", f"report: {output / 'report.html'}"])


def _subtitle(cases: pd.DataFrame, control: str, known: str) -> str:
    patients = f"{cases.patient.nunique()} common {'' if known else 'test '}patients"
    return "; ".join(filter(None, [patients, f"control: {control}", known]))


def _in_use(shown: Shown) -> str:
    """The method in use, and whether its network knows the patients."""
    title = shown.ensemble.title
    return title if shown.holds_out else f"{title}, {TRAINING_CASES}"


def _known(runs: dict[str, Run]) -> str:
    """Which runs' networks know the patients whom they are scored on; empty where none does."""
    names = [name for name, run in runs.items() if not run.holds_out]
    return f"{', '.join(names)}: {TRAINING_CASES}" if names else ""


def _tables(
    runs: dict[str, Run], parts: dict[str, dict], common: set[str]
) -> dict[str, pd.DataFrame]:
    cases = {name: _shown(parts[name]["cases"], run, common) for name, run in runs.items()}
    summaries = {
        name: summary_table(cases[name], run.dataset.structures, run.config.seed)
        for name, run in runs.items()
    }
    tables = {
        "cases": _stacked(cases),
        "summary": _stacked(summaries),
        "comparisons": _comparisons(runs, parts, cases),
        "differences": _differences(runs),
    }
    tables["runs"] = _dice_rows(tables["summary"])
    tables["seeds"] = _over_seeds(runs, tables["summary"])
    return tables


def _write_published(
    runs: dict[str, Run], parts: dict[str, dict], output: Path, known: str
) -> None:
    """Writes `numerical_results.json` and `dice_scores.csv` of all runs; `known`: see `_known`."""
    results = {
        f"{name}: {method}": scores
        for name, run in runs.items()
        for method, scores in numerical_results(
            parts[name]["confusion"], run.config.members
        ).items()
    }
    classes = list(dict.fromkeys(parts[next(iter(runs))]["confusion"].truth))
    said = {"scored_on": known} if known else {}
    write_json(output / "numerical_results.json", said | results)
    with whole_file(output / "dice_scores.csv") as partial:
        dice_scores(results, classes).assign(**said).to_csv(partial, index=False)


def _named(folders: list[Path], overrides: Sequence[str]) -> dict[str, Run]:
    """Runs by folder name, with the parents' where two are the same.

    Raises:
        UserError: If a run is given twice or the runs have different structures.
    """
    paths = [folder.resolve() for folder in folders]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"{path}: given twice; name each run once")
    names, length = [path.name for path in paths], 1
    while len(set(names)) < len(names):  # as much of the path as tells them apart
        length += 1
        names = ["/".join(path.parts[-length:]).lstrip("/") for path in paths]
    runs = {
        name: open_finished(folder, overrides) for name, folder in zip(names, folders, strict=True)
    }
    first, *others = runs
    for name in others:
        here, there = runs[name].config.data.dataset, runs[first].config.data.dataset
        if here != there:
            raise UserError(f"{name}: a run on {here}, {first} is on {there}; compare one dataset")
    return runs


def _home(run: Run, elsewhere: Path) -> Path:
    """Where a run's pictures are: in its own analysis, or elsewhere if it is read only."""
    return run.folder / "analysis" if os.access(run.folder, os.W_OK) else elsewhere


def _common_cases(runs: dict[str, Run], parts: dict[str, dict]) -> set[str]:
    """Test cases of every run.

    Raises:
        UserError: If there is none, or the runs' references for one differ.
    """
    common = set.intersection(*(set(parts[name]["cases"].case) for name in runs))
    if not common:
        raise UserError(
            f"{', '.join(runs)}: no test case in common; train them on the same split and images"
        )
    sizes = {}
    for name in runs:
        cases = parts[name]["cases"]
        ensemble = cases[(cases.method == ENSEMBLE) & cases.case.isin(common)]
        sizes[name] = ensemble.set_index(["case", "structure"]).size_reference.sort_index()
    first, *others = runs
    for name in others:
        if not np.allclose(sizes[first], sizes[name]):
            raise UserError(
                f"{name}: its reference masks are not those of {first} (other data under the same "
                "names, phantoms perhaps); compare runs on the same data"
            )
    return common


def _shown(cases: pd.DataFrame, run: Run, common: set[str]) -> pd.DataFrame:
    """The rows of the common cases, of members, control and ensemble."""
    methods = [*run.config.members, control_of(run), ENSEMBLE]
    return cases[cases.case.isin(common) & cases.method.isin(methods)].reset_index(drop=True)


def _stacked(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of several runs under each other, the run's name first."""
    together = pd.concat(tables, names=["run", None]).reset_index(level="run")
    return together.reset_index(drop=True)


def _comparisons(
    runs: dict[str, Run], parts: dict[str, dict], shown: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Each run's ensemble against the first run's; `method` and `against` name the runs."""
    values = {}
    for name, cases in shown.items():
        calibration = parts[name]["calibration_patients"]
        values[name] = paired_values(cases, calibration[calibration.patient.isin(cases.patient)])
    first, *others = runs
    rows = [
        {"role": "runs", "method": name, "against": first, "metric": metric}
        | compare(
            values[name][metric][ENSEMBLE],
            values[first][metric][ENSEMBLE],
            metric,
            runs[first].config.seed,
        )
        for name in others
        for metric in METRICS
        if all(ENSEMBLE in values[n][metric] for n in (name, first))
    ]
    return corrected(pd.DataFrame(rows))[COMPARISON]


def _dice_rows(summary: pd.DataFrame) -> pd.DataFrame:
    of_dice = summary[(summary.metric == "dice") & (summary.structure == "mean")]
    return of_dice[["run", "method", "mean", "low", "high", "patients"]].reset_index(drop=True)


def _headline(runs: pd.DataFrame, in_use: dict[str, str]) -> pd.DataFrame:
    of_ensembles = runs[runs.method == ENSEMBLE]
    return of_ensembles.assign(method=of_ensembles.run.map(in_use))


def _over_seeds(runs: dict[str, Run], summary: pd.DataFrame) -> pd.DataFrame:
    """Mean and SD over runs whose configurations differ in nothing but the seed."""
    groups: dict[str, list[str]] = {}
    for name, run in runs.items():
        groups.setdefault(yaml.safe_dump({**_settings(run), "seed": None}), []).append(name)
    tables = []
    for names in groups.values():
        if len(names) < 2:
            continue
        scores = summary[summary.run.isin(names)]
        keys = ["method", "structure", "metric"]
        table = scores.groupby(keys, sort=False)["mean"].agg(["count", "mean", "std"]).reset_index()
        table = table.rename(columns={"count": "seeds", "std": "sd"})
        tables.append(table.assign(runs=", ".join(names)))
    columns = ["runs", "method", "structure", "metric", "seeds", "mean", "sd"]
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


def _differences(runs: dict[str, Run]) -> pd.DataFrame:
    """The keys in which the runs differ, chosen postprocessing included, one column per run."""
    flat = {
        name: _flat(_settings(run) | {"postprocessing, chosen": read_steps(run).steps})
        for name, run in runs.items()
    }
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows = [
        {"key": key} | {name: values.get(key, "-") for name, values in flat.items()}
        for key in keys
        if len({values.get(key) for values in flat.values()}) > 1
    ]
    return pd.DataFrame(rows, columns=["key", *runs])


def _settings(run: Run) -> dict:
    values = yaml.safe_load(dump_config(run.config))
    for key in LOCAL_KEYS:
        values["data"].pop(key, None)
    del values["report"]
    return values


def _flat(values: dict, path: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        nested = isinstance(value, dict)
        flat |= _flat(value, f"{path}{key}.") if nested else {f"{path}{key}": str(value)}
    return flat


def _missing(
    runs: dict[str, Run], parts: dict[str, dict], methods: dict[str, Shown], common: set[str]
) -> list[str]:
    lines = []
    for name, run in runs.items():
        count = parts[name]["cases"].case.nunique()
        if count > len(common):
            lines.append(
                f"{name}: {count - len(common)} of its {count} {methods[name].scored} cases are "
                "not in every run and left out; its pooled scores and calibration hold them."
            )
        lines += [f"{name}: {line}" for line in text.missing(run, parts[name], methods[name])]
    return lines


def _verdict(row, in_use: dict[str, str]) -> page.Verdict:
    interval = interval_text(row.low, row.high, 4, "+")
    return page.Verdict(
        f"{row.method}, {in_use[row.method]}: better than {row.against}, {in_use[row.against]}?",
        f"{row.verdict}: Dice {number_text(row.difference, 4, '+')} {interval}",
        text.STATUS[row.verdict],
        f"{row.patients} patients, {p_equation(row.p)}, after Holm over all comparisons here "
        f"{p_text(row.p_holm)}, effect {number_text(row.effect, 2, '+')}.",
    )


def _line(row, in_use: dict[str, str]) -> str:
    interval = plain_interval(row.low, row.high, 3)
    method = in_use[row.run] if row.method == ENSEMBLE else row.method
    return f"{row.run:<24} {method:<30} {plain_number(row.mean, 4)} {interval}"


def _drawing(
    runs: pd.DataFrame, methods: dict[str, Shown], in_use: dict[str, str], known: str
) -> Drawing:
    rows = {name: of_run.main for name, of_run in methods.items()}
    named = "; ".join(f"{name}, {title}" for name, title in in_use.items())
    caption = (
        f"Common {'' if known else 'test '}patients; mean Dice of the structures with 95 % "
        f"bootstrap intervals. Methods in use: {named}."
    )
    return Drawing("dice_runs", "runs", "Dice of the runs", caption, lambda: run_dots(runs, rows))


def _sections(
    tables: dict[str, pd.DataFrame], in_use: dict[str, str], output: Path, known: str
) -> list[page.Section]:
    named = "; ".join(f"{name}: {title}" for name, title in in_use.items())
    captions = {
        "runs": f"Mean Dice of the structures ({named})",
        "comparisons": f"Methods in use, paired over patients, against the first run's ({named})",
        "seeds": "Mean and SD over runs that differ in the seed alone",
        "differences": "What differs between the runs; calibration is on each run's own grid",
        "summary": "All metrics, mean over patients",
    }
    listed = [
        page.Table(
            f"{caption}. {known}" if known else caption,
            tables[name],
            output / "tables" / f"{name}.csv",
        )
        for name, caption in captions.items()
        if len(tables[name])
    ]
    return [page.Section("Runs", NOT_INDEPENDENT, [], listed)]


def _copy_pages(rows: list[page.CaseRow], home: Path, output: Path) -> None:
    """Copies the cases' pages beside the report, so that it can be moved."""
    for row in rows:
        with whole_file(output / row.page) as partial:
            shutil.copyfile(home / row.page, partial)
