"""A method that looks at the other images of a patient, in use: folders, cines, single images."""

from dataclasses import replace

import numpy as np
import pytest

from cardiac_seg import Ensemble
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.meta.features.feature_set import feature_set
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.predict.beside import Studies
from cardiac_seg.predict.scans import find_scans, open_scan
from tests.support.scans import RADII, apical, save, stack


def looking(run, groups=("phase",)):
    """The run's ensemble with a learner that notes its features and says what the mean says."""
    ensemble, seen = Ensemble.load(run), []
    config = ensemble.run.config
    settings = config.stacking.model_copy(update={"features": list(groups)})
    features = feature_set(settings, config.members, ensemble.run.dataset)
    probability = features.columns("probability")

    def model(values):
        seen.append(dict(zip(features.names, values.T, strict=True)))
        return values[:, probability].reshape(len(values), 2, 4).mean(1)

    learner = Learner(features.names, 4, 0.0, model)
    ensemble.combiner = Combiner(tuple(config.members), features, 1.0, learners={"noting": learner})
    ensemble.method = "noting"
    return ensemble, seen


def of_frame(values, structure="LV"):
    """Pixels of a structure in the frame itself, in the other phase, and which phase it is."""
    members = [v for name, v in values.items() if name.endswith(f" {structure}") and "prob" in name]
    return (
        int((np.mean(members, axis=0) > 0.5).sum()),
        np.nan_to_num((values[f"phase: other {structure}"] > 0.5).sum() or np.nan),
        values["phase: ES"][0],
    )


def frames_of(ensemble, source):
    scans = find_scans(source)
    studies = Studies(ensemble, scans)
    modality = ensemble.run.dataset.modality
    return {s.name: list(studies.frames(open_scan(s, modality))) for s in scans}


def lv(planes):
    return int((planes == 3).sum())


def test_both_phases_in_a_folder_inform_each_other(mri_run, tmp_path):
    ed, es = stack(13), stack(9)
    save(tmp_path / "x_ED.nii.gz", ed)
    save(tmp_path / "x_ES.nii.gz", es)
    ensemble, seen = looking(mri_run)
    frames = frames_of(ensemble, tmp_path)
    assert [of_frame(values) for values in seen] == [(lv(ed), lv(es), 0), (lv(es), lv(ed), 1)]
    assert np.array_equal(frames["x_ED"][0].mask, ed)


def test_an_image_by_itself_has_no_companion(mri_run, tmp_path):
    save(tmp_path / "x_ED.nii.gz", stack(13))
    save(tmp_path / "y_ES.nii.gz", stack(9))  # of another patient
    ensemble, seen = looking(mri_run)
    frames_of(ensemble, tmp_path)
    assert [of_frame(values)[1:] for values in seen] == [(0, 0), (0, 1)]
    assert all(np.isnan(values["phase: other LV"]).all() for values in seen)
    seen.clear()
    ensemble.predict(tmp_path / "x_ED.nii.gz")
    assert np.isnan(seen[0]["phase: other LV"]).all()


def test_a_companion_that_cannot_be_read_is_none(mri_run, tmp_path):
    save(tmp_path / "x_ED.nii.gz", stack(13))
    save(tmp_path / "x_ES.nii.gz", stack(9)).write_bytes(b"no image")
    ensemble, seen = looking(mri_run)
    scans = find_scans(tmp_path)
    list(Studies(ensemble, scans).frames(open_scan(scans[0], ensemble.run.dataset.modality)))
    assert np.isnan(seen[0]["phase: other LV"]).all()


def test_a_frame_of_a_cine_is_seen_beside_the_opposite_extreme(mri_run, tmp_path):
    cine = np.stack([stack(radius) for radius in RADII])
    save(tmp_path / "cine.nii.gz", cine)
    ensemble, seen = looking(mri_run)
    frames_of(ensemble, tmp_path)
    sizes = [lv(frame) for frame in cine]
    middle = (max(sizes) + min(sizes)) / 2
    wanted = [(n, min(sizes), 0) if n > middle else (n, max(sizes), 1) for n in sizes]
    assert [of_frame(values) for values in seen] == wanted
    assert {phase for *_, phase in wanted} == {0, 1}


def test_echo_views_tell_each_other_their_sizes(echo_run, tmp_path):
    radii = {"2CH_ED": 14, "2CH_ES": 10, "4CH_ED": 12}
    for name, radius in radii.items():
        save(tmp_path / f"x_{name}.nii.gz", apical(radius)[None])
    ensemble, seen = looking(echo_run, ["phase", "sizes"])
    frames = frames_of(ensemble, tmp_path)
    cm2 = {name: (frames[f"x_{name}"][0].mask == 1).sum() * 1.5**2 / 100 for name in radii}
    found = {
        name: [values[f"sizes: LV cm2{of}"][0] for of in ("", " other phase", " other view")]
        for name, values in zip(radii, seen, strict=True)
    }
    assert found["2CH_ED"] == pytest.approx([cm2["2CH_ED"], cm2["2CH_ES"], cm2["4CH_ED"]])
    assert found["2CH_ES"][:2] == pytest.approx([cm2["2CH_ES"], cm2["2CH_ED"]])
    assert np.isnan(found["2CH_ES"][2]) and np.isnan(found["4CH_ED"][1])


def test_a_method_that_looks_at_one_image_holds_no_other_in_memory(mri_run, tmp_path):
    cine = np.stack([stack(radius) for radius in RADII])
    save(tmp_path / "cine.nii.gz", cine)
    ensemble, seen = looking(mri_run, ["margin"])
    assert not ensemble.uses_companions
    scan = open_scan(find_scans(tmp_path)[0], ensemble.run.dataset.modality)
    next(ensemble.frames(scan))
    assert len(seen) == 1
    core = replace(
        ensemble.combiner.learners["noting"], features=ensemble.combiner.features.core().names
    )
    beside, _ = looking(mri_run)
    beside.combiner = replace(beside.combiner, learners={"noting": core})
    assert not beside.uses_companions
