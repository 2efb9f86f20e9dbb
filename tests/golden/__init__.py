"""Golden values; ``python -m tests.golden.distillation`` rewrites them after a change that is meant to move numbers."""
