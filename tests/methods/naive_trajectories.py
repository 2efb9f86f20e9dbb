"""Trajectory matching written from the papers, with PyTorch's optimisers and a graph of all steps."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch.func import functional_call

from bacon.runtime.draws import device_permutation, uniform, words
from bacon.transforms.dsa import augment_batch
from tests.distillation.naive import build
from tests.methods.trained import inputs_of


class NaiveTrajectories:
    """MTT; ``iteration`` gives the images before its step."""

    method = "mtt"

    def __init__(self, real, settings, network, *, ipc, seed, initial):
        from bacon.methods.registry import METHODS

        self.settings, self.seed = settings, seed
        self.net = build(real, network, seed, 0)
        self.experts = inputs_of(METHODS[self.method], settings, network)["experts"]
        self.labels = torch.tensor([label for label in range(real.classes) for _ in range(ipc)])
        self.x = initial.clone().requires_grad_()
        self.alpha = torch.tensor(settings.lr_student, dtype=torch.float64).requires_grad_()
        self.optimisers = [
            torch.optim.SGD([self.x], lr=settings.lr_img, momentum=settings.momentum),
            torch.optim.SGD([self.alpha], lr=settings.lr_lr, momentum=settings.momentum),
        ]

    def expert(self, run, epoch):
        return {name: tensor.double() for name, tensor in self.experts.snapshot(run, epoch).items()}

    def start_epoch(self, it):
        return int(uniform(self.seed, "start-epoch", count=1, iteration=it)[0] * self.settings.max_start_epoch)

    def targets(self, places):
        return F.one_hot(self.labels[places], int(self.labels.max()) + 1).double()

    def batch(self, it, step):
        count, size = len(self.x), self.settings.batch_syn or len(self.x)
        if size >= count:
            return torch.arange(count)
        per_pass = -(-count // size)
        order = device_permutation(
            self.seed, "student-batch", count=count, device=self.x.device, iteration=it, lanes=step // per_pass
        )
        return order[step % per_pass * size :][:size]

    def distance(self, it):
        s, runs = self.settings, len(self.experts)
        order = np.argsort(words(self.seed, "experts", count=runs, iteration=it // runs), kind="stable")
        run, epoch = int(order[it % runs]), self.start_epoch(it)
        start, target = self.expert(run, epoch), self.expert(run, epoch + s.expert_epochs)
        theta = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
        for step in range(s.student_steps):
            places = self.batch(it, step)
            images = augment_batch(
                s.dsa_strategy, self.x[places], self.seed, "student-dsa", it * s.student_steps + step
            )
            log_p = F.log_softmax(functional_call(self.net, theta, (images,)), dim=1)
            loss = -(self.targets(places) * log_p).sum(dim=1).mean()
            found = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
            theta = {name: w - self.alpha * g for (name, w), g in zip(theta.items(), found, strict=True)}
        over = sum(((theta[name] - target[name]) ** 2).sum() for name in theta)
        return over / sum(((start[name] - target[name]) ** 2).sum() for name in theta)

    def iteration(self, it):
        before = self.x.detach().clone()
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        self.distance(it).backward()
        for optimiser in self.optimisers:
            optimiser.step()
        return before


class NaiveDATM(NaiveTrajectories):
    """DATM: logits of the labels are learned too, the window grows, large distances change nothing."""

    method = "datm"

    def __init__(self, real, settings, network, *, ipc, seed, initial):
        super().__init__(real, settings, network, ipc=ipc, seed=seed, initial=initial)
        self.y = self.mean_logits(initial).requires_grad_()
        self.optimisers.append(torch.optim.SGD([self.y], lr=settings.lr_label, momentum=settings.momentum_label))
        self.skipped = 0

    def mean_logits(self, images):
        """Row by row: the mean over the experts that are right, of all where none is."""
        last = self.settings.experts.epochs
        with torch.no_grad():
            every = torch.stack(
                [functional_call(self.net, self.expert(run, last), (images,)) for run in range(len(self.experts))]
            )
        if self.settings.init == "real":
            return every[0]
        rows = []
        for place, label in enumerate(self.labels):
            right = [logits[place] for logits in every if logits[place].argmax() == label]
            rows.append(torch.stack(right or list(every[:, place])).mean(dim=0))
        return torch.stack(rows)

    def targets(self, places):
        return self.y[places].softmax(dim=1)

    def start_epoch(self, it):
        s = self.settings
        end = s.max_start_epoch
        if s.current_max_start_epoch is not None:
            grown = s.current_max_start_epoch + int((end - s.current_max_start_epoch) * it / s.expansion_end)
            end = min(end, grown)
        drawn = uniform(self.seed, "start-epoch", count=1, iteration=it)[0]
        return s.min_start_epoch + int(drawn * (end - s.min_start_epoch))

    def iteration(self, it):
        before = self.x.detach().clone()
        distance = self.distance(it)
        if self.settings.threshold is not None and distance > self.settings.threshold:
            self.skipped += 1
            return before
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        distance.backward()
        for optimiser in self.optimisers:
            optimiser.step()
        return before
