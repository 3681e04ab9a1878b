"""Tables of results as Markdown, and how their numbers are written."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.timing import Spread, spread


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: What is compared.
        columns: Heads.
        rows: Cells, as text.
        note: What a reader must know to read it, or empty.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""

    def markdown(self) -> str:
        """Title, table and note."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"### {self.title}\n\n{text}\n" + (f"\n{self.note}\n" if self.note else "")


@dataclass(frozen=True)
class Outcome:
    """What a topic found.

    Attributes:
        tables: For readers.
        raw: Every single measurement, as JSON can hold it.
    """

    tables: list[Table]
    raw: dict = field(default_factory=dict)


def number(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def milliseconds(seconds: Sequence[float]) -> str:
    """The median of some seconds, in ms."""
    return number(1000 * spread(seconds).median)


def times(ratio: Spread) -> str:
    """A ratio with its smallest and largest."""
    return f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def percent(share: float) -> str:
    """A share of 1 in per cent."""
    return f"{100 * share:.1f} %" if abs(share) < 0.1 else f"{100 * share:.0f} %"
