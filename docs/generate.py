"""Fills the generated parts of the documentation; a test holds them equal to the code.

    PYTHONPATH=. python docs/generate.py            (make docs)

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; what stands around it
is written by hand. The configuration's keys come from `cardiac_seg/config/sections/`; the results
from docs/results.yaml and the stored `metrics.json` of the pretrained weights, written as
`cardiac-seg results` writes them.
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

from cardiac_seg.config.loading import load_config
from cardiac_seg.config.registry import CORE_FEATURES, FEATURES, NETWORKS
from cardiac_seg.config.sections import Config, External, Stacking
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.meta.methods import MEAN, Method, list_methods
from cardiac_seg.report.results import MethodScores, methods_table, published_table, remark_lines
from cardiac_seg.run.formats import read_stored
from cardiac_seg.system.numbers import plain_number, plain_with_interval

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/results.md", "docs/configuration.md")
PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
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
        return published_table(DATASETS[which])
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
        if path + key == "networks":
            by_name["NAME"] = External
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
        scores = {row.method.name: row for row in run["scores"]}
        for name in dict.fromkeys((MEAN, run["chosen"])):
            row = scores[name]
            title = row.method.title.lower()
            cells = [f"{run['title']}, {run['test_patients']} test patients"]
            cells += [f"**{title}** (in use)" if name == run["chosen"] else title]
            cells += [plain_with_interval(*row.mean, digits=3), plain_number(row.hd95_mm[0], 1)]
            cells += [plain_number(row.band_ece, 3), plain_number(row.ef[3], 1)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def results_of(run: dict) -> str:
    """The command, the table of methods and the comparisons of a measured run."""
    table = methods_table(DATASETS[run["dataset"]].structures, run["scores"], run["chosen"])
    comparisons = [
        row | dict(zip(("difference", "low", "high"), row["difference"], strict=True))
        for row in run["comparisons"]
    ]
    remarks = remark_lines(comparisons, run["chosen"], run.get("recorded_ef"))
    return "\n".join(
        [
            f"{run['title']}, {run['test_patients']} test patients:",
            "",
            f"    {run['command'].replace(' --set', SET)}",
            "",
            table,
            "",
            *remarks,
        ]
    )


def measured_runs() -> list[dict]:
    """The runs of docs/results.yaml, with the scores of their methods and the method in use."""
    runs = yaml.safe_load((ROOT / "docs" / "results.yaml").read_text(encoding="utf-8"))["runs"]
    for run in runs:
        stored = read_stored(ROOT / run["metrics"]) if run["metrics"] else None
        if stored:
            run["chosen"] = stored["final_method"]
            if stored["subsets"]["test"]["patients"] != run["test_patients"]:
                raise ValueError(f"{run['metrics']}: other test patients than in results.yaml")
        run["scores"] = [
            _scores(method, run["methods"][method.name], stored) for method in _methods_of(run)
        ]
    return runs


def _methods_of(run: dict) -> list[Method]:
    """The methods of the configuration that the run's command names, of those it was made with."""
    words = run["command"].split()
    values = dict(zip(words[1::2], words[2::2], strict=True))
    sets = [
        word for option, word in zip(words[1::2], words[2::2], strict=True) if option == "--set"
    ]
    config = load_config(ROOT / values["--config"], sets)
    listed = list_methods(config.members, config.stacking)
    return [method for method in listed if method.name in run["methods"]]


def _scores(method: Method, row: dict, stored: dict | None) -> MethodScores:
    """A method's scores: of a stored `metrics.json` as far as it holds them, else of the row."""
    if stored:
        test = stored["subsets"]["test"]["methods"][method.name]
        mean = test["mean_foreground_dice"], *test["interval_95"]["mean_foreground_dice"]
        row = row | {"dice": list(test["dice_native_per_patient"].values()), "mean": mean}
        row["pooled"] = test["pooled_network_grid"]["mean_dice"]
        if against := test.get("against_mean"):
            row["difference"] = against["difference"], *against["interval_95"]
    return MethodScores(
        method=method,
        dice=row["dice"],
        mean=row["mean"],
        difference=row.get("difference", (None,) * 3),
        hd95_mm=row["hd95_mm"],
        band_ece=row.get("band_ece"),
        ef=row["ef"],
        pooled=row["pooled"],
    )


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
    if kind is list or (kind is tuple and inner[1] is Ellipsis):
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
