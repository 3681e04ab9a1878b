"""The learners: fitted on pixel features, stored with skops, loaded from trusted types alone."""

import time
import warnings
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import sklearn
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import ThreadpoolController

from cardiac_seg.config.registry import LEARNERS, find
from cardiac_seg.config.sections import Stacking
from cardiac_seg.meta.learners.learner import Learner, check_learner
from cardiac_seg.meta.learners.sklearn_check import check_estimator
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError, stack_again

# What skops does not trust by itself; everything else in a file is refused.
TRUSTED = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
TAKE_MISSING = (HistGradientBoostingClassifier, RandomForestClassifier)
MAX_BYTES = 2**30  # of a learner's file, unpacked


def fit_learner(
    kind: str,
    settings: Stacking,
    features: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    patients: np.ndarray,
    names: list[str],
    classes: int,
    seed: int,
) -> Learner:
    """Fits a learner.

    Args:
        kind: One of `config.registry.LEARNERS`. Its module has an `estimator`, and may set
            `FIT_THREADS` (BLAS and OpenMP threads of the fit) and `max_pixels(settings)`; or it has
            a `fit` of its own, as `boosted_mean`.
        settings: The `stacking` section.
        features: (pixels, features) float32, NaN where missing.
        labels: (pixels,) true classes.
        weights: (pixels,) how many pixels each stands for.
        patients: (pixels,) whole numbers, equal for pixels of one patient.
        names: The features' names.
        classes: Number of classes.
        seed: For forests and boosting.

    Raises:
        ValueError: If all pixels are of one class.
    """
    if len(np.unique(labels)) < 2:
        raise ValueError(f"{len(labels)} pixels of fewer than two classes")
    module, weights = find(LEARNERS[kind]), weights / weights.mean()
    started = time.perf_counter()
    if hasattr(module, "fit"):
        pixels = (features, labels, weights, patients)
        model = module.fit(settings, *pixels, names, classes, seed)
    else:
        estimator = _fit_estimator(module, settings, features, labels, weights, seed)
        model = _Classifier(estimator, classes)
    return Learner(names, classes, time.perf_counter() - started, model)


def _fit_estimator(
    module: ModuleType,
    settings: Stacking,
    features: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    seed: int,
) -> Any:
    """The estimator of a learner's module, fitted."""
    estimator = module.estimator(settings, len(labels), seed)
    most = module.max_pixels(settings) if hasattr(module, "max_pixels") else None
    if most is not None and len(labels) > most:
        drawn = np.random.default_rng(seed).choice(len(labels), most, replace=False)
        features, labels, weights = features[drawn], labels[drawn], weights[drawn]
        weights = weights / weights.mean()
    # A column of which nothing is known has no means and no bins; as a constant it tells nothing.
    features = np.where(np.isnan(features).all(0), np.float32(0), features)
    scale = StandardScaler().fit(features) if isinstance(estimator, Pipeline) else None
    features = _filled(estimator, features, scale)
    last = f"{estimator.steps[-1][0]}__" if isinstance(estimator, Pipeline) else ""
    with _threads().limit(limits=getattr(module, "FIT_THREADS", None)):
        estimator.fit(features, labels, **{f"{last}sample_weight": weights})
    if "n_jobs" in estimator.get_params(deep=False):
        # Threads add the trees' votes in any order, and the last bits of the sum would vary.
        estimator.set_params(n_jobs=1)
    return estimator


def save_learner(path: Path, learner: Learner) -> None:
    """Writes a learner with its feature names, and of an estimator the version of scikit-learn."""
    model = cast(Any, learner.model)
    values = {
        "features": learner.features,
        "classes": learner.classes,
        "seconds": learner.seconds,
    }
    if isinstance(model, _Classifier):
        values |= {"scikit_learn": sklearn.__version__, "estimator": model.estimator}
    else:
        values["arrays"] = model.arrays()
    with whole_file(path) as partial:
        skops.io.dump(values, partial, compression=zipfile.ZIP_DEFLATED)


def load_learner(path: Path, kind: str, features: list[str], classes: int) -> Learner:
    """Reads a learner; nothing is run that is not on the list of trusted types.

    Args:
        path: The file.
        kind: The learner it must be, see `fit_learner`.
        features: The names it must have been fitted on, in order.
        classes: The number of classes it must tell apart.

    Raises:
        UserError: If the file is missing, damaged, of other features, classes or another version
            of scikit-learn, or holds types that are not trusted or trees that lead astray.
    """
    again = stack_again(path.parent.parent)
    if not path.is_file():
        raise UserError(f"{path}: missing; {again}")
    try:
        _check_size(path)
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED))
        if unknown:
            raise UserError(
                f"{path}: holds {', '.join(unknown)}, which no learner of this project does; "
                "do not use this file"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions: answered below, in one line
            values = skops.io.load(path, trusted=list(TRUSTED))
        names, count, module = values["features"], values["classes"], find(LEARNERS[kind])
        if hasattr(module, "fit"):
            model = module.read(values["arrays"], names, count)
        else:
            _check_version(path, values["scikit_learn"], again)
            model = _Classifier(values["estimator"], count)
            check_estimator(kind, model.estimator, len(names), count)
        learner = Learner(names, count, values["seconds"], model)
    except UserError:
        raise
    except Exception as error:  # zip, JSON and NumPy readers let many kinds through
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: damaged ({reason}); {again}") from None
    check_learner(path, learner, features, classes)
    return learner


def _check_version(path: Path, version: str, again: str) -> None:
    if _series(version) != _series(sklearn.__version__):
        raise UserError(
            f"{path}: written with scikit-learn {version}, found {sklearn.__version__}; "
            f"install that version or {again}"
        )


def _check_size(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_BYTES:
        raise ValueError(f"{size / 2**20:.0f} MiB when unpacked, no learner has as many")


@dataclass(frozen=True)
class _Classifier:
    """A scikit-learn classifier that gives probabilities of all classes, seen or not."""

    estimator: Any
    classes: int

    def __call__(self, features: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(features), self.classes), np.float32)
        known = np.asarray(self.estimator.classes_, np.int64)
        # Boosting starts its threads anew for every tree, and they spin while they wait for each
        # other: while another process was running, that took twenty times as long.
        one_thread = isinstance(self.estimator, HistGradientBoostingClassifier)
        scale = self.estimator[0] if isinstance(self.estimator, Pipeline) else None
        whole = _filled(self.estimator, features, scale)
        with _threads().limit(limits=1 if one_thread else None, user_api="openmp"):
            probabilities[:, known] = self.estimator.predict_proba(whole)
        return probabilities


def _filled(estimator: Any, features: np.ndarray, scale: Any) -> np.ndarray:
    """The features, with nothing missing if the estimator does not take that.

    Args:
        estimator: Fitted or not.
        features: (pixels, features) float32, NaN where missing.
        scale: A fitted `StandardScaler`, whose means stand for what is missing; None for 0.
    """
    if isinstance(estimator, TAKE_MISSING) or not (missing := np.isnan(features)).any():
        return features
    by = np.zeros(features.shape[1]) if scale is None else np.nan_to_num(scale.mean_)
    return np.where(missing, by.astype(np.float32), features)


@lru_cache(maxsize=1)
def _threads() -> ThreadpoolController:
    """The libraries' thread pools; looking for them takes longer than a prediction."""
    return ThreadpoolController()


def _series(version: str) -> str:
    """1.9.1 -> 1.9: patch releases read each other's estimators."""
    return ".".join(version.split(".")[:2])
