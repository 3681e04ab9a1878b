"""The report: what it shows, that it opens without a network, and that it stays small."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.report.page.page import (
    PAGE_BYTES,
    CaseRow,
    Figure,
    Report,
    Section,
    Verdict,
    table_cells,
    write_report,
)
from cardiac_seg.system.errors import UserError
from tests.support.example_report import AWKWARD, example_report, write_figure


class Page(HTMLParser):
    """A page's elements as (tag, attributes), and its pieces of text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)

    def attributes(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run with space") / "analysis"
    write_report(folder / "report.html", example_report(folder))
    text = (folder / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_names_are_text_and_never_markup(written):
    text, page = written
    assert "<b>" not in text and "<i>" not in text
    assert not page.attributes("b")
    shown = "".join(page.texts)
    assert shown.count(AWKWARD) >= 5  # case, method, detail, missing, provenance
    assert f"{AWKWARD}, image with masks" in [image.get("alt") for image in page.attributes("img")]


def test_failures_come_first_then_the_order_given(written):
    _, page = written
    cases = [
        cell["data-sort"] for cell in page.attributes("th") if "_ED" in cell.get("data-sort", "")
    ]
    assert cases == [f"patient{i:03d}_ED" for i in (5, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10)]
    assert len([row for row in page.attributes("tr") if row.get("class") == "failed"]) == 1
    assert "no component of RV in the mask" in "".join(page.texts)


def test_nothing_is_loaded_from_a_network(written):
    _, page = written
    for tag, attributes in page.elements:
        assert tag not in ("iframe", "object", "embed")
        for name in ("src", "href", "srcset", "data", "poster", "action"):
            address = attributes.get(name) or ""
            assert not re.match(r"\s*(https?:|//)", address), (tag, address)
        if tag in ("img", "script"):
            assert attributes.get("src", "data:").startswith("data:")
    styles = "".join(page.texts)
    assert "@import" not in styles and "url(" not in styles
    policy = next(a["content"] for a in page.attributes("meta") if "http-equiv" in a)
    assert "default-src 'none'" in policy and "http" not in policy


def test_every_picture_has_a_text_and_every_table_a_caption(written):
    text, page = written
    images = page.attributes("img")
    assert len(images) == 1 + 2 + 12 and all(image["alt"].strip() for image in images)
    assert {image["alt"] for image in images[:3]} == {"Drawing figure_0", "Drawing figure_1"}
    assert len(page.attributes("caption")) == len(page.attributes("table")) == 5


def test_links_are_relative_to_the_report(written):
    _, page = written
    links = [a["href"] for a in page.attributes("a")]
    for link in ("figures/figure_0.png", "tables/scores.csv", "cases/patient000_ED.png"):
        assert link in links
    assert "cases/%3Cb%3E%26%22.png" in links
    anchors = {a["id"] for _, a in page.elements if "id" in a}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors


def test_what_is_missing_is_said_before_the_first_section(written):
    text, _ = written
    said = text.index("HD95 of RV: undefined in 1 case (empty mask)")
    assert text.index('id="summary"') < said < text.index('id="section-1"')


def test_statuses_are_said_in_words(written):
    _, page = written
    words = [text.strip() for text in page.texts]
    for word in ("favourable", "unfavourable", "open", "met", "missed", "Research use only"):
        assert word in words


def test_an_undefined_number_is_a_dash_that_says_so_and_sorts_last(written):
    text, page = written
    cells = table_cells(pd.DataFrame({"hd95_mm": [3.25, np.nan, None], "x": ["a", None, pd.NA]}))
    assert [[cell.text for cell in row] for row in cells] == [["3.25", "a"], ["–", "–"], ["–", "–"]]
    assert cells[1][0].sort == cells[1][1].sort == ""
    assert len(page.attributes("abbr")) == 4
    assert all(a["title"] == "undefined" for a in page.attributes("abbr"))
    assert "nan" not in "".join(text for text in page.texts if len(text) < 100).lower().split()


@pytest.mark.parametrize(
    "values, shown",
    [
        ([0.91234, 1.0, -0.05], ["0.912", "1.000", "−0.050"]),
        ([0.0123, 0.004], ["0.0123", "0.0040"]),
        ([8.214, 30.02, 2.5], ["8.21", "30.02", "2.50"]),
        ([120.46, 95.0, 0.0], ["120.5", "95.0", "0.0"]),
        ([0.7, 1e-7, -1e-7, 0.0], ["0.700", "< 0.001", "> −0.001", "0.000"]),
        ([1234567, -20], ["1\u202f234\u202f567", "−20"]),
        ([3.0, np.nan, 12.0], ["3", "–", "12"]),
        ([0.5, np.inf, -np.inf], ["0.500", "∞", "−∞"]),
        ([True, False], ["yes", "no"]),
        (["met", 0.25, None], ["met", "0.250", "–"]),
    ],
)
def test_numbers_of_a_column_line_up(values, shown):
    cells = table_cells(pd.DataFrame({"x": pd.Series(values)}))
    assert [row[0].text for row in cells] == shown


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_cells_sort_by_their_value_whatever_they_show(values):
    cells = table_cells(pd.DataFrame({"x": values}))
    assert [float(row[0].sort) for row in cells] == pytest.approx(values, rel=1e-11)


def test_a_large_report_is_under_15_mb(tmp_path):
    write_report(tmp_path / "report.html", example_report(tmp_path, cases=200, figures=25))
    size = (tmp_path / "report.html").stat().st_size
    assert 3e6 < size < PAGE_BYTES


def test_figures_that_compress_badly_share_the_room(tmp_path, monkeypatch):
    monkeypatch.setattr("cardiac_seg.report.page.page.PAGE_BYTES", 300_000)
    monkeypatch.setattr("cardiac_seg.report.page.page.TEXT_BYTES", 50_000)
    noise = np.random.default_rng(0).integers(0, 256, (150, 750, 3), np.uint8)
    figure = write_figure(tmp_path / "noise", noise)
    sizes = []
    for count in (1, 4):
        sections = [Section("s", "", [figure] * count, [])]
        report = Report("t", "", pd.DataFrame(), None, [], pd.DataFrame(), [], sections, [], "", {})
        write_report(tmp_path / "report.html", report)
        sizes.append((tmp_path / "report.html").stat().st_size)
    assert max(sizes) < 300_000 and sizes[1] < 3 * sizes[0]


def test_line_drawings_are_kept_without_loss(tmp_path):
    lines = np.full((300, 900, 3), 255, np.uint8)
    cv2.putText(lines, "0.912", (50, 150), 0, 3, (178, 114, 0), 5)
    sections = [Section("s", "", [write_figure(tmp_path / "lines", lines)], [])]
    report = Report("t", "", pd.DataFrame(), None, [], pd.DataFrame(), [], sections, [], "", {})
    write_report(tmp_path / "report.html", report)
    image = Page((tmp_path / "report.html").read_text(encoding="utf-8")).attributes("img")[0]
    content = base64.b64decode(image["src"].partition("base64,")[2])
    assert np.array_equal(cv2.imdecode(np.frombuffer(content, np.uint8), 1), lines)
    assert (image["width"], image["height"]) == ("900", "300")
    assert image["style"] == "--shown-width: 432px"  # 3 inches


def test_a_report_without_cases_or_findings_is_written(tmp_path):
    empty = Report("Title", "", pd.DataFrame(), None, [], pd.DataFrame(), [], [], [], "", {})
    write_report(tmp_path / "report.html", empty)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Nothing." in page.texts and not page.attributes("table")
    links = {a["href"][1:] for a in page.attributes("a")}
    assert links == {"summary", "methods", "provenance"}


def test_a_case_may_have_no_picture_and_no_scores(tmp_path):
    rows = [CaseRow("a", "p", "", {}, b"", "cases/a.png", "file cannot be read")]
    report = Report("Title", "", pd.DataFrame(), None, [], pd.DataFrame(), [], [], rows, "", {})
    write_report(tmp_path / "report.html", report)
    assert "file cannot be read" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_is_no_picture_is_said(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    for png in (broken, tmp_path / "none.png"):
        sections = [Section("s", "", [Figure("f", "", png, png)], [])]
        with pytest.raises(UserError, match=png.name):
            write_report(
                tmp_path / "report.html",
                Report("t", "", pd.DataFrame(), None, [], pd.DataFrame(), [], sections, [], "", {}),
            )
    row = CaseRow("a", "p", "", {}, b"GIF89a", "cases/a.png")
    with pytest.raises(ValueError, match="GIF89a"):
        write_report(
            tmp_path / "report.html",
            Report("t", "", pd.DataFrame(), None, [], pd.DataFrame(), [], [], [row], "", {}),
        )
    assert not (tmp_path / "report.html").exists()


def test_an_unknown_status_is_refused():
    with pytest.raises(ValueError, match="'fine'"):
        Verdict("Question?", "Answer", "fine")
