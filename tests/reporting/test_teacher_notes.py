"""What tables say of labels that teachers make, and of networks that have learned nothing."""

import pandas as pd

from bacon.reporting.collect.teacher_notes import chance_notes, storage_notes

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
