"""IID on DM and on IDM: the hosts' naive loop with both terms, image by image."""

import torch

from bacon.methods.registry import METHODS
from bacon.networks.build import build_network
from bacon.runtime.draws import uniform
from bacon.transforms.dsa import siamese_augment, siamese_draw
from tests.distillation.naive import NaiveLoop, split_and_enlarge
from tests.methods.trained import inputs_of


class NaiveIid(NaiveLoop):
    """``name`` is the method's; networks are ConvNets."""

    def __init__(self, real, settings, network, **keywords):
        super().__init__(real, settings, network, **keywords)
        (self.runs,) = inputs_of(METHODS[self.name], settings, network).values()

    def class_loss(self, c, it, net, accuracy):
        s = self.settings
        draw = siamese_draw(s.dsa_strategy, self.seed, it, [c])
        size = min(s.batch_real, self.real.counts[c])
        indices = self.real.sample_classes(self.seed, "real-batch", iteration=it, classes=[c], size=size)[0]
        real = siamese_augment(draw, self.real.batch(indices)[None])[0]
        own = self.x[c * self.ipc : (c + 1) * self.ipc]
        decoded = torch.stack([part for image in own for part in split_and_enlarge(image, s.partition)])
        synthetic = siamese_augment(draw, decoded[None])[0]
        there, here = (net.embed(images).view(len(images), self.network.width, -1) for images in (real, synthetic))
        places = there.shape[2]
        w_cm = s.covariance_weight * ((16 / places) ** 2 if s.weights == "scaled" else 1)
        w_cc = s.centralisation_weight * (10 / self.ipc if s.weights == "scaled" else 1)
        difference = self.gram(there).detach() - self.gram(here)
        extracted = self.extractor(it).embed(synthetic)
        centre = extracted.mean(0)
        spread = sum(((feature - centre) ** 2).sum() for feature in extracted)
        return super().class_loss(c, it, net, accuracy) + w_cm * (difference**2).sum() + w_cc * spread

    @staticmethod
    def gram(features):
        centred = features - features.mean(0)
        return sum(feature @ feature.T for feature in centred) / len(features)

    def extractor(self, it):
        run = int(uniform(self.seed, "iid-extractor", count=1, iteration=it)[0] * len(self.runs))
        channels, size, _ = self.real.shape
        network = build_network(
            self.settings.extractor, channels=channels, size=size, classes=self.real.classes, seed=0,
            device=self.real.device, dtype=torch.float64,
        )  # fmt: skip
        network.load_state_dict(self.runs.weights(run))
        return network.eval()


class NaiveDmIid(NaiveIid):
    name = "dm_iid"


class NaiveIdmIid(NaiveIid):
    name = "idm_iid"
