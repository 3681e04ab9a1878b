"""Builds the package and uses it as one does who has no checkout: `make wheel-check`.

The wheel is installed in a new environment outside the repository, with the versions of
constraints.txt. There it predicts phantoms with shipped weights, trains a tiny run on them and
analyses it; with `--run`, a copy of that run too. Exit code 0: all of it worked.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
TINY_CONFIG = """\
data: {dataset: acdc, root: phantoms, cache: cache}
split: {folds: 2}
preprocess: {spacing: 3.0, size: [64, 64]}
networks: {unet_advanced: {filters: 4}, deep_unet_improved: {filters: 4}}
train: {epochs: 1, warmup: 0}
stacking: {learners: [weighted_mean, logistic]}
"""


def main() -> int:
    """Runs every step; returns 1 where one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a finished run; a copy of it is analysed")
    parser.add_argument("--keep", type=Path, help="work here, and keep it (default: a new folder)")
    args = parser.parse_args()
    folder = args.keep or Path(tempfile.mkdtemp(prefix="wheel-check-"))
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        check(folder, args.run.resolve() if args.run else None)
    except (subprocess.CalledProcessError, AssertionError) as error:
        print(f"wheel-check: failed: {error}", file=sys.stderr)
        return 1
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("wheel-check: passed")
    return 0


def check(folder: Path, run: Path | None) -> None:
    """Builds, installs and uses the package inside `folder`."""
    wheel = build(folder / "dist")
    command = install(wheel, folder / "venv")
    (folder / "tiny.yaml").write_text(TINY_CONFIG)

    if not (folder / "phantoms").exists():
        call(folder, command, "phantom", "phantoms", "--patients", "12")
    images = min((folder / "phantoms" / "training").iterdir())
    call(folder, command, "predict", REPO / "pretrained/acdc", images, "--output", "predictions")
    assert len(list((folder / "predictions").rglob("*.nii.gz"))) == 2, "not one mask for ED and ES"

    call(folder, command, "train", "--config", "tiny.yaml", "--run-dir", "tiny")
    runs = [folder / "tiny"]
    if run:
        runs.append(Path(shutil.copytree(run, folder / "copied", dirs_exist_ok=True)))
    for analysed in runs:
        shutil.rmtree(analysed / "analysis", ignore_errors=True)
        call(folder, command, "analyze", analysed)
        assert (analysed / "analysis" / "report.html").is_file(), f"{analysed}: no report"
        call(folder, command, "info", analysed)
    call(folder, command, "results", *runs)


def build(folder: Path) -> Path:
    """Builds the wheel from what git would hand out, so that nothing ignored slips in."""
    source = folder / "source"
    shutil.rmtree(folder, ignore_errors=True)
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=REPO, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPO / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, source / name)
    call(folder, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source)
    (wheel,) = folder.glob("cardiac_seg-*.whl")
    return wheel


def install(wheel: Path, venv: Path) -> Path:
    """Installs the wheel in a new environment; returns the path of its `cardiac-seg`."""
    if not (venv / "bin" / "cardiac-seg").exists():
        call(venv.parent, sys.executable, "-m", "venv", "--clear", venv)
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet"]
    call(venv.parent, *pip, wheel, "-c", REPO / "constraints.txt")
    call(venv.parent, *pip, "--force-reinstall", "--no-deps", wheel)
    where = "import cardiac_seg; print(cardiac_seg.__file__)"
    found = call(venv.parent, venv / "bin" / "python", "-c", where)
    assert venv in Path(found.strip()).parents, f"imports {found.strip()}, not what was installed"
    return venv / "bin" / "cardiac-seg"


def call(folder: Path, *command: str | Path) -> str:
    """Runs a command in `folder`, without this process's Python settings; returns its output."""
    words = [str(word) for word in command]
    print("wheel-check:", " ".join(words), flush=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
