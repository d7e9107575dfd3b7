"""Recognises the variables that Kubernetes sets for every Service of the namespace.

A Service named `amd` sets AMD_PORT=tcp://10.0.0.1:8080 and similar variables in every pod, unless the pod's
specification contains `enableServiceLinks: false`. Some of these names are also names of settings.
Source: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

import re

_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)
_NAME = re.compile(r"\w+_SERVICE_(HOST|PORT(_\w+)?)|\w+_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?", re.IGNORECASE)


def is_service_link(name: str, value: str | None) -> bool:
    """Whether Kubernetes set the variable for a Service. No setting has such a name or such a value."""
    return _NAME.fullmatch(name) is not None or _ADDRESS.match(value or "") is not None
