"""Where the repository and the data beside it lie."""

from pathlib import Path

REPO = Path(__file__).parents[2]
SHARED_DATA = REPO.parent / "shared" / "data"  # the public datasets, where they are there
