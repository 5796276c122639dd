"""``python -m recaller.healthcheck``: the HEALTHCHECK of the container images."""

from __future__ import annotations

import http.client
import os
import sys


def main() -> int:
    """Ask the service on this machine whether it is ready; return 0 if it is."""
    port = int(os.environ.get("RECALLER_PORT", "8000"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(response.read().decode() + "\n")
    return 0 if response.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
