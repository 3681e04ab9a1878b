"""Fills the generated parts of the documentation; a test holds them equal to the code.

    PYTHONPATH=. python docs/generate.py            (make docs)

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; what stands around it
is written by hand. The configuration's keys come from `cardiac_seg/config/sections/`; the results
from docs/results.yaml and the stored `metrics.json` of the pretrained weights.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, starmap
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cardiac_seg.config.registry import CORE_FEATURES, FEATURES, NETWORKS
from cardiac_seg.config.sections import Config, Stacking
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.report.published import PUBLISHED, PUBLISHED_DATASET, QUANTITIES
from cardiac_seg.run.formats import read_stored

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/results.md", "docs/configuration.md")
PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
CORE = "_core"
METRICS = {
    "dice": "Dice",
    "hd95_mm": "HD95",
    "band_ece": "calibration error per patient in the boundary band",
}
KINDS = {int: "whole number", float: "number", bool: "true, false", str: "text", NoneType: "null"}
SET = " \\\n        --set"  # one override per line
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def filled(text: str) -> str:
    """A page with its generated parts made anew."""
    return PART.sub(lambda part: f"{part[1]}{generated(part[2])}\n{part[3]}", text)


def generated(name: str) -> str:
    """One generated part, as Markdown.

    Args:
        name: `keys`, `summary`, `run N` or `published DATASET`.
    """
    kind, _, which = name.partition(" ")
    if kind == "keys":
        return configuration_keys()
    if kind == "summary":
        return results_summary()
    if kind == "run":
        return results_of(measured_runs()[int(which)])
    if kind == "published":
        return published_results(which)
    raise ValueError(f"no generated part is called {name!r}")


def configuration_keys() -> str:
    """A table of keys for each section of the configuration."""
    parts = {"(top level)": ("", [])}
    for key, field in Config.model_fields.items():
        section, rows = _section_of(field.annotation), list(keys_of({key: field}))
        if [path for path, _ in rows] == [key]:
            parts["(top level)"][1].extend(rows)
        else:
            text = field.description or (section.__doc__ if section else "") or ""
            parts[key] = (" ".join(text.split()), rows)
    return "\n\n".join(
        "\n\n".join(filter(None, [f"### {title}", text, _table(starmap(_key_row, rows))]))
        for title, (text, rows) in parts.items()
    )


def keys_of(
    fields: dict[str, FieldInfo] = Config.model_fields, path: str = ""
) -> Iterator[tuple[str, FieldInfo]]:
    """Every key of the configuration with its field, as `section.key`.

    A key that holds a section is given itself only where it has a description or may be null.
    """
    for key, field in fields.items():
        section, default = _section_of(field.annotation), _default(field)
        named = default if isinstance(default, dict) else {}
        by_name = {name: type(v) for name, v in named.items() if isinstance(v, BaseModel)}
        if section is None and not by_name or section and path and field.description:
            yield path + key, field
        for name, inner in by_name.items():
            yield from keys_of(inner.model_fields, f"{path}{key}.{name}.")
        if section:
            yield from keys_of(section.model_fields, f"{path}{key}.")


def results_summary() -> str:
    """The mean of the members and the method in use of each measured run, as README shows them."""
    heads = ("data", "method", "mean Dice [95 % CI]", "HD95, mm", "boundary ECE", "LV EF MAE")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for run in measured_runs():
        for method in dict.fromkeys(("mean", run["chosen"])):
            row = run["methods"][method]
            name = method.replace("_", " ")
            cells = [f"{run['title']}, {run['test_patients']} test patients"]
            cells += [f"**{name}** (in use)" if method == run["chosen"] else name]
            cells += [_interval(row["mean"], ".3f"), f"{row['hd95_mm'][0]:.1f}"]
            cells += [f"{row['band_ece']:.3f}", f"{row['ef'][3]:.1f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def results_of(run: dict) -> str:
    """The command, the table of methods and the comparisons of a measured run."""
    structures = DATASETS[run["dataset"]].structures
    heads = [*structures, "mean Dice [95 %]", "minus the mean [95 %]", "HD95 mm (by structure)"]
    heads += ["band ECE", "LV EF r", "EF bias ± SD", "EF MAE", "pooled, 4 classes"]
    lines = ["| method | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for method, row in run["methods"].items():
        name = f"{method.removesuffix(CORE)}, core" if method.endswith(CORE) else method
        r, bias, sd, mae = row["ef"]
        mean, *each = row["hd95_mm"]
        cells = [f"**{name}** (chosen)" if method == run["chosen"] else name]
        cells += [f"{dice:.3f}" for dice in row["dice"]]
        cells += [_interval(row["mean"], ".4f"), _interval(row.get("difference"), "+.4f")]
        cells += [f"{mean:.2f} ({', '.join(f'{value:.1f}' for value in each)})"]
        cells += [f"{row['band_ece']:.3f}" if "band_ece" in row else "", f"{r:.3f}"]
        cells += [f"{_signed(bias, '+.1f')} ± {sd:.1f}", f"{mae:.1f}", f"{row['pooled']:.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    about = f"{run['title']}, {run['test_patients']} test patients:"
    return "\n".join(
        [
            about,
            "",
            f"    {run['command'].replace(' --set', SET)}",
            "",
            *lines,
            "",
            *map(_comparison, run["comparisons"]),
        ]
        + _remarks(run)
    )


def published_results(dataset: str) -> str:
    """What others published, as `python -m cardiac_seg results` prints it beside a run."""
    structures = DATASETS[dataset].structures
    heads = [*structures, "mean Dice", "HD95 mm", "LV EF r", "EF bias ± SD", "EF MAE"]
    heads += ["pooled, 4 classes", "source"]
    rows = []
    for other in DATASETS[dataset].published:
        dice = other.dice or [""] * len(structures)
        ef = [other.ef_r, other.ef_bias_sd, other.ef_mae]
        rows.append([other.method, *dice, other.mean_dice, other.hd95_mm, *ef, "", other.source])
    if dataset == PUBLISHED_DATASET:
        for method, values in PUBLISHED.items():
            scores = dict(zip(QUANTITIES, values, strict=True))
            dice = [f"{scores[structure]:.3f}" for structure in structures]
            pooled = f"{scores['mean of 4']:.4f}"
            name = f"{method}, published, pooled, 2CH ED"
            rows.append([name, *dice, "", "", "", "", "", pooled, "Rahi 2025"])
    shown = [k for k in range(1, len(heads) + 1) if any(row[k] for row in rows)]
    lines = ["| method | " + " | ".join(heads[k - 1] for k in shown) + " |"]
    lines.append("|---" * (len(shown) + 1) + "|")
    lines += ["| " + " | ".join([row[0], *(row[k] for k in shown)]) + " |" for row in rows]
    return leading_zeros("\n".join(lines))


def measured_runs() -> list[dict]:
    """The runs of docs/results.yaml, with what their stored `metrics.json` says."""
    runs = yaml.safe_load((ROOT / "docs" / "results.yaml").read_text(encoding="utf-8"))["runs"]
    for run in runs:
        if not run["metrics"]:
            continue
        metrics = read_stored(ROOT / run["metrics"])
        test, run["chosen"] = metrics["subsets"]["test"], metrics["final_method"]
        if test["patients"] != run["test_patients"]:
            raise ValueError(f"{run['metrics']}: {test['patients']} test patients")
        for method, row in run["methods"].items():
            _add_stored(row, test["methods"][method])
    return runs


def leading_zeros(text: str) -> str:
    """Numbers as .904 with the zero before their point."""
    return re.sub(r"(?<![\w.])([+-]?)\.(\d)", r"\g<1>0.\2", text)


def _add_stored(row: dict, stored: dict) -> None:
    row["dice"] = list(stored["dice_native_per_patient"].values())
    row["mean"] = [
        stored["mean_foreground_dice"],
        *stored["interval_95"]["mean_foreground_dice"],
    ]
    if "against_mean" in stored:
        against = stored["against_mean"]
        row["difference"] = [against["difference"], *against["interval_95"]]
    row["pooled"] = stored["pooled_network_grid"]["mean_dice"]


def _comparison(row: dict) -> str:
    form = "+.2f" if row["metric"] == "hd95_mm" else "+.4f"
    p = row["p_holm"] if isinstance(row["p_holm"], str) else f"{row['p_holm']:.3f}"
    return (
        f"- {row['role']}: {METRICS[row['metric']]}, {row['method']} minus {row['against']}: "
        f"{_interval(row['difference'], form)}, p {p} (Holm), **{row['verdict']}**"
    )


def _remarks(run: dict) -> list[str]:
    remarks = []
    if not any(row["role"] == "primary" for row in run["comparisons"]):
        remarks.append(f"- no primary comparison: {run['chosen']} is the control itself")
    if "recorded_ef" in run:
        r, mae = run["recorded_ef"]
        remarks.append(
            f"- the reference masks' EF against the recorded EF: r {r:.3f}, MAE {mae:.1f} points"
        )
    return remarks


def _interval(values: list[float] | None, form: str) -> str:
    if not values:
        return ""
    value, low, high = (_signed(number, form) for number in values)
    return f"{value} [{low}, {high}]"


def _signed(value: float, form: str) -> str:
    text = format(value, form)
    if not text.strip("+-0."):
        text = text.replace("-", "+" if "+" in form else "")  # no negative zero
    return text


def _section_of(annotation) -> type[BaseModel] | None:
    """The section that a key holds; None for a plain key."""
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _default(field: FieldInfo):
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _registered() -> dict[str, Iterable[str]]:
    """The names that keys may hold which name what is registered."""
    learners = Stacking.model_fields["learners"].default
    return {
        "members": NETWORKS,
        "data.dataset": DATASETS,
        "stacking.learners": learners,
        "stacking.choose": ("auto", "mean", "calibrated_mean", *learners),
        "stacking.features": [group for group in FEATURES if group not in CORE_FEATURES],
    }


def _key_row(path: str, field: FieldInfo) -> str:
    default = "(required)"
    if not field.is_required():
        default = json.dumps(_default(field), default=str).replace('"', "")
    if path in (registered := _registered()):
        allowed = f"{'list of: ' if isinstance(_default(field), list) else ''}"
        allowed += ", ".join(registered[path])
    else:
        allowed = _allowed(field.annotation, field.metadata)
    return f"| `{path}` | {default} | {allowed} | {field.description or ''} |"


def _allowed(annotation, limits=()) -> str:
    """What a value may be: its kind and its limits, or the values themselves."""
    kind, inner = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return _allowed(inner[0], [*limits, *inner[1:]])
    if kind is Literal:
        return ", ".join(map(str, inner))
    if kind in (UnionType, Union):
        return " or ".join(_allowed(option, limits) for option in inner)
    if kind is list:
        return f"list of: {_allowed(inner[0])}"
    if kind is dict or annotation is dict:
        return "keys and values"
    if kind is tuple:
        return f"{len(inner)} values: {_allowed(inner[0])}"
    if section := _section_of(annotation):
        return f"section ({section.__name__})"
    words = [KINDS.get(annotation, getattr(annotation, "__name__", str(annotation)))]
    for limit in chain.from_iterable(getattr(limit, "metadata", (limit,)) for limit in limits):
        for name, sign in SIGNS.items():
            if annotation is not str and getattr(limit, name, None) is not None:
                words.append(f"{sign} {getattr(limit, name):g}")
    return " ".join(words[:1] + [", ".join(words[1:])] if words[1:] else words)


def _table(rows: Iterable[str]) -> str:
    return "\n".join(["| key | default | allowed | meaning |", "|---|---|---|---|", *rows])


if __name__ == "__main__":
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
