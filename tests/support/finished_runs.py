"""Finished runs of stand-in networks, and analyses of them that draw little."""

import contextlib

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from cardiac_seg.config.loading import load_config
from cardiac_seg.pipeline import stages
from cardiac_seg.pipeline.prepare import find_cases, prepare
from cardiac_seg.report import one_run, several_runs
from cardiac_seg.run import members
from cardiac_seg.run.open import create

SETTINGS = """
data: {dataset: %s, root: %s, cache: %s}
split: {validation: 0.25, test: 0.375, folds: 2}
preprocess: {spacing: %s, size: [32, 32]}
stacking: {pixels_per_case: 400, features: [margin], learners: [logistic], choose: logistic}
"""


class StandIn:
    """A network that is right about most pixels, and blind to some labels of some cases."""

    name, input_shape = "stand-in", (None, None, None, 1)

    def __init__(self, run, cache, member, noise, blind):
        self.known, self.noise = {}, [noise, *member.encode()]
        self.strength = {"unet_advanced": 4.0, "deep_unet_improved": 3.0}[member]
        for case in cache.cases.values():
            planes = cache.image(case, run.config.preprocess.normalize)
            for i, (plane, label) in enumerate(zip(planes, cache.label(case), strict=True)):
                self.known[plane.tobytes()] = (case.name, i, label, list(blind(case.name)))

    def predict_on_batch(self, batch):
        maps = np.full((*batch.shape[:3], 4), 0.25, np.float32)
        for i, plane in enumerate(batch[..., 0]):
            if plane.tobytes() not in self.known:
                continue  # a batch's padding
            case, number, label, unseen = self.known[plane.tobytes()]
            rng = np.random.default_rng([number, *case.encode(), *self.noise])
            logits = self.strength * np.eye(4)[label] + rng.normal(size=(*label.shape, 4))
            logits[..., unseen] -= 50
            maps[i] = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        return maps


def make_run(folder, dataset, root, *overrides, noise=0, blind=lambda case: ()):
    """A finished run without training."""
    spacing = {"acdc": "5.0", "camus": "null"}[dataset]
    config = folder.with_suffix(".yaml")
    config.write_text(SETTINGS % (dataset, root, folder.parent / "cache", spacing))
    run = create(load_config(config, list(overrides)), folder)
    cache = prepare(run, find_cases(run)).cache
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            members,
            "load_network",
            lambda run, member, fold: StandIn(run, cache, member, noise, blind),
        )
        stages.run_stages(run, ("stack", "evaluate"))
    return run


@contextlib.contextmanager
def quick(rendered=()):
    """One process; figures are drawn, but blank in all files but those of the named suffixes."""
    savefig, blank = Figure.savefig, cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1]

    def save(figure, path, **options):
        if path.name.endswith(rendered):
            savefig(figure, path, **options | {"dpi": 30})
        else:
            path.write_bytes(blank.tobytes() if path.suffix == ".png" else b"%PDF-1.4\n")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save)
        yield


@contextlib.contextmanager
def without_figures():
    """One process; drawing is left out."""
    with pytest.MonkeyPatch.context() as patch, quick():
        for module in (one_run, several_runs):
            patch.setattr(module, "draw_all", lambda drawings, folder, settings: {})
        yield
