"""OUTPUTS: results/distilled/{dataset}/{method}/ipc{ipc}/seed{seed}.h5, one synthetic set per cell."""


rule distill:
    input:
        data=cells.DATA,
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
        " --cell {wildcards.dataset}/{wildcards.method}/ipc{wildcards.ipc}/seed{wildcards.seed}"
        " --fingerprint {params.fingerprint} --threads {threads}"
        " --data {input.data} --output {output.images} >{log} 2>&1"
