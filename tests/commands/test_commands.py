"""The commands: one file each, answered at once, the same from script, module and console."""

import subprocess
import sys

import pytest

import analyze_results
import train_ensemble
from cardiac_seg.__main__ import main
from cardiac_seg.commands import COMMANDS, command_file
from tests.support.paths import REPO

HEAVY = "{'keras', 'tensorflow', 'torch', 'jax', 'sklearn', 'cv2', 'pandas', 'numpy'}"


def test_every_command_has_a_file_named_after_it():
    files = {path.stem for path in (REPO / "cardiac_seg" / "commands").glob("*.py")}
    assert files - {"__init__", "guard"} == {command.replace("-", "_") for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_offers_help_that_says_what_it_is(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    summary = command_file(command).__doc__.splitlines()[0]
    assert summary in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [["--help"], ["train", "--config", "nowhere.yaml"], ["analyze", "a", "b"]]
)
def test_help_and_bad_input_are_answered_before_anything_heavy_is_imported(argv):
    script = (
        "import sys\n"
        "from cardiac_seg.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", script, *argv]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_script_and_its_command_answer_alike(capsys):
    for script, command in ((train_ensemble.main, "train"), (analyze_results.main, "analyze")):
        argv = ["--config", "nowhere.yaml"] if command == "train" else ["nowhere"]
        assert script(argv) == 2
        of_script = capsys.readouterr().err
        assert main([command, *argv]) == 2
        assert capsys.readouterr().err == of_script and "nowhere" in of_script


def test_no_command_and_an_unknown_one_are_refused(capsys):
    for argv in ([], ["segment"]):
        with pytest.raises(SystemExit) as ended:
            main(argv)
        assert ended.value.code == 2
