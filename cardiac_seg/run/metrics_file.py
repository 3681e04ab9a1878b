"""Scores as `metrics.json` holds them: whether they are usable, and as text."""

from pydantic import ValidationError

from cardiac_seg.data.split import ALL, TRAINING_CASES
from cardiac_seg.run.stored import Metrics
from cardiac_seg.system.numbers import plain_interval, plain_number


def patients_text(count: int, subset: str, kind: str = "") -> str:
    """So many patients, and what the networks know of them.

    Args:
        count: How many.
        subset: `test`, `development`, or `all` where the networks were trained on them.
        kind: A word before, as `phantom`.
    """
    if subset == ALL:
        return f"{' '.join(filter(None, [str(count), kind, 'patients']))}, {TRAINING_CASES}"
    return " ".join(filter(None, [str(count), kind, subset, "patients"]))


def scores_usable(metrics: object, subset: str, control: str, methods: list[str]) -> bool:
    """Whether a `metrics.json` holds a run's scores of a subset, as far as they are read again."""
    try:
        scores = Metrics.model_validate(metrics)
    except ValidationError:
        return False
    scored = scores.subsets.get(subset)
    return scored is not None and scores.control == control and set(methods) <= set(scored.methods)


def score_table(metrics: dict, subset: str) -> str:
    """The scores of a subset as lines of text: whose they are, then one line per method."""
    structures, control = metrics["structures"], metrics["control"]
    patients = metrics["subsets"][subset]["patients"]
    methods = metrics["subsets"][subset]["methods"]
    title = (
        f"{patients_text(patients, subset, 'phantom' if metrics['phantom'] else '')} "
        f"({metrics['dataset']} layout): Dice per patient on the native grid, [95 % bootstrap "
        "interval]"
    )
    head = f"{'':<25}" + "".join(f"{s:>7}" for s in structures)
    head += f"{'mean':>8}{'':19}against {control}"
    lines = []
    for name, scores in methods.items():
        values = [scores["dice_native_per_patient"][s] for s in structures]
        line = f"{name:<25}" + "".join(f"{plain_number(v, 3):>7}" for v in values)
        line += f"{plain_number(scores['mean_foreground_dice'], 4):>8} "
        line += f"{bounds_text(scores['interval_95']['mean_foreground_dice']):<18}"
        if against := scores.get(f"against_{control}"):
            difference = plain_number(against["difference"], 4, "+")
            line += f"{difference} {bounds_text(against['interval_95'], '+')}"
        lines.append(line.rstrip())
    by = {"config": "the config"}.get(metrics["chosen_by"], "cross-fitted development patients")
    final = metrics["final_method"]
    chosen = f"in use: {final}" if subset == ALL else f"chosen by {by}: {final}"
    return "\n".join([title, head.rstrip(), *lines, chosen])


def bounds_text(bounds: list[float] | None, sign: str = "") -> str:
    """An interval of `metrics.json`, null where undefined, as text; `sign` of its numbers."""
    low, high = bounds or (None, None)
    return plain_interval(low, high, 3, sign)
