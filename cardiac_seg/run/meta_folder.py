"""The `meta/` folder of a run: what was fitted on the maps, and what was chosen."""

import math
from dataclasses import replace

from cardiac_seg.masks.postprocessing import STEPS, Postprocessing
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.meta.features.feature_set import feature_set
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.meta.learners.onnx_learner import (
    can_compile,
    can_run,
    compile_learner,
    load_compiled,
)
from cardiac_seg.meta.methods import (
    CALIBRATED_MEAN,
    MEAN,
    WEIGHTED_MEAN,
    Method,
    list_learners,
    list_methods,
    names_of,
)
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import THRESHOLDS_1, read_stored
from cardiac_seg.system.atomic import write_json
from cardiac_seg.system.errors import UserError, stack_again

LEAST_TEMPERATURE = 1e-3  # of a file: logits are divided by it


def plain_combiner(run: Run) -> Combiner:
    """What a run's configuration says of combining, before anything is fitted."""
    config = run.config
    features = feature_set(config.stacking, config.members, run.dataset)
    return Combiner(tuple(config.members), features, config.stacking.act_below)


def methods_of(run: Run) -> list[str]:
    """The methods that a run scores."""
    return names_of(list_methods(run.config.members, run.config.stacking))


def control_of(run: Run) -> str:
    """The method that all others are compared with: the mean, or the only member."""
    methods = methods_of(run)
    return MEAN if MEAN in methods else methods[0]


def calibrated_control(run: Run) -> str:
    """What stands where no combination is shown to be better: the calibrated mean."""
    return CALIBRATED_MEAN if CALIBRATED_MEAN in methods_of(run) else control_of(run)


def final_method(run: Run) -> str:
    """The method whose mask is the run's answer.

    Raises:
        UserError: If none has been chosen yet, or one that the run does not have.
    """
    path, methods = run.meta / "choice.json", methods_of(run)
    choice = read_stored(path)
    method = choice.get("method") if isinstance(choice, dict) else None
    if method not in methods:
        raise UserError(
            f"{path}: names {method!r} as the method in use, the run has {', '.join(methods)}; "
            f"{stack_again(run.folder)}"
        )
    return method


def read_predicted_dice(run: Run) -> dict[str, float]:
    """Reads what turns probabilities of the method in use into a predicted Dice.

    Raises:
        UserError: If it is missing or damaged.
    """
    path = run.meta / "choice.json"
    fitted = read_stored(path).get("predicted_dice")
    usable = isinstance(fitted, dict) and set(fitted) == {"optimism", "review_below"}
    if not usable or not all(isinstance(v, float) and math.isfinite(v) for v in fitted.values()):
        raise UserError(
            f"{path}: no usable predicted_dice, found {fitted!r}; {stack_again(run.folder)}"
        )
    return fitted


def read_interpretation(run: Run) -> dict[str, dict]:
    """Reads what `meta.evidence.summarize_evidence` found, by method.

    Raises:
        UserError: If it is missing or damaged.
    """
    path = run.meta / "interpretation.json"
    values = read_stored(path)
    if not isinstance(values, dict) or not all(isinstance(v, dict) for v in values.values()):
        raise UserError(f"{path}: not as it was written; {stack_again(run.folder)}")
    for notes in values.values():  # format 1 names no other member: it was the first one
        if isinstance(correlation := notes.get("error_correlation"), int | float):
            notes["error_correlation"] = {run.config.members[0]: correlation}
    return values


def write_learner(run: Run, name: str, learner: Learner) -> None:
    """Writes one fitted learner, and compiled too where that is installed."""
    from cardiac_seg.meta.learners.sklearn_learner import save_learner

    save_learner(run.meta / f"{name}.skops", learner)
    if can_compile():
        compile_learner(run.meta / f"{name}.onnx", learner)


def read_learner(run: Run, name: str) -> Learner:
    """Reads one learner, compiled if there is one, and checks that it belongs to this run.

    Raises:
        UserError: See `learners.load_learner`.
    """
    features = plain_combiner(run).features
    methods = {m.name: m for m in list_learners(run.config.stacking)}
    method = methods.get(name, Method(name, "learner", "all", learner=name))
    wanted = features.core() if method.features == "core" else features
    compiled, stored = run.meta / f"{name}.onnx", run.meta / f"{name}.skops"
    # Its graph is not looked into: only a file that the run says is its own, unchanged.
    if compiled.is_file() and run.knows(compiled) and can_run():
        run.check_hash(compiled)
        return load_compiled(compiled, wanted.names, len(wanted.classes))
    from cardiac_seg.meta.learners.sklearn_learner import (
        load_learner,  # brings scikit-learn and skops: two seconds
    )

    if stored.is_file():
        run.check_hash(stored)
    return load_learner(stored, method.learner, wanted.names, len(wanted.classes))


def read_steps(run: Run) -> Postprocessing:
    """Reads the postprocessing steps, see `postprocessing.postprocess`.

    Raises:
        UserError: If they are missing or damaged.
    """
    path, labels = run.meta / "postprocessing.json", set(range(1, run.dataset.num_classes))
    steps = read_stored(path)
    usable = isinstance(steps, dict) and set(steps) == set(STEPS)
    usable = usable and all(isinstance(v, list) for v in steps.values())
    if not usable or not all(isinstance(v, int) and v in labels for v in sum(steps.values(), [])):
        raise UserError(
            f"{path}: expected lists of labels for {', '.join(STEPS)}, found {steps!r}; "
            f"{stack_again(run.folder)}"
        )
    muscle = run.dataset.anatomy.label("myocardium")
    if steps["heart"] and muscle is None:
        raise UserError(
            f"{path}: step heart, but {run.dataset.name} has no myocardium; "
            f"{stack_again(run.folder)}"
        )
    return Postprocessing(steps, muscle)


def write_combiner(run: Run, combiner: Combiner) -> None:
    """Writes what is not a learner: feature names, temperatures and shares."""
    features = combiner.features
    write_json(run.meta / "temperature.json", combiner.temperatures)
    write_json(run.meta / "weighted_mean.json", combiner.weights)
    described = {
        "members": list(features.members),
        "classes": list(features.classes),
        "groups": list(features.groups),
        "context_mm": list(features.context_mm),
        "act_below": combiner.act_below,
        "core": features.core().names,
        "all": features.names,
    }
    write_json(run.meta / "features.json", described)


def read_combiner(run: Run, methods: list[str]) -> Combiner:
    """Reads what some methods need.

    Raises:
        UserError: If a file is missing, damaged or belongs to another run.
    """
    settings = run.config.stacking
    tempered = bool(settings.learners) and settings.temperature
    learners = [m for m in methods if m in names_of(list_learners(settings))]
    return replace(
        plain_combiner(run),
        temperatures=_by_member(run, "temperature.json", tempered, LEAST_TEMPERATURE),
        weights=_by_member(run, "weighted_mean.json", WEIGHTED_MEAN in settings.learners),
        learners={name: read_learner(run, name) for name in learners},
        thresholds=_read_thresholds(run),
    )


def write_thresholds(run: Run, thresholds: dict[str, dict]) -> None:
    """Writes where each learner acts and what that changes, see `stacking.fit_thresholds`."""
    write_json(run.meta / "thresholds.json", thresholds)


def _read_thresholds(run: Run) -> dict[str, float]:
    path, names = run.meta / "thresholds.json", names_of(list_learners(run.config.stacking))
    if not path.exists() and (run.meta / THRESHOLDS_1).exists():
        path = run.meta / THRESHOLDS_1
    thresholds = read_stored(path)
    if not isinstance(thresholds, dict) or set(thresholds) != set(names):
        raise UserError(
            f"{path}: expected a threshold for each of {', '.join(names)}; "
            f"{stack_again(run.folder)}"
        )
    below = {
        name: threshold.get("below")
        for name, threshold in thresholds.items()
        if isinstance(threshold, dict)
    }
    for name in names:
        if not isinstance(below.get(name), int | float) or not 0 < below[name] <= 1:
            raise UserError(
                f"{path}: no confidence below which {name} acts; {stack_again(run.folder)}"
            )
    return below


def _by_member(run: Run, name: str, wanted: bool, least: float = 0.0) -> dict[str, float]:
    path, members = run.meta / name, run.config.members
    values = read_stored(path)
    usable = isinstance(values, dict) and all(
        isinstance(v, float) and least <= v < math.inf for v in values.values()
    )
    if not usable or list(values) != (members if wanted else []):
        raise UserError(
            f"{path}: expected one number for each of {', '.join(members if wanted else [])}, "
            f"found {values!r}; "
            f"{stack_again(run.folder)}"
        )
    return values
