"""What a job publishes becomes durable events, whatever its values are."""

from pathlib import Path

from pyrotorque.events import JobReported
from tests.worker_bench import bench, custom, write_job

REPORTED = {
    "float('nan')": "nan",
    "float('inf')": "inf",
    "-float('inf')": "-inf",
    "None": "None",
    "['a', 1]": "['a', 1]",
    "{'a': None}": "{'a': None}",
    "b'\\xff'": r"b'\xff'",
    "__import__('pathlib').Path('/tmp/x')": "/tmp/x",
    "__import__('decimal').Decimal('1.5')": "1.5",
    "__import__('datetime').date(2026, 11, 30)": "2026-11-30",
    "'\\udcff'": r"\xff",
    "type('Ratio', (float,), {})(0.5)": 0.5,
    "2**70": 2**70,
    "True": True,
}


def test_every_value_that_a_job_publishes_arrives(tmp_path: Path) -> None:
    calls = "\n    ".join(f"self.publish('{number}', value={value})" for number, value in enumerate(REPORTED))
    write_job(tmp_path, "note", f"def run(self, event=None):\n    {calls}")
    with bench(tmp_path, custom("note")) as made:
        assert made.run("note").ok, made.failures()
        found = {event.text: event.data["value"] for event in made.events() if isinstance(event, JobReported)}
    assert found == {str(number): value for number, value in enumerate(REPORTED.values())}
    assert found[str(len(REPORTED) - 1)] is True
