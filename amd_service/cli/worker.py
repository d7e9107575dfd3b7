"""`amd-service worker`"""

from amd_service.cli.process import exit_despite_threads, load_settings_and_logging, run
from amd_service.detection.classifier.garbage import spare_new_objects


def worker() -> None:
    """Judge recordings. Serve health and metrics on a separate port."""
    with spare_new_objects():
        from amd_service.web import server

    run(server.work(load_settings_and_logging()))
    exit_despite_threads()
