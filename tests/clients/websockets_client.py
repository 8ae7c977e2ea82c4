"""The library websockets against `sockets`: websockets_client.py HOST:PORT.

Says `ok` at the end; whatever is not as it should be is an exception.
"""

import sys

from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect

HOST = sys.argv[1]
SECONDS = 10
LARGEST = 1 << 20


def expect(seen, wanted):
    if seen != wanted:
        raise SystemExit(f"expected {wanted!r:.200}, got {seen!r:.200}")


def open_socket(path, compression, **options):
    return connect(
        f"ws://{HOST}{path}",
        compression=compression,
        open_timeout=SECONDS,
        close_timeout=SECONDS,
        max_size=None,
        **options,
    )


def echo(path, compression):
    with open_socket(path, compression, subprotocols=["other", "echo"]) as ws:
        expect(ws.subprotocol, "echo")
        compressed = ws.response.headers.get("Sec-WebSocket-Extensions", "")
        expect("permessage-deflate" in compressed, path == "/deflate" and compression is not None)
        messages = ["", "Hello", "ä☺𝄞" * 1000, b"", b"\x00\xff" * 100_000, "x" * LARGEST]
        for message in messages:
            ws.send(message)
            expect(ws.recv(timeout=SECONDS), message)
        # Many on their way at once, and one that comes in pieces.
        for n in range(100):
            ws.send(f"message {n}")
        ws.send(piece for piece in ["in ", "", "pie", "ces"])
        for n in range(100):
            expect(ws.recv(timeout=SECONDS), f"message {n}")
        expect(ws.recv(timeout=SECONDS), "in pieces")
        expect(ws.ping().wait(SECONDS), True)
        ws.close(1000, "done")
        expect(ws.close_code, 1000)


def is_closed(ws, code, reason=None):
    try:
        ws.recv(timeout=SECONDS)
    except (ConnectionClosedError, ConnectionClosedOK) as error:
        expect(error.rcvd.code, code)
        if reason is not None:
            expect(error.rcvd.reason, reason)
    else:
        raise SystemExit(f"it is not closed with {code}")


def ends(compression):
    with open_socket("/bye", compression) as ws:
        ws.send("go")
        is_closed(ws, 4000, "bye")
    with open_socket("/deflate", compression) as ws:
        ws.send("x" * (LARGEST + 1))
        is_closed(ws, 1009)


def refusals():
    for path, options, status in [
        ("/echo", {"origin": "http://elsewhere.example"}, 403),
        ("/pid", {}, 200),
        ("/nowhere", {}, 404),
    ]:
        try:
            open_socket(path, None, **options)
        except InvalidStatus as error:
            expect(error.response.status_code, status)
        else:
            raise SystemExit(f"{path} was accepted")
    # The same origin, and none at all.
    with open_socket("/echo", None, origin=f"http://{HOST}") as ws:
        ws.send("from here")
        expect(ws.recv(timeout=SECONDS), "from here")


for compression in ["deflate", None]:
    for path in ["/echo", "/deflate"]:
        echo(path, compression)
    ends(compression)
refusals()
print("ok")
