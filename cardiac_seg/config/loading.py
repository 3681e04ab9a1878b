"""Reads a config file, its base and the overrides, and tells mistakes in one line."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from cardiac_seg.config.problems import first_problem
from cardiac_seg.config.sections import Config
from cardiac_seg.system.errors import UserError

MAX_BYTES = 100_000  # of a config file

Changes = dict[str, tuple[tuple[str, ...], object]]  # override -> its keys and its value


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a config file, the files it extends, and the overrides.

    Args:
        path: YAML file.
        overrides: `section.key=value` strings; the value is read as YAML.

    Returns:
        The checked configuration.

    Raises:
        UserError: One line with the file, the key's path, what was found and what is allowed.
    """
    values = _read_with_base(path)
    changes = {override: _parse_override(override) for override in overrides}
    try:
        return _validated(values, changes)
    except ValidationError as error:
        culprits = [o for o in changes if _caused(error, values, changes, o)]
        source = " ".join(f"--set {override}" for override in culprits) or path
        raise UserError(f"{source}: {first_problem(error, Config)}") from None


def dump_config(config: Config) -> str:
    """The resolved configuration as YAML, every key spelled out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """Plain values alone: an alias can make a few lines as long as a disk."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            mark, problem = self.peek_event().start_mark, "an alias; write the value out"
            raise yaml.composer.ComposerError(None, None, problem, mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        for at, (key, _) in enumerate(node.value):
            if key.value in keys[:at]:
                problem = f"the key {key.value!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict:
    """Reads a YAML file of sections.

    Raises:
        UserError: If it cannot be read, is too long, or is anything else.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a SafeLoader
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{path}: {where}not valid YAML ({what})") from None
    if not isinstance(values, dict):
        kind = "an empty file" if values is None else type(values).__name__
        raise UserError(f"{path}: expected sections with keys, found {kind}")
    return values


def _read_with_base(path: Path) -> dict:
    """The file's values over those of the file it extends, and so on."""
    values, chain = read_yaml(path), [path]
    while (base_name := values.pop("extends", None)) is not None:
        if not isinstance(base_name, str):
            raise UserError(f"{chain[-1]}: extends: {base_name!r} is not a file name")
        base = chain[-1].parent / base_name
        if not base.is_file():
            raise UserError(f"{chain[-1]}: extends: {base} is no file; check the path")
        if base.resolve() in [file.resolve() for file in chain]:
            names = " extends ".join(file.name for file in (*chain, base))
            raise UserError(f"{path}: a circle: {names}; one of them must stand alone")
        chain.append(base)
        values = _merge(read_yaml(base), values)
    return values


def _with_todays_keys(values: dict) -> dict:
    """What files of format 1 say, under today's keys (CHANGELOG.md lists the formats)."""
    stacking = values.get("stacking")
    if not isinstance(stacking, dict):
        return values
    stacking = {"threshold" if key == "gate" else key: v for key, v in stacking.items()}
    if stacking.get("choose") == "tempered_mean":
        stacking["choose"] = "calibrated_mean"
    return values | {"stacking": stacking}


def _merge(base: dict, changes: dict) -> dict:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _parse_override(override: str) -> tuple[tuple[str, ...], object]:
    """The keys and the value of `section.key=value`."""
    path, equals, text = override.partition("=")
    keys = tuple(path.strip().split("."))
    if not equals or not all(keys):
        raise UserError(f"--set {override}: expected section.key=value, as in train.epochs=20")
    try:
        return keys, yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UserError(f"--set {override}: {text!r} is not a YAML value") from None


def _validated(values: dict, changes: Changes) -> Config:
    for keys, value in changes.values():
        values = _replaced(values, keys, value)
    return Config.model_validate(_with_todays_keys(values))


def _replaced(values: object, keys: tuple[str, ...], value: object) -> dict:
    """A copy of the sections with the value of one key set; what is no section becomes one."""
    first, *rest = keys
    section = values if isinstance(values, dict) else {}
    return section | {first: _replaced(section.get(first), tuple(rest), value) if rest else value}


def _caused(error: ValidationError, values: dict, changes: Changes, override: str) -> bool:
    """Whether the first problem is an override's: of the value it sets, or not there without it."""
    first = error.errors(include_url=False)[0]
    keys, _ = changes[override]
    if keys == tuple(map(str, first["loc"]))[: len(keys)]:
        return True
    try:
        _validated(values, {o: change for o, change in changes.items() if o != override})
    except ValidationError as other:
        left = [repr(problem) for problem in other.errors(include_url=False)]
        known = [repr(problem) for problem in error.errors(include_url=False)]
        return repr(first) not in left and set(left) <= set(known)
    return True
