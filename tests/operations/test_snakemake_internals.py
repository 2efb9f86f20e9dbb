"""What the workflow relies on in Snakemake: there in the installed version, and named where a version lacks it."""

import pytest
import snakemake.api  # noqa: F401 - first: Snakemake's modules import each other
from snakemake.workflow import DAG, PersistenceBase, Workflow

from bacon.operations.snakemake_internals import check_classes, check_snakemake
from bacon.runtime.errors import BaconError


def test_the_installed_snakemake_is_made_as_the_workflow_relies_on():
    """When this fails, a new Snakemake changed what the message names: adapt bacon/operations/snakemake_internals.py."""
    check_snakemake()


def without(of, name):
    """A class like another one, without one of its members."""
    members = {key: value for key, value in vars(of).items() if key not in (name, "__dict__", "__weakref__")}
    return type(of.__name__, (), members)


@pytest.mark.parametrize(
    ("owner", "name", "message"),
    [
        (DAG, "update_needrun", r"DAG\.update_needrun, which reads forcefiles"),
        (DAG, "__init__", r"DAG\(\.\.\., forcefiles\)"),
        (PersistenceBase, "metadata", r"PersistenceBase\.metadata"),
        (PersistenceBase, "params_changed", r"PersistenceBase\.params_changed"),
        (PersistenceBase, "incomplete", r"PersistenceBase\.incomplete"),
        (Workflow, "persistence", r"Workflow\.persistence"),
    ],
)
def test_what_a_version_lacks_is_named(owner, name, message):
    classes = [without(each, name) if each is owner else each for each in (DAG, PersistenceBase, Workflow)]
    with pytest.raises(BaconError, match=rf"Snakemake [\d.]+ changed .*{message}.* that this workflow relies on"):
        check_classes(*classes)
