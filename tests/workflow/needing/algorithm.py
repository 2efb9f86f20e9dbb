"""Choose real images by what networks that were trained on them say."""

import torch

from bacon.artifacts.trained_runs import forgetting_counts
from bacon.distillation.algorithm import Selection
from bacon.training.run_networks import run_network


class _Chosen(Selection):
    """The images of each class with the largest scores."""

    def __init__(self, _, context):
        super().__init__(context)
        self.teachers = context.inputs["teachers"]

    def select(self):
        real, chosen = self.context.real, []
        scores = self.scores()
        for number in range(real.classes):
            places = (real.labels == number).nonzero().flatten()
            chosen.append(places[scores[places].argsort(descending=True, stable=True)[: self.context.ipc]])
        return real.batch(torch.cat(chosen))


class Confident(_Chosen):
    """By the probability that the teachers give to the class; their networks and their soft labels must agree."""

    def scores(self):
        real, total = self.context.real, 0.0
        everything = real.batch(torch.arange(len(real.labels)))
        for run in range(len(self.teachers)):
            with torch.no_grad():
                logits = run_network(self.teachers, run, device=self.context.device)(everything)
            torch.testing.assert_close(logits, self.teachers.soft_labels(run), atol=1e-4, rtol=1e-4)
            total += logits.softmax(dim=1).gather(1, real.labels[:, None])[:, 0]
        return total


class Forgotten(_Chosen):
    """By how often the teachers forgot the image."""

    def scores(self):
        return sum(forgetting_counts(self.teachers.history(run)) for run in range(len(self.teachers))).float()
