"""A member whose softmax maps another program made, as nnU-Net v2."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.config.sections import Config
from cardiac_seg.data.modality import Modality
from cardiac_seg.grid.resample import GridImage, native_grid, regrid
from cardiac_seg.members.external_folder import FoundMap
from cardiac_seg.members.maps import FOLD_MEAN, MemberMap, Provenance
from cardiac_seg.members.softmax_files import read_class_order, read_softmax
from cardiac_seg.system.errors import UserError


@dataclass(frozen=True)
class ExternalMember:
    """See `members.member.Member`.

    Attributes:
        name: Its key in `networks`.
        config: See `Config.for_member`.
        anatomy: The structures that the maps are to show, in label order.
        modality: How the images were made.
        folder: Of the maps; its `dataset.json` tells the order of the classes.
        find: From the name of an image to its maps.
    """

    name: str
    config: Config
    anatomy: Anatomy
    modality: Modality
    folder: Path
    find: Callable[[str], FoundMap]

    def load(self, folds: list[str]) -> "ExternalMapper":
        """See `members.member.Member`; whose map is whose does not depend on the folds."""
        order = read_class_order(self.folder, self.anatomy)
        return ExternalMapper(self, folds[0] if len(folds) == 1 else FOLD_MEAN, order)


@dataclass(frozen=True)
class ExternalMapper:
    """The maps of some folds in use, see `members.member.Mapper`."""

    member: ExternalMember
    fold: str
    order: tuple[int, ...]

    def softmax(self, images: Iterable[GridImage], batch_size: int) -> Iterator[MemberMap]:
        """See `members.member.Mapper`.

        Raises:
            UserError: If an image has no map, is no NIfTI file, or its map is not on its grid.
        """
        for image in images:
            if image.layout is None:
                raise UserError(
                    f"{image.name or 'image'}: no NIfTI file; maps of {self.member.name} lie on "
                    "the grid of one, so convert the image and let it be predicted from there"
                )
            found = self.member.find(image.name)
            native = read_softmax(found.path, image.layout, self.order, self.member.modality)
            maps = regrid(native, native_grid(image.grid), image.grid)
            yield MemberMap(maps, Provenance(self.fold, found.trained_on))
