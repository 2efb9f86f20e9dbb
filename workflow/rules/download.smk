"""OUTPUTS: resources/downloads/{dataset}/.complete, the official archives of a data set, verified."""


rule download:
    output:
        marker=f"{cells.DOWNLOADS}/{{dataset}}/.complete",
    log:
        "results/logs/download/{dataset}.log",
    benchmark:
        "results/benchmarks/download/{dataset}.jsonl"
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
        "exec {PYTHON} {SCRIPTS}/download.py --config {CONFIG} --dataset {wildcards.dataset}"
        " --fingerprint {params.fingerprint} --output {output.marker} >{log} 2>&1"
