"""``python -m recaller``: run the service."""

from __future__ import annotations

import signal
import sys

import uvicorn

from recaller.settings import ServiceSettings


def main() -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that are in progress."""
    settings = ServiceSettings()
    # After its graceful stop uvicorn raises the signal again, for the handler that it replaced.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "recaller.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
