"""`check` reports an address that the exporter can never listen on."""

from pathlib import Path

import pytest

from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.validation import failing


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("127.0.0.1", True), ("[::1]", True), ("::", True), ("localhost", True), ("box.lan", True), ("", True),
        ("127.0.0.1:9135", False), ("[::1]:9135", False), ("http://localhost", False), ("1.2.3", False),
        ("[::1", False),
        ("300.1.1.1", False), ("127.0.0.1 ::1", False), ("::ffff:127.0.0.1", True), ("fe80::1%eth0", True),
        ("[fe80::1%eth0]", True), ("fe80::1", False), ("[fe80::1]", False), ("::1%lo", False), ("::%eth0", False),
        ("[]", False), ("a..b", False), (".", False), ("x" * 64, False), ("box.lan.", True), ("*", False),
    ],
)  # fmt: skip
def test_an_address_is_checked(tmp_path: Path, address: str, good: bool) -> None:
    text = f"[TORQUE]\nscgi_url = scgi:///x\njob.exporter.active = True\njob.exporter.address = {address}\n"
    (tmp_path / "torque.ini").write_text(text)
    assert [problem.key for problem in failing(load(tmp_path, Options()))] == ([] if good else ["job.exporter.address"])
