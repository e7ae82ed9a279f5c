"""The fields that conditions may use: those that the settings give, and those of `config.py` where one is asked for."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pyrotorque import fields
from pyrotorque.customfields.worker import CustomFieldWorker, Declared
from pyrotorque.fields.field import Field


class ConfigFields(Mapping[str, Field]):
    """For `conditions.parse(…, custom=…)`; `config.py` is not run before a name is asked that nobody else knows.

    `worker` computes its fields; `problem` says why there are none, with file and line.
    """

    def __init__(self, source: "Path | ConfigFields", given: Mapping[str, Field]) -> None:
        self._parent = source if isinstance(source, ConfigFields) else None
        self.worker: CustomFieldWorker = (
            source.worker if isinstance(source, ConfigFields) else CustomFieldWorker(source)
        )
        self._given = given
        self._declared: Declared | None = None

    @property
    def problem(self) -> str:
        return self.declared().problem

    def declared(self) -> Declared:
        """What `config.py` declares; asked once."""
        if self._parent is not None:
            return self._parent.declared()
        if self._declared is None:
            self._declared = self.worker.declared()
        return self._declared

    def given(self, fields: Mapping[str, Field]) -> "ConfigFields":
        """The same `config.py` and process beside other given fields."""
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
    """What computes the fields of `config.py` among these; it is not started before it is needed."""
    return table.worker if isinstance(table, ConfigFields) else None
