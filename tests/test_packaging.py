"""Requirements, constraints and the built package are in step: one list, one version of each."""

import ast
import importlib.metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cardiac_seg

REPO = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())
DYNAMIC = PROJECT["tool"]["setuptools"]["dynamic"]


def requirements(name):
    """The requirements of one file, as {canonical name: requirement}."""
    lines = (line.partition("#")[0].strip() for line in (REPO / name).read_text().splitlines())
    parsed = [Requirement(line) for line in lines if line]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def constraints():
    """{canonical name: exact version} of constraints.txt."""
    pins = requirements("constraints.txt")
    assert all(str(pin.specifier).startswith("==") for pin in pins.values())
    return {name: str(pin.specifier)[2:] for name, pin in pins.items()}


FILES = sorted(path.name for path in REPO.glob("requirements*.txt"))
GPU = "requirements-gpu.txt"  # brings NVIDIA's libraries, which belong to a machine
INSTALLERS = {"pip", "setuptools", "wheel"}  # come with the environment


def test_the_package_reads_its_dependencies_from_every_requirements_file():
    extras = DYNAMIC["optional-dependencies"]
    assert DYNAMIC["dependencies"] == {"file": "requirements.txt"}
    assert set(extras) == {"gpu", "fast", "dev"}
    files = [extra["file"] for extra in extras.values()]
    read = {name for file in files for name in ([file] if isinstance(file, str) else file)}
    assert sorted(read | {"requirements.txt"}) == FILES
    assert "dependencies" not in PROJECT["project"]


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_pinned_within_its_range(name):
    pins = constraints()
    for package, requirement in requirements(name).items():
        assert pins[package] in requirement.specifier, f"{requirement} and =={pins[package]}"


def test_everything_that_the_requirements_bring_is_pinned_and_nothing_else():
    left = [r for name in FILES for r in requirements(name).values() if name != GPU]
    reached = set()
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        asked = {(name, extra) for extra in ("", *requirement.extras)} - reached
        reached |= asked
        try:
            needed = [Requirement(text) for text in importlib.metadata.requires(name) or []]
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed")
        for _, extra in asked:
            left += [n for n in needed if not n.marker or n.marker.evaluate({"extra": extra})]
    assert {name for name, _ in reached} - INSTALLERS == set(constraints())


def test_what_is_installed_is_what_constraints_pin():
    for name, version in constraints().items():
        try:
            assert importlib.metadata.version(name) == version, name
        except importlib.metadata.PackageNotFoundError:
            continue


def test_the_version_has_one_source():
    assert DYNAMIC["version"] == {"attr": "cardiac_seg.version.__version__"}
    assert "version" not in PROJECT["project"]
    # setuptools reads it without importing the package, so it must be a plain assignment.
    tree = ast.parse((REPO / "cardiac_seg" / "version.py").read_text())
    (value,) = [node.value.value for node in tree.body if isinstance(node, ast.Assign)]
    assert value == cardiac_seg.__version__


def test_every_file_that_is_no_code_is_package_data():
    package_data = PROJECT["tool"]["setuptools"]["package-data"]
    packed = {
        path
        for package, patterns in package_data.items()
        for pattern in patterns
        for path in (REPO / package.replace(".", "/")).glob(pattern)
    }
    others = {
        path
        for path in (REPO / "cardiac_seg").rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert others == packed


def test_every_folder_of_code_is_a_package():
    for path in (REPO / "cardiac_seg").rglob("*.py"):
        assert (path.parent / "__init__.py").is_file(), path


def test_the_console_command_is_the_module():
    assert PROJECT["project"]["scripts"] == {"cardiac-seg": "cardiac_seg.__main__:main"}
