"""What a study asks: network, data, training, space, objectives, constraints, search; read from one TOML file."""

from .built_in import built_in_studies, find_study, reference
from .points import IllegalPointError, combinations, point, points, space_size
from .read_study import read_study, study_from_dict
from .study import Constraint, Data, Dimension, Network, Objective, Point, Search, Study, Training

__all__ = [
    "Constraint",
    "Data",
    "Dimension",
    "IllegalPointError",
    "Network",
    "Objective",
    "Point",
    "Search",
    "Study",
    "Training",
    "built_in_studies",
    "combinations",
    "find_study",
    "point",
    "points",
    "read_study",
    "reference",
    "space_size",
    "study_from_dict",
]
