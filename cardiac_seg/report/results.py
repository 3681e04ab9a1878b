"""The results of analysed runs in one Markdown table, published figures beside them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.config.loading import load_config
from cardiac_seg.data.dataset import Dataset
from cardiac_seg.drawing.styles import METRIC_NAMES
from cardiac_seg.meta.methods import list_methods
from cardiac_seg.report.numbers import p_equation, plain_number
from cardiac_seg.report.one_run import open_finished
from cardiac_seg.report.published import PUBLISHED, PUBLISHED_DATASET, QUANTITIES
from cardiac_seg.report.tables.columns import RECORDED_EF
from cardiac_seg.run.folder import REFERENCE_MASKS, Run
from cardiac_seg.run.formats import read_stored, read_stored_table
from cardiac_seg.run.meta_folder import final_method
from cardiac_seg.run.open import shared_settings

CONFIGS = Path(__file__).parents[2] / "configs"
HD95 = "HD95 mm (by structure)"
COLUMNS = (
    *("mean Dice [95 %]", "minus the mean [95 %]", HD95, "band ECE"),
    *("LV EF r", "EF bias ± SD", "EF MAE", "pooled, 4 classes", "source"),
)
LEGEND = (
    "Dice and HD95 (mm): per patient on the native grid, the mean of the structures. Band ECE: "
    "calibration error of the pixels within 5 mm of a boundary, all patients together. EF in "
    "points, against the reference masks' EF. Pooled: Dice over the pixels of all images on the "
    "network grid, background included, before postprocessing, as others pool it."
)


def results_table(folders: list[Path]) -> str:
    """A Markdown table per run: test patients, native grid, one row per method.

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
    methods, summary = _table(run, "methods_test"), _table(run, "summary")
    agreement, calibration = _table(run, "agreement"), _table(run, "calibration")
    test = read_stored(run.folder / "metrics.json")["subsets"]["test"]
    hd95 = summary[summary.metric == "hd95_mm"].set_index(["method", "structure"])["mean"]
    ef = agreement[(agreement["index"] == "lv_ef_percent") & (agreement.against != RECORDED_EF)]
    ef = ef.set_index("method")
    band = calibration[calibration.area == "band"].set_index("method").ece
    chosen, rows = final_method(run), []
    listed = list_methods(run.config.members, run.config.stacking)
    features = {m.name: m.features for m in listed}
    learners = {m.name: m.learner for m in listed}
    for row in methods.to_dict("records"):
        method = row["method"]
        pooled = test["methods"][method]["pooled_network_grid"]["mean_dice"]
        ef_agreement = (
            ef.loc[method] if method in ef.index else {"r": np.nan, "mae": np.nan, "bias": np.nan}
        )
        cells = {structure: plain_number(row[structure], 3) for structure in run.dataset.structures}
        cells |= {
            "mean Dice [95 %]": _with_interval(row, "mean", 4),
            "minus the mean [95 %]": _with_interval(row, "difference", 4, "+"),
            HD95: plain_number(hd95.get((method, "mean")), 2),
            "band ECE": plain_number(band.get(method), 3),
            "LV EF r": plain_number(ef_agreement["r"], 3),
            "EF MAE": plain_number(ef_agreement["mae"], 1),
            "pooled, 4 classes": plain_number(pooled, 4),
        }
        if cells[HD95]:
            each = [plain_number(hd95.get((method, s)), 1) for s in run.dataset.structures]
            cells[HD95] += f" ({', '.join(each)})"
        if bias := plain_number(ef_agreement["bias"], 1, "+"):
            cells["EF bias ± SD"] = f"{bias} ± {ef_agreement['sd']:.1f}"
        core = features[method] == "core"
        name = f"{learners[method]}, core" if core else method
        rows.append((f"**{name}** (chosen)" if method == chosen else name, cells))
    heading = (
        f"{_dataset(run)}, {run.config.stacking.scheme}, {test['patients']} test patients: "
        f"`{_command(run)}`"
    )
    return "\n\n".join(
        part for part in (heading, _markdown(run.dataset.structures, rows), _tests(run)) if part
    )


def _tests(run: Run) -> str:
    """Primary and secondary comparisons; the reference masks' agreement with the recorded EF."""
    comparisons, agreement = _table(run, "comparisons"), _table(run, "agreement")
    lines = []
    for row in comparisons[comparisons.role != "exploratory"].to_dict("records"):
        digits = 2 if row["metric"] == "hd95_mm" else 4
        difference = _with_interval(row, "difference", digits, "+", ("low", "high"))
        p = p_equation(row["p_holm"])
        lines.append(
            f"- {row['role']}: {METRIC_NAMES[row['metric']]}, {final_method(run)} minus "
            f"{row['against']}: {difference}, {p} (Holm), **{row['verdict']}**"
        )
    if lines and "primary" not in set(comparisons.role):
        lines.insert(0, f"- no primary test: {final_method(run)} is the control itself")
    recorded = agreement[agreement.against == RECORDED_EF].set_index("method")
    oracle = recorded.loc[REFERENCE_MASKS] if REFERENCE_MASKS in recorded.index else None
    if oracle is not None and not np.isnan(oracle["mae"]):
        lines.append(
            f"- the reference masks' EF against the recorded EF: r {plain_number(oracle['r'], 3)}, "
            f"MAE {oracle['mae']:.1f} points"
        )
    return "\n".join(lines)


def _dataset(run: Run) -> str:
    phantom = " (phantom)" if run.manifest.dataset.phantom else ""
    return f"{run.dataset.title}{phantom}"


def _published(dataset: Dataset) -> str:
    rows = []
    for result in dataset.published:
        cells = dict(zip(dataset.structures, result.dice, strict=False))
        cells |= {"mean Dice [95 %]": result.mean_dice, HD95: result.hd95_mm}
        cells |= {"LV EF r": result.ef_r, "EF bias ± SD": result.ef_bias_sd}
        cells |= {"EF MAE": result.ef_mae, "source": result.source}
        rows.append((result.method, cells))
    if dataset.name == PUBLISHED_DATASET:
        for method, values in PUBLISHED.items():
            scores = dict(zip(QUANTITIES, values, strict=True))
            cells = {
                structure: plain_number(scores[structure], 3) for structure in dataset.structures
            }
            cells["pooled, 4 classes"] = plain_number(scores["mean of 4"], 4)
            cells["source"] = "Rahi 2025"
            rows.append((f"{method}, published, pooled, 2CH ED", cells))
    heading = f"{dataset.title}, published, on other patients: not to be compared digit by digit"
    return f"{heading}\n\n{_markdown(dataset.structures, rows)}" if rows else ""


def _markdown(structures: tuple[str, ...], rows: list[tuple[str, dict[str, str]]]) -> str:
    columns = [c for c in (*structures, *COLUMNS) if any(cells.get(c) for _, cells in rows)]
    lines = ["| method | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, cells in rows:
        lines.append(f"| {name} | " + " | ".join(cells.get(c, "") for c in columns) + " |")
    return "\n".join(lines)


def _with_interval(
    row: dict, name: str, digits: int, sign: str = "", ends: tuple[str, str] | None = None
) -> str:
    """A value of a table's row with its interval; nothing where there is none."""
    if not (value := plain_number(row.get(name), digits, sign)):
        return ""
    low, high = (
        plain_number(row[end], digits, sign) for end in ends or (f"{name}_low", f"{name}_high")
    )
    return f"{value} [{low} {high}]" if low and high else value


def _table(run: Run, name: str) -> pd.DataFrame:
    path = run.folder / "analysis" / "tables" / f"{name}.csv"
    return read_stored_table(path, {}, f"run analyze_results.py {run.folder} first")


def _command(run: Run) -> str:
    """The command that makes the run: the nearest shipped config with what differs from it.

    An installed package ships no configs; there it is the run's own.
    """
    settings, candidates = shared_settings(run.config), []
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
