"""What a run was made with: versions, platform, commit, memory."""

import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from cardiac_seg.system.log import log
from cardiac_seg.version import __version__

if TYPE_CHECKING:
    from cardiac_seg.run.folder import Run

PACKAGES = (
    "numpy",
    "scikit-learn",
    "lightgbm",
    "skops",
    "scipy",
    "opencv-python-headless",
    "nibabel",
    "pandas",
    "surface-distance",
    "matplotlib",
)


def describe_environment() -> dict:
    """Versions, platform and commit, for the manifest."""
    from cardiac_seg.system import backend

    return {
        "versions": package_versions() | backend.versions(),
        "backend": backend.BACKEND,
        "device": backend.device_line(),
        "git_commit": _git_commit(),
        "updated": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def record_environment(run: "Run") -> None:
    """Writes what the run is made with to its manifest, and says what it runs on."""
    from cardiac_seg.system import backend

    environment = describe_environment()
    log.info("%s; commit %s", backend.device_line(), environment["git_commit"] or "unknown")
    run.update_manifest(**environment, seed=run.config.seed)


def package_versions() -> dict[str, str]:
    """This package, Python and what results hang on; not the Keras backend."""
    packages = {d: v for d in PACKAGES if (v := _installed_version(d))}
    return {"cardiac_seg": __version__, "python": platform.python_version(), **packages}


def _installed_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # another build of it, opencv-python for instance
        return None


def peak_memory_mib() -> int:
    """Largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _git_commit() -> str | None:
    """The commit of the code; None where it lies in no repository of its own."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        # An installed copy may lie in somebody's repository, in its virtual environment.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("describe", "--always", "--dirty", "--abbrev=40")
    except (OSError, subprocess.CalledProcessError):
        return None
