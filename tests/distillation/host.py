"""Sees what would make the host wait for a device, on the CPU: values read back, and tensors made from host values."""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_MADE_FROM_HOST = {torch.tensor, torch.as_tensor, torch.Tensor.new_tensor}
_READ_BACK = {torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.item, torch.Tensor.tolist}
_INDEXED = {torch.Tensor.__getitem__, torch.Tensor.__setitem__}


class HostReads(TorchDispatchMode):
    """Counts `aten._local_scalar_dense`, which `.item()`, `int(tensor)` and `bool(tensor)` come to."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default:
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


class HostTraffic(TorchFunctionMode):
    """Counts calls that copy between host and device and wait: from numbers and lists, and back to them."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        by_list = function in _INDEXED and any(
            isinstance(part, list) for part in (args[1] if isinstance(args[1], tuple) else (args[1],))
        )
        if function in _MADE_FROM_HOST | _READ_BACK or by_list:
            self.found.append(function.__name__)
        return function(*args, **(kwargs or {}))
