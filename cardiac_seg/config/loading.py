"""Reads a config file, its base and the overrides, and tells mistakes in one line."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from cardiac_seg.config.sections import Config
from cardiac_seg.system.errors import UserError

MOST_BYTES = 100_000  # of a config file


def load_config(path: Path, overrides: list[str] = ()) -> Config:
    """Reads a config file, its base if it extends one, and the overrides.

    Args:
        path: YAML file.
        overrides: `section.key=value` strings; the value is read as YAML.

    Returns:
        The checked configuration.

    Raises:
        UserError: One line with the file, the key's path, what was found and what is allowed.
    """
    values = _read_with_base(path)
    for override in overrides:
        _apply_override(values, override)
    try:
        return Config.model_validate(_with_todays_keys(values))
    except ValidationError as error:
        raise UserError(f"{path}: {_describe(error)}") from None


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


def read_yaml(path: Path) -> dict:
    """Reads a YAML file of sections.

    Raises:
        UserError: If it cannot be read, is too long, or is anything else.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES:,} bytes")
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a SafeLoader
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{path}: {where}not valid YAML ({what})") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections with keys, found {type(values).__name__}")
    return values


def _read_with_base(path: Path) -> dict:
    values = read_yaml(path)
    base_name = values.pop("extends", None)
    if base_name is None:
        return values
    if not isinstance(base_name, str):
        raise UserError(f"{path}: extends: {base_name!r} is not a file name")
    base = read_yaml(path.parent / base_name)
    if "extends" in base:
        raise UserError(f"{path}: extends {base_name}, which extends another; one step is allowed")
    return _merge(base, values)


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


def _apply_override(values: dict, override: str) -> None:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {override}: expected section.key=value, as in train.epochs=20")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UserError(f"--set {override}: {text!r} is not a YAML value") from None
    for key in keys[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    values[keys[-1]] = value


def _describe(error: ValidationError) -> str:
    """The first problem in one line; the number of further ones behind it."""
    first, *others = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"]) or "config"
    if first["type"] == "extra_forbidden":
        text = f"{key}: unknown key; allowed here: {', '.join(_keys_beside(first['loc']))}"
    elif first["type"] == "missing":
        text = f"{key}: missing; set it in the file or with --set {key}=..."
    elif first["type"] == "value_error":
        # The sections' checks name their own key first.
        text = ".".join([*map(str, first["loc"]), str(first["ctx"]["error"])])
    else:
        text = f"{key}: {first['input']!r} is not allowed; {first['msg']}"
    return text + (f" (and {len(others)} more)" if others else "")


def _keys_beside(location: tuple) -> list[str]:
    model = Config
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation
        candidates = (annotation, *getattr(annotation, "__args__", ()))
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
