"""Checks the environment variables of HTTP clients: proxies and certificates.

The HTTP client reads these variables itself, but its errors do not name the variable.
"""

import os
import ssl
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from amd_service.errors import ConfigurationError
from amd_service.settings.text import check_one_word, shown

_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_SCHEMES = ("http", "https", "socks5", "socks5h")


def check_network_environment() -> None:
    """Raise ConfigurationError if a variable for proxies or certificates cannot be used.

    The message names the variable and the cure. With NO_PROXY=* the client uses no proxy, so proxies are not checked.
    """
    without_proxy = "*" in os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).split(",")
    for name in () if without_proxy else _PROXIES:
        if value := os.environ.get(name):
            try:
                _check_proxy(value)
            except ValueError as error:
                raise ConfigurationError(f"{name}={shown(value)}: {error}") from error
    _check_certificates()


def _check_proxy(value: str) -> None:
    check_one_word(value)
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    if not is_complete or parts.scheme not in _SCHEMES:
        raise ValueError("must be a proxy like http://host:3128 or socks5://host:1080; correct or unset the variable")
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ValueError("a SOCKS proxy needs the package socksio: `pip install socksio`, or use an http:// proxy")


def _check_certificates() -> None:
    if file := os.environ.get("SSL_CERT_FILE"):
        try:
            ssl.create_default_context(cafile=file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
            cure = "set the variable to a file with certificates in PEM format, or unset it"
            raise ConfigurationError(f"SSL_CERT_FILE={shown(file)}: {reason or 'no certificates'}; {cure}") from error
    elif (directory := os.environ.get("SSL_CERT_DIR")) and not any(map(_is_directory, directory.split(os.pathsep))):
        cure = "set the variable to a directory with certificates, or unset it"
        raise ConfigurationError(f"SSL_CERT_DIR={shown(directory)}: not a directory; {cure}")


def _is_directory(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:
        return False
