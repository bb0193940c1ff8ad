"""The server on its address: connections that stay silent or do not read are closed, SIGTERM finishes what runs."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from whichway.errors import OptionError

KEEP_ALIVE = 75  # seconds; clients' pools drop a connection after 5, and one that we drop first may be in use again
_HEAD_SECONDS = 30.0  # for the head of a request to arrive
_READ_SECONDS = 60.0  # for a client to take what was sent
_FINISH_SECONDS = 120  # for answers under way when the server is to end
_WAITING = 2048  # connections that wait to be accepted


def bound(host: str, port: int) -> socket.socket:
    """A socket on an address, before anything is loaded; nobody can connect yet.

    Raises:
        OptionError: the port is taken, or the address is not this machine's.
    """
    place = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with _refused(place, host, port):
        place.bind((host, port))
    return place


def address_of(place: socket.socket) -> str:
    """Where clients find the server."""
    host, port = place.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


def listen(application: object, place: socket.socket) -> None:
    """Run the server until it is interrupted.

    Args:
        application: of ASGI.
        place: what `bound` gave.

    Raises:
        OptionError: another server came first.
    """
    import uvicorn

    host, port = place.getsockname()[:2]
    with _refused(place, host, port):
        place.listen(_WAITING)  # whoever reads the address below may connect at once
    _allow_connections()
    print(address_of(place), flush=True)
    config = uvicorn.Config(
        application,  # type: ignore[arg-type]  # any ASGI application
        log_level="warning",
        http=protocol(),
        backlog=_WAITING,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=_FINISH_SECONDS,
    )
    with suppress(KeyboardInterrupt):  # the way to stop it
        uvicorn.Server(config).run(sockets=[place])


@contextmanager
def _refused(place: socket.socket, host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place.close()
        raise OptionError(f"--host {host} --port {port}: {error.strerror}. Give another with --port.") from error


def _allow_connections() -> None:
    """As many open files as this process may have: each connection is one."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@functools.cache
def protocol() -> Any:
    """Uvicorn's HTTP protocol with limits on silence."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class PatientProtocol(H11Protocol):
        """Closes a connection on which no request arrives, or whose client does not read."""

        _silence: asyncio.TimerHandle | None = None
        _unread: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            """Wait for the head of a request, but not for ever."""
            super().connection_made(transport)
            self._silence = self.loop.call_later(_HEAD_SECONDS, self._drop)

        def data_received(self, data: bytes) -> None:
            """Note whether a request is under way now."""
            super().data_received(data)
            waits = self.cycle is None or self.cycle.response_complete
            if not waits:
                _cancel(self._silence)
                self._silence = None
            elif self._silence is None:
                self._silence = self.loop.call_later(_HEAD_SECONDS, self._drop)

        def pause_writing(self) -> None:
            """The client does not keep up."""
            super().pause_writing()
            if self._unread is None:
                self._unread = self.loop.call_later(_READ_SECONDS, self._drop)

        def resume_writing(self) -> None:
            """The client has caught up."""
            super().resume_writing()
            _cancel(self._unread)
            self._unread = None

        def connection_lost(self, exc: Exception | None) -> None:
            """Nothing is waited for any more."""
            _cancel(self._silence)
            _cancel(self._unread)
            super().connection_lost(exc)

        def _drop(self) -> None:
            self.transport.abort()

    return PatientProtocol


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
