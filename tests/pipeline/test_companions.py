"""The other images of a patient, from the maps of a run: who is shown beside whom."""

import dataclasses

import numpy as np
import pytest

from cardiac_seg.data.split import fold_patients
from cardiac_seg.members.maps import Provenance, read_maps, write_maps
from cardiac_seg.meta.fit import collect_pixels
from cardiac_seg.pipeline import development
from cardiac_seg.pipeline.companions import other_phase, other_view
from cardiac_seg.pipeline.cross_fit import cross_fit
from cardiac_seg.pipeline.development import (
    UnseenMaps,
    development_files,
    draw_samples,
    folds_of,
)
from cardiac_seg.pipeline.maps import write_development_maps
from cardiac_seg.run.meta_folder import plain_combiner
from cardiac_seg.system.errors import UserError


@dataclasses.dataclass(frozen=True)
class Image:
    patient: str
    view: str = ""
    phase: str = ""


def test_the_other_phase_is_of_the_same_patient_and_view():
    images = [Image(p, v, f) for p in "ab" for v in ("2CH", "4CH") for f in ("ED", "ES")]
    assert other_phase(images[0], images) == Image("a", "2CH", "ES")
    assert other_view(images[0], images) == Image("a", "4CH", "ED")
    assert other_phase(Image("c", "2CH", "ED"), images) is None
    assert other_phase(Image("a", "2CH"), images) is None  # which phase it is itself is unknown
    assert other_view(Image("a", "", "ED"), [Image("a", "", "ES")]) is None
    assert other_phase(images[0], [*images, images[1]]) is None  # two: not clear which is meant


@pytest.fixture
def mapped(prepared):
    def make(scheme):
        run, data, _ = prepared(stacking__scheme=scheme)
        write_development_maps(run, data)
        return run, development_files(run, data)

    return make


@pytest.mark.parametrize("scheme", ["holdout", "out_of_fold", "both"])
def test_both_phases_of_a_patient_are_always_on_the_same_side(mapped, scheme, monkeypatch):
    run, files = mapped(scheme)
    folds, opened = folds_of(run, files), []
    read = development.read_case_maps
    monkeypatch.setattr(
        development, "read_case_maps", lambda run, name: opened.append(name) or read(run, name)
    )

    def patients_opened(cases):
        opened.clear()
        shown = list(UnseenMaps(run, cases, companions=True))
        assert all(maps.companions.other_phase is not None for maps in shown)
        return {name.split("_")[0] for name in opened}

    for fold, (fitted_on, scored) in cross_fit(
        folds, patients_opened, lambda a, b: (a, patients_opened(b))
    ):
        of_fold = {file.patient for file in folds[fold]}
        assert scored == of_fold and fitted_on == {f.patient for f in files} - of_fold
        assert not fitted_on & scored


def test_a_case_is_shown_beside_the_maps_of_its_other_phase(mapped):
    run, files = mapped("holdout")
    by_name = {maps.name: maps for maps in UnseenMaps(run, files, companions=True)}
    for file in files:
        beside = by_name[file.name].companions
        other = by_name[f"{file.patient}_{'ES' if file.phase == 'ED' else 'ED'}"]
        assert beside.phase == file.phase and beside.other_view is None
        for member, probabilities in other.probabilities.items():
            assert np.array_equal(beside.other_phase.probabilities[member], probabilities)
        assert beside.other_phase.grid == other.grid


def test_a_companion_by_a_network_that_knows_the_patient_is_refused(mapped):
    run, files = mapped("holdout")
    ed = files[0]
    es = next(f for f in files if f.patient == ed.patient and f.phase != ed.phase)
    maps = read_maps(run.map(es.name), run.config.members)
    trained_on = frozenset(fold_patients(run.split(), "full", "holdout")[0] | {ed.patient})
    known = {
        m: dataclasses.replace(one, provenance=Provenance("full", trained_on))
        for m, one in maps.maps.items()
    }
    write_maps(run.map(es.name), dataclasses.replace(maps, maps=known))
    with pytest.raises(UserError, match="says of unet_advanced, full, what the run's split"):
        next(iter(UnseenMaps(run, [ed, es], companions=True)))


def test_both_phases_of_a_patient_count_as_one_patient_of_a_leaf(mapped):
    run, files = mapped("holdout")
    plain = plain_combiner(run)
    pixels = collect_pixels(plain, UnseenMaps(run, files), draw_samples(run, files))
    patient_of = {k: {*pixels.patients[pixels.cases == k]} for k in range(len(files))}
    assert all(len(numbers) == 1 for numbers in patient_of.values())
    for one, k in zip(files, patient_of, strict=True):
        for other, n in zip(files, patient_of, strict=True):
            assert (patient_of[k] == patient_of[n]) == (one.patient == other.patient)
