"""How numbers are written, on the page and in plain text."""

import re

import numpy as np
import pandas as pd
import pytest

from cardiac_seg.report.page.page import table_cells
from cardiac_seg.system.numbers import interval_text, number_text, plain_interval, plain_text

PAIRS = [(-0.0123, -0.02, 0.004), (0.5, 0.25, 0.75), (-0.00001, -0.1, -0.00001)]


@pytest.mark.parametrize(("value", "low", "high"), [*PAIRS, (0.1, np.nan, np.nan)])
def test_a_sentence_of_the_page_is_made_plain(value, low, high):
    sentence = f"worse: {number_text(value, 4, '+')} {interval_text(low, high, 4, '+')}, a [b, c]"
    assert "-" not in sentence
    expected = f"worse: {value:+z.4f} {plain_interval(low, high, 4, '+')}, a [b, c]"
    assert plain_text(sentence) == expected


@pytest.mark.parametrize("kind", ["mri", "echo"])
def test_the_page_writes_a_true_minus_and_plain_text_a_hyphen(kind, request):
    analysis = request.getfixturevalue(kind).folder / "analysis"
    page = (analysis / "report.html").read_text()
    verdicts = page[page.index('class="verdicts"', page.index('id="summary"')) :]
    verdicts = verdicts[: verdicts.index("</ul>")]
    assert re.findall(r"(?<![\w.])-\d", re.sub(r"<[^>]*>", "", verdicts)) == []
    assert re.search(r"[+\u2212]\d", verdicts)  # there are signed numbers
    assert "\u2212" not in (analysis / "summary_report.txt").read_text()


def test_what_a_table_has_not_is_one_sign_on_the_page():
    frame = pd.DataFrame({"target": ["LV", "RV"], "value": [0.5, np.nan], "met": ["met", "-"]})
    _, (_, value, met) = table_cells(frame)
    assert value == met and met.status == "undefined"
