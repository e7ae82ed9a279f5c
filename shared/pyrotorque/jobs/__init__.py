"""API for authors of jobs: the base class `Job`, and the shipped handlers as modules beside it.

```python
from pyrotorque.jobs import Job

class Count(Job):
    def run(self):
        self.log.info("%d items seed", len(self.items("is_complete=yes is_active=yes")))
```

`job.count.handler = count:Count` runs the class in `CONFIG_DIR/jobs/count.py`. See docs/jobs.md.
"""

from pyrotorque.errors import UserError
from pyrotorque.jobs.base import Job
from pyrotorque.jobs.params import JobConfig

__all__ = ["Job", "JobConfig", "UserError"]
