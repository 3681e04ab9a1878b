"""How large everything is that is measured, and what the topics share."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.tables import milliseconds, percent
from benchmarks.timing import spread
from benchmarks.worker import measure_once
from cardiac_seg.system.log import log


@dataclass(frozen=True)
class Sizes:
    """How large everything is.

    Attributes:
        rounds: Rounds of an alternation.
        seconds: What one measurement lasts at least, about.
        filters, side, batch: The networks measured: first level's channels, pixels of a
            side, slices of a training batch.
        trained: Member, filters, side and batch of the networks that training is measured with.
        patients: Phantom patients that the memory and time of a run are measured at.
        sides: Pixels of a side that training and prediction are measured at.
        trees, depth: The naive ensemble's forest.
        forest_pixels: It is fitted on.
        stacking: Overrides of the `stacking` section.
        matrix: Rows and columns of the matrices that the highest rate is measured with.
        convolution: Images, side and channels of the convolution.
    """

    rounds: int
    seconds: float
    filters: int
    side: int
    batch: int
    trained: tuple[tuple[str, int, int, int], ...]
    patients: tuple[int, ...]
    sides: tuple[int, ...]
    trees: int
    depth: int
    forest_pixels: int
    stacking: tuple[str, ...]
    matrix: int
    convolution: tuple[int, int, int]


FULL = Sizes(
    rounds=3,
    seconds=2.0,
    filters=32,
    side=160,
    batch=8,
    trained=(
        ("unet_advanced", 32, 160, 8),
        ("deep_unet_improved", 32, 160, 8),
        ("unet_advanced", 64, 192, 4),  # 64 to 1024 channels
    ),
    patients=(25, 100, 400),
    sides=(128, 192, 256),
    trees=200,
    depth=15,
    forest_pixels=30_000,
    stacking=(),
    matrix=3072,
    convolution=(8, 80, 256),
)
QUICK = Sizes(
    rounds=2,
    seconds=0.1,
    filters=4,
    side=32,
    batch=2,
    trained=(("unet_advanced", 4, 32, 2),),
    patients=(20, 40),
    sides=(32,),
    trees=5,
    depth=5,
    forest_pixels=1000,
    stacking=(
        "stacking.pixels_per_case=200",
        "stacking.random_forest.trees=5",
        "stacking.gradient_boosting.iterations=5",
    ),
    matrix=256,
    convolution=(1, 16, 16),
)


@dataclass(frozen=True)
class Bench:
    """What the topics share.

    Attributes:
        sizes: How large everything is.
        folder: For files that are not kept.
        highest: Highest rate measured on the machine, in operations a second.
        trained: A finished run, whose networks are measured too, or None.
    """

    sizes: Sizes
    folder: Path
    highest: float
    trained: Path | None

    @property
    def networks(self) -> dict:
        """The size of the networks, as workers take it."""
        return {"folder": self.folder, "side": self.sizes.side, "filters": self.sizes.filters}

    @cached_property
    def run(self) -> Path:
        """A finished run on phantoms, see `workload.build_run`; made when first asked for."""
        log.info("making the run: random networks, learners fitted on maps that look trained")
        measure_once("benchmarks.workload:build_run", **self.networks, extra=self.sizes.stacking)
        return self.folder / "run"

    def share(self, flops: float, seconds: float) -> str:
        """The rate of some operations, as a share of the highest."""
        return percent(flops / seconds / self.highest)

    def per_image(self, measured: list[dict]) -> str:
        """Median ms of an image, and the share of the highest rate.

        Args:
            measured: Each round's `seconds` and `flops` of an image.
        """
        seconds = [m["seconds"] for m in measured]
        share = self.share(measured[0]["flops"], spread(seconds).median)
        return f"{milliseconds(seconds)} ({share})"
