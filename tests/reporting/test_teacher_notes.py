"""What tables say of labels that teachers make, and of networks that have learned nothing."""

from types import SimpleNamespace

import pandas as pd
import torch

from bacon.distillation.driver import _training_attributes
from bacon.reporting.collect.teacher_notes import chance_notes, storage_notes
from bacon.reporting.page.artifact_facts import _teacher_facts

MIB = 2**20


def accuracy(**columns):
    rows = pd.DataFrame(
        {
            "dataset": ["digits"] * 4,
            "dataset_title": ["Digits"] * 4,
            "method": ["full", "random", "soft", "soft"],
            "method_title": ["Full data set", "Random", "Random, soft labels", "Random, soft labels"],
            "ipc": pd.array([None, 1, 1, 10], dtype="Int64"),
            "seed": pd.array([None, 0, 0, 0], dtype="Int64"),
            "final": [True] * 4,
            "view_label_bytes": [0, 0, 2 * MIB, 20 * MIB],
            "teacher_bytes": [0, 0, 3 * MIB, 3 * MIB],
            "teachers_at_chance": [None] * 4,
        }
    )
    return rows.assign(**columns)


NO_COST = pd.DataFrame({"dataset": [], "method": [], "ipc": [], "seed": [], "at_chance": []})


def test_labels_of_views_and_teachers_are_counted_apart():
    (line,) = storage_notes(accuracy())
    assert "Digits, Random, soft labels, IPC 1: 2.0 MiB (teachers 3.0 MiB)" in line
    assert "Digits, Random, soft labels, IPC 10: 20.0 MiB (teachers 3.0 MiB)" in line
    assert "Random, IPC" not in line
    assert storage_notes(accuracy(teacher_bytes=0)) == []


def test_networks_at_chance_level_are_a_warning():
    assert chance_notes(accuracy(), NO_COST) == []
    cost = pd.DataFrame(
        {"dataset": ["digits"], "method": ["sre2l"], "ipc": [1], "seed": [2], "at_chance": ["run 0 of t"]}
    )
    lines = chance_notes(accuracy(teachers_at_chance=[None, None, "key run 1", "key run 1"]), cost)
    assert [line.split(" was ")[0] for line in lines] == [
        "Warning: digits/soft/ipc1/seed0", "Warning: digits/soft/ipc10/seed0", "Warning: digits/sre2l/ipc1/seed2",
    ]  # fmt: skip
    assert "labelled with networks that classify the training images hardly better than chance: key run 1" in lines[0]
    assert "distilled with networks" in lines[2]


class Runs:
    """Two training runs of which the first has learned nothing."""

    key, fingerprint = "convnet3-1", "f" * 32

    def __len__(self):
        return 2

    def entry(self, run):
        return SimpleNamespace(
            train_accuracy=(0.1, 0.9)[run], wall_seconds=(10.0, 20.0)[run], joules=None, energy_share=None
        )


def test_a_distilled_set_says_which_networks_it_was_made_with_that_have_learned_nothing():
    real = SimpleNamespace(classes=10, labels=torch.zeros(1000))
    assert _training_attributes({"teachers": Runs()}, real) == {
        "training_fingerprints": {Runs.key: Runs.fingerprint},
        "training_costs": {Runs.fingerprint: {"seconds": [10.0, 20.0], "joules": [None] * 2, "shares": [None] * 2}},
        "at_chance": "run 0 of teachers (convnet3-1)",
    }
    assert _training_attributes({}, real) == {}


def test_the_page_shows_the_size_of_labels_and_teachers_at_chance_first():
    content = {"view_label_bytes": 4000, "teacher_bytes": 1234567, "teachers_at_chance": ["key run 1"]}
    assert _teacher_facts(content) == [
        ("warning: teachers at chance level", "key run 1"),
        ("labels of teachers", "4,000 bytes for each network, were they stored; teachers 1,234,567"),
    ]
    assert _teacher_facts({}) == []
