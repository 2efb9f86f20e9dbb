"""OUTPUTS: results/report.html, one file with the tables, the figures and every cell."""


rule report:
    input:
        evaluations=every("evaluate"),
        distilled=every("distill"),
        data=every("data"),
        downstream=every_task,
        figures=drawn_figures,
        images=all_images,
    output:
        page=REPORT,
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.jsonl"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=30,
    params:
        fingerprint=page_fingerprint,
    message:
        "Writing the report"
    shell:
        'exec "$PYTHON" "$SCRIPTS/report.py" --config "$CONFIG" --output {output.page:q}'
        " --fingerprint {params.fingerprint:q} >{log:q} 2>&1"
