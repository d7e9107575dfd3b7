"""nginx and Caddy on loopback, with the configurations of docs/proxy.md."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import httpx2

from amd_service.simulator.service_process import stop
from tests.support.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "proxy.md"
Kind = Literal["nginx", "caddy"]


def documented(kind: Kind, page: Path = PAGE) -> str:
    """The configuration in docs/proxy.md or on another page."""
    (block,) = re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return str(block)


def replace(text: str, replacements: Mapping[str, str]) -> str:
    """Replace each regular expression, which must occur in the text."""
    for pattern, replacement in replacements.items():
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count, f"the page has no {pattern!r}"
    return text


def nginx_files(folder: Path, port: int, service_port: int) -> tuple[str, ...]:
    """Write the configuration with the location that strips a prefix. Returns the command."""
    changes = {
        r"listen 443 ssl;": f"listen 127.0.0.1:{port};",
        r"^ *ssl_certificate.*$": "",
        r"127\.0\.0\.1:8080": f"127.0.0.1:{service_port}",
        r"^    # (?=location|    proxy_pass|\})": "    ",
    }
    return nginx_command(folder, replace(documented("nginx"), changes))


def nginx_command(folder: Path, configuration: str) -> tuple[str, ...]:
    """Write the configuration. Returns the command that runs nginx with it."""
    (folder / "amd.conf").write_text(configuration)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''}\n"
        f"daemon off;\npid {folder}/nginx.pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}include {folder}/amd.conf;\n}}\n"
    )
    program = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    assert program is not None
    return program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")


def caddy_files(folder: Path, port: int, service_port: int) -> tuple[str, ...]:
    """Write the configuration with the directive that strips a prefix. Returns the command."""
    changes = {
        r"^amd\.example\.com": f"http://127.0.0.1:{port}",
        r"127\.0\.0\.1:8080": f"127.0.0.1:{service_port}",
        r"# (?=uri strip_prefix)": "",
    }
    # h2c is HTTP/2 without TLS.
    options = "{\n\tadmin off\n\tauto_https off\n\tservers {\n\t\tprotocols h1 h2 h2c\n\t}\n}\n"
    (folder / "Caddyfile").write_text(options + replace(documented("caddy"), changes))
    return "caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")


@asynccontextmanager
async def proxy(kind: Kind, folder: Path, port: int, service_port: int) -> AsyncIterator[str]:
    """Run a proxy in front of the service. Yields its URL."""
    command = (nginx_files if kind == "nginx" else caddy_files)(folder, port, service_port)
    async with run_proxy(kind, command, folder, port) as url:
        yield url


@asynccontextmanager
async def run_proxy(kind: Kind, command: tuple[str, ...], folder: Path, port: int) -> AsyncIterator[str]:
    """Run the command of a proxy until the context ends. Yields its URL when it responds."""
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | home)
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx2.AsyncClient(trust_env=False) as client:

            async def responds() -> bool:
                assert process.returncode is None, f"{kind} has ended"
                try:
                    await client.get(url)
                except httpx2.TransportError:
                    return False
                return True

            await until(responds)
        yield url
    finally:
        await stop(process)
