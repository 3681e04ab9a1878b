"""Everyone's times in one table."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.tables import Table, number, times
from benchmarks.timing import ratios, spread


@dataclass(frozen=True)
class System:
    """A system that segmented the pair.

    Attributes:
        name: What it is.
        size: Its networks and their grid, in words.
        seconds: Of the pair, from files to masks, one a round.
        slices: Of the pair.
        network_seconds: What of it its networks took; empty where that was not measured apart.
        parameters: Of all its networks.
        gflop: Operations of all its networks on a slice, repeats included, in 10^9.
        peak_mib: Largest resident memory of its process.
    """

    name: str
    size: str
    seconds: Sequence[float]
    slices: int
    network_seconds: Sequence[float]
    parameters: int
    gflop: float
    peak_mib: int

    def ms_per_slice(self, seconds: Sequence[float]) -> str:
        """The median of some rounds in ms of a slice."""
        return number(1000 * spread(seconds).median / self.slices) if seconds else ""


def compare(systems: Sequence[System], baselines: Sequence[System]) -> Table:
    """A row for each system, and how many times as long the baselines take.

    Args:
        systems: All, the baselines among them.
        baselines: What the others are compared with.
    """
    slices = systems[0].slices
    rows = []
    for system in systems:
        pair = spread(system.seconds)
        rows.append(
            [
                system.name,
                system.size,
                number(system.parameters / 1e6),
                number(system.gflop),
                system.ms_per_slice(system.network_seconds),
                system.ms_per_slice(system.seconds),
                f"{number(pair.median)} [{number(pair.low)}, {number(pair.high)}]",
                *(
                    "" if base is system else times(ratios(base.seconds, system.seconds))
                    for base in baselines
                ),
                number(system.peak_mib / 1024),
            ]
        )
    columns = [
        *("", "networks and grid", "parameters, M", "GFLOP a slice", "networks, ms a slice"),
        *("all, ms a slice", "pair, s"),
        *(f"{base.name} / this" for base in baselines),
        "GiB",
    ]
    return Table(f"An ED + ES pair, {slices} slices, from files to masks", columns, rows, NOTE)


NOTE = (
    "nnU-Net: its own reader, preprocessing, predictor (patches one by one, Gaussian weights, one "
    "network where it would take five folds) and export to the native grid, in one process. "
    "Published: both networks in float32, `predict` with its defaults, the average of their maps; "
    "written again from their description, masks stay at 192 x 192. This project: both networks, "
    "the model named, postprocessing and quality, on the native grid. acdc_cpu.yaml: networks of "
    "that size with random weights, its learners on maps that look trained, as in `make bench`. "
    "GiB: peak of the process, which may serve several rows. A multiplication with its addition "
    "is two operations."
)
