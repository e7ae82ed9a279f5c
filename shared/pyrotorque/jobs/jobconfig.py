"""What a job's constructor gets: its settings, as a mapping that answers attributes too."""

from typing import Any

from pyrotorque.errors import UserError
from pyrotorque.text import printable


class MissingSetting(UserError, KeyError, AttributeError):
    """A job asked for a setting that its configuration does not have; `config.get(name, default)` asks politely."""

    def __str__(self) -> str:
        return str(self.args[0])


class JobConfig(dict[str, Any]):
    """`config["path"]`, `config.path`, `config.get("path", default)`; also job_name, dry_run, active and schedule."""

    def __missing__(self, key: str) -> Any:
        name = printable(str(self.get("job_name", "NAME")))
        raise MissingSetting(f"job.{name}.{printable(key)} is not set, and the job needs it")

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return self[key]
