"""The artifacts that a plan asks for, with their fingerprints, as the reporting functions want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.reporting.collect.evaluations import ExpectedDistilled, ExpectedEvaluation

if TYPE_CHECKING:  # how settings are layered is not part of what a table is made with; their values are
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell


def expected_evaluations(plan: Plan) -> list[ExpectedEvaluation]:
    """Every evaluation file under the plan's protocol, the full data sets first."""
    grid = (*plan.references, *plan.cells)
    return [expected_evaluation(plan, cell, network) for cell in grid for network in plan.networks]


def expected_evaluation(plan: Plan, cell: Cell, network: str) -> ExpectedEvaluation:
    """The evaluation file of one cell, or of a full data set, with one network."""
    return ExpectedEvaluation(
        path=plan.directory / plan.evaluation_path(cell, network),
        fingerprint=plan.evaluation_fingerprint(cell, network),
        dataset=cell.dataset,
        method=cell.method,
        ipc=cell.ipc,
        seed=cell.seed,
        network=network,
        dataset_title=plan.dataset_title(cell.dataset),
        method_title=plan.method_title(cell.method),
        published_dataset=plan.published_dataset(cell.dataset),
        published_method=plan.published_method(cell.method),
        protocol_name=plan.config.protocol,
        whitened=plan.is_whitened(cell),
    )


def expected_distilled(plan: Plan, cell: Cell) -> ExpectedDistilled:
    """The distilled set of one cell."""
    assert cell.ipc is not None
    assert cell.seed is not None
    return ExpectedDistilled(
        path=plan.directory / cell.distilled_path,
        fingerprint=plan.distilled_fingerprint(cell),
        dataset=cell.dataset,
        method=cell.method,
        ipc=cell.ipc,
        seed=cell.seed,
        dataset_title=plan.dataset_title(cell.dataset),
        method_title=plan.method_title(cell.method),
    )
