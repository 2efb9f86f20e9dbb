"""OUTPUTS: results/training/{dataset}/{training}/runs{first}-{last}.json, the index of networks trained on a real training set.

The networks lie beside it, run{i}.h5 each. They are no declared outputs, which a job that fails would lose: a job goes on where
the last one stopped, and the index holds their checksums.
"""


rule train:
    input:
        data=cells.DATA,
    output:
        index=cells.TRAINED,
    log:
        "results/logs/train/{dataset}/{training}/runs{first}-{last}.log",
    benchmark:
        "results/benchmarks/train/{dataset}/{training}/runs{first}-{last}.jsonl"
    conda:
        "../../environment.yml"
    threads: PLAN.config.run.threads
    resources:
        gpu=gpus_of("train"),
        mem_mb=memory_of("train"),
        runtime=minutes_of("train"),
    params:
        fingerprint=fingerprint_of("train"),
    message:
        "Training runs {wildcards.first} to {wildcards.last} of {wildcards.training} on {wildcards.dataset}"
    shell:
        'exec "$PYTHON" "$SCRIPTS/train.py" --config "$CONFIG"'
        " --runs {wildcards.dataset:q}/{wildcards.training:q}/runs{wildcards.first:q}-{wildcards.last:q}"
        " --fingerprint {params.fingerprint:q} --threads {threads}"
        " --data {input.data:q} --output {output.index:q} >{log:q} 2>&1"
