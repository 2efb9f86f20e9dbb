"""OUTPUTS, where several protocols are configured: results/evaluation/{dataset}/{method}/ipc{ipc}/seed{seed}.json and
results/evaluation/{dataset}/full.json: the index of a cell's evaluation files.

One job evaluates a cell with every network under every protocol. The files lie below seed{seed} or full; Snakemake does not know
of them, so that they outlive a job that failed, and a protocol more trains its own networks alone.
"""


rule evaluate:
    input:
        data=prepared_data,
        images=cells.DISTILLED,
        trained=trained("evaluate"),
    output:
        records=cells.EVALUATIONS,
    log:
        "results/logs/evaluate/{dataset}/{method}/ipc{ipc}/seed{seed}.log",
    benchmark:
        "results/benchmarks/evaluate/{dataset}/{method}/ipc{ipc}/seed{seed}.jsonl"
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
        "Evaluating {wildcards.dataset}, {wildcards.method}, IPC {wildcards.ipc}, seed {wildcards.seed} under every protocol"
    shell:
        'exec "$PYTHON" "$SCRIPTS/evaluate.py" --config "$CONFIG"'
        " --cell {wildcards.dataset:q}/{wildcards.method:q}/ipc{wildcards.ipc:q}/seed{wildcards.seed:q}"
        " --protocols --fingerprint {params.fingerprint:q} --threads {threads}"
        " --data {input.data:q} --images {input.images:q} --output {output.records:q} >{log:q} 2>&1"


rule evaluate_full:
    input:
        data=prepared_data,
        trained=trained("evaluate"),
    output:
        records=cells.EVALUATIONS_FULL,
    log:
        "results/logs/evaluate/{dataset}/full.log",
    benchmark:
        "results/benchmarks/evaluate/{dataset}/full.jsonl"
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
        "Evaluating the full training set of {wildcards.dataset} under every protocol"
    shell:
        'exec "$PYTHON" "$SCRIPTS/evaluate.py" --config "$CONFIG" --cell {wildcards.dataset:q}/full'
        " --protocols --fingerprint {params.fingerprint:q} --threads {threads}"
        " --data {input.data:q} --output {output.records:q} >{log:q} 2>&1"
