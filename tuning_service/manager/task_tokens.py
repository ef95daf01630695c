"""TaskTokens: how the runner of a task shows that it is."""

import hashlib
import hmac

from tuning_service.domain.errors import Unauthenticated
from tuning_service.storage.store import Store


class TaskTokens:
    """A token lets a runner act for its own task, and for nothing else. All processes on a database have the same."""

    def __init__(self, store: Store) -> None:
        with store.write() as unit:
            self._secret = unit.tenancy.secret("task-tokens")

    def of(self, task_id: str) -> str:
        """The token of a task: for its ticket and its plan."""
        return hmac.new(self._secret, task_id.encode(), hashlib.sha256).hexdigest()

    def check(self, task_id: str, token: str) -> None:
        """Return quietly when the token is this task's. Raises Unauthenticated."""
        if not hmac.compare_digest(token, self.of(task_id)):
            raise Unauthenticated("This token is not valid for this task.")
