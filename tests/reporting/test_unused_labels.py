"""A method whose learned labels the protocol does not use is named."""

import pandas as pd

from bacon.reporting.collect.comparable import comparable_facts
from bacon.reporting.collect.unused_labels import unused_label_notes
from bacon.settings.evaluation import EvaluationSettings


def rows(*found):
    return pd.DataFrame(found, columns=["method_title", "label_kind", "stored_labels"])


def test_a_line_for_each_method_trained_without_its_labels():
    found = rows(
        ("LD", "hard", "probabilities"),
        ("LD", "hard", "probabilities"),
        ("DATM", "soft", "logits"),
        ("DM", "hard", "classes"),
    )
    (line,) = unused_label_notes(found)
    assert line.startswith("LD: networks were trained with the images' classes")


def test_none_where_labels_are_used_or_are_the_classes():
    assert unused_label_notes(rows(("FRePo", "soft", "logits"), ("DM", "hard", "classes"))) == []


def test_the_facts_of_a_file_say_what_the_set_stores():
    settings = {"network": {}, "evaluation": EvaluationSettings().model_dump(mode="json")}
    content = {"settings": settings, "labels": "logits", "provenance": {}}
    assert comparable_facts(content)["stored_labels"] == "logits"
    assert comparable_facts({**content, "labels": "classes"})["stored_labels"] == "classes"
