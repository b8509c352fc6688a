"""The options of a command in groups, and the environment variables, as `--help` shows them."""

from collections.abc import Mapping

import click

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Part and rules": (
        *(
            "rules_path",
            "references",
            "allow_outside",
            "question",
            "as_kind",
            "overkill",
            "missed",
            "anomalous",
            "rules_dir",
        ),
        *(
            "format_name",
            "categories",
            "shots",
            "seed",
            "limit",
            "force",
            "serial",
            "serial_code",
            "settle_s",
            *("camera", "events_dir", "before_s", "after_s"),
            "planted",
        ),
    ),
    "Model": (
        *(
            "model",
            "models",
            "look_again",
            "agent",
            "max_steps",
            "step_tokens",
            "step_usd",
            "refuter",
            "template",
            "samples",
        ),
        *("language", "detail", "max_pictures", "max_references", "most_windows"),
        *("max_tokens", "reasoning_effort", "timeout_s"),
        *("base_url", "headers", "ca_file", "device", "dtype", "quantize", "trust_remote_code"),
    ),
    "Heatmap": ("localizer", "eye", "backbone", "clip", "half", "localizer_batch", "checkpoint", "calibration_path"),
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
    "Service": ("rules_folder", "host", "port", "tokens_path", "hosts", "data_folder", "queue", "max_upload", "rate"),
    "Run": ("resume", "retry_failed", "dry_run", "max_failures", "aupro_200", "rule_test", "rule_test_parts"),
    "Output": (
        *(
            "out",
            "as_json",
            "json_path",
            "html_path",
            "csv_path",
            "gallery",
            *("parquet_path", "coco_path", "labelme_dir", "move_dir", "webhooks", "topics"),
            "overlay_path",
            "ply_path",
            "save",
            "keep_input",
            "forget_input",
            "store",
            "pictures",
            "by",
        ),
        *("keep_maps", "figures"),
    ),
}
"""Heading -> parameters, in this order; what no group names stands under "Other options"."""
OTHER = "Other options"
ENVIRONMENT: Mapping[str, str] = {
    "VLM_INSPECT_MODEL": "Default for --model.",
    "VLM_INSPECT_STORE": "Default for --store, where cases are kept.",
    "VLM_INSPECT_CLIP": "Default for --clip, the CLIP weights.",
    "VLM_INSPECT_CACHE": "Folder of the cache; off: nothing is cached.",
    "VLM_INSPECT_PROGRESS_S": "Seconds between two lines of progress where stderr is no terminal. Default: 10.",
    "VLM_INSPECT_STORE_FILES": "Folder for pictures, where --store is a PostgreSQL database.",
    "VLM_INSPECT_DINOV2": "Folder of DINOv2's weights.",
    "VLM_INSPECT_RUNTIME": "Runtime of the networks: openvino or torch. Default: openvino where it is installed.",
    "VLM_INSPECT_READ_MEMORY": "Memory limit for reading one file, such as 500M. Default: 2G.",
    "VLM_INSPECT_READ_SECONDS": "Time limit in seconds for reading a file of normal size. Default: 20.",
    "VLM_INSPECT_PRICES": "Price tables of models (YAML), in place of the built-in ones.",
    "VLM_INSPECT_WEBHOOK_SECRET": "Key that signs the messages of --webhook.",
    "VLM_INSPECT_MQTT_PASSWORD": "Password of the user that --mqtt names.",
    "VLM_INSPECT_TOKEN": "Token of one engineer of `serve`, beside those of --tokens.",
    "VLM_INSPECT_STORE_PASSWORD": "Password of the store's database, where its URL has none. It, the token and the two "
    "above can stand in a file that VLM_INSPECT_STORE_PASSWORD_FILE, ..._FILE names.",
    "OPENAI_BASE_URL": "Server of openai: models, where --base-url is not given.",
    "OPENAI_API_KEY": "API key of that server.",
    "RAY_AUTH_TOKEN": "Token of a Ray cluster; requires RAY_AUTH_MODE=token.",
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
            if row is not None and not isinstance(parameter, click.Argument):  # the usage line names arguments
                rows[heading.get(parameter.name or "", OTHER)].append(row)
        for title, shown in rows.items():
            if shown:
                with formatter.section(title):
                    formatter.write_dl(shown)


def write_environment(formatter: click.HelpFormatter) -> None:
    """Write what the program reads from the environment."""
    with formatter.section("Environment"):
        formatter.write_dl(list(ENVIRONMENT.items()))
