"""A ConvNet's layers one by one, from PyTorch's functions, for oracles that look between them."""

import torch.nn.functional as F
from torch import nn


def blocks(network, images):
    """Maps after each ReLU, and the flattened output; batch norm uses the batch at hand, instance norm each map."""
    maps, relus = images, []
    convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in network.features if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm)]
    for convolution, norm in zip(convolutions, norms, strict=True):
        maps = F.conv2d(maps, convolution.weight, convolution.bias, padding=convolution.padding)
        if isinstance(norm, nn.BatchNorm2d):
            mean, variance = maps.mean((0, 2, 3), keepdim=True), maps.var((0, 2, 3), unbiased=False, keepdim=True)
        else:
            mean, variance = maps.mean((2, 3), keepdim=True), maps.var((2, 3), unbiased=False, keepdim=True)
        scale, shift = norm.weight.view(1, -1, 1, 1), norm.bias.view(1, -1, 1, 1)
        maps = ((maps - mean) / (variance + norm.eps).sqrt() * scale + shift).clamp(min=0)
        relus.append(maps)
        maps = F.avg_pool2d(maps, 2)
    return relus, maps.flatten(1)
