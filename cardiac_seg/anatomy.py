"""The structures that are segmented: what they are called, what part they play, how they are drawn.

Code that needs a particular structure asks a label set for its role, never for its name or number:
a dataset may number its structures as it likes, call them by other names, or have none of the roles
at all (then what needs the role is left out).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

Role = Literal["lv_cavity", "myocardium", "rv_cavity", "la"]
Value = TypeVar("Value")

# Colour-blind safe, in the order in which structures without a colour take them: Okabe and Ito's,
# then Paul Tol's muted ones.
COLOUR_CYCLE = (
    *("#0072B2", "#009E73", "#D55E00", "#CC79A7"),
    *("#332288", "#882255", "#44AA99", "#999933", "#AA4499", "#DDCC77"),
)
RESERVED_NAMES = ("background", "mean")  # rows of the tables beside the structures


@dataclass(frozen=True)
class Structure:
    """One structure.

    Attributes:
        name: As tables, figures and columns call it.
        role: What it is to the heart, or None.
        colour: `#RRGGBB`, the same in every figure; None: the next of `COLOUR_CYCLE`.
        title: As a DICOM segment is labelled; empty: the name.
        dicom_code: Value, coding scheme and meaning of what a DICOM segment shows.
    """

    name: str
    role: Role | None = None
    colour: str | None = None
    title: str = ""
    dicom_code: tuple[str, str, str] = ("91723000", "SCT", "Anatomical structure")


# DICOM's CID 7151 has the ventricles whole. Beside a segment of the myocardium, which has its code
# from CID 12305, theirs stand for the cavities, as the titles say.
RV = Structure("RV", "rv_cavity", "#0072B2", "RV cavity", ("53085002", "SCT", "Right ventricle"))
MYO = Structure(
    *("MYO", "myocardium", "#009E73", "LV myocardium"),
    ("49848007", "SCT", "Left Ventricle Myocardium"),
)
LV = Structure("LV", "lv_cavity", "#D55E00", "LV cavity", ("87878005", "SCT", "Left ventricle"))
LA = Structure("LA", "la", "#CC79A7", "LA cavity", ("82471001", "SCT", "Left atrium"))


@dataclass(frozen=True)
class Anatomy:
    """A label set: label 1 is the first structure, label 2 the second; 0 is background.

    Attributes:
        structures: In label order.

    Raises:
        ValueError: If there is no structure, or a name or role is there twice or reserved.
    """

    structures: tuple[Structure, ...]

    def __post_init__(self) -> None:
        """Refuses a label set that contradicts itself."""
        roles = [s.role for s in self.structures if s.role]
        taken = [*self.names, *RESERVED_NAMES]
        if not self.structures or len(set(taken)) < len(taken) or len(set(roles)) < len(roles):
            raise ValueError(
                f"structures {', '.join(self.names) or 'missing'}; expected one or more, each name "
                f"and role once, and none called {' or '.join(RESERVED_NAMES)}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of label 1, 2, 3, ... in that order."""
        return tuple(structure.name for structure in self.structures)

    @property
    def colours(self) -> dict[str, str]:
        """Name -> `#RRGGBB`, in label order."""
        chosen = {s.name: s.colour for s in self.structures}
        free = [c for c in COLOUR_CYCLE if c not in chosen.values()] or list(COLOUR_CYCLE)
        bare = [name for name, colour in chosen.items() if colour is None]
        drawn = {name: free[i % len(free)] for i, name in enumerate(bare)}
        return {name: colour or drawn[name] for name, colour in chosen.items()}

    def label(self, role: Role) -> int | None:
        """The label of the structure with a role; None where there is none."""
        roles = [structure.role for structure in self.structures]
        return roles.index(role) + 1 if role in roles else None

    def name(self, role: Role) -> str | None:
        """The name of the structure with a role; None where there is none."""
        label = self.label(role)
        return None if label is None else self.names[label - 1]

    def by_role(self, values: Mapping[str, Value]) -> dict[Role, Value]:
        """Values by name as values by role; structures without a role are left out."""
        return {s.role: values[s.name] for s in self.structures if s.role and s.name in values}
