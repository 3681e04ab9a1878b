"""The learners: fitted on pixel features, stored with skops, loaded from trusted types alone."""

import time
import warnings
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import sklearn
import skops.io
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import ThreadpoolController

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
MOST_BYTES = 2**30  # of a learner's file, unpacked
MOST_LEAVES = 4000  # of a tree: a stored forest of 100 trees stays under 50 MB whatever the data


def fit_learner(
    kind: str,
    settings: Stacking,
    features: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    names: list[str],
    classes: int,
    seed: int,
) -> Learner:
    """Fits a learner.

    Args:
        kind: `logistic`, `random_forest` or `gradient_boosting`.
        settings: The `stacking` section.
        features: (pixels, features) float32.
        labels: (pixels,) true classes.
        weights: (pixels,) how many pixels each stands for.
        names: The features' names.
        classes: Number of classes.
        seed: For forests and boosting.

    Raises:
        ValueError: If all pixels are of one class.
    """
    if len(np.unique(labels)) < 2:
        raise ValueError(f"{len(labels)} pixels of fewer than two classes")
    estimator = _estimator(kind, settings, len(labels), seed)
    classic = isinstance(estimator, GradientBoostingClassifier)
    if classic and len(labels) > settings.gradient_boosting.classic_pixels:
        rng = np.random.default_rng(seed)
        some = rng.choice(len(labels), settings.gradient_boosting.classic_pixels, replace=False)
        features, labels, weights = features[some], labels[some], weights[some]
    weights = weights / weights.mean()
    key = "classifier__sample_weight" if kind == "logistic" else "sample_weight"
    started = time.perf_counter()
    # The logistic fit is many products of a tall matrix with a narrow one: there BLAS threads
    # wait longer for each other than they compute (57 s against 1 s, measured beside a training).
    with _threads().limit(limits=1 if kind == "logistic" else None):
        estimator.fit(features, labels, **{key: weights})
    seconds = time.perf_counter() - started
    if kind == "random_forest":
        # Threads add the trees' votes in any order, and the last bits of the sum would vary.
        estimator.set_params(n_jobs=1)
    return Learner(names, classes, seconds, _Classifier(estimator, classes))


def save_learner(path: Path, learner: Learner) -> None:
    """Writes a learner with its feature names and the version of scikit-learn."""
    values = {
        "features": learner.features,
        "classes": learner.classes,
        "scikit_learn": sklearn.__version__,
        "estimator": learner.model.estimator,
        "seconds": learner.seconds,
    }
    with whole_file(path) as partial:
        skops.io.dump(values, partial, compression=zipfile.ZIP_DEFLATED)


def load_learner(path: Path, features: list[str], classes: int) -> Learner:
    """Reads a learner; nothing is run that is not on the list of trusted types.

    Args:
        path: The file.
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
        version = values["scikit_learn"]
        if _series(version) != _series(sklearn.__version__):
            raise UserError(
                f"{path}: written with scikit-learn {version}, found {sklearn.__version__}; "
                f"install that version or {again}"
            )
        model = _Classifier(values["estimator"], values["classes"])
        learner = Learner(values["features"], values["classes"], values["seconds"], model)
        check_estimator(model.estimator, len(learner.features), learner.classes)
    except UserError:
        raise
    except Exception as error:  # zip, JSON and NumPy readers let many kinds through
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: damaged ({reason}); {again}") from None
    check_learner(path, learner, features, classes)
    return learner


def _check_size(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MOST_BYTES:
        raise ValueError(f"{size / 2**20:.0f} MiB when unpacked, no learner has as many")


@dataclass(frozen=True)
class _Classifier:
    """A scikit-learn classifier that gives probabilities of all classes, seen or not."""

    estimator: object
    classes: int

    def __call__(self, features: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(features), self.classes), np.float32)
        known = np.asarray(self.estimator.classes_, int)
        # Boosting starts its threads anew for every tree, and they wait busily for each other:
        # beside another process that took twenty times as long.
        one_thread = isinstance(self.estimator, HistGradientBoostingClassifier)
        with _threads().limit(limits=1 if one_thread else None, user_api="openmp"):
            probabilities[:, known] = self.estimator.predict_proba(features)
        return probabilities


@lru_cache(maxsize=1)
def _threads() -> ThreadpoolController:
    """The libraries' thread pools; looking for them takes longer than a prediction."""
    return ThreadpoolController()


def _series(version: str) -> str:
    """1.9.1 -> 1.9: patch releases read each other's estimators."""
    return ".".join(version.split(".")[:2])


def _estimator(kind: str, settings: Stacking, pixels: int, seed: int):
    forest, boosting = settings.random_forest, settings.gradient_boosting
    if kind == "logistic":
        classifier = LogisticRegression(max_iter=1000)
        return Pipeline([("scale", StandardScaler()), ("classifier", classifier)])
    if kind == "random_forest":
        return RandomForestClassifier(
            forest.trees,
            min_samples_leaf=max(forest.min_samples_leaf, pixels // MOST_LEAVES),
            n_jobs=-1,
            random_state=seed,
        )
    if boosting.kind == "classic":
        return GradientBoostingClassifier(
            n_estimators=boosting.iterations,
            learning_rate=boosting.learning_rate,
            max_leaf_nodes=boosting.leaves,
            min_samples_leaf=boosting.min_samples_leaf,
            subsample=0.5,
            max_features=0.3,
            random_state=seed,
        )
    return HistGradientBoostingClassifier(
        max_iter=boosting.iterations,
        learning_rate=boosting.learning_rate,
        max_leaf_nodes=boosting.leaves,
        min_samples_leaf=boosting.min_samples_leaf,
        max_bins=63,  # weighted bin edges are found one by one, slower than the trees themselves
        l2_regularization=10.0,
        max_features=0.3,
        early_stopping=False,  # its own hold-out would divide patients
        random_state=seed,
    )
