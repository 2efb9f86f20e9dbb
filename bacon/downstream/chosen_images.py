"""The test images of a task that takes only some of them: the same for every cell and network of a data set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bacon.runtime import draws


def chosen_images(images: int, count: int | None) -> npt.NDArray[np.int64]:
    """Places of ``count`` of ``images`` test images, drawn once for all, ascending; ``None``, or more than there are: all."""
    if count is None or count >= images:
        return np.arange(images)
    order = draws.uniform(0, "downstream-test-images", count=images).argsort(kind="stable")
    return np.sort(order[:count]).astype(np.int64)
