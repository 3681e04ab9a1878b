"""What the tests share: small phantoms to read, and copies of them to damage."""

# ruff: noqa: E402  the number of threads must be set before TensorFlow is imported
import os

# Arrays are tiny: threads that wait for one another cost more than they do. Processes that the
# tests start inherit it, and so compute alike.
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import resource
import shutil
import socket

import pytest
from hypothesis import settings
from sklearn import ensemble  # noqa: F401  its threads must be there to be limited
from threadpoolctl import threadpool_limits

# Before the first import of Keras: processes that the tests start must compute alike.
import cardiac_seg.system.backend  # noqa: F401  isort: skip
import keras

import train_ensemble
from cardiac_seg.data.phantoms.dataset import write_phantoms
from tests.support.little_training import eagerly
from tests.support.made_once import made_once
from tests.support.stacking_runs import (  # noqa: F401  fixtures
    cache_of_small,
    prepared,
    stacked,
    stacked_once,
)

TINY = """
data: {dataset: acdc, root: %s, cache: %s}
split: {validation: 0.25, test: 0.25, folds: 2}
preprocess: {spacing: 5.0, size: [32, 32]}
augment: {rotation: 10, symmetry: horizontal}
predict: {mirror: horizontal}
networks:
  unet_advanced: {filters: 4}
  deep_unet_improved: {filters: 4}
stacking:
  pixels_per_case: 500
  learners: [weighted_mean, logistic, random_forest, boosted_mean]
  random_forest: {trees: 5}
  boosted_mean: {rounds: 5, leaves: [4], min_samples_leaf: 50}
train: {precision: float32, batch_size: 32, epochs: 2, warmup: 1, learning_rate: 0.01}
"""

# Patients are measured and drawn in the tests' own process, where they can be watched.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("steady")


WHOLE_RUNS = ("test_whole_run", "test_folds", "test_training", "test_benchmarks")  # minutes each


def pytest_collection_modifyitems(items):
    """The longest files first, so that two workers end at the same time."""
    order = {name: k for k, name in enumerate(WHOLE_RUNS)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_terminal_summary(terminalreporter):
    """What the tests cost; the runs that `test_reliability.py` forks and kills are not in it."""
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    minutes = sum(part.ru_utime + part.ru_stime for part in used) / 60
    terminalreporter.write_line(f"CPU time: {minutes:.1f} min")


@pytest.fixture(autouse=True, scope="session")
def one_openmp_thread():
    """Boosting's threads wait busily; on small examples, waiting is all they do."""
    with threadpool_limits(1, "openmp"):
        yield


@pytest.fixture(autouse=True)
def float32():
    """A test that computes in bfloat16 leaves nothing of it to the next one."""
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(autouse=True, scope="session")
def no_network():
    """Nothing here may need the network at run time."""
    connect = socket.socket.connect

    def only_here(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise RuntimeError(f"no network in tests: {address}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", only_here)
        yield


@pytest.fixture(scope="session")
def mri_root(tmp_path_factory):
    """Eight MRI patients in the ACDC layout; read only."""
    return made_once(tmp_path_factory, "mri", lambda root: write_phantoms(root, 8, "mri", seed=1))


@pytest.fixture(scope="session")
def echo_root(tmp_path_factory):
    """Eight echo patients in the CAMUS layout; read only."""
    return made_once(tmp_path_factory, "echo", lambda root: write_phantoms(root, 8, "echo", seed=1))


@pytest.fixture
def mri_copy(mri_root, tmp_path):
    """Two MRI patients that a test may damage."""
    for name in ("patient001", "patient002"):
        shutil.copytree(mri_root / "training" / name, tmp_path / "acdc" / "training" / name)
    return tmp_path / "acdc"


@pytest.fixture
def echo_copy(echo_root, tmp_path):
    """One echo patient, with the three split files of all eight, that a test may damage."""
    for name in ("database_nifti/patient0001", "database_split"):
        shutil.copytree(echo_root / name, tmp_path / "camus" / name)
    return tmp_path / "camus"


@pytest.fixture(scope="session")
def config_file(mri_root, tmp_path_factory):
    """Two tiny networks, two epochs; the cache beside it is made once."""

    def make(folder):
        (folder / "tiny.yaml").write_text(TINY % (mri_root, folder / "cache"))

    return made_once(tmp_path_factory, "config", make) / "tiny.yaml"


@pytest.fixture(scope="session")
def finished(config_file, tmp_path_factory):
    """A whole run of the real networks, trained for two epochs; read only."""

    def make(folder):
        command = ["--config", str(config_file), "--run-dir", str(folder / "run")]
        with eagerly():
            assert train_ensemble.main([*command, "--stage", "prepare"]) == 0
            assert train_ensemble.main([*command, "--stage", "train"]) == 0
        assert train_ensemble.main(command) == 0

    return made_once(tmp_path_factory, "finished", make) / "run"
