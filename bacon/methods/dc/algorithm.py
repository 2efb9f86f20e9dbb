"""DC: each class's gradients, in a network that is trained on the synthetic images."""

from bacon.distillation.gradient_matching import GradientMatching


class DC(GradientMatching):
    """Gradient matching as it is."""
