"""The live page on its address: this machine's own, with the token in it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from whichway.errors import OptionError

if TYPE_CHECKING:
    from starlette.applications import Starlette

HOST = "127.0.0.1"
_FINISH_SECONDS = 1  # for streams of events, which would never end


def serve_page(site: Starlette, port: int, token: str) -> None:
    """Print the page's address and serve it until it is interrupted.

    Raises:
        OptionError: the port is taken.
    """
    import socket

    import uvicorn

    place = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        place.bind((HOST, port))
        place.listen()
    except OSError as error:
        place.close()
        raise OptionError(f"--port {port}: {error.strerror}. Give another one, or 0 for any.") from error
    print(f"http://{HOST}:{place.getsockname()[1]}/?token={token}", flush=True)
    config = uvicorn.Config(site, log_level="warning", timeout_graceful_shutdown=_FINISH_SECONDS)
    with suppress(KeyboardInterrupt):  # the way to stop it
        uvicorn.Server(config).run(sockets=[place])
