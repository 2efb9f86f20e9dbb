"""IID (Deng et al., CVPR 2024) on IDM: what it adds to DM, added to IDM."""

from __future__ import annotations

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.dm_iid.record import REFERENCE, SUMMARY, TERM_TITLES, RelationSettings, needs, scales, work
from bacon.methods.idm.record import IDM, PUBLISHED, IDMSettings


class IdmIidSettings(RelationSettings, IDMSettings):
    """Settings of IID on IDM."""

    covariance_weight: float = Field(
        0.03, ge=0, description="Weight of covariance matching (published: DM 0.01, IDM 0.03; see `weights`)."
    )
    centralisation_weight: float = Field(
        0.01, ge=0, description="Weight of class centralisation (published: DM 0.05, IDM 0.01; see `weights`)."
    )


IDM_IID = Method(
    name="idm_iid",
    title="IDM+IID",
    summary=f"IDM {SUMMARY}",
    reference=REFERENCE,
    settings_model=IdmIidSettings,
    algorithm="bacon.methods.dm_iid.algorithm:Iid",
    settings=IDM.settings,
    scales=scales(IDM),
    published=PUBLISHED,
    protocol="p-dsa",
    needs=needs,
    cost=work,
    figure_place=26,
    term_titles={**IDM.term_titles, **TERM_TITLES},
)
