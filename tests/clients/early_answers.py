"""Uploads that are answered before they are over: early_answers.py HOST PORT TRIES.

Each line of the input is `PATH BYTES length|chunked`; each line of the output is the status, or what
went wrong, of one upload. The body is sent to its end, or until that fails, before the answer is
looked at, as http.client does it. Every other upload is sent by `requests`, where that is installed.
"""

import http.client
import sys

try:
    import requests
except ImportError:
    requests = None

HOST, PORT, TRIES = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
PIECE = b"u" * 100_000
SECONDS = 15


def pieces(size):
    for _ in range(size // len(PIECE)):
        yield PIECE


def by_http_client(path, body, chunked):
    connection = http.client.HTTPConnection(HOST, PORT, timeout=SECONDS)
    try:
        connection.request("POST", path, body=body, encode_chunked=chunked)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the answer may be there all the same
    return connection.getresponse().status


def by_requests(path, body, _):
    return requests.post(f"http://{HOST}:{PORT}{path}", data=body, timeout=SECONDS).status_code


for line in sys.stdin:
    path, size, framing = line.split()
    chunked = framing == "chunked"
    for n in range(TRIES):
        ask = by_requests if requests and n % 2 else by_http_client
        body = pieces(int(size)) if chunked else b"u" * int(size)
        try:
            print(ask(path, body, chunked))
        except (OSError, http.client.HTTPException) as error:
            print(type(error).__name__)
