"""Where the networks, pixel features and learners lie that a configuration may name.

A new one costs one file and one line here. Places are text and imported when they are first used,
so that reading a configuration loads neither Keras nor scikit-learn.
"""

from importlib import import_module

# Name -> `module:builder`, see members/networks/; it takes the keys of `networks.<name>`. A
# network with keys beside `filters` and `dropout` names them in config/sections/networks.py.
NETWORKS = {
    "unet_advanced": "cardiac_seg.members.networks.unet_advanced:unet_advanced",
    "deep_unet_improved": "cardiac_seg.members.networks.deep_unet_improved:deep_unet_improved",
    "unet_3d": "cardiac_seg.members.networks.unet_3d:unet_3d",
}
# Group -> module with `names(features)` and `values(case)`, see meta/features/.
FEATURES = {
    "probability": "cardiac_seg.meta.features.probability",
    "entropy": "cardiac_seg.meta.features.entropy",
    "confidence": "cardiac_seg.meta.features.confidence",
    "margin": "cardiac_seg.meta.features.margin",
    "disagreement": "cardiac_seg.meta.features.disagreement",
    "context": "cardiac_seg.meta.features.context",
    "distance": "cardiac_seg.meta.features.distance",
    "slices": "cardiac_seg.meta.features.slices",
    "intensity": "cardiac_seg.meta.features.intensity",
    "neighbours": "cardiac_seg.meta.features.neighbours",
    "profile": "cardiac_seg.meta.features.profile",
    "phase": "cardiac_seg.meta.features.phase",
    "sizes": "cardiac_seg.meta.features.sizes",
    "position": "cardiac_seg.meta.features.position",
}
CORE_FEATURES = ("probability", "entropy", "confidence")  # what every learner gets, in this order
# Name -> module with `estimator(settings, pixels, seed)` and `check(estimator, features, classes)`,
# or with `fit` and `read` of a model of its own, see meta/learners/. From the
# simplest: of equally good ones the first is chosen.
LEARNERS = {
    "logistic": "cardiac_seg.meta.learners.logistic",
    "random_forest": "cardiac_seg.meta.learners.random_forest",
    "gradient_boosting": "cardiac_seg.meta.learners.gradient_boosting",
    "boosted_mean": "cardiac_seg.meta.learners.boosted_mean",
}
# Names that files and tables of a run give to something else, today or in format 1.
RESERVED_NAMES = frozenset(
    (
        *("mean", "calibrated_mean", "weighted_mean", "ensemble", "reference"),
        *("image", "label", "about", "format", "test", "development", "locator"),
        *("gates", "model", "models", "final_model", "quality", "part", "tempered_mean"),
    )
)


def find(place: str):
    """The module at PACKAGE.MODULE, or what stands in it at PACKAGE.MODULE:NAME."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name) if name else import_module(module)
