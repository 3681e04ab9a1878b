"""A dataset of one's own whose structures have no role: three blobs, as stacks and as planes.

What is generic works for it; what needs a part of the heart is left out.
"""

from functools import partial

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from cardiac_seg.__main__ import main
from cardiac_seg.anatomy import COLOUR_CYCLE, Anatomy, Structure
from cardiac_seg.config.loading import load_config
from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.dataset import Dataset
from cardiac_seg.data.modality import ECHO, MRI
from cardiac_seg.data.registry import DATASETS, check_config
from cardiac_seg.masks.postprocessing import STEPS, Postprocessing, possible_steps, postprocess
from cardiac_seg.metrics.indices import possible_indices
from cardiac_seg.metrics.volumes import structure_sizes
from cardiac_seg.pipeline.prepare import find_cases, prepare
from cardiac_seg.run.open import create
from cardiac_seg.system.errors import UserError
from tests.support.stub_run import SPACING, write_stub_run

BLOBS = Anatomy((Structure("left"), Structure("right", colour="#123456"), Structure("both")))
SLICES = {3: 4, 2: 1}


def blobs(ndim):
    """(slices, 64, 64) uint8: squares of 100, 64 and 36 pixels in each slice."""
    label = np.zeros((SLICES[ndim], 64, 64), np.uint8)
    label[:, 5:15, 5:15], label[:, 30:38, 30:38], label[:, 50:56, 10:16] = 1, 2, 3
    return label


def write_blobs(root, ndim, patients=8):
    for k in range(patients):
        for name, array in ((f"p{k}", blobs(ndim) * 50 + k), (f"p{k}_label", blobs(ndim))):
            stored = array.T if ndim == 3 else array[0].T
            affine = np.diag([SPACING, SPACING, 8, 1])
            nib.save(nib.Nifti1Image(stored.astype(np.int16), affine), root / f"{name}.nii.gz")


def find_blobs(modality, root, views, phases):
    images = sorted(path for path in root.glob("p*.nii.gz") if "label" not in path.name)
    return [
        CaseFile(
            name=(patient := image.name.removesuffix(".nii.gz")),
            patient=patient,
            image_path=image,
            label_path=root / f"{patient}_label.nii.gz",
            root=root,
            modality=modality,
        )
        for image in images
    ]


@pytest.fixture(params=[MRI, ECHO], ids=["stacks", "planes"])
def own(request, monkeypatch, tmp_path):
    """The dataset, registered, and its folder."""
    dataset = Dataset("blobs", request.param, BLOBS, partial(find_blobs, request.param))
    monkeypatch.setitem(DATASETS, dataset.name, dataset)  # the one line
    root = tmp_path / "data"
    root.mkdir()
    write_blobs(root, dataset.modality.ndim)
    return dataset, root


def config_of(tmp_path, root, **sections):
    path = tmp_path / "blobs.yaml"
    data = {"dataset": "blobs", "root": str(root), "cache": str(tmp_path / "cache")}
    preprocess = {"spacing": SPACING, "size": [64, 64]}
    path.write_text(yaml.safe_dump({"data": data, "preprocess": preprocess} | sections))
    config = load_config(path)
    check_config(config)
    return config


def test_its_cases_are_found_split_and_cached(own, tmp_path):
    dataset, root = own
    run = create(config_of(tmp_path, root, stacking={"learners": []}), tmp_path / "run")
    files = find_cases(run)
    cache = prepare(run, files).cache
    case = cache.cases["p0"]
    assert len(files) == len(cache.cases) == 8 and run.dataset is dataset
    assert np.array_equal(cache.label(case), blobs(dataset.modality.ndim))
    assert case.class_pixels[0] == [64 * 64 - 200, 100, 64, 36]
    assert set(run.split().subset) == {"train", "validation", "test"}


def test_postprocessing_leaves_the_heart_out(own):
    dataset, _ = own
    assert possible_steps(dataset.anatomy) == tuple(s for s in STEPS if s != "heart")
    mask = blobs(dataset.modality.ndim)
    mask[0, 60:62, 60:62] = 1  # a speck
    chosen = Postprocessing(dict.fromkeys(possible_steps(dataset.anatomy), [1, 2, 3]))
    assert np.array_equal(postprocess(mask, chosen), blobs(dataset.modality.ndim))


def test_its_sizes_are_volumes_or_areas(own):
    dataset, _ = own
    ndim = dataset.modality.ndim
    sizes = structure_sizes(blobs(ndim), (8, SPACING, SPACING), dataset.anatomy, ndim)
    pixel = SPACING**2 * 8 * SLICES[3] / 1000 if ndim == 3 else SPACING**2 / 100
    assert sizes == pytest.approx({"left": 100 * pixel, "right": 64 * pixel, "both": 36 * pixel})
    assert possible_indices(dataset.anatomy, ndim) == []


def test_a_structure_without_a_colour_takes_a_free_one():
    assert BLOBS.colours == {
        "left": COLOUR_CYCLE[0],
        "right": "#123456",
        "both": COLOUR_CYCLE[1],
    }


def test_predict_gives_masks_and_sizes_and_no_index(own, tmp_path):
    dataset, root = own
    unit = dataset.modality.size_key
    run = write_stub_run(tmp_path / "stub", "blobs")
    (tmp_path / "new").mkdir()
    label = blobs(dataset.modality.ndim)  # grey values that the networks take for labels
    stored = label.T if dataset.modality.ndim == 3 else label[0].T
    image = nib.Nifti1Image(stored.astype(np.int16), np.diag([SPACING, SPACING, 8, 1]))
    nib.save(image, tmp_path / "new" / "p9.nii.gz")
    out = tmp_path / "out"
    options = ["--output", str(out), "--overlay"]
    assert main(["predict", str(run), str(tmp_path / "new"), *options]) == 0
    mask = np.asarray(nib.load(out / "p9.nii.gz").dataobj)
    assert np.array_equal(mask, stored)
    row = pd.read_csv(out / "summary.csv").iloc[0]
    sizes = structure_sizes(label, (8, SPACING, SPACING), dataset.anatomy, dataset.modality.ndim)
    assert row[f"left_{unit}"] == pytest.approx(sizes["left"], abs=0.01)
    assert row.method.startswith("none") and not any("lv_" in column for column in row.index)


def test_settings_that_its_images_cannot_have_are_refused(own, tmp_path):
    dataset, root = own
    wrong = [({"split": {"scheme": "official"}}, "no official split")]
    if dataset.modality is ECHO:
        wrong.append(({"augment": {"symmetry": "dihedral"}}, "upside down"))
    else:
        wrong.append(({"augment": {"shadow": 0.2}}, "acoustic shadows"))
    for sections, words in wrong:
        with pytest.raises(UserError, match=words):
            config_of(tmp_path, root, **sections)


@pytest.mark.parametrize(
    "structures",
    [(), (Structure("a"), Structure("a")), (Structure("background"),)]
    + [(Structure("a", "la"), Structure("b", "la"))],
)
def test_a_label_set_that_contradicts_itself_is_refused(structures):
    with pytest.raises(ValueError, match="expected one or more"):
        Anatomy(structures)
