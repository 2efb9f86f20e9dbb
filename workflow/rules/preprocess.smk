"""OUTPUTS: results/data/{dataset}.h5, the preprocessed data set."""


rule preprocess:
    input:
        files=raw_files,
    output:
        data=cells.DATA,
    log:
        "results/logs/preprocess/{dataset}.log",
    benchmark:
        "results/benchmarks/preprocess/{dataset}.jsonl"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=6000,
        runtime=60,
    params:
        fingerprint=data_fingerprint,
    message:
        "Preparing {wildcards.dataset}"
    shell:
        'exec "$PYTHON" "$SCRIPTS/preprocess.py" --config "$CONFIG" --dataset {wildcards.dataset}'
        " --fingerprint {params.fingerprint} --output {output.data} >{log} 2>&1"
