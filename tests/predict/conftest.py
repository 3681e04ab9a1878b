"""Runs whose networks read the label off the image."""

import pytest

from cardiac_seg import Ensemble
from tests.support.stub_run import write_stub_run


@pytest.fixture(scope="session")
def mri_run(tmp_path_factory):
    return write_stub_run(tmp_path_factory.mktemp("mri_run"), "acdc")


@pytest.fixture(scope="session")
def echo_run(tmp_path_factory):
    return write_stub_run(tmp_path_factory.mktemp("echo_run"), "camus")


@pytest.fixture(scope="session")
def ensemble(mri_run):
    return Ensemble.load(mri_run)
