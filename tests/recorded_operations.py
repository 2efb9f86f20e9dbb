"""A CUDA graph on the CPU: the operations of some work, done again on the very tensors of the recording.

As in a CUDA graph, whatever the host computed while it was recorded stays as it was then; only what is in the recorded tensors
changes. Reading a value back ends the recording, as it does there.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only


class OperationGraph(TorchDispatchMode):
    """Records the operations that come to PyTorch; kernels of our own do not (``plain_blocks``)."""

    def __init__(self):
        super().__init__()
        self._done = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing: a value was read back")
        given = as_now((args, kwargs or {}))
        out = function(*args, **(kwargs or {}))
        if torch.Tag.inplace_view not in function.tags:  # such as unsqueeze_, which computes nothing
            self._done.append((function, *given, as_now(out)))
        return out

    @torch.no_grad()
    def replay(self):
        """Do it all again."""
        repeat(self._done)


def as_now(tree):
    """The same, with tensors of the same memory in the shapes that they have now.

    A shape may be changed in place afterwards: some of PyTorch 2.11's own gradients sum, and then ``unsqueeze_``.
    """
    return tree_map_only(torch.Tensor, torch.Tensor.detach, tree)


def repeat(done):
    """Operations (function, arguments, keyword arguments, results) once more; results into the tensors of the first time."""
    for function, args, kwargs, out in done:
        again = function(*args, **kwargs)
        for place, value in zip(tree_leaves(out), tree_leaves(again), strict=True):
            if isinstance(place, torch.Tensor) and place.data_ptr() != value.data_ptr():
                place.copy_(value)


def recorded(work):
    """What ``bacon.runtime.recording.recorded`` does on a GPU: the work once beforehand, then its recording."""
    work()
    graph = OperationGraph()
    with graph:
        work()
    return graph
