"""The results of analysed runs in one Markdown table, published figures beside them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.config.loading import load_config
from cardiac_seg.data.dataset import Dataset, PublishedProtocol
from cardiac_seg.drawing.styles import METRIC_NAMES
from cardiac_seg.meta.methods import Method, list_methods
from cardiac_seg.report.one_run import open_finished
from cardiac_seg.report.published import quantities
from cardiac_seg.report.tables.columns import RECORDED_EF
from cardiac_seg.run.folder import REFERENCE_MASKS, Run
from cardiac_seg.run.formats import read_stored, read_stored_table
from cardiac_seg.run.meta_folder import final_method
from cardiac_seg.run.metrics_file import patients_text
from cardiac_seg.run.settings import shared_settings
from cardiac_seg.system.numbers import p_equation, plain_number, plain_with_interval

CONFIGS = Path(__file__).parents[2] / "configs"
POOLED = "pooled"  # headed with the number of classes
MEAN_DICE, HD95 = "mean Dice [95 %]", "HD95 mm (by structure)"
COLUMNS = (
    *(MEAN_DICE, "minus the mean [95 %]", HD95, "band ECE"),
    *("LV EF r", "EF bias ± SD", "EF MAE", POOLED, "source"),
)
LEGEND = (
    "Dice and HD95 (mm): per patient on the native grid, the mean of the structures. Band ECE: "
    "calibration error of the pixels within 5 mm of a boundary, all patients together. EF in "
    "points, against the reference masks' EF. Pooled: Dice over the pixels of all images on the "
    "network grid, background included, before postprocessing, as others pool it."
)


@dataclass(frozen=True)
class MethodScores:
    """A method's scores on the patients scored, one row of the results; None or NaN: undefined.

    Attributes:
        method: Which.
        dice: Of each structure, in label order.
        mean: Mean Dice of the structures: value, lower and upper end of its interval.
        difference: The same, of the difference from the mean of the members.
        hd95_mm: The mean of the structures, then each.
        band_ece: Calibration error in the boundary band.
        ef: r, bias, SD and MAE of the LV EF, in points.
        pooled: Mean Dice of all classes, pooled over pixels.
    """

    method: Method
    dice: Sequence[float | None]
    mean: Sequence[float | None]
    difference: Sequence[float | None]
    hd95_mm: Sequence[float | None]
    band_ece: float | None
    ef: Sequence[float | None]
    pooled: float


def results_table(folders: list[Path]) -> str:
    """A Markdown table per run: patients that it scores, native grid, one row per method.

    Args:
        folders: Runs that `analyze_results.py` has been run on.

    Raises:
        UserError: If a run is not finished or not analysed.
    """
    runs = [open_finished(folder) for folder in folders]
    parts = [LEGEND, *(_of_run(run) for run in runs)]
    datasets = {run.dataset.name: run.dataset for run in runs}
    parts += [_published(dataset) for dataset in datasets.values()]
    return "\n\n".join(filter(None, parts))


def _of_run(run: Run) -> str:
    scored = read_stored(run.folder / "metrics.json")["subsets"][run.scored]
    heading = (
        f"{_dataset(run)}, {run.config.stacking.scheme}, "
        f"{patients_text(scored['patients'], run.scored)}: `{_command(run)}`"
    )
    table = methods_table(run.dataset.structures, _scores(run, scored), final_method(run))
    return "\n\n".join(filter(None, (heading, table, _remarks(run))))


def _scores(run: Run, scored: dict) -> list[MethodScores]:
    """The scores of a run's methods, from the tables of its analysis.

    Args:
        run: An analysed run.
        scored: The part of its `metrics.json` of the patients that it scores.
    """
    summary, agreement, calibration = (
        _table(run, name) for name in ("summary", "agreement", "calibration")
    )
    hd95 = summary[summary.metric == "hd95_mm"].set_index(["method", "structure"])["mean"]
    ef = agreement[(agreement["index"] == "lv_ef_percent") & (agreement.against != RECORDED_EF)]
    ef = ef.set_index("method").reindex(columns=["r", "bias", "sd", "mae"])
    band = calibration[calibration.area == "band"].set_index("method").ece
    structures = run.dataset.structures
    listed = {m.name: m for m in list_methods(run.config.members, run.config.stacking)}
    return [
        MethodScores(
            method=listed[name],
            dice=[row[structure] for structure in structures],
            mean=[row["mean"], row["mean_low"], row["mean_high"]],
            difference=[row.get(f"difference{end}") for end in ("", "_low", "_high")],
            hd95_mm=[hd95.get((name, structure)) for structure in ("mean", *structures)],
            band_ece=band.get(name),
            ef=list(ef.loc[name]) if name in ef.index else [None] * 4,
            pooled=scored["methods"][name]["pooled_network_grid"]["mean_dice"],
        )
        for row in _table(run, f"methods_{run.scored}").to_dict("records")
        for name in [row["method"]]
    ]


def methods_table(structures: tuple[str, ...], scores: list[MethodScores], chosen: str) -> str:
    """The results of a run's methods in Markdown.

    Args:
        structures: In label order.
        scores: One row each.
        chosen: The name of the method in use.
    """
    rows = []
    for row in scores:
        r, bias, sd, mae = row.ef
        hd95, *each = row.hd95_mm
        cells = {s: plain_number(d, 3) for s, d in zip(structures, row.dice, strict=True)}
        cells |= {
            MEAN_DICE: plain_with_interval(*row.mean, digits=4),
            "minus the mean [95 %]": plain_with_interval(*row.difference, digits=4, sign="+"),
            HD95: plain_number(hd95, 2),
            "band ECE": plain_number(row.band_ece, 3),
            "LV EF r": plain_number(r, 3),
            "EF MAE": plain_number(mae, 1),
            POOLED: plain_number(row.pooled, 4),
        }
        if cells[HD95]:
            cells[HD95] += f" ({', '.join(plain_number(value, 1) for value in each)})"
        if text := plain_number(bias, 1, "+"):
            cells["EF bias ± SD"] = f"{text} ± {plain_number(sd, 1, undefined='nan')}"
        method = row.method
        name = f"{method.learner}, core" if method.features == "core" else method.name
        rows.append((f"**{name}** (chosen)" if method.name == chosen else name, cells))
    return _markdown(structures, rows)


def comparison_line(row: dict, method: str) -> str:
    """One comparison of the method in use as a line of Markdown.

    Args:
        row: Role, metric, against, difference, low, high, p_holm and verdict.
        method: The method in use.
    """
    digits = 2 if row["metric"] == "hd95_mm" else 4
    ends = row["difference"], row["low"], row["high"]
    return (
        f"- {row['role']}: {METRIC_NAMES[row['metric']]}, {method} minus {row['against']}: "
        f"{plain_with_interval(*ends, digits=digits, sign='+')}, {p_equation(row['p_holm'])} "
        f"(Holm), **{row['verdict']}**"
    )


def remark_lines(
    comparisons: list[dict], method: str, recorded_ef: tuple[float, float] | None = None
) -> list[str]:
    """Primary and secondary comparisons; the reference masks' agreement with the recorded EF.

    Args:
        comparisons: See `comparison_line`.
        method: The method in use.
        recorded_ef: r and MAE (points) of the reference masks' EF; None where nothing is recorded.
    """
    lines = [comparison_line(row, method) for row in comparisons]
    if lines and "primary" not in {row["role"] for row in comparisons}:
        lines.insert(0, f"- no primary comparison: {method} is the control itself")
    if recorded_ef is not None:
        r, mae = recorded_ef
        lines.append(
            f"- the reference masks' EF against the recorded EF: r {plain_number(r, 3)}, "
            f"MAE {plain_number(mae, 1)} points"
        )
    return lines


def _remarks(run: Run) -> str:
    comparisons, agreement = _table(run, "comparisons"), _table(run, "agreement")
    rows = comparisons[comparisons.role != "exploratory"].to_dict("records")
    recorded = agreement[agreement.against == RECORDED_EF].set_index("method")
    recorded_ef = None
    if REFERENCE_MASKS in recorded.index and not np.isnan(recorded.mae[REFERENCE_MASKS]):
        recorded_ef = recorded.r[REFERENCE_MASKS], recorded.mae[REFERENCE_MASKS]
    return "\n".join(remark_lines(rows, final_method(run), recorded_ef))


def _dataset(run: Run) -> str:
    phantom = " (phantom)" if run.manifest.dataset.phantom else ""
    return f"{run.dataset.title}{phantom}"


def _published(dataset: Dataset) -> str:
    heading = f"{dataset.title}, published, on other patients: not to be compared digit by digit"
    table = published_table(dataset)
    return f"{heading}\n\n{table}" if table else ""


def published_table(dataset: Dataset) -> str:
    """What others published of a dataset, in Markdown; empty where nothing is listed."""
    rows = []
    for result in dataset.published:
        cells = dict(zip(dataset.structures, result.dice, strict=False))
        cells |= {MEAN_DICE: result.mean_dice, HD95: result.hd95_mm}
        cells |= {"LV EF r": result.ef_r, "EF bias ± SD": result.ef_bias_sd}
        cells |= {"EF MAE": result.ef_mae, "source": result.source}
        rows.append((result.method, cells))
    rows += _published_figures(dataset)
    return _markdown(dataset.structures, rows) if rows else ""


def _published_figures(dataset: Dataset) -> list[tuple[str, dict[str, str]]]:
    """The figures of the dataset's published protocol."""
    if (protocol := dataset.protocol) is None:
        return []
    if protocol.per_case:
        return [_per_case_figures(dataset, protocol, method) for method in protocol.scores]
    titles, rows = quantities(("background", *dataset.structures)), []
    for method, values in protocol.scores.items():
        scores = dict(zip(titles, values, strict=True))
        cells = {structure: plain_number(scores[structure], 3) for structure in dataset.structures}
        cells[POOLED] = plain_number(scores[f"mean of {dataset.num_classes}"], 4)
        cells["source"] = protocol.source
        rows.append((f"{method}, published, pooled, {protocol.images}", cells))
    return rows


def _per_case_figures(
    dataset: Dataset, protocol: PublishedProtocol, method: str
) -> tuple[str, dict[str, str]]:
    *each, mean = (plain_number(value, 3) for value in protocol.scores[method])
    cells = dict(zip(dataset.structures, each, strict=True))
    cells |= {MEAN_DICE: mean, "source": protocol.source}
    return ", ".join(filter(None, [method, "published", protocol.scored_on])), cells


def _markdown(structures: tuple[str, ...], rows: list[tuple[str, dict[str, str]]]) -> str:
    columns = [c for c in (*structures, *COLUMNS) if any(cells.get(c) for _, cells in rows)]
    heads = [f"pooled, {len(structures) + 1} classes" if c == POOLED else c for c in columns]
    lines = ["| method | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, cells in rows:
        lines.append(f"| {name} | " + " | ".join(cells.get(c, "") for c in columns) + " |")
    return "\n".join(lines)


def _table(run: Run, name: str) -> pd.DataFrame:
    path = run.folder / "analysis" / "tables" / f"{name}.csv"
    return read_stored_table(path, {}, f"run analyze_results.py {run.folder} first")


def _command(run: Run) -> str:
    """The command that makes the run: the nearest shipped config with what differs from it.

    An installed package ships no configs; there it is the run's own.
    """
    settings, candidates = shared_settings(run.config), []
    members = run.config.members  # the keys of other networks have no effect
    settings["networks"] = {m: keys for m, keys in settings["networks"].items() if m in members}
    for path in sorted(CONFIGS.glob("*.yaml")):
        shipped = shared_settings(load_config(path))
        changes = _changes(settings, shipped)
        if settings["data"]["dataset"] == shipped["data"]["dataset"]:
            candidates.append((len(changes), path.name, changes))
    if not candidates:
        return f"train_ensemble.py --config {run.folder / 'config.yaml'}"
    _, name, changes = min(candidates)
    sets = "".join(f" --set {change}" for change in changes)
    return f"train_ensemble.py --config configs/{name}{sets}"


def _changes(settings: dict, other: dict, path: str = "") -> list[str]:
    """The `--set` arguments that turn the other configuration into these settings."""
    changes = []
    for key, value in settings.items():
        if isinstance(value, dict) and isinstance(other.get(key), dict):
            changes += _changes(value, other[key], f"{path}{key}.")
        elif value != other.get(key):
            changes.append(f"{path}{key}={json.dumps(value).replace(' ', '')}")
    return changes
