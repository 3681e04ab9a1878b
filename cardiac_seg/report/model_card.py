"""The model card of an exported run: what it is, its scores, where it fails, whose data it is."""

from pathlib import Path

from cardiac_seg.data.dataset import Dataset
from cardiac_seg.data.split import TRAINING_CASES, deployed_folds, fold_patients
from cardiac_seg.report.methods import describe_members, describe_start
from cardiac_seg.report.results import results_table
from cardiac_seg.run.describe import describe_input
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored_table
from cardiac_seg.run.meta_folder import final_method
from cardiac_seg.run.scored_cases import score_again
from cardiac_seg.run.scoring import scorings_sentence

WORST = 5


def model_card(run: Run, folder: Path) -> str:
    """The card as Markdown.

    Args:
        run: A finished and analysed run.
        folder: Where it is exported to.
    """
    networks = ", ".join(describe_members(run.config))
    epochs = {run.config.for_member(member).train.epochs for member in run.config.trained_members}
    trained = f", {epochs.pop()} epochs" if len(epochs) == 1 and epochs != {0} else ""
    trained += f", {start}" if (start := describe_start(run.config)) else ""
    data = run.config.data
    place = folder.name if folder.is_absolute() else folder  # no path of this machine
    maps = "".join(f" --maps {member}=FOLDER" for member in run.config.external)
    phantom = run.manifest.dataset.phantom
    views = f"{' and '.join(data.views)}, " if run.dataset.modality.views else ""
    source = "Phantoms, drawn by this project." if phantom else run.dataset.source
    licence = "" if phantom else _licence(run.dataset)
    return f"""# {run.dataset.title} weights

    .venv/bin/python -m cardiac_seg predict {place} INPUT --output results{maps}
{_brought(run)}
Research use only; not a medical device.
{licence}

**Data.** {source}
{views}{" and ".join(data.phases)}. {_patients(run)}

**Input.** {run.dataset.modality.images}: {describe_input(run)}.

**Method.** {networks}{trained}, stacking scheme \
{run.config.stacking.scheme}; in use: {final_method(run)}. Weights are rounded to float16; the whole
configuration: `config.yaml`.

{_figures(run)} {scorings_sentence(run)}

{results_table([run.folder])}

**Where it fails.** The {WORST} lowest Dice values of the method in use among the \
{"test" if run.holds_out else "training"} images:

{_worst(run)}

**Limits.** {run.dataset.limits}
{views}{" and ".join(data.phases)} alone were trained on.
"""


def _figures(run: Run) -> str:
    """What the figures are of."""
    if not run.holds_out:
        said = f"{TRAINING_CASES[0].upper()}{TRAINING_CASES[1:]}"
        return (
            f"**{said}.** Before the rounding; per patient, native grid. How it does on new images "
            "was not measured, and what `predict` gives as predicted Dice was fitted on the same "
            "training cases: expect less."
        )
    return (
        "**Test figures**, before the rounding; per patient, native grid. Optimistic where test\n"
        "scores were seen before the method was settled: for the weights that come with the "
        "repository,\nsee docs/experiments.md."
    )


def _brought(run: Run) -> str:
    """What must be done before, where a member brings its maps."""
    if not run.config.external:
        return ""
    return (
        f"\nNot in here: {', '.join(run.config.external)}, which is a network of another program. "
        "It must predict the\nimages first and store its softmax maps; FOLDER holds them.\n"
    )


def _licence(dataset: Dataset) -> str:
    terms = f"{dataset.licence}, as" if dataset.licence else "that of"
    return f"Licence of the weights: {terms} the data they were trained on; the code is MIT."


def _patients(run: Run) -> str:
    """Who trained the networks in use, and who chose."""
    split, scheme = run.split(), run.config.stacking.scheme
    if not run.holds_out:
        return (
            f"The network was trained on all {len(split)} patients, who also watched its training "
            "and were scored: none was held out. Which: `split.csv`."
        )
    test, fitted = (split.subset == "test").sum(), len(split[split.fold >= 0])
    sets = [fold_patients(split, fold, scheme)[0] for fold in deployed_folds(run.config)]
    trained = len(set.union(*sets))
    if scheme == "out_of_fold":
        how = (
            f"what combines them was fitted on maps of the same {fitted} by networks of other folds"
        )
    elif scheme == "both":
        how = (
            f"what combines them was fitted on {fitted}, on maps of the {trained} by networks of "
            f"other folds and on those of the {fitted - trained} others"
        )
    else:
        how = f"what combines them was fitted on {fitted} others"
    return (
        f"The networks were trained on {trained} patients; {how}; {test} are for the test. "
        "Which: `split.csv`."
    )


def _worst(run: Run) -> str:
    columns = dict.fromkeys(("case", "group", "structure", "method", "subset"), str)
    cases = read_stored_table(run.folder / "cases.csv", columns | {"dice": float}, score_again(run))
    scores = cases[(cases.subset == run.scored) & (cases.method == final_method(run))]
    lines = ["| image | group | structure | Dice |", "|---|---|---|---|"]
    for row in scores.nsmallest(WORST, "dice").itertuples():
        group = run.dataset.group_title(row.group)
        lines.append(f"| {row.case} | {group} | {row.structure} | {row.dice:.3f} |")
    return "\n".join(lines)
