"""OUTPUTS: results/distilled/{dataset}/{method}/ipc{ipc}/seed{seed}.h5, one synthetic set per cell."""


rule distill:
    input:
        data=prepared_data,
        trained=trained("distill"),
    output:
        images=cells.DISTILLED,
    log:
        "results/logs/distill/{dataset}/{method}/ipc{ipc}/seed{seed}.log",
    benchmark:
        "results/benchmarks/distill/{dataset}/{method}/ipc{ipc}/seed{seed}.jsonl"
    conda:
        "../../environment.yml"
    threads: PLAN.config.run.threads
    resources:
        gpu=gpus_of("distill"),
        mem_mb=memory_of("distill"),
        runtime=minutes_of("distill"),
    params:
        fingerprint=fingerprint_of("distill"),
    message:
        "Distilling {wildcards.dataset} with {wildcards.method}, IPC {wildcards.ipc}, seed {wildcards.seed}"
    shell:
        'exec "$PYTHON" "$SCRIPTS/distill.py" --config "$CONFIG"'
        " --cell {wildcards.dataset:q}/{wildcards.method:q}/ipc{wildcards.ipc:q}/seed{wildcards.seed:q}"
        " --fingerprint {params.fingerprint:q} --threads {threads}"
        " --data {input.data:q} --output {output.images:q} >{log:q} 2>&1"
