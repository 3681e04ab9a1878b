"""The scans of a study beside each other: ED informs ES, and one view the other."""

from collections.abc import Iterator
from functools import lru_cache

from cardiac_seg.grid.companions import Companions
from cardiac_seg.members.maps import CaseMaps, as_companion
from cardiac_seg.pipeline.companions import KEPT, other_phase, other_view
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
        self.ensemble, self.scans = ensemble, scans
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
        yield self.ensemble.finish(maps, scan, self._companions(scan.files))

    def _companions(self, files: ScanFiles) -> Companions:
        return Companions(
            files.phase,
            *(self._other(find(files, self.scans)) for find in (other_phase, other_view)),
        )

    def _other(self, files: ScanFiles | None):
        """Its maps; None for what is no image of one frame or cannot be read, told on its turn."""
        try:
            maps = None if files is None else self._maps(files)
        except UserError:
            return None
        return None if maps is None else as_companion(maps)

    def _map(self, files: ScanFiles) -> CaseMaps | None:
        scan = open_scan(files, self.ensemble.run.dataset.modality, self.spacing)
        return next(self.ensemble.maps(scan, self.batch_size)) if scan.frames == 1 else None
