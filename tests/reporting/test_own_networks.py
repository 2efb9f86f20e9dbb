"""Methods that distil with a network of their own are marked, and compared with what is published of that network."""

from __future__ import annotations

from bacon.config.loading import check_config
from bacon.plan.plan import Plan
from bacon.reporting.collect.own_networks import own_network_notes
from bacon.reporting.collect.protocol_text import evaluated_text


def plan_of(*methods, **more):
    return Plan(
        check_config({"preset": "paper", "grid": {"methods": list(methods), "ipc": [1, 10], "seeds": 1}, **more})
    )


def test_a_line_for_each_method_with_another_network():
    (line,) = own_network_notes(plan_of("dm", "kip", "frepo"))
    assert line == "FRePo distils with a network of its own: FRePo's ConvNet, depth 3, width 128, batch norm."
    assert own_network_notes(plan_of("dm", "kip")) == []


def test_none_where_the_method_takes_the_cells_network():
    cells = {"methods": {"frepo": {"distillation": {"cell_network": True}}}}
    assert own_network_notes(plan_of("frepo", **cells)) == []


def test_published_numbers_of_frepo_stand_beside_its_own_network_alone(published):
    def find(method, network):
        return published.find(published_method=method, published_dataset="CIFAR10", ipc=10, network=network)

    assert find("FRePo", "frepo_convnet").accuracy_percent == 65.5
    assert find("FRePo", "convnet") is None
    assert find("DM", "convnet") is not None
    assert find("DM", "frepo_convnet") is None


def test_a_regression_is_no_convnet():
    network = {"architecture": "convnet", "depth": 3, "width": 128, "norm": "instance"}
    trained = {"network": network, "evaluation": {}}
    assert evaluated_text(trained) == "ConvNet, depth 3, width 128, instance norm"
    kernel = {"regression": "ntk", "regression_depth": 2}
    said = "infinitely wide fully connected network of 2 hidden layers"
    assert evaluated_text({"network": network, "evaluation": kernel}) == said
