"""Docstrings and comments name what is there."""

import importlib.util
import io
import re
import tokenize
from pathlib import Path

import pytest

import cardiac_seg
from cardiac_seg.config.sections import Config
from cardiac_seg.system import backend  # noqa: F401  before Keras

ROOT = Path(cardiac_seg.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
FILE_ENDINGS = {"csv", "json", "jsonl", "keras", "nii", "gz", "npz", "png", "dcm", "yaml", "py"} | {
    *("txt", "html", "skops", "onnx", "pdf", "cfg", "md", "xml", "toml", "log", "css", "h")
}
REFERENCE = re.compile(r"`([a-z_]+(?:\.[A-Za-z_]+)+)`")


def prose(path: Path) -> list[str]:
    """The strings and comments of a source file."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return [token.string for token in tokens if token.type in (tokenize.STRING, tokenize.COMMENT)]


def resolves(parts: list[str]) -> bool:
    """Whether cardiac_seg.<parts> is a module, or what a module holds."""
    for end in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(["cardiac_seg", *parts[:end]]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            if not hasattr(value, name) and name not in getattr(value, "__annotations__", {}):
                return False
            value = getattr(value, name, None)
        return True
    return False


def is_key(parts: list[str]) -> bool:
    """Whether the parts name a key of the configuration, or a value of a section."""
    model = Config
    for part in parts:
        if part not in getattr(model, "model_fields", {}):
            return False
        model = model.model_fields[part].annotation
    return True


def is_elsewhere(parts: list[str]) -> bool:
    """Whether the first part is a module of another distribution."""
    return importlib.util.find_spec(parts[0]) is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_reference_names_what_is_there(path):
    lost = []
    for text in prose(path):
        for reference in REFERENCE.findall(text):
            parts = reference.removeprefix("cardiac_seg.").split(".")
            if parts[-1] in FILE_ENDINGS or is_key(parts) or is_elsewhere(parts):
                continue
            if not resolves(parts):
                lost.append(reference)
    assert not lost
