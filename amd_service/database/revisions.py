"""The migrations of this version of amd-service."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from amd_service.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Revisions:
    """The migrations of this version. `head`: the last migration."""

    known: frozenset[str]
    head: str | None


def migrations_dir(package: Path | None = None) -> Path:
    """Return the folder of migrations. A wheel has it inside the package, and a checkout has it beside the package."""
    package = package or Path(str(files("amd_service")))
    for candidate in (package / "_migrations", package.parent / "migrations"):
        if (candidate / "env.py").is_file():
            return candidate
    raise ConfigurationError(f"no migrations beside {package}: reinstall amd-service")


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for an open connection. The file alembic.ini is not read."""
    config = Config()
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def read_revisions() -> Revisions:
    """Read the migrations of this version. Blocking, because it imports their files: run it in a thread."""
    scripts = ScriptDirectory.from_config(alembic_config())
    return Revisions(frozenset(script.revision for script in scripts.walk_revisions()), scripts.get_current_head())
