"""Marks beside published numbers."""

from __future__ import annotations

import pytest

from bacon.reporting.collect.footnotes import Footnotes


def test_each_reason_has_a_mark_of_its_own_in_the_order_of_the_table():
    footnotes = Footnotes(["", "read from an image", "superseded", "", "read from an image"])
    assert [footnotes.mark(note) for note in ("superseded", "", "read from an image")] == ["‡", "", "†"]
    assert footnotes.lines() == ["† read from an image.", "‡ superseded."]
    assert footnotes.lines(["", "superseded"]) == ["‡ superseded."], "a part of the table"


def test_marks_are_doubled_when_there_are_more_reasons_than_marks():
    footnotes = Footnotes([str(place) for place in range(11)])
    assert [footnotes.mark(str(place)) for place in (0, 4, 5, 6, 10)] == ["†", "‖", "††", "‡‡", "†††"]
    assert len({footnotes.mark(str(place)) for place in range(11)}) == 11


def test_a_note_that_is_not_the_table_s_is_a_mistake():
    with pytest.raises(KeyError):
        Footnotes(["superseded"]).mark("read from an image")
