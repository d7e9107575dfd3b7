"""Translates errors of the driver: outages, which end on their own, and mistakes in the configuration, which do not."""

import re
import socket
import ssl

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from amd_service.errors import DatabaseLocked, DatabaseMisconfigured, DatabaseUnavailable

# SQLSTATE classes and codes of errors after which the same transaction may succeed later: connection exceptions (08),
# read-only standby (25006), rollbacks on conflict (40), out of resources (53, also a full disk), lock not available
# (55P03), statement timeout (57014), shutdown and start-up (57P), session ended because it was idle (25P03).
_RETRYABLE_STATES = re.compile(r"08...|25006|25P03|40...|53...|57014|57P..")

_LOCK_NOT_AVAILABLE = "55P03"

INSUFFICIENT_PRIVILEGE = "42501"

# Refusals of a connection that do not end on their own. The first pattern that fits `SQLSTATE message` gives the cause.
# Poolers use 08P01 and XX000 for outages and for refusals, so only the message tells which of them it is.
_REFUSALS = (
    (r"28P01 .*|08P01 .*(password|auth).*fail.*", "Postgres refuses the password"),
    (r"28... .*|08P01 .*no such user.*|XX000 .*[Tt]enant or user not found.*", "Postgres refuses the role"),
    (r"3D... .*|08P01 .*(no such database|database .* does not exist).*", "the database does not exist"),
    (r"42501 .*", "the role has no CONNECT privilege on the database"),
    (r"(42...|22...) .*|08P01 .*unsupported startup parameter.*", "Postgres refuses a parameter of the database URL"),
)

# Results of a name lookup that say that the name does not exist. This can be an outage: the name of a container or pod
# does not exist in Docker and Kubernetes while the container or pod restarts.
_UNKNOWN_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


def one_line(error: BaseException) -> str:
    """Return the message in one line. The driver writes details and hints of Postgres on lines of their own."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    # SQLAlchemy puts the class of the driver's error before its message.
    if isinstance(error.__cause__, asyncpg.PostgresError):
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


def without_values(error: BaseException) -> str:
    """Return the class of an error, and the code and names that Postgres gives.

    The message is left out: Postgres repeats values of rows in it, such as phone numbers.
    """
    if isinstance(error, DatabaseUnavailable) and error.__cause__ is not None:
        error = error.__cause__
    cause = error.orig.__cause__ or error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    names = ("sqlstate", "table_name", "column_name", "constraint_name")
    known = [f"{name} {value}" for name in names if (value := getattr(cause, name, None))]
    return ", ".join([type(cause).__name__, *known])


def as_unavailable(error: BaseException) -> DatabaseUnavailable | None:
    """Convert an error of a transaction if Postgres is down, busy or misconfigured. Returns None for other errors."""
    if isinstance(error, PoolTimeoutError | TimeoutError):
        return DatabaseUnavailable(f"Postgres did not respond in time ({type(error).__name__})")
    if isinstance(error, ConnectionError):
        return DatabaseUnavailable(f"the connection to Postgres is lost: {one_line(error)}")
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if state == INSUFFICIENT_PRIVILEGE:
        return DatabaseMisconfigured(
            f"Postgres refuses a statement: {one_line(error)}", reason="the role lacks a privilege"
        )
    if state == _LOCK_NOT_AVAILABLE:
        return DatabaseLocked(
            f"another database session holds a lock: {_lock(error)}; find the session in pg_stat_activity, often its "
            "state is 'idle in transaction', and end it"
        )
    if isinstance(state, str) and _RETRYABLE_STATES.fullmatch(state):
        return DatabaseUnavailable(f"Postgres reported an error: {one_line(error)}")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return DatabaseUnavailable(f"the connection to Postgres is lost: {one_line(error)}")
    return None


def _lock(error: BaseException) -> str:
    """Describe the lock that a statement waited for. Postgres names a row's table, and for a table only the mode."""
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error
    context = getattr(cause, "context", None)
    statement = error.statement if isinstance(error, DBAPIError) else None
    return f"{one_line(cause or error)} {context or 'in ' + ' '.join((statement or 'a statement').split()[:3])}"


def refused_connection(error: asyncpg.PostgresError, setting: str) -> DatabaseUnavailable:
    """Convert the response of Postgres, or of a pooler, to a new connection."""
    message = one_line(error)
    for pattern, reason in _REFUSALS:
        if re.fullmatch(pattern, f"{error.sqlstate} {message}"):
            return DatabaseMisconfigured(f"{reason}: {message}; correct {setting}", reason=reason)
    return DatabaseUnavailable(f"Postgres reported an error: {message}")


def failed_connection(error: OSError, setting: str) -> DatabaseUnavailable:
    """Convert an error of the network, of a name lookup or of TLS."""
    reason = _permanent_reason(error)
    if reason is not None:
        return DatabaseMisconfigured(f"{reason[0]}: {one_line(error)}; {reason[1]} {setting}", reason=reason[0])
    if isinstance(error, socket.gaierror) and error.errno in _UNKNOWN_NAME:
        return DatabaseUnavailable(
            f"the host name of Postgres does not exist: {one_line(error)}; correct the host in {setting}, or start the "
            "container with this name"
        )
    cure = f"start Postgres, or correct host and port in {setting}"
    return DatabaseUnavailable(f"Postgres cannot be reached: {one_line(error)}; {cure}")


def _permanent_reason(error: OSError) -> tuple[str, str] | None:
    """Return cause and cure of an error that does not end on its own. None for an outage."""
    match error:
        case ssl.SSLCertVerificationError():
            return "the certificate of Postgres is not valid", "correct sslrootcert, sslmode or the host in"
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return None
        case ssl.SSLError():
            return "TLS with Postgres fails", "correct the parameters ssl… in"
        case PermissionError():
            return "the operating system refuses the connection to Postgres", "correct the permissions or"
        case ConnectionError() if "rejected SSL upgrade" in str(error):
            return "the server refuses TLS or is not Postgres", "correct sslmode, host or port in"
    return None
