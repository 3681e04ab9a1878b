"""A finished run stripped to what prediction needs, small enough to be passed on."""

import shutil
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from cardiac_seg.data.split import deployed_folds
from cardiac_seg.members.seen import read_seen, write_seen
from cardiac_seg.report.model_card import model_card
from cardiac_seg.report.one_run import open_finished
from cardiac_seg.run.folder import Run
from cardiac_seg.run.members import load_locator, load_network
from cardiac_seg.run.meta_folder import final_method
from cardiac_seg.system.atomic import whole_directory, write_json, write_text
from cardiac_seg.system.checked_reads import file_sha256
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import log

WEIGHTS = "model.weights.h5"  # inside a .keras file
KEPT = ("config.yaml", "split.csv", "metrics.json")
FORGOTTEN = ("stages", "models", "combining")  # of the manifest: they speak of what is left out


def export_run(folder: Path, output: Path) -> None:
    """Writes what `predict` and `info` need of a run, and a model card, to a new folder.

    The networks in use keep one output and no optimizer; their weights are rounded to float16. The
    learner is kept if it is the method in use. No image and no map of a patient is copied, also of
    no member that brings its maps: `predict` is given those of the new images.

    Args:
        folder: A finished and analysed run.
        output: A folder that does not exist yet.

    Raises:
        UserError: If the run is not finished or not analysed, or `output` exists.
    """
    run = open_finished(folder)
    if output.exists():
        raise UserError(f"{output}: exists already; give a new folder")
    with whole_directory(output) as partial:
        for name in KEPT:
            shutil.copyfile(folder / name, partial / name)
        for member in run.config.trained_members:
            for fold in deployed_folds(run.config):
                path = run.models(member, fold) / f"{run.config.predict.checkpoint}.keras"
                to = partial / path.relative_to(folder)
                to.parent.mkdir(parents=True)
                _write_network(load_network(run, member, fold), path, to)
        if run.config.preprocess.field == "heart":
            for fold in deployed_folds(run.config):
                path = run.locator(fold)
                to = partial / path.relative_to(folder)
                to.parent.mkdir(parents=True)
                _write_network(load_locator(run, [fold]).networks[0], path, to)
        (partial / "meta").mkdir()
        for path in sorted(run.meta.iterdir()):
            if path.suffix == ".json" or path.stem == final_method(run):
                shutil.copyfile(path, partial / "meta" / path.name)
        _write_manifest(run, partial)
        write_text(partial / "README.md", model_card(run, output))
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    log.info("%s: %.1f MB", output, size / 1e6)


def _write_network(network: keras.Model, stored: Path, path: Path) -> None:
    """A network with one output, its weights rounded to float16 and compressed.

    Args:
        network: The network.
        stored: Its file, which says on whom it was trained.
        path: The file to write.
    """
    whole = path.with_name("whole.keras")
    keras.Model(network.inputs, network.outputs[0], name=network.name).save(whole)
    weights = path.with_name(WEIGHTS)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if name != WEIGHTS:
                target.writestr(name, source.read(name))
        source.extract(WEIGHTS, path.parent)
        with h5py.File(weights) as old, h5py.File(path.with_name("small.h5"), "w") as new:
            old.visititems(lambda name, item: _copy_rounded(name, item, new))
        target.write(path.with_name("small.h5"), WEIGHTS)
    write_seen(path, read_seen(stored))
    for leftover in (whole, weights, path.with_name("small.h5")):
        leftover.unlink()


def _copy_rounded(name: str, item: h5py.Group | h5py.Dataset, to: h5py.File) -> None:
    if isinstance(item, h5py.Group):
        copy = to.require_group(name)
    elif item.ndim > 1 and item.dtype == np.float32:  # kernels; variances may be beyond float16
        rounded = item[()].astype(np.float16)
        if not np.isfinite(rounded).all():
            raise UserError(f"{name}: weights beyond float16's range; this run cannot be exported")
        # One chunk each: h5py's own choice of chunks pads them.
        copy = to.create_dataset(
            name, data=rounded, chunks=item.shape, compression="gzip", shuffle=True
        )
    else:
        copy = to.create_dataset(name, data=item[()])
    for key, value in item.attrs.items():
        copy.attrs[key] = value


def _write_manifest(run: Run, folder: Path) -> None:
    manifest = {key: value for key, value in run.manifest_values.items() if key not in FORGOTTEN}
    files = sorted(
        [*folder.rglob("*.keras"), *folder.glob("meta/*.skops"), *folder.glob("meta/*.onnx")]
    )
    models = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    write_json(folder / "manifest.json", manifest | {"exported": True, "models": models})
