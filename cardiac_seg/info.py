"""What a run is, in a few lines of text."""

from pathlib import Path

from cardiac_seg.evaluation import score_table
from cardiac_seg.meta import final_model
from cardiac_seg.run import Run, open_run, read_json


def describe_run(folder: Path) -> str:
    """Data, networks, input, labels, versions and test scores of a run.

    Raises:
        UserError: If the folder is no run directory.
    """
    run = open_run(folder)
    manifest, settings = run.manifest, run.config.preprocess
    data = manifest.get("dataset", {})
    grid = f"{settings.size[0]} x {settings.size[1]} pixels"
    grid += f" of {settings.spacing} mm" if settings.spacing else ", whole image resized"
    labels = ", ".join(f"{i} {s}" for i, s in enumerate(run.dataset.structures, start=1))
    versions = ", ".join(f"{k} {v}" for k, v in manifest.get("versions", {}).items())
    done = [name for name, stage in manifest.get("stages", {}).items() if stage["done"]]
    lines = [
        f"run       {folder}",
        f"data      {data.get('name', run.config.data.dataset)}"
        f"{' (phantom)' if data.get('phantom') else ''}, {data.get('patients', '?')} patients, "
        f"{data.get('cases', '?')} cases",
        f"networks  {', '.join(run.config.members)}",
        f"model     {_model(run)}",
        f"input     {run.dataset.modality}, network grid {grid}",
        f"labels    0 background, {labels}",
        f"stages    {', '.join(done) or 'none'} done",
        f"versions  {versions or 'unknown'}",
    ]
    if (folder / "metrics.json").is_file():
        metrics = read_json(folder / "metrics.json")
        lines += ["", score_table(metrics, "test")]
    return "\n".join(lines)


def _model(run: Run) -> str:
    if not (run.meta / "choice.json").is_file():
        return "none chosen yet"
    return f"{final_model(run)}, stacking scheme {run.config.stacking.scheme}"
