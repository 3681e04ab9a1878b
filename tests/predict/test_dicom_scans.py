"""`predict` on DICOM: cines, clips, segmentations, and nobody's name."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tests.support.dicom_files import CANARY, FRAME, region, write_clip, write_stack
from tests.support.scans import PLACE, RADII, apical, of, predict, save, stack, stored, summary
from tests.support.stub_run import SPACING


def another_series(dataset, phase, k):
    """Makes an image of `write_stack` one of another series."""
    dataset.SeriesInstanceUID += ".9"
    dataset.StudyInstanceUID += ".9"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = (
        f"{dataset.SeriesInstanceUID}.{phase + 1}.{k + 1}"
    )


@pytest.fixture
def series(tmp_path):
    """A folder with a cine of four slices in seven phases, a file an image."""
    cine = np.stack([stack(radius) for radius in RADII])
    folder = write_stack(tmp_path / "in" / "sax", stored(cine), spacing=PLACE)
    return folder, cine


def test_a_dicom_cine_comes_back_in_the_patients_space(series, mri_run, tmp_path):
    folder, cine = series
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--overlay") == 0
    mask = nib.load(tmp_path / "out" / "sax.nii.gz")
    assert mask.shape == (64, 64, 4, 7)
    row = summary(tmp_path / "out").loc["sax"]
    assert (row.ed_phase, row.es_phase, row.heart_rate) == (1, 4, 75)
    assert row.lv_edv_ml == pytest.approx(of(cine[0]), abs=0.01)
    assert row.cardiac_output_l_min == pytest.approx(0.075 * (of(cine[0]) - of(cine[3])), abs=0.01)
    # SimpleITK reads slices and mask by itself: the same voxels in the same places.
    reader = sitk.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(folder))
    headers = [sitk.ReadImage(name) for name in names]
    labels = np.asarray(mask.dataobj)
    for header in headers:
        index = np.linalg.inv(mask.affine) @ (np.array([*header.GetOrigin(), 1.0]) * (-1, -1, 1, 1))
        assert index[:3] == pytest.approx(np.rint(index[:3]), abs=0.01 / 8)
        k = round(float(index[2]))
        corner = header.TransformIndexToPhysicalPoint((63, 63, 0))
        ours = mask.affine @ (63, 63, k, 1)
        assert ours[:3] * (-1, -1, 1) == pytest.approx(corner, abs=0.01)
        grey = sitk.GetArrayFromImage(header)[0]
        phase = round((float(header.GetMetaData("0018|1060")) - 30) / 250)
        assert np.array_equal(labels[:, :, k, phase].T, np.rint((grey + 20) / 50))


def test_a_dicom_stack_along_whole_axes_is_taken_as_a_viewer_shows_it(ensemble, tmp_path):
    write_stack(
        tmp_path / "in", stored(stack(12)[None]), spacing=PLACE, orientation=(1, 0, 0, 0, 1, 0)
    )
    assert np.array_equal(ensemble.predict(tmp_path / "in").mask, stack(12))


def test_segmentations_name_their_images(series, mri_run, tmp_path):
    from pydicom import dcmread

    folder, cine = series
    assert predict(mri_run, folder, tmp_path / "out") == 0
    found = sorted((tmp_path / "out").glob("*_seg.dcm"))
    assert len(found) == len(RADII)
    sources = {str(dcmread(p).SOPInstanceUID) for p in folder.iterdir()}
    for phase, path in enumerate(found):
        segmentation = dcmread(path)
        assert segmentation.Modality == "SEG" and segmentation.FrameOfReferenceUID == FRAME
        named = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
        assert len(named) == 4 and {str(i.ReferencedSOPInstanceUID) for i in named} <= sources
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        assert (pixels > 0).sum() == (cine[phase] > 0).sum()


def test_a_segmentation_lies_where_its_images_do(mri_run, tmp_path):
    """Slices that run the other way than those the networks see: voxel by voxel."""
    from pydicom import dcmread

    cine = np.stack([stack(13), stack(9)])
    write_stack(tmp_path / "in" / "sax", stored(cine), spacing=PLACE)
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    mask = nib.load(tmp_path / "out" / "sax.nii.gz")
    to_index = np.linalg.inv(mask.affine)
    for phase in (0, 1):
        labels = np.zeros(mask.shape[:3], np.uint8)
        segmentation = dcmread(tmp_path / "out" / f"sax_phase0{phase + 1}_seg.dcm")
        names = {s.SegmentNumber: s.SegmentLabel for s in segmentation.SegmentSequence}
        frames = np.atleast_3d(segmentation.pixel_array)
        for frame, groups in zip(
            frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True
        ):
            place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
            k = round((to_index @ [*(place * (-1, -1, 1)), 1])[2])
            number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            label = ("RV cavity", "LV myocardium", "LV cavity").index(names[number]) + 1
            labels[:, :, k][frame.T > 0] = label
        assert np.array_equal(labels, np.asarray(mask.dataobj)[..., phase])


@pytest.mark.parametrize(
    "values",
    [{"NominalInterval": -800}, {"SliceThickness": -8}],
)
def test_senseless_numbers_of_a_header_count_as_missing(values, ensemble, tmp_path):
    def edit(dataset, phase, k):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    write_stack(tmp_path / "in", stored(stack(12)[None, :1]), edit, spacing=PLACE)
    result = ensemble.predict(tmp_path / "in")
    assert result.scan.heart_rate in (None, 75) and result.scan.spacing[0] > 0


def test_images_that_a_segmentation_cannot_name_still_have_a_mask(mri_run, tmp_path, capsys):
    def edit(dataset, phase, k):
        del dataset.FrameOfReferenceUID

    write_stack(tmp_path / "in" / "sax", stored(stack(12)[None]), edit, spacing=PLACE)
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    assert (tmp_path / "out" / "sax.nii.gz").is_file()
    assert "without a DICOM segmentation" in capsys.readouterr().err


@pytest.mark.parametrize("place", [(10, 3, 2), (0, 3, 2)])
def test_a_given_spacing_is_measured_with_but_masks_lie_on_their_images(place, mri_run, tmp_path):
    write_stack(tmp_path / "in" / "sax", stored(stack(12)[None]), spacing=PLACE)
    save(tmp_path / "in" / "b.nii.gz", stack(12))
    switch = ",".join(map(str, [*place[1:], *([place[0]] if place[0] else [])]))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--spacing", switch) == 0
    table = summary(tmp_path / "out")
    assert table.lv_ml["sax"] == pytest.approx(table.lv_ml["b"], rel=0.2)  # rows are not columns
    for name in ("sax", "b"):
        zooms = nib.load(tmp_path / "out" / f"{name}.nii.gz").header.get_zooms()
        assert zooms[:3] == pytest.approx((SPACING, SPACING, 8))
        mask = np.asarray(nib.load(tmp_path / "out" / f"{name}.nii.gz").dataobj)
        voxel = (place[0] or 8) * 3 * 2 / 1000
        assert table.lv_ml[name] == pytest.approx((mask == 3).sum() * voxel, abs=0.01)


def test_a_clip_of_colour_frames(echo_run, tmp_path):
    clip = np.stack([apical(radius) for radius in RADII])
    colour = np.repeat(60 * clip[..., None], 3, axis=-1)
    write_clip(tmp_path / "in" / "p3_4CH.dcm", colour, [region(SPACING, SPACING)])
    assert predict(echo_run, tmp_path / "in", tmp_path / "out") == 0
    mask = nib.load(tmp_path / "out" / "p3_4CH.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj)[:, :, 0].T, clip)
    row = summary(tmp_path / "out").loc["p3_4CH"]
    assert (row.ed_phase, row.es_phase, row.method) == (1, 4, "monoplane 4CH")
    assert row.heart_rate == 66


def test_an_ultrasound_clip_is_refused_by_an_mri_run(mri_run, tmp_path, capsys):
    write_clip(tmp_path / "in" / "clip.dcm", 60 * apical(12)[None].repeat(3, 0))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "ultrasound" in error and "MR" in error


def test_a_mixed_tree(series, mri_run, tmp_path, capsys):
    """NIfTI and DICOM together; names that meet; notes between; a file that is broken."""
    folder, cine = series
    root = tmp_path / "in"
    save(root / "sax.nii.gz", cine[0])
    write_stack(root / "deep" / "er", stored(cine[:1]), another_series, spacing=PLACE)
    (root / "notes.txt").write_text("seen")
    (root / "broken.dcm").write_bytes(b"not DICOM")
    assert predict(mri_run, root, tmp_path / "out") == 1
    table = summary(tmp_path / "out")
    assert sorted(table.index) == ["broken", "deep/er", "sax", "sax_2"]
    assert table.phases[["deep/er", "sax", "sax_2"]].tolist() == [1, 1, 7]
    assert "broken.dcm" in capsys.readouterr().err


def test_no_patient_in_what_people_pass_on(series, mri_run, tmp_path, capfd):
    folder, _ = series
    (folder / "I001").unlink()  # a slice is missing in one phase: an error
    write_stack(tmp_path / "in" / "whole", stored(series[1]), another_series, spacing=PLACE)
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--overlay", "--members") == 1
    said = "".join(capfd.readouterr())
    written = [p for p in (tmp_path / "out").rglob("*") if p.is_file() and p.suffix != ".dcm"]
    assert any(p.suffix == ".png" for p in written)
    for name in CANARY.values():
        assert name not in said
        for path in written:
            data = path.read_bytes()
            if path.suffix == ".gz":
                data = nib.load(path).header.binaryblock
            assert name.encode() not in data, path.name
