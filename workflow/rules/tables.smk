"""OUTPUTS: results/tables/accuracy.csv and results/tables/{name}.{csv,md,tex}, the names in bacon/reporting/tables/names.py.

With a validation split also networks.csv and the table checkpoints, under the protocol dd-ranking the table ranking (docs/evaluation.md).
"""


rule tables:
    input:
        evaluations=every("evaluate"),
        distilled=every("distill"),
        data=every("data"),
        downstream=every_task,
    output:
        **table_files(),
    log:
        "results/logs/tables.log",
    benchmark:
        "results/benchmarks/tables.jsonl"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=30,
    params:
        fingerprint=shown_fingerprint("tables"),
    message:
        "Writing the tables"
    shell:
        'exec "$PYTHON" "$SCRIPTS/aggregate.py" --config "$CONFIG" --target tables'
        " --fingerprint {params.fingerprint:q} >{log:q} 2>&1"
