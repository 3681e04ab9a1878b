"""Figures from a finished run, drawn from what it saved; no network is run."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import ListedColormap

from cardiac_seg.combination import CORE
from cardiac_seg.data.split import part_names
from cardiac_seg.errors import UserError
from cardiac_seg.evaluation import score_table
from cardiac_seg.maps import read_maps
from cardiac_seg.meta import control_of, final_model, models_of, read_combiner
from cardiac_seg.run import Run, open_run, read_json

# Okabe-Ito: told apart with any colour vision; one colour a structure in every figure.
COLOURS = {"RV": "#0072B2", "MYO": "#009E73", "LV": "#D55E00", "LA": "#CC79A7"}


def analyze(folder: Path, output: Path | None = None) -> str:
    """Draws the figures of a run.

    Args:
        folder: A finished run.
        output: Where `figures/` goes; default `<run>/analysis`.

    Returns:
        Lines of text for the terminal: the scores and where the figures are.

    Raises:
        UserError: If the run is not finished.
    """
    run = open_run(folder)
    if not (run.folder / "metrics.json").is_file():
        raise UserError(
            f"{folder}: not finished (no metrics.json); run train_ensemble.py --resume {folder}"
        )
    metrics = read_json(run.folder / "metrics.json")
    cases = pd.read_csv(run.folder / "cases.csv")
    figures = (output or run.folder / "analysis") / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    sns.set_theme(context="paper", style="ticks", font_scale=0.9)
    names = [
        _save(_dice_figure(run, cases), figures / "dice_test"),
        _save(_training_figure(run), figures / "training_curves"),
        _save(_samples_figure(run, cases), figures / "samples_best_median_worst"),
    ]
    tables = figures.with_name("tables")
    tables.mkdir(exist_ok=True)
    for subset in metrics["subsets"]:
        table = model_table(metrics, run.manifest.get("combining", {}), subset)
        table.to_csv(tables / f"models_{subset}.csv", index=False, float_format="%.4f")
        names.append(tables / f"models_{subset}.csv")
    return "\n".join(
        [
            score_table(metrics, "development"),
            "",
            score_table(metrics, "test"),
            "",
            "look at:",
            *(f"  {name}" for name in names),
        ]
    )


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
        rows.append(row | {"verdict": against["verdict"] if against else ""} | costs.get(model, {}))
    return pd.DataFrame(rows)


def _save(figure: plt.Figure, stem: Path) -> Path:
    for suffix in (".pdf", ".png"):
        figure.savefig(stem.with_suffix(suffix), dpi=300, bbox_inches="tight")
    plt.close(figure)
    return stem.with_suffix(".png")


def _dice_figure(run: Run, cases: pd.DataFrame) -> plt.Figure:
    """Bars of the mean over test patients, a dot a patient."""
    test = cases[cases.subset == "test"]
    patients = test.groupby(["model", "structure", "patient"], as_index=False).dice.mean()
    models = [m for m in models_of(run) if not m.endswith(CORE)]
    structures = list(run.dataset.structures)
    style = {
        "x": "structure",
        "y": "dice",
        "hue": "model",
        "hue_order": models,
        "order": structures,
    }
    figure, axes = plt.subplots(figsize=(6.5, 3))
    palette = dict(zip(models, sns.color_palette("colorblind", len(models)), strict=True))
    sns.barplot(patients, **style, palette=palette, errorbar=None, alpha=0.6, ax=axes)
    sns.stripplot(
        patients, **style, palette=palette, dodge=True, size=2.5, legend=False, ax=axes, jitter=0.15
    )
    # At the foot of the bars, where no patient's dot is.
    for bars in axes.containers:
        for bar in bars:
            x, text = bar.get_x() + bar.get_width() / 2, f"{bar.get_height():.3f}"
            axes.text(x, 0.03, text, rotation=90, ha="center", va="bottom", fontsize=7)
    axes.set(xlabel="", ylabel="Dice (per patient, native grid)", ylim=(0, 1.02))
    axes.legend(title="", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    sns.despine(figure)
    return figure


def _training_figure(run: Run) -> plt.Figure:
    """Loss and validation Dice against the epoch, one line a training."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.5, 2.6), layout="constrained")
    for member, colour in zip(run.config.members, sns.color_palette("colorblind"), strict=False):
        paths = [run.history(member, part) for part in part_names(run.config)]
        for i, path in enumerate(paths):
            history = pd.read_csv(path)
            name = member if i == 0 else None
            left.plot(history.epoch, history.loss, color=colour, label=name)
            right.plot(history.epoch, history.val_dice, color=colour)
    left.set(xlabel="epoch", ylabel="training loss")
    right.set(xlabel="epoch", ylabel="validation Dice (network grid)", ylim=(0, 1))
    left.legend(frameon=False)
    sns.despine(figure)
    return figure


def _samples_figure(run: Run, cases: pd.DataFrame) -> plt.Figure:
    """Image, reference and every model for the best, median and worst test case."""
    final = final_model(run)
    models = list(dict.fromkeys([*run.config.members, control_of(run), final]))
    combiner = read_combiner(run, models)
    test = cases[(cases.subset == "test") & (cases.model == final)]
    ranked = test.groupby("case").dice.mean().sort_values(ascending=False)
    chosen = {"best": ranked.index[0], "median": ranked.index[len(ranked) // 2]}
    chosen["worst"] = ranked.index[-1]
    colours = [COLOURS[s] for s in run.dataset.structures]
    figure, grid = plt.subplots(
        len(chosen), 2 + len(models), figsize=(1.6 * (2 + len(models)), 5.2), layout="constrained"
    )
    for axes, (rank, name) in zip(grid, chosen.items(), strict=True):
        maps = read_maps(run.map(name), run.config.members)
        middle = int(np.median(np.flatnonzero(maps.label.any(axis=(1, 2)))))
        masks = {"image": None, "reference": maps.label}
        masks |= {model: p.argmax(-1) for model, p, _ in combiner.combine(maps, models)}
        for axis, (title, mask) in zip(axes, masks.items(), strict=True):
            axis.imshow(maps.image.pixels[middle], cmap="gray", vmin=0, vmax=255)
            if mask is not None:
                shown = np.ma.masked_equal(mask[middle], 0)
                axis.imshow(
                    shown, ListedColormap(colours), alpha=0.55, vmin=1, vmax=3, interpolation="none"
                )
            axis.set(xticks=[], yticks=[])
            if rank == "best":
                axis.set_title(title, fontsize=7)
        axes[0].set_ylabel(f"{rank}: {name}\nDice {ranked[name]:.3f}", fontsize=6)
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[s]) for s in run.dataset.structures]
    figure.legend(
        handles, run.dataset.structures, loc="outside lower center", ncols=3, frameon=False
    )
    return figure
