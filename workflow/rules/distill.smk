"""OUTPUTS: results/distilled/{dataset}/{method}/ipc{ipc}/seed{seed}.h5, one synthetic set per cell."""


rule distill:
    input:
        data=cells.DATA,
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
        gpu=1,
        mem_mb=cell_memory,
        runtime=distill_minutes,
    params:
        fingerprint=distilled_fingerprint,
    message:
        "Distilling {wildcards.dataset} with {wildcards.method}, IPC {wildcards.ipc}, seed {wildcards.seed}"
    shell:
        'exec "$PYTHON" "$SCRIPTS/distill.py" --config "$CONFIG"'
        " --cell {wildcards.dataset}/{wildcards.method}/ipc{wildcards.ipc}/seed{wildcards.seed}"
        " --fingerprint {params.fingerprint} --threads {threads}"
        " --data {input.data} --output {output.images} >{log} 2>&1"
