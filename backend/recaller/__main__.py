"""``python -m recaller``: serve."""

from __future__ import annotations

import signal
import sys

import uvicorn

from recaller.settings import ServiceSettings


def main() -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished first."""
    settings = ServiceSettings()
    # uvicorn stops gracefully and then raises the signal once more, for whoever was there before it.
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
