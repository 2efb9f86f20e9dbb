"""DCC: gradient matching of all classes at once after a warm-up."""

from bacon.distillation.gradient_matching import GradientMatching


class DCC(GradientMatching):
    """Gradient matching; the settings say when classes are summed."""
