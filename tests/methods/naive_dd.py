"""DD written from the paper: a graph of all steps, PyTorch's Adam and schedule."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch.func import functional_call

from bacon.networks.build import build_network


class NaiveDD:
    """``iteration`` gives the images before its step."""

    def __init__(self, real, settings, network, *, ipc, seed, initial):
        self.real, self.settings, self.network, self.ipc, self.seed = real, settings, network, ipc, seed
        self.x = initial.clone().requires_grad_()
        start = math.log(math.exp(settings.lr_student) - 1)
        self.r = torch.full((ipc * settings.passes,), start, dtype=torch.float64).requires_grad_()
        self.adam = torch.optim.Adam([self.x, self.r], lr=settings.lr, betas=settings.betas)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.adam, settings.lr_interval, settings.lr_factor)

    def fresh(self, index):
        channels, size, _ = self.real.shape
        return build_network(
            self.network, channels=channels, size=size, classes=self.real.classes, seed=self.seed, purpose="student",
            index=index, device=self.real.device, dtype=torch.float64,
        )  # fmt: skip

    def loss(self, index, images, labels):
        net = self.fresh(index)
        theta = {name: w.detach().clone().requires_grad_() for name, w in net.named_parameters()}
        for t in range(self.ipc * self.settings.passes):
            batch = torch.stack([self.x[label * self.ipc + t % self.ipc] for label in range(self.real.classes)])
            inner = F.cross_entropy(functional_call(net, theta, (batch,)), torch.arange(self.real.classes))
            found = torch.autograd.grad(inner, list(theta.values()), create_graph=True)
            theta = {name: w - F.softplus(self.r[t]) * g for (name, w), g in zip(theta.items(), found, strict=True)}
        return F.cross_entropy(functional_call(net, theta, (images,)), labels)

    def iteration(self, it):
        before = self.x.detach().clone()
        size = min(self.settings.batch_real, len(self.real.labels))
        places = self.real.sample_all(self.seed, "real-batch", iteration=it, lanes=1, size=size)[0]
        images, labels = self.real.batch(places), self.real.labels[places]
        many = self.settings.networks
        losses = [self.loss(it * many + number, images, labels) for number in range(many)]
        self.adam.zero_grad()
        (sum(losses) / many).backward()
        self.adam.step()
        self.schedule.step()
        return before
