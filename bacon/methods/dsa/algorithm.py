"""DSA: gradient matching under one augmentation of each class's real and synthetic images."""

from bacon.distillation.gradient_matching import GradientMatching


class DSA(GradientMatching):
    """Gradient matching; the settings name the augmentation."""
