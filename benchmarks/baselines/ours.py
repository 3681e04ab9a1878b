"""This project's ensemble on the same images, by a finished run, from files to native masks."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.flops import network_flops
from benchmarks.timing import filling, repeated
from cardiac_seg.data.split import deployed_folds
from cardiac_seg.predict.predictor import Ensemble
from cardiac_seg.predict.scans import find_scans, open_scan
from cardiac_seg.run.folder import Run
from cardiac_seg.run.members import load_network
from cardiac_seg.run.meta_folder import final_method, methods_of, read_combiner
from cardiac_seg.run.open import open_run
from cardiac_seg.system.errors import UserError

LEARNERS = ("random_forest", "gradient_boosting")


def describe(run_folder: str) -> Callable[[], dict]:
    """Prepares saying how large a run's networks are, and which method is in use."""
    run = open_run(Path(run_folder))

    def ask() -> dict:
        members, parts = run.config.members, deployed_folds(run.config)
        networks = [load_network(run, member, part) for member in members for part in parts]
        return {
            "grid": list(run.config.preprocess.size),
            "filters": {m: run.config.networks[m].filters for m in members},
            "parameters": sum(n.count_params() for n in networks),
            "gflop": sum(network_flops(n, run.config.preprocess.size) for n in networks) / 1e9,
            "in_use": final_method(run),
        }

    return ask


def measured_models(run: Run) -> list[str]:
    """The method in use and the learners of a run."""
    learners = [name for name in LEARNERS if name in methods_of(run)]
    return list(dict.fromkeys([final_method(run), *learners]))


def prepare(run_folder: str, patient: str, seconds: float) -> Callable[[], dict]:
    """Prepares segmenting a patient's images through both networks and each method.

    Args:
        run_folder: A finished run on MRI.
        patient: Folder of the ED and the ES image.
        seconds: What the measurement of a method lasts at least, about.

    Raises:
        UserError: If the run is of echo images.
    """
    ensemble = Ensemble.load(run_folder)
    run, scans = ensemble.run, find_scans(Path(patient))
    if run.dataset.modality.ndim != 3:
        raise UserError(f"{run_folder}: a run on {run.config.data.dataset}; give one on ACDC")
    methods = measured_models(run)
    ensemble.combiner = read_combiner(run, methods)

    def segment(method: str) -> int:
        ensemble.method = method
        phases = [
            p for files in scans for p in ensemble.frames(open_scan(files, run.dataset.modality))
        ]
        return sum(len(phase.mask) for phase in phases)

    slices = segment(methods[0])
    timed = {m: filling(repeated(lambda m=m: segment(m)), seconds) for m in methods}
    return lambda: {"slices": slices, "methods": {m: once() for m, once in timed.items()}}
