"""The page of all settings and the JSON schema: as generated, complete, with examples that run, readable for many methods."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bacon.config.loading import check_config
from bacon.config.model import Config
from bacon.config.reference import REFERENCE_FILE, reference_text
from bacon.config.schema import SCHEMA_FILE, config_schema, schema_text
from bacon.config.sections import key_names, nested_models, section_models
from bacon.methods.registry import OWN
from tests.methods import example

ROOT = Path(__file__).parents[2]
PAGE = reference_text(OWN)
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_files_are_as_generated():
    """``bacon reference --write`` writes them."""
    assert (ROOT / REFERENCE_FILE).read_text() == PAGE
    assert (ROOT / SCHEMA_FILE).read_text() == schema_text(OWN)


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_is_a_configuration(text):
    check_config(yaml.safe_load(text))


def test_every_stage_has_an_example():
    stages = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert len(EXAMPLES) == 9
    assert stages[:4] == ["How a file is read", "Layers", "The whole file", "What is computed"]


def test_every_key_of_every_section_is_on_the_page():
    keys = set(re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE))
    for models in section_models(OWN).values():
        for model in models:
            nested = {name for name, field in model.model_fields.items() if nested_models(field)}
            assert key_names(model) <= keys | nested
    assert Config.model_fields.keys() <= keys
    assert {method.name for method in OWN} <= keys


def test_values_that_stand_together_are_not_called_keys():
    """A tuple of so many values, as `value_range`, says what they are; only models are keys with values."""
    types = dict(re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
    assert types["value_range"] == "[number, number] or null"
    assert types["epochs_by_images"] == "list of [whole number, whole number]"
    assert types["gaps"] == "list of [text, text]"
    assert types["loss"] == "list of keys with values"


def test_defaults_of_a_section_that_a_method_has_otherwise_are_named():
    """Beneath the table of the section, whose defaults are the model's."""
    sections = dict(re.findall(r"^### `(distillation\.[\w.]+)`\n(.*?)(?=^#)", PAGE, re.MULTILINE | re.DOTALL))
    assert "Other defaults of `dm_iid`, `idm_iid`: `epochs: 40`." in sections["distillation.extractors"]
    assert (
        "Other defaults of `datm`: `rho: 0.01`, `adaptive: true`, `gap: 0.3`."
        in sections["distillation.experts.sharpness"]
    )
    assert (
        "Other defaults of `frepo`: `architecture: frepo_convnet`, `norm: batch`." in sections["distillation.network"]
    )
    assert "Other defaults" not in sections["distillation.feature_networks"]


def test_every_row_of_a_table_has_as_many_cells_as_its_heading():
    """A bar in a description would end its cell, and readers would not see the rest."""
    tables = re.findall(r"^\|.*\|\n\|-.*\|\n(?:\|.*\|\n)+", PAGE, re.MULTILINE)
    assert len(tables) > 50
    for table in tables:
        heading, *others = [len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()]
        assert {*others} == {heading}, table


def test_a_method_adds_its_own_keys_and_a_line():
    record = example.record()
    before, after = PAGE.splitlines(), reference_text((*OWN, record)).splitlines()
    added = [line for line in after if line not in before]
    assert any(line.startswith("| `epsilon` |") for line in added)
    assert not any("| `lr_img` |" in line for line in added), "what it shares is there already"
    assert sum("| `lr_img` |" in line for line in after) == sum("| `lr_img` |" in line for line in before)
    many = [replace(record, name=f"standardised{number}") for number in range(15)]
    whole = reference_text((*OWN, *many))
    assert len(whole.splitlines()) <= len(before) + 15 * 10 + 1
    assert "standardised14" in whole


def test_the_schema_knows_the_keys_of_a_method_that_a_package_brings():
    ours, all_methods = (
        config_schema(methods)["$defs"]["Layer"]["properties"]["distillation"]["properties"]
        for methods in (OWN, (*OWN, example.record()))
    )
    assert all_methods["epsilon"]["exclusiveMinimum"] == 0
    assert all_methods.keys() - ours.keys() == {"epsilon"}
