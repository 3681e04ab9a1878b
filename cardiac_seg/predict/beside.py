"""The scans of a study beside each other: ED informs ES, and one view the other."""

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache

from cardiac_seg.members.maps import CaseMaps
from cardiac_seg.pipeline.companions import KEPT, companions_of
from cardiac_seg.predict.predictor import Ensemble, FrameResult
from cardiac_seg.predict.scans import Scan, ScanFiles, open_scan
from cardiac_seg.system.errors import UserError


class Studies:
    """Segments scans, each beside the others of its study.

    Images of one frame are mapped once, as long as a study's scans follow each other. A cine has
    both phases in itself; it is seen beside no other scan.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        scans: list[ScanFiles],
        spacing: tuple[float, float, float] | None = None,
        batch_size: int | None = None,
    ):
        self.ensemble = ensemble
        self.studies: dict[str, list[ScanFiles]] = defaultdict(list)
        for files in scans:
            self.studies[files.study].append(files)
        self.spacing, self.batch_size = spacing, batch_size
        self._maps = lru_cache(maxsize=KEPT)(self._map)

    def frames(self, scan: Scan) -> Iterator[FrameResult]:
        """The frames of a scan, segmented.

        Raises:
            UserError: See `Ensemble.frames`.
        """
        if not self.ensemble.uses_companions or scan.frames > 1:
            yield from self.ensemble.frames(scan, self.batch_size)
            return
        maps = self._maps(scan.files)
        assert maps is not None  # a scan of one frame
        companions = companions_of(scan.files, self.studies[scan.files.study], self._other)
        yield self.ensemble.finish(maps, scan, companions)

    def _other(self, files: ScanFiles) -> CaseMaps | None:
        """Its maps; None for what is no image of one frame or cannot be read, told on its turn."""
        try:
            return self._maps(files)
        except UserError:
            return None

    def _map(self, files: ScanFiles) -> CaseMaps | None:
        scan = open_scan(files, self.ensemble.run.dataset.modality, self.spacing)
        return next(self.ensemble.maps(scan, self.batch_size)) if scan.frames == 1 else None
