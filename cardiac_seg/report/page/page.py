"""The report: one page that opens from disk, without a network."""

import base64
import os
import re
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cardiac_seg.system.atomic import write_text
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.numbers import UNDEFINED, shared_digits, table_number

PAGE_BYTES = 15_000_000
TEXT_BYTES = 2_000_000  # of it, for all that is no picture
PICTURE_BYTES = 400_000  # one figure at most, where the page leaves room
DOTS_PER_INCH = 300  # of the figures' files
SHOWN_PER_INCH = 144  # CSS pixels; a figure as wide as a journal's page fills the column
COPIES = ((1400, 90), (1400, 70), (1000, 60), (700, 50))  # pixels wide and WebP's quality
STATUSES = {"good": "favourable", "bad": "unfavourable", "open": "open"}
MARKED = {"met": "good", "missed": "bad", "better": "good", "worse": "bad"}  # words in tables


@dataclass(frozen=True)
class Figure:
    """A figure on disk; the page holds a smaller copy of `png` and links to `pdf`."""

    title: str
    caption: str
    png: Path
    pdf: Path


@dataclass(frozen=True)
class Table:
    """A table without its index; cells that are NaN or None are shown as undefined."""

    caption: str
    frame: pd.DataFrame
    csv: Path | None = None


@dataclass(frozen=True)
class Section:
    """`text` is plain; an empty line begins a paragraph."""

    title: str
    text: str
    figures: list[Figure]
    tables: list[Table]


@dataclass(frozen=True)
class Verdict:
    """A question of the study and what the run says.

    Raises:
        ValueError: If `status` is none of `good`, `bad` and `open`.
    """

    question: str
    answer: str
    status: str
    detail: str = ""

    def __post_init__(self):
        if self.status not in STATUSES:
            raise ValueError(f"status is {self.status!r}, not one of {', '.join(STATUSES)}")


@dataclass(frozen=True)
class CaseRow:
    """A row of the table of cases.

    `thumbnail` is a PNG or JPEG file's content, or empty; `page` a path relative to the report;
    `failure` says what failed, or is empty.
    """

    case: str
    patient: str
    group: str
    columns: dict[str, float | str]
    thumbnail: bytes
    page: str
    failure: str = ""


@dataclass(frozen=True)
class Report:
    """What the page says. `cases` come worst first; those that failed are moved before them.

    `headline` and `picture` are the first screen, before any verdict: the numbers that a reader
    looks for first, and one case. `scored_on` says whose numbers they are, where they are not those
    of test patients.
    """

    title: str
    subtitle: str
    headline: pd.DataFrame
    picture: Figure | None
    verdicts: list[Verdict]
    targets: pd.DataFrame
    missing: list[str]
    sections: list[Section]
    cases: list[CaseRow]
    methods: str
    provenance: dict[str, str]
    scored_on: str = ""


@dataclass(frozen=True)
class _Cell:
    text: str
    sort: str
    status: str = ""
    numeric: bool = False


def write_report(path: Path, report: Report) -> None:
    """Writes the page; figures take what room the thumbnails leave of 15 MB.

    Args:
        path: The HTML file. Links to PDF, PNG and CSV files are relative to its folder.
        report: What the page says.

    Raises:
        UserError: If a figure's file is no image, or the page cannot be written.
        ValueError: If a thumbnail is neither PNG nor JPEG.
    """
    count = sum(len(section.figures) for section in report.sections) + bool(report.picture)
    room = (PAGE_BYTES - TEXT_BYTES) * 3 // 4 - sum(len(row.thumbnail) for row in report.cases)
    share = min(PICTURE_BYTES, room // max(count, 1))
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "link": lambda target: quote(Path(os.path.relpath(target, path.parent)).as_posix()),
        "quoted": quote,
        "paragraphs": lambda text: [p for p in re.split(r"\n\s*\n", text.strip()) if p],
        "picture": lambda png: _picture(png, share),
        "thumbnail": _thumbnail,
        "rows": table_cells,
    }
    cases = sorted(report.cases, key=lambda row: not row.failure)
    page = environment.get_template("report.html.j2").render(
        report=report,
        cases=cases,
        scores=pd.DataFrame([row.columns for row in cases]),
        statuses=STATUSES,
        script=(here / "sortable.min.js").read_text(encoding="utf-8"),
    )
    write_text(path, page)


def table_cells(frame: pd.DataFrame) -> list[list[_Cell]]:
    """What is shown of each cell and what it is sorted by.

    Numbers of a column share their decimals, so that they line up, and columns `low` and `high`
    those of the column before them; a number that would be shown as 0 but is not is shown as
    `< 0.001`.

    Returns:
        Rows of cells. `sort` is empty for undefined cells, which sorts them last.
    """
    rows: list[list[_Cell]] = [[] for _ in range(len(frame))]
    along: list[Any] = []
    for i, name in enumerate(frame.columns):
        values = frame.iloc[:, i].tolist()
        # A value and the ends of its interval are read together.
        along = along if name in ("low", "high") else values
        decimals = shared_digits([value for value in along if _is_number(value)])
        for row, value in zip(rows, values, strict=True):
            row.append(_cell(value, decimals))
    return rows


def _cell(value, decimals: int) -> _Cell:
    if pd.isna(value) or value == "-":  # undefined, or what a run does not have
        return _Cell(UNDEFINED, "", "undefined")
    if _is_number(value):
        return _Cell(
            table_number(value, decimals), f"{value:.12g}".replace("inf", "Infinity"), "", True
        )
    if isinstance(value, (bool, np.bool_)):
        value = "yes" if value else "no"
    return _Cell(str(value), str(value), MARKED.get(str(value), ""))


def _is_number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and not pd.isna(value)


def _picture(png: Path, max_bytes: int) -> dict:
    """A smaller copy of a figure: lossless where that is small, else as good as fits."""
    image = cv2.imread(str(png)) if png.is_file() else None
    if image is None:
        raise UserError(f"{png}: no image that can be read; draw the figures again")
    for width, quality in COPIES:
        copy, content = _webp(image, width, quality)
        if len(content) <= max_bytes:
            break
    # Lines are often smaller without loss, and sharper; on images that takes long for nothing.
    if len(content) <= max_bytes / 8 and len(exact := _webp(copy, width, 101)[1]) <= max_bytes:
        content = exact
    return {
        "source": _data_uri("image/webp", content),
        "width": copy.shape[1],
        "height": copy.shape[0],
        "shown_width": round(image.shape[1] / DOTS_PER_INCH * SHOWN_PER_INCH),
    }


def _webp(image: np.ndarray, max_width: int, quality: int) -> tuple[np.ndarray, bytes]:
    """The image, made smaller if it is wider than `max_width`, and its WebP file's content."""
    scale = min(1, max_width / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small, cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def _thumbnail(content: bytes) -> str:
    if content.startswith(b"\x89PNG"):
        return _data_uri("image/png", content)
    if content.startswith(b"\xff\xd8"):
        return _data_uri("image/jpeg", content)
    raise ValueError(f"a thumbnail is neither PNG nor JPEG; it begins with {content[:8]!r}")


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
