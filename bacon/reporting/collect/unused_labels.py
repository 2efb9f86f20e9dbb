"""Which methods learned labels that the evaluation did not use, for their rows then show their images alone."""

from __future__ import annotations

import pandas as pd

from bacon.reporting.collect.comparable import HARD
from bacon.reporting.collect.protocol_text import CLASSES


def unused_label_notes(accuracy: pd.DataFrame) -> list[str]:
    """One line for each method whose sets carry soft labels while networks were trained with hard ones.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
    """
    unused = accuracy[(accuracy["label_kind"] == HARD) & (accuracy["stored_labels"] != CLASSES)]
    return [
        f"{title}: networks were trained with the images' classes; the labels that belong to these images were not used."
        for title in unused["method_title"].drop_duplicates()
    ]
