"""What is wrong with a configuration, in one line."""

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem in one line; the number of further ones behind it.

    Args:
        error: Of validating `model`.
        model: A section, or the whole configuration.
    """
    first, *others = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"{key}: unknown key; allowed here: {', '.join(_keys_beside(first['loc'], model))}"
    elif first["type"] == "missing" and isinstance(first["loc"][-1], int):
        key, given = key.rpartition(".")[0], first["input"]
        text = f"{key}: {list(given)} is not allowed; it needs more than {len(given)} values"
    elif first["type"] == "missing":
        text = f"{key}: missing; set it in the file or with --set {key}=..."
    elif first["type"] == "value_error":
        # The sections' checks name their own key first; what is said of a section begins with `:`.
        said = str(first["ctx"]["error"])
        text = f"{key}{said}" if said.startswith(":") or not key else f"{key}.{said}"
    else:
        text = f"{key}: {first['input']!r} is not allowed; {_plain(first)}"
    return text + (f" (and {len(others)} more)" if others else "")


def _plain(problem: ErrorDetails) -> str:
    """Pydantic's message without the words of the program."""
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "expected a section of keys"
    if problem["type"] in ("list_type", "tuple_type"):
        return "expected a list"
    if problem["type"] == "too_short":
        return "it needs one value at least"
    return problem["msg"]


def _keys_beside(location: tuple, model: type[BaseModel]) -> list[str]:
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation
        candidates = (annotation, *getattr(annotation, "__args__", ()))
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
