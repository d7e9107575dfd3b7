"""Requirements of the test marked `client_generator`."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "python_client"
PYTHON = Path(__file__).parents[2] / ".venv-client" / "bin" / "python"
GENERATOR = PYTHON.with_name("openapi-python-client")


def missing() -> str | None:
    """The missing requirement and how to install it; None when nothing is missing."""
    return None if GENERATOR.exists() else "openapi-python-client is not installed: make client-env"
