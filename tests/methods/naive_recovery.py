"""SRe2L and G-VBSM as published: one batch after the other, torch.optim.Adam, hooks on modules; shares no loop code.

It uses the methods' draws (which views, which layers are left out).
"""

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bacon.methods.registry import METHODS
from bacon.runtime.draws import device_permutation, device_uniform, uniform
from bacon.training.run_networks import run_network
from bacon.transforms.resized_crop import crop_box
from tests.methods.trained import inputs_of

CPU = torch.device("cpu")


def whole(number, count):
    return int(number * count)


def one_view(view, batch, seed, iteration, lane, mirror):
    """(B, C, H, W): cropped, mirrored, rolled, all images alike."""
    numbers = device_uniform(
        seed,
        "recovery-view",
        count=25,
        device=CPU,
        dtype=torch.float64,
        iteration=iteration,
        lanes=torch.tensor([lane]),
    )
    height, width = batch.shape[-2:]
    if view.crop == "padded":
        top, left = whole(numbers[0, 0], 9), whole(numbers[0, 1], 9)
        batch = F.pad(batch, (4, 4, 4, 4))[..., top : top + height, left : left + width]
    if view.crop == "resized":
        top, left, h, w = crop_box((0.08, 1.0), (3 / 4, 4 / 3), numbers, height, width)[0].tolist()
        batch = F.interpolate(batch[..., top : top + h, left : left + w], (height, width), mode="bilinear")
    if view.flip and mirror and numbers[0, 22] < 0.5:
        batch = batch.flip(-1)
    low, high = view.shift
    shifts = [low + whole(numbers[0, place], high - low + 1) for place in (23, 24)]
    return torch.roll(batch, shifts, dims=(2, 3))


class NaiveRecovery:
    method: str

    def __init__(self, real, settings, network, *, ipc, seed, initial):
        self.real, self.settings, self.seed, self.ipc = real, settings, seed, ipc
        inputs = inputs_of(METHODS[self.method], settings, network)
        self.teachers = [run_network(runs, 0, device=CPU, dtype=torch.float64) for runs in inputs.values()]
        self.classes = torch.arange(real.classes).repeat_interleave(ipc)
        self.x = initial.clone()
        self.batches = [(rows, *self.started(rows)) for rows in self.rows()]

    def started(self, rows):
        leaf = self.x[rows].clone().requires_grad_()
        return leaf, torch.optim.Adam([leaf], lr=self.settings.lr_img, betas=(0.5, 0.9), eps=1e-8)

    def images(self):
        for rows, leaf, _ in self.batches:
            self.x[rows] = leaf.detach()
        return self.x.clone()

    def iteration(self, iteration):
        before = self.images()
        rate = 0.5 * (1 + math.cos(math.pi * iteration / self.settings.iterations)) * self.settings.lr_img
        for number, (rows, leaf, optimiser) in enumerate(self.batches):
            optimiser.param_groups[0]["lr"] = rate
            mirror = "flip" in self.settings.dsa_strategy
            seen = one_view(self.settings.view, leaf, self.seed, iteration, number, mirror)
            loss = self.loss(seen, self.classes[rows], iteration, number)
            if self.settings.tv_weight:
                moved = [(0, 1), (1, 0), (1, 1), (1, -1)]
                tv = sum(torch.norm(self.neighbours(seen, down, right)) for down, right in moved)
                loss = loss + self.settings.tv_weight * tv
            if self.settings.l2_weight:
                loss = loss + self.settings.l2_weight * torch.norm(seen.reshape(len(seen), -1), dim=1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                for channel in range(leaf.shape[1]):
                    mean, std = self.real.pixel_mean[channel].item(), self.real.pixel_std[channel].item()
                    leaf[:, channel].clamp_(-mean / std, (1 - mean) / std)
        return before

    @staticmethod
    def neighbours(x, down, right):
        height, width = x.shape[-2:]
        shifted = x[..., down:, max(right, 0) : width + min(right, 0)]
        return shifted - x[..., : height - down, max(-right, 0) : width - max(right, 0)]


class NaiveSRe2L(NaiveRecovery):
    method = "sre2l"

    def rows(self):
        classes, size = self.real.classes, self.settings.batch_images
        for k in range(self.ipc):
            for first in range(0, classes, size):
                yield torch.tensor([label * self.ipc + k for label in range(first, min(first + size, classes))])

    def loss(self, seen, labels, *_):
        (teacher,) = self.teachers
        found = []

        def hook(module, given, _):
            x = given[0]
            mean = x.mean([0, 2, 3])
            var = x.permute(1, 0, 2, 3).reshape(x.shape[1], -1).var(1, unbiased=False)
            found.append(torch.norm(module.running_var - var) + torch.norm(module.running_mean - mean))

        handles = [m.register_forward_hook(hook) for m in teacher.modules() if isinstance(m, nn.BatchNorm2d)]
        logits = teacher(seen)
        for handle in handles:
            handle.remove()
        distances = self.settings.first_weight * found[0] + sum(found[1:])
        return F.cross_entropy(logits, labels) + self.settings.statistics_weight * distances


class Kept:
    """What a hook of G-VBSM remembers of a layer: means that move towards those of the batches, from 0."""

    def __init__(self, momentum):
        self.momentum, self.values = momentum, {}

    def __call__(self, name, value):
        old = self.values.get(name, torch.zeros_like(value))
        self.values[name] = self.momentum * old + (1 - self.momentum) * value.detach()
        return self.values[name] + value - value.detach()


def patches(x):
    """Mean and variance of each of the places of patches of 4x4."""
    height, width = (-(-side // 4) * 4 for side in x.shape[-2:])
    x = F.interpolate(x, (height, width), mode="bilinear")
    means, variances = [], []
    for top in range(0, height, 4):
        for left in range(0, width, 4):
            patch = x[..., top : top + 4, left : left + 4]
            means.append(patch.mean())
            variances.append(patch.var(unbiased=False))
    return torch.stack(means), torch.stack(variances)


def moments(x):
    return x.mean([0, 2, 3]), x.transpose(0, 1).flatten(1).var(1, unbiased=False)


def conv_statistics(x):
    return dict(zip(("mean", "variance", "patch_mean", "patch_variance"), (*moments(x), *patches(x)), strict=True))


class NaiveGVBSM(NaiveRecovery):
    method = "gvbsm"

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.kept = {}
        self.wanted = [self.training_statistics(teacher) for teacher in self.teachers]

    def rows(self):
        total, size = len(self.classes), self.settings.batch_images
        for first in range(0, total, size):
            yield torch.arange(first, min(first + size, total))

    def layers(self, teacher):
        return [module for module in teacher.modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))]

    def training_statistics(self, teacher):
        """Layer -> statistics of a convolution's input, averaged over shuffled and augmented batches of the real set."""
        count = len(self.real.labels)
        order = device_permutation(self.seed, "gvbsm-statistics", count=count, device=CPU)
        order = order[: self.settings.statistics_images]
        totals = {}
        for place, some in enumerate(order.split(self.settings.statistics_batch)):
            images = self.real.batch(some)
            drawn = device_uniform(
                self.seed,
                "gvbsm-statistics-view",
                count=3,
                device=CPU,
                dtype=torch.float64,
                iteration=place,
                lanes=some,
            )
            pixels = F.pad(images * self.real.pixel_std + self.real.pixel_mean, (4, 4, 4, 4))
            images = (pixels - self.real.pixel_mean) / self.real.pixel_std
            images = torch.stack(
                [
                    image[:, whole(a, 9) : whole(a, 9) + 8, whole(b, 9) : whole(b, 9) + 8].flip(-1 if c < 0.5 else ())
                    for image, (a, b, c) in zip(images, drawn, strict=True)
                ]
            )
            with torch.no_grad():
                self.hooked(
                    teacher,
                    images,
                    partial(self.note_statistics, totals, len(some) / len(order)),
                )
        return {layer: {name: sum(each[name] for each in all_) for name in all_[0]} for layer, all_ in totals.items()}

    @staticmethod
    def note_statistics(totals, share, layer, module, x):
        if isinstance(module, nn.Conv2d):
            shares = {name: value * share for name, value in conv_statistics(x).items()}
            totals.setdefault(layer, []).append(shares)

    def hooked(self, teacher, images, note):
        layers = self.layers(teacher)
        handles = [
            module.register_forward_hook(lambda m, given, _, layer=layer: note(layer, m, given[0]))
            for layer, module in enumerate(layers)
        ]
        logits = teacher(images)
        for handle in handles:
            handle.remove()
        return logits

    def loss(self, seen, labels, iteration, number):
        own = self.settings
        which = iteration % len(self.teachers)
        teacher, wanted = self.teachers[which], self.wanted[which]
        layers = self.layers(teacher)
        convs = [layer for layer, module in enumerate(layers) if isinstance(module, nn.Conv2d)]
        drawn = uniform(self.seed, "gvbsm-left-out", count=len(convs), iteration=iteration, lanes=np.array([number]))[0]
        left_out = {layer for layer, u in zip(convs, drawn, strict=True) if u < own.conv_drop}
        found = {}

        def note(layer, module, x):
            if layer in left_out:
                found[layer] = 0.0
                return
            kept = self.kept.setdefault((number, which, layer), Kept(own.momentum))
            if isinstance(module, nn.BatchNorm2d):
                now = dict(zip(("mean", "variance"), moments(x), strict=True))
                target = {"mean": module.running_mean, "variance": module.running_var}
            else:
                now, target = conv_statistics(x), wanted[layer]
            found[layer] = sum(torch.norm(target[name] - kept(name, value)) for name, value in now.items())

        logits = self.hooked(teacher, seen, note)
        total = sum(value * (own.first_weight if layer == 0 else 1.0) for layer, value in found.items())
        density = 0.0
        for label in labels.unique():
            rows = F.adaptive_avg_pool2d(seen, 32)[labels == label].flatten(1)
            values = torch.linalg.eigvalsh(rows @ rows.T)
            target = (values / own.density_temperature).softmax(0).detach()
            density = density + F.kl_div(values.log_softmax(0), target, reduction="sum")
        return F.cross_entropy(logits, labels) + own.statistics_weight * total + own.density_weight * density
