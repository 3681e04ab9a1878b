"""The results of analysed runs in one Markdown table, published figures beside them."""

from pathlib import Path

import pandas as pd
import yaml

from cardiac_seg.combination import CORE
from cardiac_seg.config import load_config
from cardiac_seg.errors import UserError
from cardiac_seg.meta import final_model
from cardiac_seg.run import LOCAL_KEYS, Run, open_run, read_json

CONFIGS = Path(__file__).parents[1] / "configs"
HEAD = (
    *("model", "mean Dice [95 %]", "minus the mean [95 %]", "HD95 mm", "band ECE"),
    *("LV EF r", "EF bias ± SD", "EF MAE", "pooled, 4 classes"),
)
# What others reached on held-out patients: name, structures' Dice, the other columns, source.
PUBLISHED = {
    "acdc": [
        ("nnU-Net, 5-fold cross-validation, 100 patients", {}, {"mean Dice [95 %]": ".9154"}),
        ("MedNeXt-L, the same", {}, {"mean Dice [95 %]": ".9265"}),
        (
            "best of the official test (50 patients)",
            {},
            {"LV EF r": ".993", "EF bias ± SD": "-0.4 ± 2.7"},
        ),
    ],
    "camus": [
        (
            "nnU-Net, official 50 test patients",
            {},
            {"mean Dice [95 %]": ".910", "HD95 mm": "4.27"},
        ),
        (
            "unet_advanced, published (2CH ED)",
            {"LV": ".932", "MYO": ".853", "LA": ".861"},
            {"pooled, 4 classes": ".9066"},
        ),
        (
            "their ensemble (average of two)",
            {"LV": ".934", "MYO": ".856", "LA": ".866"},
            {"pooled, 4 classes": ".9091"},
        ),
    ],
}


def results_table(folders: list[Path]) -> str:
    """A Markdown table for each run: test patients, native grid, every model on all features.

    Args:
        folders: Runs that `analyze_results.py` has been run on.

    Raises:
        UserError: If a run is not analysed.
    """
    runs = [open_run(folder) for folder in folders]
    parts = [_of_run(run) for run in runs]
    for dataset in dict.fromkeys(run.config.data.dataset for run in runs):
        structures = next(run for run in runs if run.config.data.dataset == dataset)
        parts.append(_published(dataset, structures.dataset.structures))
    return "\n\n".join(parts)


def _of_run(run: Run) -> str:
    models, summary = _table(run, "models_test"), _table(run, "summary")
    agreement, calibration = _table(run, "agreement"), _table(run, "calibration")
    pooled = read_json(run.folder / "metrics.json")["subsets"]["test"]
    chosen, rows = final_model(run), []
    hd95 = summary[(summary.metric == "hd95_mm") & (summary.structure == "mean")]
    hd95 = hd95.set_index("model")["mean"]
    ef = agreement[(agreement["index"] == "lv_ef_percent") & (agreement.against != "recorded EF")]
    ef = ef.set_index("model")
    band = calibration[calibration.area == "band"].set_index("model").ece
    for row in models.itertuples():
        if row.model.endswith(CORE):
            continue
        cells = {s: _dice(getattr(row, s)) for s in run.dataset.structures}
        cells["mean Dice [95 %]"] = (
            f"{_dice(row.mean, 4)} [{_dice(row.mean_low)} {_dice(row.mean_high)}]"
        )
        if pd.notna(row.difference):
            cells["minus the mean [95 %]"] = (
                f"{row.difference:+.4f} [{row.difference_low:+.4f} {row.difference_high:+.4f}]"
            )
        if row.model in hd95:
            cells["HD95 mm"] = f"{hd95[row.model]:.2f}"
        if row.model in band:
            cells["band ECE"] = _dice(band[row.model])
        if row.model in ef.index and ef.patients[row.model]:
            told = ef.loc[row.model]
            cells["LV EF r"] = _dice(told.r)
            cells["EF bias ± SD"] = f"{told.bias:+.1f} ± {told.sd:.1f}"
            cells["EF MAE"] = f"{told.mae:.1f}"
        mean_dice = pooled["models"][row.model]["pooled_network_grid"]["mean_dice"]
        cells["pooled, 4 classes"] = _dice(mean_dice, 4)
        name = f"**{row.model}** (chosen)" if row.model == chosen else row.model
        rows.append((name, cells))
    about = (
        f"{run.config.data.dataset.upper()}, {run.config.stacking.scheme}, "
        f"{pooled['patients']} test patients: `{_command(run)}`"
    )
    return f"{about}\n\n{_markdown(run.dataset.structures, rows)}"


def _published(dataset: str, structures: tuple[str, ...]) -> str:
    rows = [(name, dice | others) for name, dice, others in PUBLISHED[dataset]]
    about = f"{dataset.upper()}, published, on other patients: not to be compared digit by digit"
    return f"{about}\n\n{_markdown(structures, rows)}"


def _markdown(structures: tuple[str, ...], rows: list[tuple[str, dict[str, str]]]) -> str:
    columns = [*structures, *HEAD[1:]]
    columns = [c for c in columns if any(c in cells for _, cells in rows)]
    lines = ["| model | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {n} | " + " | ".join(cells.get(c, "") for c in columns) + " |" for n, cells in rows
    ]
    return "\n".join(lines)


def _dice(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}".removeprefix("0") if pd.notna(value) else ""


def _table(run: Run, name: str) -> pd.DataFrame:
    path = run.folder / "analysis" / "tables" / f"{name}.csv"
    if not path.is_file():
        raise UserError(f"{path}: missing; run analyze_results.py {run.folder} first")
    return pd.read_csv(path)


def _command(run: Run) -> str:
    """The command that makes the run: by the shipped config that it equals, else by its own."""
    own = _portable(run.config)
    for path in sorted(CONFIGS.glob("*.yaml")):
        if _portable(load_config(path)) == own:
            return f"train_ensemble.py --config configs/{path.name} --set data.root=..."
    return f"train_ensemble.py --config {run.folder / 'config.yaml'} --set data.root=..."


def _portable(config) -> dict:
    values = yaml.safe_load(config.model_dump_json())
    for key in LOCAL_KEYS:
        del values["data"][key]
    return values
