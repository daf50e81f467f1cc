"""Tells an address that speaks HTTP, such as Triton's other port, from a server that is away.

gRPC itself says the same of both: it failed to connect.
"""

import http.client

_TIMEOUT_S = 1.0


def speaks_http(endpoint: str) -> str | None:
    """What is wrong with an address where gRPC failed and HTTP is answered; None elsewhere.

    Args:
        endpoint: ``host:port``; gRPC's other forms of an address are not looked at.
    """
    host, _, port = endpoint.rpartition(":")
    if not port.isdecimal():
        return None
    try:
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_TIMEOUT_S)
        try:
            connection.request("GET", "/v2/health/ready")
            connection.getresponse()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError, OverflowError):
        return None
    return f"{endpoint} answers HTTP, expected Triton's gRPC port (usually 8001)"
