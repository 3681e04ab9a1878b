"""Scores as `metrics.json` holds them: whether they are usable, and as text."""


def scores_usable(metrics: object, control: str, methods: list[str]) -> bool:
    """Whether a `metrics.json` holds a run's test scores, as far as they are read again."""
    try:
        test = metrics["subsets"]["test"]
        told = [test["methods"][method] for method in methods]
        numbers = [test["patients"], *(one["mean_foreground_dice"] for one in told)]
        tables = [one["pooled_network_grid"]["confusion"] for one in told]
        tables += [one["dice_native_per_patient"].values() for one in told]
        return (
            metrics["control"] == control
            and {"structures", "phantom", "dataset", "chosen_by", "final_method"} <= set(metrics)
            and isinstance(metrics["postprocessing"], dict)
            and all(isinstance(number, int | float) for number in numbers)
            and all(isinstance(one["interval_95"], dict) for one in told)
            and all(len(table) for table in tables)
        )
    except (AttributeError, IndexError, KeyError, TypeError):
        return False


def score_table(metrics: dict, subset: str) -> str:
    """The scores of a subset as lines of text: whose they are, then one method a line."""
    structures, control = metrics["structures"], metrics["control"]
    kind = "phantom " if metrics["phantom"] else ""
    patients = metrics["subsets"][subset]["patients"]
    methods = metrics["subsets"][subset]["methods"]
    title = (
        f"{patients} {kind}{subset} patients ({metrics['dataset']} layout): Dice per patient on "
        "the native grid, [95 % bootstrap interval]"
    )
    head = f"{'':<25}" + "".join(f"{s:>7}" for s in structures)
    head += f"{'mean':>8}{'':18}against {control}"
    lines = []
    for name, scores in methods.items():
        values = [scores["dice_native_per_patient"][s] for s in structures]
        line = f"{name:<25}" + "".join(f"{v:7.3f}" for v in values)
        line += f"{scores['mean_foreground_dice']:8.4f} "
        line += f"{brackets(scores['interval_95']['mean_foreground_dice'], ''):<17}"
        if against := scores.get(f"against_{control}"):
            line += f"{against['difference']:+.4f} {brackets(against['interval_95'], '+')}"
        lines.append(line.rstrip())
    by = {"config": "the config"}.get(metrics["chosen_by"], "cross-fitted development patients")
    return "\n".join([title, head.rstrip(), *lines, f"chosen by {by}: {metrics['final_method']}"])


def brackets(bounds: list[float] | None, sign: str) -> str:
    """An interval as text, with `sign` of the format of its numbers."""
    return "[undefined]" if bounds is None else f"[{bounds[0]:{sign}.3f} {bounds[1]:{sign}.3f}]"
