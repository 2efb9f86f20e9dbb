"""DREAM: IDC's loop, with the images that k-means chooses."""

from bacon.methods.idc.algorithm import IDC


class DREAM(IDC):
    """IDC as its settings say: initial images and real batches from clusters."""
