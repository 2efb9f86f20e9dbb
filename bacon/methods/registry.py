"""Every method, in the order of the tables: one line each, and those that installed packages bring.

A package brings a method by an entry point of the group ``bacon.methods`` that names its record, ``module:RECORD``
(docs/add-a-method.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from bacon.methods.bacon.record import BACON
from bacon.methods.base import Method
from bacon.methods.cafe.record import CAFE
from bacon.methods.cafe_dsa.record import CAFE_DSA
from bacon.methods.dance.record import DANCE
from bacon.methods.datadam.record import DATADAM
from bacon.methods.datm.record import DATM
from bacon.methods.dc.record import DC
from bacon.methods.dcc.record import DCC
from bacon.methods.dd.record import DD
from bacon.methods.dm.record import DM
from bacon.methods.dm_iid.record import DM_IID
from bacon.methods.dream.record import DREAM
from bacon.methods.dsa.record import DSA
from bacon.methods.dsac.record import DSAC
from bacon.methods.forgetting.record import FORGETTING
from bacon.methods.frepo.record import FREPO
from bacon.methods.full.record import FULL
from bacon.methods.gvbsm.record import GVBSM
from bacon.methods.herding.record import HERDING
from bacon.methods.idc.record import IDC
from bacon.methods.idm.record import IDM
from bacon.methods.idm_iid.record import IDM_IID
from bacon.methods.kcenter.record import KCENTER
from bacon.methods.kip.record import KIP
from bacon.methods.kmeans.record import KMEANS
from bacon.methods.ld.record import LD
from bacon.methods.ls.record import LS
from bacon.methods.mtt.record import MTT
from bacon.methods.ncfm.record import NCFM
from bacon.methods.random.record import RANDOM
from bacon.methods.rded.record import RDED
from bacon.methods.sre2l.record import SRE2L
from bacon.methods.sre2l_plus.record import SRE2L_PLUS
from bacon.runtime.errors import BaconError
from bacon.settings.names import check_letter_case, check_name_rule

GROUP = "bacon.methods"

OWN: tuple[Method, ...] = (
    FULL,
    RANDOM,
    HERDING,
    KCENTER,
    FORGETTING,
    KMEANS,
    RDED,
    DD,
    LD,
    DC,
    DSA,
    DCC,
    DSAC,
    IDC,
    DREAM,
    DM,
    IDM,
    CAFE,
    CAFE_DSA,
    DATADAM,
    DM_IID,
    IDM_IID,
    DANCE,
    NCFM,
    BACON,
    MTT,
    DATM,
    KIP,
    LS,
    FREPO,
    SRE2L,
    SRE2L_PLUS,
    GVBSM,
)


def registered(own: Iterable[Method], brought: Iterable[EntryPoint]) -> dict[str, Method]:
    """Name -> method: ``own`` in their order, then those that entry points name, by name.

    Raises:
        BaconError: an entry point cannot be loaded, names no record, or names a method that is there already or whose name
            cannot be part of a path (``bacon.settings.names``).
    """
    methods = {method.name: method for method in own}
    for entry in sorted(brought, key=lambda entry: (entry.name, entry.value)):
        method = _loaded(entry)
        check_name_rule(f"{_place(entry)}: its method's name", method.name)
        if method.name in methods:
            raise BaconError(f"{_place(entry)}: a method {method.name!r} already exists; give this one another name")
        check_letter_case(_place(entry), (*methods, method.name))
        methods[method.name] = method
    return methods


def _loaded(entry: EntryPoint) -> Method:
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise BaconError(f"{_place(entry)}: cannot be loaded ({error}); repair or uninstall that package") from None
    if not isinstance(found, Method):
        raise BaconError(f"{_place(entry)}: is {type(found).__name__}, not a record (bacon.methods.base.Method)")
    return found


def _place(entry: EntryPoint) -> str:
    package = f" of {entry.dist.name}" if entry.dist is not None else ""
    return f"entry point {entry.name} = {entry.value}{package}, group {GROUP}"


METHODS: dict[str, Method] = registered(OWN, entry_points(group=GROUP))
