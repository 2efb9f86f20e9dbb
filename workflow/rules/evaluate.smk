"""OUTPUTS: results/evaluation/{dataset}/{method}/ipc{ipc}/seed{seed}/{network}.json and .../{dataset}/full/{network}.json.

One job trains every evaluation seed of a cell; finished networks are kept in a cache, so that another seed computes that
seed alone.
"""


rule evaluate:
    input:
        data=prepared_data,
        images=cells.DISTILLED,
        trained=trained("evaluate"),
    output:
        records=cells.EVALUATION,
    log:
        "results/logs/evaluate/{dataset}/{method}/ipc{ipc}/seed{seed}/{network}.log",
    benchmark:
        "results/benchmarks/evaluate/{dataset}/{method}/ipc{ipc}/seed{seed}/{network}.jsonl"
    conda:
        "../../environment.yml"
    threads: PLAN.config.run.threads
    resources:
        gpu=gpus_of("evaluate"),
        mem_mb=memory_of("evaluate"),
        runtime=minutes_of("evaluate"),
    params:
        fingerprint=fingerprint_of("evaluate"),
    message:
        "Evaluating {wildcards.dataset}, {wildcards.method}, IPC {wildcards.ipc}, seed {wildcards.seed} with {wildcards.network}"
    shell:
        'exec "$PYTHON" "$SCRIPTS/evaluate.py" --config "$CONFIG"'
        " --cell {wildcards.dataset:q}/{wildcards.method:q}/ipc{wildcards.ipc:q}/seed{wildcards.seed:q}"
        " --network {wildcards.network:q} --fingerprint {params.fingerprint:q} --threads {threads}"
        " --data {input.data:q} --images {input.images:q} --output {output.records:q} >{log:q} 2>&1"


rule evaluate_full:
    input:
        data=prepared_data,
        trained=trained("evaluate"),
    output:
        records=cells.EVALUATION_FULL,
    log:
        "results/logs/evaluate/{dataset}/full/{network}.log",
    benchmark:
        "results/benchmarks/evaluate/{dataset}/full/{network}.jsonl"
    conda:
        "../../environment.yml"
    threads: PLAN.config.run.threads
    resources:
        gpu=gpus_of("evaluate"),
        mem_mb=memory_of("evaluate"),
        runtime=minutes_of("evaluate"),
    params:
        fingerprint=fingerprint_of("evaluate"),
    message:
        "Evaluating the full training set of {wildcards.dataset} with {wildcards.network}"
    shell:
        'exec "$PYTHON" "$SCRIPTS/evaluate.py" --config "$CONFIG" --cell {wildcards.dataset:q}/full'
        " --network {wildcards.network:q} --fingerprint {params.fingerprint:q} --threads {threads}"
        " --data {input.data:q} --output {output.records:q} >{log:q} 2>&1"
