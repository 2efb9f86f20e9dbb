"""IDM, improved distribution matching (Zhao et al., CVPR 2023): partition, network queue, accuracy-weighted CE."""

from bacon.methods.base import Method

IDM = Method(
    name="idm",
    title="IDM",
    family="matching",
    summary="Mean matching in a queue of partly trained networks, partitioned images, accuracy-weighted cross-entropy.",
    reference="Zhao et al., Improved Distribution Matching for Dataset Condensation, CVPR 2023",
    settings={
        "distillation": {
            "objective": {"kind": "mean"},
            "networks": {"source": "queue"},
            "partition": 2,
            "update": "per_class",
            "lr_img": 0.2,
            "momentum": 0.5,
        }
    },
    figure_place=2,
    term_titles={"mean": "Mean matching", "ce": "Cross-entropy (nats)"},
)
