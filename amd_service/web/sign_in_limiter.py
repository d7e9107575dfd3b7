"""Limits attempts to sign in, so that nobody can find a password by trial."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

WINDOW_S = 60.0
PER_CLIENT_AND_NAME = 5
PER_CLIENT = 20
# The next two limits do not apply to a client from which the same person has signed in before. So a stranger cannot
# lock out people by wrong passwords from many addresses.
PER_NAME = 30
IN_TOTAL = 120
MAX_KNOWN = 1000


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to sign in. `client`: address of the client."""

    moment: float
    name: str
    client: str


class SignInLimiter:
    """Counts the attempts of the last minute that have not succeeded, also those whose password is still checked."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._attempts: deque[Attempt] = deque()
        # Names with the clients from which they have signed in, oldest first.
        self._known: dict[tuple[str, str], None] = {}

    def start(self, name: str, client: str) -> float:
        """Count an attempt. Returns the seconds until it is allowed; if that is not 0, the attempt is not counted."""
        now = self._clock()
        while self._attempts and now - self._attempts[0].moment >= WINDOW_S:
            self._attempts.popleft()
        of_client = [attempt for attempt in self._attempts if attempt.client == client]
        limits = [
            (of_client, PER_CLIENT),
            ([attempt for attempt in of_client if attempt.name == name], PER_CLIENT_AND_NAME),
        ]
        if (name, client) not in self._known:
            of_name = [attempt for attempt in self._attempts if attempt.name == name]
            limits += [(of_name, PER_NAME), (list(self._attempts), IN_TOTAL)]
        waits = [WINDOW_S - (now - counted[-limit].moment) for counted, limit in limits if len(counted) >= limit]
        if not waits:
            self._attempts.append(Attempt(now, name, client))
        return max(waits, default=0.0)

    def succeed(self, name: str, client: str) -> None:
        """Remove the last attempt, because its password was right."""
        self.withdraw(name, client)
        self._known.pop((name, client), None)
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[name, client] = None

    def withdraw(self, name: str, client: str) -> None:
        """Remove the last attempt, because its password was not checked."""
        for index in range(len(self._attempts) - 1, -1, -1):
            if (self._attempts[index].name, self._attempts[index].client) == (name, client):
                del self._attempts[index]
                return
