"""Completes names of jobs in the shell, from the stored configuration; the group need not run."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem


def complete_job(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The jobs whose names begin with what was typed; none where the configuration cannot be read."""
    del param
    try:
        from pyrotorque.layout import Layout
        from pyrotorque.settings import configuration_dir
        from pyrotorque.stored_configuration import last_good
        from pyrotorque.supervisord.config import written_layout

        given = ctx.find_root().params.get("config_dir")
        home: Path = configuration_dir(given)
        settings = last_good(written_layout(home) or Layout.below(home))
    except Exception:  # a completion prints nothing but names
        return []
    jobs = settings.jobs if settings is not None else ()
    return [CompletionItem(job.name, help=job.handler) for job in jobs if job.name.startswith(incomplete)]
