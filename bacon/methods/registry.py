"""Every method, in the order of the tables. A new method adds its line here and nothing else elsewhere."""

from bacon.methods.bacon import BACON, BaconMatching
from bacon.methods.base import Method
from bacon.methods.dm import DM, MeanMatching
from bacon.methods.full import FULL
from bacon.methods.idm import IDM
from bacon.methods.random import RANDOM

METHODS: dict[str, Method] = {method.name: method for method in (FULL, RANDOM, DM, IDM, BACON)}

OBJECTIVES = (MeanMatching, BaconMatching)
