"""Converts a database URL, as hosts and other clients write it, to the arguments of the driver."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from amd_service.errors import ConfigurationError

DATABASE_URL = "AMD_DATABASE_URL"
LISTEN_URL = "AMD_DATABASE_LISTEN_URL"

_FORM = "postgresql://user:password@host/name"

# Parameters that asyncpg reads from a URL. Source: asyncpg.connect_utils._parse_connect_dsn_and_args
_OF_THE_DRIVER = frozenset(
    {"host", "port", "dbname", "database", "user", "password", "passfile", "service"}
    | {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"}
    | {"ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib"}
)

# Settings that Postgres accepts when a session begins. asyncpg sends every parameter that it does not know to Postgres.
_OF_THE_SESSION = frozenset(
    {"application_name", "options", "search_path", "role", "timezone", "statement_timeout", "lock_timeout"}
    | {"idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout", "jit", "work_mem"}
    | {"tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"}
)

# Parameters that only libpq has, and asyncpg has no counterpart. None of them changes what the service reads or writes.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_OF_LIBPQ = frozenset(
    {"channel_binding", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"}
    | {"tcp_user_timeout", "gssencmode", "gssdelegation", "sslcompression", "sslsni", "sslcertmode"}
    | {"load_balance_hosts", "fallback_application_name"}
)

# Parameters for the pools and clients of other programs: Prisma, SQLAlchemy, pgx, node-postgres, Rails, Supabase. The
# service caches no prepared statements, so the parameters about pgbouncer and caches need no translation.
_OF_OTHER_CLIENTS = frozenset(
    {"connection_limit", "pool_timeout", "socket_timeout", "max_idle_connection_lifetime", "single_use_connections"}
    | {"prepared_statement_cache_size", "async_fallback", "statement_cache_capacity", "description_cache_capacity"}
    | {"default_query_exec_mode", "pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime"}
    | {"pool_max_conn_idle_time", "pool_health_check_period", "uselibpqcompat", "pool", "pool_size", "max_overflow"}
    | {
        "pgbouncer",
        "statement_cache_size",
        "prepared_statements",
        "reaping_frequency",
        "encoding",
        "supa",
        "workaround",
    }
)

_IGNORED = _OF_LIBPQ | _OF_OTHER_CLIENTS

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
}

_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


@dataclass(frozen=True, slots=True)
class DriverArguments:
    """Arguments of the driver for one database URL.

    `dsn`: URL with parameters that asyncpg and Postgres know. `connect_timeout_s`: None if the URL does not set it.
    `files`: the files that the URL names, by parameter. `system_ca`: whether the certificates of the operating system
    verify the server. `ignored`: names of parameters that have no effect.
    """

    dsn: str = field(repr=False)
    connect_timeout_s: float | None
    files: Mapping[str, str]
    system_ca: bool
    ignored: tuple[str, ...]

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS context for `sslrootcert=system`. None: asyncpg builds a context from the URL."""
        if not self.system_ca:
            return None
        context = ssl.create_default_context()
        context.set_alpn_protocols(["postgresql"])
        if "sslcert" in self.files:
            context.load_cert_chain(self.files["sslcert"], self.files.get("sslkey"))
        return context


def read_url(url: str, setting: str = DATABASE_URL) -> DriverArguments:
    """Convert the URL. Raises ConfigurationError, whose message names `setting` and contains no part of a password."""
    address, query = _split(url.strip(), setting)
    parameters = _Parameters(query, setting)
    parameters.translate()
    return parameters.arguments(address)


def unreadable_url(setting: str) -> ConfigurationError:
    """Return the error for a URL that cannot be read. The message quotes nothing, because it could quote a password."""
    return ConfigurationError(
        f"{setting} cannot be read: write {_FORM} and percent-encode special characters of user and password "
        "(e.g. @ as %40, # as %23, / as %2F, ? as %3F, [ as %5B)"
    )


def _split(url: str, setting: str) -> tuple[str, dict[str, str]]:
    """Return the URL without its query, and the parameters of the query."""
    if url[:1] in ("'", '"'):
        raise ConfigurationError(f"{setting} begins with a quotation mark: remove the quotation marks around the URL")
    try:
        parts = urlsplit(url)
        # In a URL of Postgres, + is no space: https://www.postgresql.org/docs/current/libpq-connect.html
        query = parts.query.strip("&").replace("+", "%2B")
        values = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        raise unreadable_url(setting) from None
    if parts.scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ConfigurationError(f"{setting} begins with {parts.scheme or 'no scheme'!r}: it must be {_FORM}")
    # An unencoded character can move a part of the password into the host, the path or the query. Error messages quote
    # these parts, so refuse every URL with a sign of such a character.
    cut_off = "@" in parts.path or ("@" in parts.query and not ("@" in parts.netloc and parts.path))
    if "#" in url or parts.netloc.count("@") > 1 or cut_off or not _has_hosts_and_ports(parts.netloc):
        raise unreadable_url(setting)
    return f"postgresql://{parts.netloc}{parts.path}", values


def _has_hosts_and_ports(netloc: str) -> bool:
    """Return whether each host of a list has a name, and each port can exist: uvloop accepts ports above 65535."""
    hosts = netloc.rpartition("@")[2].split(",")
    ports = [host.rpartition("]")[2].partition(":")[2] for host in hosts]
    return (len(hosts) == 1 or all(hosts)) and all(
        port == "" or (port.isascii() and port.isdigit() and int(port) <= 65535) for port in ports
    )


class _Parameters:
    """The parameters of one URL while they are translated."""

    def __init__(self, values: dict[str, str], setting: str) -> None:
        self._values = values
        self._setting = setting
        self._ignored: list[str] = []
        self._connect_timeout_s: float | None = None
        self._system_ca = False

    def translate(self) -> None:
        """Replace the names of other clients by names that asyncpg and Postgres know. Raises ConfigurationError."""
        self._translate_tls()
        self._translate_schema()
        encoding = self._values.pop("client_encoding", "utf8")
        if encoding.lower().replace("-", "") not in ("utf8", "unicode", "auto"):
            raise self._error("client_encoding", f"is {encoding!r}: the service uses UTF8, remove the parameter")
        self._read_connect_timeout()
        self._ignored = sorted(_IGNORED & self._values.keys())
        for name in self._ignored:
            del self._values[name]
        for name, choices in _CHOICES.items():
            if self._values.get(name, choices[0]) not in choices:
                raise self._error(name, f"is {self._values[name]!r}: use one of {', '.join(choices)}")
        known = _OF_THE_DRIVER | _OF_THE_SESSION
        if unknown := sorted(name for name in self._values if name.lower() not in known):
            raise self._error(", ".join(unknown), "is not supported: remove it from the URL")

    def arguments(self, address: str) -> DriverArguments:
        """Return the translated URL."""
        query = urlencode(self._values, quote_via=quote)
        return DriverArguments(
            dsn=f"{address}?{query}" if query else address,
            connect_timeout_s=self._connect_timeout_s,
            files={name: self._values[name] for name in _FILES if name in self._values},
            system_ca=self._system_ca,
            ignored=tuple(self._ignored),
        )

    def _translate_tls(self) -> None:
        values = self._values
        # node-postgres, JDBC and asyncpg itself write `ssl`.
        given = values.pop("ssl", "").lower()
        if given:
            mode = "require" if given in _TRUE else "disable" if given in _FALSE else given
            values.setdefault("sslmode", mode)
        # asyncpg has no channel binding. At least the TLS that channel binding needs must not be missing in silence.
        if values.get("channel_binding") == "require" and values.setdefault("sslmode", "require") == "disable":
            raise self._error("channel_binding=require", "needs TLS: remove sslmode=disable")
        if values.get("sslmode") == "no-verify":
            values["sslmode"] = "require"
        if values.get("sslrootcert") == "system":
            # libpq uses the certificates of the system only together with verify-full.
            if values.setdefault("sslmode", "verify-full") != "verify-full":
                raise self._error("sslrootcert=system", "needs sslmode=verify-full")
            del values["sslrootcert"]
            self._system_ca = True

    def _translate_schema(self) -> None:
        """Translate Prisma's `schema`. `public` is the default, and a pooler may refuse the parameter search_path."""
        schema = self._values.pop("schema", "public")
        if schema != "public":
            quoted = schema.replace('"', '""')
            self._values["search_path"] = f'"{quoted}"'

    def _read_connect_timeout(self) -> None:
        seconds = self._values.pop("connect_timeout", "0")
        if not (seconds.isascii() and seconds.isdigit()):
            raise self._error("connect_timeout", f"is {seconds!r}: it must be a whole number of seconds")
        # libpq reads 0 as no limit. The service then keeps its own limit.
        self._connect_timeout_s = float(seconds) or None

    def _error(self, name: str, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{self._setting}: the parameter {name} {problem}")


def unreadable_file(arguments: DriverArguments) -> str | None:
    """Return the parameter and the path of the first file that this process cannot read. None: all are readable."""
    for name, path in arguments.files.items():
        if not (Path(path).is_file() and os.access(path, os.R_OK)):
            return f"{name}={path}"
    return None
