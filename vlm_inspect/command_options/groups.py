"""The options of a command in groups, and the environment variables, as `--help` shows them."""

from collections.abc import Mapping

import click

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Part and rules": (
        *("rules_path", "references", "allow_outside", "question", "as_kind", "overkill", "anomalous", "rules_dir"),
        *("format_name", "categories", "shots", "seed", "limit", "force", "serial"),
    ),
    "Model": (
        *("model", "models", "base_url", "timeout_s", "samples", "detail", "look_again", "agent"),
        *("max_steps", "step_tokens", "step_usd", "template", "dtype"),
        *("quantize", "trust_remote_code", "device"),
    ),
    "Heatmap": ("localizer", "eye", "backbone", "clip", "checkpoint", "calibration_path"),
    "Speed and cost": (
        "concurrency",
        "tokens_per_minute",
        "price",
        "budget_usd",
        "cache",
        "engine",
        "ray_address",
        "workers",
    ),
    "Run": ("resume", "retry_failed", "dry_run", "max_failures", "aupro_200", "rule_test", "rule_test_parts"),
    "Output": (
        *(
            "out",
            "as_json",
            "json_path",
            "html_path",
            "csv_path",
            "gallery",
            "overlay_path",
            "ply_path",
            "save",
            "keep_input",
            "store",
            "pictures",
            "by",
        ),
        *("keep_maps",),
    ),
}
"""Heading -> parameters, in this order; what no group names stands under "Other options"."""
OTHER = "Other options"
ENVIRONMENT: Mapping[str, str] = {
    "VLM_INSPECT_MODEL": "Default of --model.",
    "VLM_INSPECT_STORE": "Default of --store, where cases are kept.",
    "VLM_INSPECT_CLIP": "Default of --clip, the CLIP weights.",
    "VLM_INSPECT_CACHE": "Folder of what is kept to be fast; off: nothing is kept.",
    "VLM_INSPECT_STORE_FILES": "Folder of a database's pictures, where --store is postgresql://.",
    "VLM_INSPECT_DINOV2": "Folder of DINOv2's weights.",
    "VLM_INSPECT_RUNTIME": "What runs the networks: openvino or torch; default: what is installed.",
    "VLM_INSPECT_READ_MEMORY": "Most memory that one file may take decoded, such as 500M; default: 2G.",
    "VLM_INSPECT_READ_SECONDS": "Most seconds that a file of normal size may take to read; default: 20.",
    "VLM_INSPECT_PRICES": "Price tables of models (YAML) in place of those that come with the program.",
    "OPENAI_BASE_URL": "Server of openai: models, where --base-url names none.",
    "OPENAI_API_KEY": "Key of that server.",
    "RAY_AUTH_TOKEN": "Token of a Ray cluster, with RAY_AUTH_MODE=token.",
}
"""What the program reads from the environment."""


class GroupedCommand(click.Command):
    """A command whose `--help` shows its options in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        heading = {name: title for title, names in GROUPS.items() for name in names}
        rows: dict[str, list[tuple[str, str]]] = {title: [] for title in (*GROUPS, OTHER)}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None:
                rows[heading.get(parameter.name or "", OTHER)].append(row)
        for title, shown in rows.items():
            if shown:
                with formatter.section(title):
                    formatter.write_dl(shown)


def write_environment(formatter: click.HelpFormatter) -> None:
    """Write what the program reads from the environment."""
    with formatter.section("Environment"):
        formatter.write_dl(list(ENVIRONMENT.items()))
