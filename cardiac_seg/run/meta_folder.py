"""The `meta/` folder of a run: what was fitted on the maps, and what was chosen."""

import math
from dataclasses import replace

from cardiac_seg.masks.postprocessing import STEPS
from cardiac_seg.meta.combine import (
    CORE,
    MEAN,
    TEMPERED_MEAN,
    WEIGHTED_MEAN,
    Combiner,
    combination_names,
    learner_names,
    model_names,
)
from cardiac_seg.meta.features import feature_set
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.meta.learners.onnx_learner import (
    can_compile,
    can_run,
    compile_learner,
    load_compiled,
)
from cardiac_seg.run.folder import Run
from cardiac_seg.system.atomic import write_json
from cardiac_seg.system.checked_reads import read_json
from cardiac_seg.system.errors import UserError, stack_again

LEAST_TEMPERATURE = 1e-3  # of a file: logits are divided by it


def plain_combiner(run: Run) -> Combiner:
    """What a run's configuration says of combining, before anything is fitted."""
    config = run.config
    features = feature_set(config.stacking, config.members, run.dataset)
    return Combiner(tuple(config.members), features, config.stacking.act_below)


def models_of(run: Run) -> list[str]:
    """The models that a run scores."""
    return model_names(run.config.members, run.config.stacking)


def control_of(run: Run) -> str:
    """The model that all others are compared with: the mean, or the only member."""
    return MEAN if combination_names(run.config.members, run.config.stacking) else models_of(run)[0]


def calibrated_control(run: Run) -> str:
    """What stands where no combination is shown to be better: the temperature-scaled mean."""
    return TEMPERED_MEAN if TEMPERED_MEAN in models_of(run) else control_of(run)


def final_model(run: Run) -> str:
    """The model whose mask is the run's answer.

    Raises:
        UserError: If none has been chosen yet, or one that the run does not have.
    """
    path, models = run.meta / "choice.json", models_of(run)
    choice = read_json(path)
    model = choice.get("model") if isinstance(choice, dict) else None
    if model not in models:
        raise UserError(
            f"{path}: names {model!r} as the model in use, the run has {', '.join(models)}; "
            f"{stack_again(run.folder)}"
        )
    return model


def read_quality(run: Run) -> dict[str, float]:
    """Reads what turns probabilities of the model in use into a quality score.

    Raises:
        UserError: If it is missing or damaged.
    """
    path = run.meta / "choice.json"
    fitted = read_json(path).get("quality")
    usable = isinstance(fitted, dict) and set(fitted) == {"optimism", "review_below"}
    if not usable or not all(isinstance(v, float) and math.isfinite(v) for v in fitted.values()):
        raise UserError(f"{path}: no usable quality, found {fitted!r}; {stack_again(run.folder)}")
    return fitted


def read_interpretation(run: Run) -> dict[str, dict]:
    """Reads what `stacking.interpretation` found, by model.

    Raises:
        UserError: If it is missing or damaged.
    """
    path = run.meta / "interpretation.json"
    values = read_json(path)
    if not isinstance(values, dict) or not all(isinstance(v, dict) for v in values.values()):
        raise UserError(f"{path}: not as it was written; {stack_again(run.folder)}")
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
    wanted = features.core() if name.endswith(CORE) else features
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
    return load_learner(stored, wanted.names, len(wanted.classes))


def read_steps(run: Run) -> dict[str, list[int]]:
    """Reads the postprocessing steps, see `postprocessing.postprocess`.

    Raises:
        UserError: If they are missing or damaged.
    """
    path, labels = run.meta / "postprocessing.json", set(range(1, run.dataset.labels))
    steps = read_json(path)
    usable = isinstance(steps, dict) and set(steps) == set(STEPS)
    usable = usable and all(isinstance(v, list) for v in steps.values())
    if not usable or not all(isinstance(v, int) and v in labels for v in sum(steps.values(), [])):
        raise UserError(
            f"{path}: expected lists of labels for {', '.join(STEPS)}, found {steps!r}; "
            f"{stack_again(run.folder)}"
        )
    return steps


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


def read_combiner(run: Run, models: list[str]) -> Combiner:
    """Reads what some models need.

    Raises:
        UserError: If a file is missing, damaged or belongs to another run.
    """
    settings = run.config.stacking
    tempered = bool(settings.learners) and settings.temperature
    learners = [m for m in models if m in learner_names(settings)]
    return replace(
        plain_combiner(run),
        temperatures=_by_member(run, "temperature.json", tempered, LEAST_TEMPERATURE),
        weights=_by_member(run, "weighted_mean.json", WEIGHTED_MEAN in settings.learners),
        learners={name: read_learner(run, name) for name in learners},
        gates=_read_gates(run),
    )


def write_gates(run: Run, gates: dict[str, dict]) -> None:
    """Writes where each learner acts and what that changes, see `stacking.fit_gates`."""
    write_json(run.meta / "gates.json", gates)


def _read_gates(run: Run) -> dict[str, float]:
    path, names = run.meta / "gates.json", learner_names(run.config.stacking)
    gates = read_json(path)
    if not isinstance(gates, dict) or set(gates) != set(names):
        raise UserError(
            f"{path}: expected a gate for each of {', '.join(names)}; {stack_again(run.folder)}"
        )
    below = {name: gate.get("below") for name, gate in gates.items() if isinstance(gate, dict)}
    for name in names:
        if not isinstance(below.get(name), int | float) or not 0 < below[name] <= 1:
            raise UserError(
                f"{path}: no confidence below which {name} acts; {stack_again(run.folder)}"
            )
    return below


def _by_member(run: Run, name: str, wanted: bool, least: float = 0.0) -> dict[str, float]:
    path, members = run.meta / name, run.config.members
    values = read_json(path)
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
