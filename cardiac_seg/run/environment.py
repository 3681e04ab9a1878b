"""What a run was made with: versions, platform, commit, memory."""

import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from cardiac_seg.version import __version__

PACKAGES = (
    "numpy",
    "scikit-learn",
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
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        folder = Path(__file__).parent
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
