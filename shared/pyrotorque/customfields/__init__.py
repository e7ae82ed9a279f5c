"""Fields that users define in `config.py`: declared with a decorator, computed in a separate process.

```python
from pyrotorque.customfields import field

@field("is_big", kind="bool", needs=("size",), doc="larger than 10 GiB")
def is_big(item):
    return item.size > 10 * 2**30
```

`item` has the fields named in `needs`, and `hash`. If the function raises, the value is unknown for that item.
"""

from pyrotorque.customfields.config_fields import ConfigFields, worker_of
from pyrotorque.customfields.declaration import field
from pyrotorque.customfields.worker import CustomFieldWorker, DeclaredFields

__all__ = ["ConfigFields", "CustomFieldWorker", "DeclaredFields", "field", "worker_of"]
