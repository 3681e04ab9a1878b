"""Every figure, drawn of small tables."""

import pytest

from tests.support.drawn import MODELS, drawn, some_tables


@pytest.fixture(scope="module")
def tables():
    return some_tables(MODELS)


@pytest.fixture(scope="module")
def figures(tables):
    return drawn(tables, MODELS)
