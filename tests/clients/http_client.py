"""Python's http.client against `longpoll`: http_client.py HOST PORT.

Says `ok` at the end; whatever is not as it should be is an exception.
"""

import http.client
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
SECONDS = 10


def connect():
    return http.client.HTTPConnection(HOST, PORT, timeout=SECONDS)


def expect(seen, wanted):
    if seen != wanted:
        raise SystemExit(f"expected {wanted!r:.200}, got {seen!r:.200}")


def ask(connection, method, path, body=None):
    connection.request(method, path, body=body)
    response = connection.getresponse()
    return response.status, response.read()


def keep_alive():
    connection = connect()
    expect(ask(connection, "GET", "/hello"), (200, b"Hello\n"))
    first = connection.sock
    assert first is not None, "the server has closed a connection that may be kept"
    for _ in range(10):
        expect(ask(connection, "GET", "/hello"), (200, b"Hello\n"))
        expect(connection.sock is first, True)
    expect(ask(connection, "HEAD", "/hello"), (200, b""))
    expect(ask(connection, "GET", "/nowhere")[0], 404)
    expect(connection.sock is first, True)


def chunked_upload():
    pieces = [bytes([65 + n % 26]) * (n * 97 + 1) for n in range(100)]
    connection = connect()
    # A generator has no length, so http.client sends it in chunks.
    expect(ask(connection, "POST", "/echo", (p for p in pieces)), (200, b"".join(pieces)))
    expect(ask(connection, "POST", "/echo", b"with a length"), (200, b"with a length"))


def streaming():
    connection = connect()
    connection.request("GET", "/listing")
    response = connection.getresponse()
    expect(response.headers["Transfer-Encoding"], "chunked")
    expect(response.readline(), b"START\n")
    # Only now can there be a second line.
    expect(ask(connect(), "POST", "/publish", b"MIDDLE"), (200, b"1"))
    expect(response.read(), b"MIDDLE\nEND\n")


keep_alive()
chunked_upload()
streaming()
print("ok")
