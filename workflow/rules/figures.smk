"""OUTPUTS: results/figures/{accuracy,curve,loss}.{png,pdf}, results/figures/images/{dataset}_{method}_ipc{ipc}.{png,pdf}."""


rule figures:
    input:
        evaluations=all_evaluations,
        distilled=all_distilled,
    output:
        accuracy_png=report(
            f"{cells.FIGURES}/accuracy.png",
            caption="../report/accuracy_figure.rst",
            category="2. Figures",
            labels={"figure": "accuracy by method and IPC"},
        ),
        accuracy_pdf=f"{cells.FIGURES}/accuracy.pdf",
        curve_png=report(
            f"{cells.FIGURES}/curve.png",
            caption="../report/curve_figure.rst",
            category="2. Figures",
            labels={"figure": "accuracy against iterations"},
        ),
        curve_pdf=f"{cells.FIGURES}/curve.pdf",
        loss_png=report(
            f"{cells.FIGURES}/loss.png",
            caption="../report/loss_figure.rst",
            category="2. Figures",
            labels={"figure": "loss terms"},
        ),
        loss_pdf=f"{cells.FIGURES}/loss.pdf",
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
        fingerprint=figures_fingerprint,
    message:
        "Drawing the figures"
    shell:
        'exec "$PYTHON" "$SCRIPTS/aggregate.py" --config "$CONFIG" --target figures'
        " --fingerprint {params.fingerprint} >{log} 2>&1"


rule images:
    input:
        images=first_distilled,
    output:
        png=report(
            f"{cells.FIGURES}/images/{{dataset}}_{{method}}_ipc{{ipc}}.png",
            caption="../report/images_figure.rst",
            category="3. Images",
            subcategory="{dataset}",
            labels={"method": "{method}", "IPC": "{ipc}"},
        ),
        pdf=f"{cells.FIGURES}/images/{{dataset}}_{{method}}_ipc{{ipc}}.pdf",
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
        "Showing the images of {wildcards.dataset}, {wildcards.method}, IPC {wildcards.ipc}"
    shell:
        'exec "$PYTHON" "$SCRIPTS/images.py" --config "$CONFIG"'
        " --group {wildcards.dataset}/{wildcards.method}/ipc{wildcards.ipc} --fingerprint {params.fingerprint}"
        " --output {output.png} {output.pdf} >{log} 2>&1"
