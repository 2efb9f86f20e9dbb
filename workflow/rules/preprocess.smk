"""OUTPUTS: results/data/{dataset}.h5, the preprocessed data set; of one that cells ask for in another form than its own, also
results/data/{dataset}-zca.h5 (or -plain.h5).

Working directories can share it (`--cache`, docs/operation.md). Snakemake allows no benchmark of such a rule, since there is
nothing to measure when the result comes from the cache.
"""


rule preprocess:
    input:
        files=raw_files,
    output:
        data=cells.DATA,
    log:
        "results/logs/preprocess/{dataset}.log",
    cache: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus_of("data"),
        mem_mb=memory_of("data"),
        # An hour at least: reading pictures from a slow disk is not in the cost model.
        runtime=lambda wildcards, attempt: max(
            60, minutes_of("data")(wildcards, attempt)
        ),
    params:
        fingerprint=fingerprint_of("data"),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        'exec "$PYTHON" "$SCRIPTS/preprocess.py" --config "$CONFIG" --dataset {wildcards.dataset:q}'
        " --fingerprint {params.fingerprint:q} --output {output.data:q} >{log:q} 2>&1"
