"""The `meta/` folder of a run: what was fitted on the maps, and what was chosen."""

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

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
from cardiac_seg.run.formats import THRESHOLDS_1
from cardiac_seg.run.stored import (
    Choice,
    Features,
    StoredSteps,
    Temperature,
    Threshold,
    Weight,
    read,
    unusable,
)
from cardiac_seg.system.atomic import write_json
from cardiac_seg.system.errors import stack_again

T = TypeVar("T")


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


def advice_for(run: Run) -> str:
    """What to do about a damaged file of `meta/`."""
    return "export the run again" if run.manifest.exported else stack_again(run.folder)


def read_choice(run: Run) -> Choice:
    """Reads which method is in use and why.

    Raises:
        UserError: If none has been chosen yet, or one that the run does not have.
    """
    path, methods, advice = run.meta / "choice.json", methods_of(run), advice_for(run)
    expected = f"the method in use, one of {', '.join(methods)}"
    choice = read(Choice, path, expected, advice)
    if choice.method not in methods:
        raise unusable(path, expected, repr(choice.method), advice)
    return choice


def final_method(run: Run) -> str:
    """The method whose mask is the run's answer.

    Raises:
        UserError: See `read_choice`.
    """
    return read_choice(run).method


def read_predicted_dice(run: Run) -> dict[str, float]:
    """Reads what turns probabilities of the method in use into a predicted Dice.

    Raises:
        UserError: See `read_choice`.
    """
    return read_choice(run).predicted_dice.model_dump()


def read_interpretation(run: Run) -> dict[str, dict[str, Any]]:
    """Reads what `meta.evidence.summarize_evidence` found, by method.

    Raises:
        UserError: If it is missing or damaged.
    """
    path = run.meta / "interpretation.json"
    expected = "what was found of each method"
    values = read(dict[str, dict[str, Any]], path, expected, advice_for(run))
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
        UserError: See `meta.learners.sklearn_learner.load_learner`.
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
    """Reads the postprocessing steps, see `masks.postprocessing.postprocess`.

    Raises:
        UserError: If they are missing or damaged.
    """
    path, advice = run.meta / "postprocessing.json", advice_for(run)
    expected = f"lists of labels for {', '.join(STEPS)}"
    steps = read(StoredSteps, path, expected, advice).model_dump()
    classes = run.dataset.num_classes
    foreign = [label for labels in steps.values() for label in labels if label >= classes]
    if foreign:
        raise unusable(path, expected, f"label {foreign[0]}", advice)
    muscle = run.dataset.anatomy.label("myocardium")
    if steps["heart"] and muscle is None:
        raise unusable(path, "no step heart without a myocardium", str(steps["heart"]), advice)
    return Postprocessing(steps, muscle)


def write_combiner(run: Run, combiner: Combiner) -> None:
    """Writes what is not a learner: feature names, temperatures and shares."""
    features = combiner.features
    write_json(run.meta / "temperature.json", combiner.temperatures)
    write_json(run.meta / "weighted_mean.json", combiner.weights)
    described = Features(
        members=list(features.members),
        classes=list(features.classes),
        groups=list(features.groups),
        context_mm=list(features.context_mm),
        act_below=combiner.act_below,
        core=features.core().names,
        all=features.names,
    )
    write_json(run.meta / "features.json", described.model_dump())


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
        temperatures=_read_by_member(run, "temperature.json", Temperature, tempered),
        weights=_read_by_member(
            run, "weighted_mean.json", Weight, WEIGHTED_MEAN in settings.learners
        ),
        learners={name: read_learner(run, name) for name in learners},
        thresholds=_read_thresholds(run),
    )


def write_thresholds(run: Run, thresholds: dict[str, dict]) -> None:
    """Writes where each learner acts, see `meta.threshold.choose_threshold`."""
    write_json(run.meta / "thresholds.json", thresholds)


def _read_thresholds(run: Run) -> dict[str, float]:
    path, names = run.meta / "thresholds.json", names_of(list_learners(run.config.stacking))
    if run.manifest.format == 1 and not path.exists():
        path = run.meta / THRESHOLDS_1
    expected = f"a threshold for each of {', '.join(names)}"
    thresholds = _read_of_all(run, path, Threshold, names, expected)
    return {name: thresholds[name].below for name in names}


def _read_by_member(run: Run, name: str, kind: type[T], is_fitted: bool) -> dict[str, T]:
    members = run.config.members if is_fitted else []
    expected = f"one number for each of {', '.join(members)}" if members else "nothing fitted"
    values = _read_of_all(run, run.meta / name, kind, members, expected)
    return {member: values[member] for member in members}


def _read_of_all(
    run: Run, path: Path, kind: type[T], names: list[str], expected: str
) -> dict[str, T]:
    """Reads a dictionary with exactly these keys."""
    advice = advice_for(run)
    values = read(dict[str, kind], path, expected, advice)  # type: ignore[valid-type]
    if set(values) != set(names):
        raise unusable(path, expected, f"those of {', '.join(values) or 'none'}", advice)
    return values
