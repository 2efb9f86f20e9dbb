"""OUTPUTS: results/tables/accuracy.csv, results/tables/summary.{csv,md,tex}, results/tables/cost.{csv,md,tex}."""


rule tables:
    input:
        evaluations=all_evaluations,
        distilled=all_distilled,
    output:
        accuracy=report(
            f"{cells.TABLES}/accuracy.csv",
            caption="../report/accuracy_table.rst",
            category="1. Tables",
            labels={"table": "every trained network"},
        ),
        summary_csv=report(
            f"{cells.TABLES}/summary.csv",
            caption="../report/summary_table.rst",
            category="1. Tables",
            labels={"table": "accuracy, ours beside published"},
        ),
        summary_md=f"{cells.TABLES}/summary.md",
        summary_tex=f"{cells.TABLES}/summary.tex",
        cost_csv=report(
            f"{cells.TABLES}/cost.csv",
            caption="../report/cost_table.rst",
            category="1. Tables",
            labels={"table": "cost"},
        ),
        cost_md=f"{cells.TABLES}/cost.md",
        cost_tex=f"{cells.TABLES}/cost.tex",
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
        fingerprint=tables_fingerprint,
    message:
        "Making the tables"
    shell:
        'exec "$PYTHON" "$SCRIPTS/aggregate.py" --config "$CONFIG" --target tables'
        " --fingerprint {params.fingerprint} >{log} 2>&1"
