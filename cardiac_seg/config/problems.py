"""What is wrong with a configuration, in one line."""

from pydantic import BaseModel, ValidationError


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem in one line; the number of further ones behind it.

    Args:
        error: Of validating `model`.
        model: A section, or the whole configuration.
    """
    first, *others = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"]) or "config"
    if first["type"] == "extra_forbidden":
        text = f"{key}: unknown key; allowed here: {', '.join(_keys_beside(first['loc'], model))}"
    elif first["type"] == "missing":
        text = f"{key}: missing; set it in the file or with --set {key}=..."
    elif first["type"] == "value_error":
        # The sections' checks name their own key first.
        text = ".".join([*map(str, first["loc"]), str(first["ctx"]["error"])])
    else:
        text = f"{key}: {first['input']!r} is not allowed; {first['msg']}"
    return text + (f" (and {len(others)} more)" if others else "")


def _keys_beside(location: tuple, model: type[BaseModel]) -> list[str]:
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation
        candidates = (annotation, *getattr(annotation, "__args__", ()))
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
