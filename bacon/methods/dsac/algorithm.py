"""DSAC: gradient matching of all classes at once after a warm-up, under DSA."""

from bacon.distillation.gradient_matching import GradientMatching


class DSAC(GradientMatching):
    """Gradient matching; the settings name the augmentation and say when classes are summed."""
