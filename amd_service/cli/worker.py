"""`amd-service worker`"""

from amd_service.cli.process import exit_despite_threads, importing, load_settings_and_logging, run


def worker() -> None:
    """Judge recordings. Serve health and metrics on a separate port."""
    with importing():
        from amd_service.web import server

    run(server.work(load_settings_and_logging()))
    exit_despite_threads()
