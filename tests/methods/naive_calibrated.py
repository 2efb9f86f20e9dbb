"""DANCE and NCFM as published: pixels in [0, 1], one optimiser step after the other, class by class, in PyTorch's modules."""

import torch
import torch.nn.functional as F

from bacon.distillation.real_images import draw_without_replacement
from bacon.methods.ncfm.sampling_network import SamplingNetwork
from bacon.methods.registry import METHODS
from bacon.networks.build import build_network
from bacon.runtime.draws import device_normal, uniform
from bacon.transforms.idc import siamese
from tests.distillation.naive import split_and_enlarge
from tests.methods.trained import inputs_of


class NaiveCalibrated:
    """One iteration at a time; derived classes say the distance and the optimiser."""

    def __init__(self, real, settings, network, *, ipc, seed, initial):
        self.real, self.settings, self.network, self.ipc, self.seed = real, settings, network, ipc, seed
        self.mean, self.std = real.pixel_mean, real.pixel_std
        self.x = (initial * self.std + self.mean).requires_grad_()
        self.optimiser = self.make_optimiser()
        (self.runs,) = inputs_of(METHODS[self.name], settings, network).values()

    def iteration(self, it):
        seen, losses = (self.x.detach() - self.mean) / self.std, []
        self.x.data.clamp_(0, 1)
        run, share = uniform(self.seed, "interpolated-pool", count=2, iteration=it)
        first, last = (
            self.runs.snapshot(int(run * len(self.runs)), epoch) for epoch in (0, self.settings.networks.epochs)
        )
        between = {name: share * first[name].double() + (1 - share) * last[name].double() for name in first}
        for weights, loss_of in ((between, self.matching), (last, self.calibration)):
            network = self.load(weights)
            for c in range(self.real.classes):
                loss = loss_of(c, it, network)
                self.optimiser.zero_grad()
                loss.backward()
                self.optimiser.step()
                losses.append(float(loss.detach()))
        self.after(sum(losses) / self.real.classes)  # of matching and of calibration
        return seen

    def load(self, weights):
        channels, size, _ = self.real.shape
        network = build_network(
            self.network, channels=channels, size=size, classes=self.real.classes, seed=0, device=self.real.device,
            dtype=torch.float64,
        )  # fmt: skip
        network.load_state_dict(weights)
        return network.eval()

    def synthetic(self, c, it, purpose):
        s = self.settings
        images = (self.x[c * self.ipc : (c + 1) * self.ipc] - self.mean) / self.std
        decoded = torch.stack([part for image in images for part in split_and_enlarge(image, s.partition)])
        if s.batch_synthetic is not None and s.batch_synthetic < len(decoded):
            lanes, count = torch.tensor([c]), len(decoded)
            chosen = draw_without_replacement(
                self.seed, "synthetic-batch", iteration=it, lanes=lanes, populations=torch.tensor([count]),
                largest=count, size=s.batch_synthetic,
            )  # fmt: skip
            decoded = decoded[chosen[0]]
        return siamese(s.idc_strategy, self.seed, purpose, it, [c])(decoded[None])[0]

    def matching(self, c, it, network):
        size = min(self.settings.batch_real, self.real.counts[c])
        indices = self.real.sample_classes(self.seed, "real-batch", iteration=it, classes=[c], size=size)[0]
        real = siamese(self.settings.idc_strategy, self.seed, "idc", it, [c])(self.real.batch(indices)[None])[0]
        return self.distance(network.embed(real).detach(), network.embed(self.synthetic(c, it, "idc")), it)

    def calibration(self, c, it, network):
        images = self.synthetic(c, it, "idc-calibration")
        return F.cross_entropy(network(images), torch.full((len(images),), c))

    def after(self, loss):
        """At the end of an iteration."""


class NaiveDance(NaiveCalibrated):
    name = "dance"

    def make_optimiser(self):
        return torch.optim.SGD([self.x], lr=self.settings.lr_img * self.ipc, momentum=self.settings.momentum)

    def distance(self, real, synthetic, _):
        return ((real.mean(0) - synthetic.mean(0)) ** 2).sum()


class NaiveNCFM(NaiveCalibrated):
    name = "ncfm"

    def make_optimiser(self):
        s = self.settings
        if s.optimiser == "sgd":
            optimiser = torch.optim.SGD([self.x], lr=s.lr_img, momentum=s.momentum)
        else:
            optimiser = torch.optim.AdamW([self.x], lr=s.lr_img, weight_decay=s.weight_decay)
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=s.patience)
        return optimiser

    def frequencies(self, it, dimensions):
        count = self.settings.frequencies
        if self.settings.sampling == "normal":
            return self.normal("characteristic-frequencies", count, dimensions, it)
        if not hasattr(self, "sampler"):
            network = SamplingNetwork(
                dimensions,
                seed=self.seed,
                device=self.real.device,
                dtype=torch.float64,
                width=self.settings.sampling_width,
            )
            self.sampler = [parameter.clone().requires_grad_() for parameter in network.parameters]
            self.upwards = torch.optim.SGD(self.sampler, lr=1e-3, momentum=0.5, maximize=True)
        w1, b1, w2, b2, w3, b3, *norms = self.sampler

        def normed(hidden, scale, shift):
            return (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt() * scale + shift

        hidden = self.normal("sampling-noise", count // 16, dimensions, it) @ w1.T + b1
        hidden = F.leaky_relu(normed(hidden, *norms[:2]), 0.2) @ w2.T + b2
        hidden = F.leaky_relu(normed(hidden, *norms[2:4]), 0.2) @ w3.T + b3
        return normed(hidden, *norms[4:]).tanh()

    def normal(self, purpose, count, dimensions, it):
        drawn = device_normal(
            self.seed, purpose, count=count * dimensions, device=self.real.device, dtype=torch.float64, iteration=it
        )
        return drawn.view(count, dimensions)

    def distance(self, real, synthetic, it):
        s, drawn = self.settings, self.frequencies(it, real.shape[1])
        one, other = (
            torch.exp(1j * (f / f.norm(dim=1, keepdim=True)) @ drawn.T.to(torch.complex128)).mean(0)
            for f in (real, synthetic)
        )
        amplitude = (one.abs() - other.abs()) ** 2
        phase = 2 * (one.abs() * other.abs() - (one.conj() * other).real)
        return s.weight * (s.amplitude_weight * amplitude + s.phase_weight * phase.clamp(min=1e-12)).sqrt().mean()

    def after(self, loss):
        self.schedule.step(loss)
        if self.settings.sampling == "network":
            self.upwards.step()
            self.upwards.zero_grad()
