"""Python's requests against `forms`: forms_client.py HOST:PORT.

Says `ok` at the end; whatever is not as it should be is an exception.
"""

import re
import sys

import requests

BASE = "http://" + sys.argv[1]
SECONDS = 10


def expect(seen, wanted):
    if seen != wanted:
        raise SystemExit(f"expected {wanted!r:.300}, got {seen!r:.300}")


def post(path, **arguments):
    response = requests.post(BASE + path, timeout=SECONDS, **arguments)
    return response.status_code, response.content.decode()


def forms():
    data = [("a", "1"), ("b", "x y&é=€"), ("a", "2"), ("c", "")]
    expect(post("/form", data=data), (200, "a=1\nb=x y&é=€\na=2\nc=\n"))
    expect(post("/form"), (200, ""))
    expect(post("/form", json={})[0], 415)
    expect(post("/form", data={"a": "x" * (2 << 20)})[0], 413)


def uploads():
    small, large = b"\r\n--\x00\xff" * 10, bytes(range(256)) * 4096
    files = [
        ("one", ("näme \"1\".bin", small, "image/png")),
        ("two", ("two.bin", large)),
        ("two", ("again", b"")),
    ]
    line = "{}: {}, {}, {}, {}\n".format
    wanted = "a=é\n" + "".join([
        line("one", "näme \"1\".bin", "image/png", len(small), sum(small)),
        line("two", "two.bin", "-", len(large), sum(large)),
        line("two", "again", "-", 0, 0),
    ])
    for path in ["/form", "/parts"]:
        expect(post(path, data={"a": "é"}, files=files), (200, wanted))

    # Requests reads the head of a response while it sends no more: one that has ended early.
    broken = {"Content-Type": "multipart/form-data; boundary=b"}
    expect(post("/form", data=b"--b\r\nnonsense", headers=broken)[0], 400)


def visitors(base):
    with requests.Session() as session:
        def page():
            response = session.get(base, timeout=SECONDS)
            expect(response.status_code, 200)
            return response.text

        def send(action, **data):
            return session.post(base + action, data=data, timeout=SECONDS)

        token = re.search(r'value="(.*?)"', page()).group(1)
        before = session.cookies["session"]
        expect(send("login", user="Ada").status_code, 403)
        expect(send("login", user="Ada", csrf_token=token[::-1]).status_code, 403)
        expect(page().startswith("<h1>nobody</h1>\n"), True)
        reply = send("login", user="Ada Löve", csrf_token=token)
        expect((reply.status_code, len(reply.history)), (200, 1))
        expect(reply.text.startswith("<h1>Ada Löve</h1><p>welcome</p>\n"), True)
        expect(session.cookies["session"] == before, False)
        expect(page().startswith("<h1>Ada Löve</h1>\n"), True)
        # The token of before the login is worth nothing.
        expect(send("logout", csrf_token=token).status_code, 403)
        token = re.search(r'value="(.*?)"', page()).group(1)
        foreign = {"Sec-Fetch-Site": "cross-site", "X-CSRF-Token": token}
        reply = session.post(base + "logout", headers=foreign, timeout=SECONDS)
        expect(reply.status_code, 403)
        expect(send("logout", csrf_token=token).text.startswith("<h1>nobody</h1>\n"), True)


forms()
uploads()
visitors(BASE + "/visitors/")
visitors(BASE + "/cookies/")
print("ok")
