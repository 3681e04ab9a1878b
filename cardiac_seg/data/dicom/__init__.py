"""DICOM files: images in, segmentations out."""
