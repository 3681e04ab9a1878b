"""Cardiac segmentation with two U-Nets and a per-pixel ensemble.

`Ensemble.load(run).predict(path)` uses a trained run; see the README for the commands.
"""

from cardiac_seg.version import __version__ as __version__


def __getattr__(name: str):
    # Importing the package must stay quick: Ensemble brings Keras with it.
    if name == "Ensemble":
        import cardiac_seg.system.backend  # noqa: F401  before Keras, see there
        from cardiac_seg.predict.predictor import Ensemble

        return Ensemble
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
