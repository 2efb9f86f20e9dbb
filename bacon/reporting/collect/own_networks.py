"""Which methods of a plan distil with a network of their own, for it makes their numbers those of another network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.reporting.collect.protocol_text import network_text

if TYPE_CHECKING:
    from bacon.plan.plan import Plan


def own_network_notes(plan: Plan) -> list[str]:
    """One line for each such method or variant and network, in the order of the grid; none where there is none."""
    lines: dict[str, None] = {}
    for cell in plan.cells:
        settings = plan.settings(cell)
        own = None if settings.distillation is None else settings.distillation.own_network()
        if own is not None and own != settings.network:
            text = network_text(own.model_dump(mode="json"))
            lines[f"{plan.method_title(cell.method)} distils with a network of its own: {text}."] = None
    return list(lines)
