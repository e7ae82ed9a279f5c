"""The fields that conditions may use: those of the settings, and those of `config.py`, which is run on demand."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pyrotorque import fields
from pyrotorque.customfields.worker import CustomFieldWorker, DeclaredFields
from pyrotorque.fields.field import Field


class ConfigFields(Mapping[str, Field]):
    """For `conditions.parse(…, custom=…)`; `config.py` only runs to look up a name that is not defined elsewhere.

    `reviewed` is its copy that was checked (see `CustomFieldWorker`). `worker` computes its fields; `problem` is the
    error in `config.py`, with file and line.
    """

    def __init__(
        self, source: "Path | ConfigFields", given: Mapping[str, Field], *, reviewed: Path | None = None
    ) -> None:
        self._parent = source if isinstance(source, ConfigFields) else None
        self.worker: CustomFieldWorker = (
            source.worker if isinstance(source, ConfigFields) else CustomFieldWorker(source, reviewed=reviewed)
        )
        self._given = given
        self._declared: DeclaredFields | None = None

    @property
    def problem(self) -> str:
        return self.declared().problem

    def declared(self) -> DeclaredFields:
        """The fields that `config.py` declares; it is run once."""
        if self._parent is not None:
            return self._parent.declared()
        if self._declared is None:
            self._declared = self.worker.declared()
        return self._declared

    def given(self, fields: Mapping[str, Field]) -> "ConfigFields":
        """The same `config.py` and process with other fields of the settings."""
        return ConfigFields(self, fields)

    def close(self) -> None:
        self.worker.close()

    def __getitem__(self, name: str) -> Field:
        if name in self._given:
            return self._given[name]
        if fields.field(name) is not None:
            raise KeyError(name)
        return self.declared().fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.declared().fields, **self._given})

    def __len__(self) -> int:
        return len({**self.declared().fields, **self._given})


def worker_of(table: Mapping[str, Field]) -> CustomFieldWorker | None:
    """The process that computes the fields of `config.py` in `table`; it is started on first use."""
    return table.worker if isinstance(table, ConfigFields) else None
