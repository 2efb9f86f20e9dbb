"""A GPU that is not there: what is launched on it is computed on the CPU, and what a real one would refuse is an error.

``python -m tests.emulated_gpu -m gpu tests/distillation/test_gpu.py`` runs tests that need a GPU on a machine without one.
A small library in C tells PyTorch that there is a device (``cuda_runtime.c``). A tensor on it (``tensors``) has its numbers on
the CPU; its operations come to Python, where these mistakes are found:

- tensors of two devices in one operation;
- operations that a GPU does not have, such as products of integers, or has in no fixed order where that is forbidden
  (``torch.set_deterministic_debug_mode("error")``);
- waiting for the device where that is forbidden: inside a CUDA graph, or under ``torch.cuda.set_sync_debug_mode("error")``;
- a CUDA graph (``graphs``) that needs what was computed while it was recorded: nothing is, as on a GPU;
- two streams, or a stream and the host, that use the same memory in no order, and memory that is given out again while another
  stream may still use it (``order``). This depends on no timing: a race is found in every run.

What it cannot do: our Triton kernels do not run (PyTorch's operations take their place, as on a GPU that cannot compile them),
and nothing is learnt about speed, memory or the rounding of TensorFloat-32.
"""
