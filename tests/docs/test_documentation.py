"""The documentation against the code: generated parts, paths, commands, options, keys and links."""

import argparse
import ast
import importlib.util
import io
import re
import tokenize
from pathlib import Path

import pytest
import yaml

from cardiac_seg.commands import COMMANDS, command_file
from cardiac_seg.config.sections import STAGES, Config
from cardiac_seg.run.formats import FORMAT
from cardiac_seg.version import __version__

REPO = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(REPO).as_posix()
    for path in (*REPO.glob("*.md"), *REPO.glob("docs/*.md"), *REPO.glob("pretrained/*/README.md"))
)
TOP_FOLDERS = ("cardiac_seg", "configs", "docs", "tests", "benchmarks", "pretrained")
FILE_ENDINGS = (".py", ".yaml", ".md", ".toml", ".cff", ".txt")
# What docs/architecture.md adds to show how; a word is looked for no further where it names one.
EXAMPLES = re.compile("small_unet|features/gradient|naive_bayes")
# Of pip, git, the benchmarks and nnU-Net, not of this package's commands.
OTHER_OPTIONS = {"--only", "--npz", "--save_probabilities", "--verify_dataset_integrity"}
# What the code and the documentation said before format 2.
FORMER_WORDS = (
    r"\bgates?\b|\btempered\b|\bexaminations?\b|\bsurer?\b|\bthe bit about\b|\bis told\b"
    r"|\ba (?:row|model|line) an? \w+|\bone (?!at|with|is|in|of)\w+ an? \w+"
    r"|\bpixels a (?!case|leaf)\w+|\bother work\b|\ballows here\b|\bfound in review\b"
)
# These name what earlier formats held.
READERS_OF_FORMER_WORDS = ("run/formats.py", "config/loading.py", "config/registry.py")
# What a key was called in an earlier format, or in an experiment whose code is gone.
FORMER_KEYS = {"stacking.gate", "networks.unet_advanced.neighbours"}


def text_of(page: str) -> str:
    return (REPO / page).read_text(encoding="utf-8")


def code_of(page: str) -> list[str]:
    """The backticked and the indented code of a page."""
    text = text_of(page)
    return re.findall(r"`([^`\n]+)`", text) + re.findall(r"^ {4}(.+)$", text, re.MULTILINE)


def parsers() -> dict[str, argparse.ArgumentParser]:
    made = {}
    for name in COMMANDS:
        made[name] = argparse.ArgumentParser()
        command_file(name).add_arguments(made[name])
    return made


def options(parser: argparse.ArgumentParser) -> set[str]:
    return set(re.findall(r"--[a-z][\w-]+", parser.format_help())) - {"--help"}


def generator():
    spec = importlib.util.spec_from_file_location("generate", REPO / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    return generate


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_generated_parts_are_those_of_the_code():
    generate = generator()
    for page in generate.PAGES:
        text = text_of(page)
        assert "<!-- generated: " in text, page
        assert generate.filled(text) == text, f"{page}: run make docs"


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_resolve(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = (REPO / page).parent / file if file else REPO / page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("page", PAGES)
def test_a_file_that_a_page_names_exists(page):
    tests = {path.name for path in REPO.glob("tests/**/*.py")}
    for code in code_of(page):
        for word in re.findall(r"[\w./*-]+", code):
            top = word.split("/")[0]
            if EXAMPLES.search(word):
                continue
            if re.fullmatch(r"(test_\w+|conftest)\.py", word):
                assert word in tests, word
            elif top in TOP_FOLDERS and "/" in word.rstrip("/"):
                assert list(REPO.glob(word.rstrip("/"))), word
            elif "/" in word and word.endswith(".py"):
                assert (REPO / word).exists() or (REPO / "cardiac_seg" / word).exists(), word
            elif "/" not in word and word.endswith(FILE_ENDINGS) and word[0].isupper():
                assert (REPO / word).exists(), word


def test_a_test_that_a_page_names_exists():
    sources = {path.name: path.read_text() for path in REPO.glob("tests/**/test_*.py")}
    for page in PAGES:
        for file, name in re.findall(r"(test_\w+\.py)::(test_\w+)", text_of(page)):
            assert f"def {name}(" in sources[file], f"{page}: {file}::{name}"


def test_a_make_target_that_a_page_names_exists():
    makefile = text_of("Makefile")
    targets = set(re.search(r"^\.PHONY:(.+)$", makefile, re.MULTILINE)[1].split())
    named = {
        (page, target)
        for page in PAGES
        for code in code_of(page)
        for target in re.findall(r"\bmake ([a-z][\w-]+)", code)
    }
    assert named
    assert [pair for pair in sorted(named) if pair[1] not in targets] == []


def test_an_option_that_a_page_names_exists():
    known = {"--version", "--help", *OTHER_OPTIONS}.union(*map(options, parsers().values()))
    named = {
        (page, option)
        for page in PAGES
        for code in code_of(page)
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", code)
    }
    assert named
    assert [pair for pair in sorted(named) if pair[1] not in known] == []


def test_every_command_and_option_is_on_the_page_of_commands():
    text = text_of("docs/commands.md")
    for command, parser in parsers().items():
        assert f"`{command}`" in text, command
        for option in options(parser):
            assert re.search(rf"{option}\b(?!-)", text), f"{command} {option}"


def test_a_config_key_that_a_page_names_exists():
    named = [key for key, _ in generator().keys_of()]
    keys = {".".join(key.split(".")[:n]) for key in named for n in range(1, key.count(".") + 2)}
    sections = set(Config.model_fields)
    for page in PAGES:
        for code in code_of(page):
            for key in re.findall(r"(?<![\w./])[a-z_]+(?:\.[a-z0-9_]+)+", code):
                is_key = key.split(".")[0] in sections and not key.endswith((".py", ".csv"))
                if is_key and key not in FORMER_KEYS and not EXAMPLES.search(key):
                    assert key in keys, f"{page}: {key}"


def test_every_config_key_has_a_description():
    assert [key for key, field in generator().keys_of() if not field.description] == []


@pytest.mark.parametrize("page", PAGES)
def test_numbers_have_a_leading_zero(page):
    prose = re.sub(r"`[^`\n]+`", "", text_of(page))
    assert re.findall(r"(?<![\w.)/*])[+-]?\.\d+", prose) == []


@pytest.mark.parametrize("page", PAGES)
def test_pages_speak_the_words_of_the_field(page):
    prose = re.sub(r"`[^`\n]+`", "", text_of(page))
    assert re.findall(FORMER_WORDS, prose, re.IGNORECASE) == []


def test_code_and_configs_speak_the_words_of_the_field():
    words = []
    for path in sorted(REPO.glob("cardiac_seg/**/*.py")):
        if not path.as_posix().endswith(READERS_OF_FORMER_WORDS):
            words += [(path, word) for word in re.findall(FORMER_WORDS, prose_of(path), re.I)]
    for path in sorted(REPO.glob("configs/*.yaml")):
        comments = " ".join(re.findall(r"#(.*)", path.read_text(encoding="utf-8")))
        words += [(path, word) for word in re.findall(FORMER_WORDS, comments, re.I)]
    assert words == []


def prose_of(path: Path) -> str:
    """The strings, docstrings and comments of a module, without what is in backticks."""
    text = path.read_text(encoding="utf-8")
    kinds = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1))
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    prose = " ".join(token.string.strip("# ") for token in tokens if token.type in kinds)
    return " ".join(re.sub(r"`[^`\n]+`", "", prose).split())


def test_the_stages_are_listed_in_the_order_in_which_they_run():
    stages = ast.parse(text_of("cardiac_seg/pipeline/stages.py"))
    bodies = {node.name: node for node in stages.body if isinstance(node, ast.FunctionDef)}

    def calls(name: str) -> list[str]:
        """The functions called, in order; what a function of this module calls instead of it."""
        nodes = [node for node in ast.walk(bodies[name]) if isinstance(node, ast.Call)]
        nodes = [node for node in nodes if isinstance(node.func, ast.Name)]
        named = [node.func.id for node in sorted(nodes, key=lambda node: node.lineno)]
        return [step for n in named for step in (calls(n) if n in bodies else [n])]

    steps = re.findall(r"^  (\w+) +.+ (pipeline/\w+\.py)$", text_of("train_ensemble.py"), re.M)
    names = [name for name, _ in steps]
    assert [name for name in calls("run_stages") if name in names] == names
    imported = {
        alias.name: f"{node.module.removeprefix('cardiac_seg.').replace('.', '/')}.py"
        for node in stages.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert dict(steps) == {name: imported[name] for name in names}
    of_pipeline = {name for name, file in imported.items() if file.startswith("pipeline/")}
    assert of_pipeline - {"Prepared", "repair"} == set(names)

    rows = re.findall(
        r"^\| (?:`(\w+)`)? ?\| (`.+`) \| .+ \| `cardiac_seg/(pipeline/\w+\.py)` \|$",
        text_of("docs/architecture.md"),
        re.M,
    )
    assert [(n, file) for _, row, file in rows for n in re.findall(r"`(\w+)`", row)] == steps
    assert tuple(stage for stage, _, _ in rows if stage) == STAGES


def test_version_and_format_are_those_of_the_code():
    assert yaml.safe_load(text_of("CITATION.cff"))["version"] == __version__
    assert f"## {__version__} (format {FORMAT})" in text_of("CHANGELOG.md")
    assert f"| {FORMAT} | {__version__.rsplit('.', 1)[0]} |" in text_of("docs/run_directory.md")
