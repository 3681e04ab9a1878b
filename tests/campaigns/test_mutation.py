"""The mutation campaign fits the code as it is: it runs too long to be run with every change."""

import pytest

from tests.campaigns.mutation import BREAKS
from tests.support.paths import REPO


@pytest.mark.parametrize("one", BREAKS, ids=lambda one: one.what)
def test_each_line_to_break_is_there_once_and_so_are_its_tests(one):
    assert (REPO / "cardiac_seg" / one.module).read_text().count(one.line) == 1
    assert all((REPO / "tests" / name).is_file() for name in one.tests.split())
