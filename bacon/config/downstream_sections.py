"""The sections `downstream.TASK` of a configuration: their models, their settings after layering, and what is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from bacon.downstream.registry import TASKS
from bacon.settings.base import Strict
from bacon.settings.downstream import TaskSettings

if TYPE_CHECKING:
    from bacon.config.model import Config

_fields: dict[str, Any] = {
    name: (task.settings_model, Field(default_factory=task.settings_model, description=task.summary))
    for name, task in TASKS.items()
}

DownstreamSections: type[Strict] = create_model(
    "DownstreamSections",
    __base__=Strict,
    __doc__="Settings of downstream tasks, each under its name; `grid.downstream` lists those that are run.",
    **_fields,
)
"""A section for each task."""


def task_settings(config: Config, name: str) -> TaskSettings:
    """Settings of a task: its defaults, what the preset changes of them, and what the file says."""
    task = TASKS[name]
    given = getattr(config.downstream, name).model_dump(exclude_unset=True)
    return task.settings_model.model_validate({**task.scales.get(config.preset, {}), **given})
