"""What keeps the code readable is counted: lengths of files and functions, README, contracts."""

import ast
import subprocess
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_README_LINES = 120
MAX_COMPLEXITY = 12
FOLDERS = ("cardiac_seg", "tests", "benchmarks")


def tracked(*patterns):
    """Files under version control, as paths relative to the repository; skips outside of git."""
    command = ["git", "ls-files", "-z", *patterns]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.split("\0") if name and (REPO / name).is_file()]


def settings():
    return tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]


def test_no_file_is_longer_than_400_lines():
    files = [name for folder in FOLDERS for name in tracked(f"{folder}/*.py", f"{folder}/*.j2")]
    lengths = {name: len((REPO / name).read_text().splitlines()) for name in files}
    assert {name for name, lines in lengths.items() if lines > MAX_FILE_LINES} == set()


def test_no_function_is_longer_than_60_lines():
    long = set()
    for name in tracked("*.py"):
        for node in ast.walk(ast.parse((REPO / name).read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long.add(f"{name}:{node.name}")
    assert long == set()


def test_the_readme_is_one_page():
    lines = len((REPO / "README.md").read_text().splitlines())
    assert lines <= MAX_README_LINES, f"README.md has {lines} lines"


def test_the_linter_asks_for_docstrings_low_complexity_and_no_private_access():
    lint = settings()["ruff"]["lint"]
    assert {"D", "C90", "SLF"} <= set(lint["select"])
    assert lint["mccabe"]["max-complexity"] <= MAX_COMPLEXITY


def test_lint_runs_every_gate_and_ci_runs_lint():
    lint = (REPO / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    for gate in ("ruff check", "ruff format --check", "lint-imports", "mypy"):
        assert gate in lint
    steps = (REPO / ".ci" / "run").read_text()
    assert steps.index("make lint") < steps.index("make test") < steps.index("make test-browser")


def test_the_two_import_contracts_are_there():
    contracts = settings()["importlinter"]["contracts"]
    assert [contract["type"] for contract in contracts] == ["layers", "forbidden"]


def test_nothing_generated_is_committed():
    generated = tracked("outputs", "*.pyc", "*.egg-info/*", "build/*", "dist/*", "*.nii*", "*.dcm")
    assert generated == ["outputs/README.md"]
