"""Peer: Bottle, on gevent or on gunicorn's pool of threads (`gthread`).

The routes are those of `peers/common/src/lib.rs`; the WSGI server is named by the first
argument, and the flags are those of every peer. gevent's server runs a process per core, as its
docs have it, forked behind the listening socket; gunicorn has a worker per core and shares the
pool of 20 threads out among them.
"""

import argparse
import json
import os
import sys
import threading
import time

if sys.argv[1:2] == ["gevent"]:
    from gevent import monkey

    monkey.patch_all()

import bottle  # noqa: E402, after the patch

HELLO = "Hello, World!"
CHUNK = b"thirty-two bytes make one chunk\n"
LARGE = b"x" * (256 << 10)
MAX_SLEEP = 600_000
MAX_ECHO = 4 << 20
MAX_CHUNKS = 100_000
FILES = os.environ.get("BENCH_FILES", ".")

app = bottle.Bottle()
# Bodies of up to this size are kept in memory: the default is 100 KiB, and a file beyond it.
bottle.BaseRequest.MEMFILE_MAX = MAX_ECHO


def number(name, most):
    return min(int(bottle.request.query.get(name, "0")), most)


def plain(text=HELLO):
    bottle.response.content_type = "text/plain"
    return text


def octets(body):
    bottle.response.content_type = "application/octet-stream"
    return body


@app.get("/")
def hello():
    return plain()


@app.get("/sleep")
def sleep():
    time.sleep(number("ms", MAX_SLEEP) / 1000)
    return plain()


@app.get("/compute")
def compute():
    until = time.thread_time() + number("ms", 1000) / 1000
    while time.thread_time() < until:
        pass
    return plain()


@app.get("/json")
def message():
    bottle.response.content_type = "application/json"
    return json.dumps({"message": HELLO})


@app.post("/echo")
def echo():
    if bottle.request.chunked:
        # Bottle would take the chunks apart, which both servers have done already.
        body = bottle.request.environ["wsgi.input"]
    else:
        body = bottle.request.body
    return octets(body.read(MAX_ECHO))


@app.get("/stream")
def stream():
    count = number("n", MAX_CHUNKS)
    return octets(CHUNK for _ in range(count))


@app.get("/ticks")
def ticks():
    count, pause = number("n", MAX_CHUNKS), number("ms", 1000) / 1000

    def chunks():
        for _ in range(count):
            time.sleep(pause)
            yield b"t=%-29d\n" % time.time_ns()

    return octets(chunks())


@app.get("/large")
def large():
    return octets(LARGE)


@app.get("/file/<name>")
def file(name):
    return bottle.static_file(name, root=FILES, mimetype="application/octet-stream")


news = threading.Event()
waiting = 0


@app.get("/poll")
def poll():
    global waiting
    event = news
    waiting += 1
    try:
        event.wait()
    finally:
        waiting -= 1
    return plain()


@app.get("/publish")
def publish():
    global news
    event, news = news, threading.Event()
    event.set()
    return plain()


@app.get("/waiting")
def count_waiting():
    return plain(str(waiting))


def named(id, name):
    return plain(f"{id} {name}")


for index in range(100):
    app.get(f"/r{index:02}/<id:int>/<name>", callback=named)


if "BENCH_MANY_ROUTES" in os.environ:
    for n in range(250):
        app.get(f"/api/v1/thing{n}", callback=lambda: plain())
        app.get(f"/api/v1/thing{n}/<id>", callback=lambda id: plain(id))
        app.get(f"/users/<user>/thing{n}", callback=lambda user: plain(user))
        app.get(f"/users/<user>/thing{n}/<id>", callback=lambda user, id: plain(f"{user} {id}"))


@app.post("/order")
def order():
    asked = bottle.request.json
    items = asked["items"]
    return {
        "customer": asked["customer"],
        "pieces": sum(item["count"] for item in items),
        "total": sum(item["count"] * item["price"] for item in items),
    }


@app.post("/form")
def form():
    sent = bottle.request.forms
    length = sum(len(sent[name]) for name in ("name", "email", "city", "note"))
    return plain(f"{sent['name']} {int(sent['age'])} {length}")


@app.post("/upload")
def upload():
    sent, files = bottle.request.forms, bottle.request.files
    texts = [str(len(sent[name])) for name in ("name", "note")]
    return plain(" ".join([*texts, str(len(files["file"].file.read()))]))


def serve_gevent(flags, host, port):
    from gevent import fork
    from gevent.pywsgi import WSGIServer

    server = WSGIServer((host, port), app, log=None, backlog=4096)
    server.init_socket()
    for _ in range(flags.cores - 1):
        if fork() == 0:
            break
    server.serve_forever()


def serve_gthread(flags):
    arguments = {
        "bind": flags.bind,
        "worker-class": "gthread",
        "workers": flags.cores,
        "threads": max(flags.threads // flags.cores, 1),
        "worker-connections": 20_000,
        "backlog": 4096,
        "keep-alive": 600,
        "log-level": "warning",
        "chdir": os.path.dirname(os.path.abspath(__file__)),
    }
    line = [f"--{name}={value}" for name, value in arguments.items()]
    python = sys.executable
    os.execv(python, [python, "-m", "gunicorn", *line, "serve:app"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("server", choices=["gevent", "gthread"])
    parser.add_argument("--bind", default="127.0.0.1:8080")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--threads", type=int, default=20)
    # Neither server has a clock for heads.
    parser.add_argument("--head-timeout", type=int)
    flags = parser.parse_args()
    host, port = flags.bind.rsplit(":", 1)
    if flags.server == "gevent":
        serve_gevent(flags, host, int(port))
    else:
        serve_gthread(flags)


if __name__ == "__main__":
    main()
