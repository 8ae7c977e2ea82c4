"""Python's h2 against `longpoll`: http2_client.py HOST PORT.

Says `ok` at the end; whatever is not as it should be is an exception. What h2 sees is checked by
its own reading of RFC 9113: a frame that the server must not send is an exception as well.
"""

import socket
import sys

import h2.config
import h2.connection
import h2.events

HOST, PORT = sys.argv[1], int(sys.argv[2])
SECONDS = 10


class Client:
    def __init__(self):
        self.socket = socket.create_connection((HOST, PORT), timeout=SECONDS)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.bodies, self.heads, self.ended = {}, {}, set()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, method, path, end=True, **fields):
        stream = self.h2.get_next_available_stream_id()
        head = [
            (":method", method),
            (":scheme", "http"),
            (":authority", "localhost"),
            (":path", path),
        ]
        fields = [(name.replace("_", "-"), value) for name, value in fields.items()]
        self.h2.send_headers(stream, head + fields, end_stream=end)
        self.flush()
        return stream

    def turn(self):
        data = self.socket.recv(65536)
        assert data, "the server has closed"
        for event in self.h2.receive_data(data):
            self.note(event)
        self.flush()

    def note(self, event):
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = dict(event.headers)
            self.bodies[event.stream_id] = b""
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            raise SystemExit(f"unexpected: {event}")

    def whole(self, stream):
        while stream not in self.ended:
            self.turn()
        return self.heads[stream][":status"], self.bodies[stream]

    def upload(self, stream, data):
        while data:
            room = min(
                self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size
            )
            if room == 0:
                self.turn()
                continue
            self.h2.send_data(stream, data[:room])
            data = data[room:]
            self.flush()
        self.h2.end_stream(stream)
        self.flush()


def expect(seen, wanted):
    if seen != wanted:
        raise SystemExit(f"expected {wanted!r:.200}, got {seen!r:.200}")


def several_at_once():
    client = Client()
    streams = [client.ask("GET", "/hello") for _ in range(50)]
    for stream in reversed(streams):
        expect(client.whole(stream), ("200", b"Hello\n"))
    expect(client.whole(client.ask("HEAD", "/hello")), ("200", b""))
    expect(client.whole(client.ask("GET", "/nowhere"))[0], "404")


def upload():
    client = Client()
    data = bytes(range(256)) * 4000
    stream = client.ask("POST", "/echo", end=False)
    client.upload(stream, data)
    expect(client.whole(stream), ("200", data))
    stream = client.ask("POST", "/echo", end=False, content_length="5")
    client.upload(stream, b"12345")
    expect(client.whole(stream), ("200", b"12345"))


def trailers():
    client = Client()
    stream = client.ask("POST", "/echo", end=False)
    client.h2.send_data(stream, b"body")
    client.h2.send_headers(stream, [("x-sum", "7")], end_stream=True)
    client.flush()
    expect(client.whole(stream), ("200", b"body"))


def streaming():
    client = Client()
    listing = client.ask("GET", "/listing")
    while client.bodies.get(listing) != b"START\n":
        client.turn()
    # On the same connection, while the other stream waits.
    stream = client.ask("POST", "/publish", end=False)
    client.upload(stream, b"MIDDLE")
    expect(client.whole(stream), ("200", b"1"))
    expect(client.whole(listing)[1], b"START\nMIDDLE\nEND\n")


def small_windows():
    client = Client()
    client.h2.update_settings({4: 10})  # SETTINGS_INITIAL_WINDOW_SIZE
    client.flush()
    stream = client.ask("POST", "/echo", end=False)
    client.upload(stream, b"x" * 1000)
    expect(client.whole(stream), ("200", b"x" * 1000))


several_at_once()
upload()
trailers()
streaming()
small_windows()
print("ok")
