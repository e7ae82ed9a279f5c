"""A class name is defined once in the services and the library, so that a search finds its definition."""

import re
from collections import Counter

from demo.group import REPOSITORY


def test_each_class_name_is_defined_once() -> None:
    files = (file for part in ("services", "shared") for file in (REPOSITORY / part).rglob("*.py"))
    names = Counter(name for file in files for name in re.findall(r"^\s*class (\w+)", file.read_text(), re.MULTILINE))
    assert [name for name, number in names.items() if number > 1] == []
