"""OUTPUTS: results/figures/{name}.{png,pdf,json} for the figures in bacon/reporting/figures/catalogue.py that the grid has,
results/figures/images/{dataset}_{method}_ipc{ipc}.{png,pdf,json}; the json holds title and caption.
"""


rule figures:
    input:
        evaluations=every("evaluate"),
        distilled=every("distill"),
        data=every("data"),
        downstream=every_task,
    output:
        **figure_files(),
    log:
        "results/logs/figures.log",
    benchmark:
        "results/benchmarks/figures.jsonl"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=30,
    params:
        fingerprint=shown_fingerprint("figures"),
    message:
        "Drawing the figures"
    shell:
        'exec "$PYTHON" "$SCRIPTS/aggregate.py" --config "$CONFIG" --target figures'
        " --fingerprint {params.fingerprint:q} >{log:q} 2>&1"


rule images:
    input:
        images=first_distilled,
        data=shown_data,
    output:
        png=report(
            f"{cells.FIGURES}/images/{{dataset}}_{{method}}_ipc{{ipc}}.png",
            caption="../report/images_figure.rst",
            category="3. Images",
            subcategory="{dataset}",
            labels={"method": "{method}", "IPC": "{ipc}"},
        ),
        pdf=f"{cells.FIGURES}/images/{{dataset}}_{{method}}_ipc{{ipc}}.pdf",
        words=f"{cells.FIGURES}/images/{{dataset}}_{{method}}_ipc{{ipc}}.json",
    log:
        "results/logs/images/{dataset}_{method}_ipc{ipc}.log",
    benchmark:
        "results/benchmarks/images/{dataset}_{method}_ipc{ipc}.jsonl"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=30,
    params:
        fingerprint=images_fingerprint,
    message:
        "Drawing the images of {wildcards.dataset}, {wildcards.method}, IPC {wildcards.ipc}"
    shell:
        'exec "$PYTHON" "$SCRIPTS/images.py" --config "$CONFIG"'
        " --group {wildcards.dataset:q}/{wildcards.method:q}/ipc{wildcards.ipc:q} --fingerprint {params.fingerprint:q}"
        " --output {output:q} >{log:q} 2>&1"
