"""What the page of all settings says besides the settings themselves."""

from __future__ import annotations

INTRODUCTION = """# Configuration

`config.yaml` is the default: the embedded digits. `paper.yaml` holds the paper's 11 cells for BACON and what it builds on,
`table1.yaml` the same cells for every method (`table1_native.yaml`: under each method's own protocol), `real_small.yaml` every
method on two real data sets in a night on two CPU cores, `digits.yaml` every method on the digits. Give another file with
`--configfile FILE`, or single values with `--config 'preset=smoke'`. `bacon config --cell digits/bacon/ipc10/seed0` prints the
settings of one cell and the layer each value came from. This page is generated from the typed settings in `bacon/settings`,
`bacon/config/model.py` and the methods' records (`bacon reference --write`).

## How a file is read

The file is YAML 1.2, or JSON, in UTF-8; `bacon` and Snakemake read it by the same rules, and one check decides for both.

- A key that stands twice in one place is an error, whichever value it has. Anchors (`&name`), aliases (`*name`) and merge keys
  (`<<: *name`) work. A key that holds others and is left empty (`data:`) is as if it were not there, unless `null` is one of
  its values (`sharpness`): that takes out what lower layers say of it.
- Numbers: `0.0005`, `5e-4`, `1_000`; numbers in quotes count as numbers. `010` is an error, since YAML readers disagree on it.
- `true` or `false`, and for keys of that type also `yes`, `no`, `on`, `off`. Elsewhere `no`, `on` and dates are text.
- Names of data sets, networks and variants are used in paths and commands: letters a-z and A-Z, digits and `. _ + -`, starting
  with a letter or a digit, at most 64 characters. What tables and figures show is `title`.
- Paths: relative ones are relative to the working directory; `~` is the home folder; all other characters stand for
  themselves, also spaces, braces and `$`.
- A value that no cell of the grid takes, because a higher layer sets the key or no cell is in its layer, gives a warning that
  names the key and the layer that wins.

A file names what is computed, and changes settings where it wants to, stage by stage: [data](#data), [networks](#networks),
[distillation](#distillation), [evaluation](#evaluation). A change makes exactly those artifacts stale whose numbers it can
change.

## Layers

A cell's settings are layered, later layers win key by key:

1. the defaults below, then `protocol`, the evaluation's (one of {protocols}),
2. `preset`: one of {presets}, and what the method's record says of it,
3. the method: its built-in settings, with the preset `paper` those that its authors published for a data set and IPC
   (`bacon/methods/NAME/record.py`), then `methods.NAME`; a variant has those of its method,
4. the data set: its built-in settings (`bacon/datasets/registry.py`), then `datasets.NAME`,
5. the (data set, IPC): `cells`, a list of layers with `dataset`, `ipc` and, if it is for some methods only, `methods`,
6. the variant, where the cell's method is one: `variants.NAME`,
7. `overrides`: from patterns of cells, such as `digits/bacon/ipc10/seed*` or `digits/full`, to settings.

A layer has the sections `preprocessing`, `network`, `distillation` and `evaluation`. A key that a method does not have
(iterations, for a random coreset) does not concern it, unless the layer names that method: then it is an error.

```yaml
methods:
  bacon: {{distillation: {{objective: {{lambda: 0.5}}}}}}
datasets:
  digits: {{network: {{width: 64}}}}
cells:
  - {{dataset: digits, ipc: 10, methods: [idm, bacon], distillation: {{networks: {{ce_weight: 0.1}}}}}}
overrides:
  digits/bacon/ipc1/seed0: {{evaluation: {{epochs: 300}}}}
```
"""

# Stage -> what it is about, an example that is a whole configuration file, and the keys of the file with a model of their own.
STAGES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "What is computed",
        "The grid: data set x method x images per class x seed. Each cell is evaluated with every network.",
        "preset: demo\ngrid:\n  datasets: [digits]\n  methods: [random, dm, bacon]\n  ipc: [1, 10]\n  seeds: 3",
        ("grid",),
    ),
    (
        "Data",
        "Data sets of the registry need no entry; your own data, and changes to registered sets, go under `data` "
        "(docs/data.md). `preprocessing`, in any layer, says of cells how their images are prepared.",
        "grid: {datasets: [pictures], methods: [random, dm], ipc: [1], seeds: 1}\n"
        "data:\n  pictures: {format: imagefolder, path: pictures, size: 32}\n"
        "methods:\n  dm: {preprocessing: {zca: true}}",
        ("data",),
    ),
    (
        "Networks",
        "`network`, in any layer, is the network that a cell is distilled with; `networks` defines others for the "
        "evaluation.",
        "grid: {networks: [convnet, wide, resnet18]}\nnetworks: {wide: {width: 256}}\n"
        "datasets: {digits: {network: {width: 64, depth: 2}}}",
        (),
    ),
    (
        "Distillation",
        "The section `distillation` of a layer. Each method has its own keys besides the shared ones.",
        "methods:\n  dm: {distillation: {iterations: 1000, snapshot_interval: 200, lr_img: 0.5}}\n"
        "  idm: {distillation: {networks: {ce_weight: 0.1, capacity: 50}}}",
        (),
    ),
    (
        "Evaluation",
        "The section `evaluation` of a layer: how networks are trained on a synthetic set and tested (docs/evaluation.md).",
        "preset: demo\ndatasets: {digits: {evaluation: {seeds: 10, epochs: 200}}}",
        (),
    ),
    (
        "Downstream tasks",
        "What else the networks trained on each set, and the sets themselves, are measured by (docs/downstream.md). "
        "`grid.downstream` names the tasks, `downstream.TASK` has their settings; a change of one makes its own results stale "
        "and no other.",
        "preset: demo\ngrid: {methods: [random, dm], downstream: [calibration]}\n"
        "downstream: {calibration: {bins: 10, cells: [digits/dm/ipc10/*, digits/full]}}",
        ("downstream",),
    ),
    (
        "Tables and report",
        "What every method is compared with (docs/statistics.md).",
        "grid: {methods: [random, dm, idm, bacon]}\nreport: {references: [random, dm]}",
        ("report",),
    ),
    (
        "How jobs run",
        "Threads, devices, memory, and how often a job reports and saves.",
        "run: {threads: 4}",
        ("run",),
    ),
)
