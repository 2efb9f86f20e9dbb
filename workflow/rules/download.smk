"""OUTPUTS: resources/downloads/{dataset}/.complete, beside the official archives of a data set, verified.

A local rule: on a cluster it runs where Snakemake runs, since compute nodes often have no network. The archives are no
declared outputs, which Snakemake would delete before a run and after a failed one: what is there is kept and used.
"""


rule download:
    output:
        marker=f"{cells.DOWNLOADS}/{{dataset}}/.complete",
    log:
        "results/logs/download/{dataset}.log",
    benchmark:
        "results/benchmarks/download/{dataset}.jsonl"
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=1000,
        runtime=120,
    params:
        fingerprint=source_fingerprint,
    message:
        "Downloading {wildcards.dataset}"
    shell:
        'exec "$PYTHON" "$SCRIPTS/download.py" --config "$CONFIG" --dataset {wildcards.dataset:q}'
        " --fingerprint {params.fingerprint:q} --output {output.marker:q} >{log:q} 2>&1"
