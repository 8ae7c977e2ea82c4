// A browser's WebSocket against `sockets`, run in its empty page.
//
// The title becomes `ok`, or says what was not as it should be.

const LARGEST = 1 << 20;

function expect(seen, wanted) {
  if (seen !== wanted) throw new Error(`expected ${String(wanted).slice(0, 99)}, got ${String(seen).slice(0, 99)}`);
}

function open(path) {
  const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}${path}`, ["other", "echo"]);
  socket.binaryType = "arraybuffer";
  const messages = [];
  let bell = () => {};
  socket.onmessage = (event) => {
    messages.push(event.data);
    bell();
  };
  socket.next = async () => {
    while (messages.length === 0) await new Promise((rung) => (bell = rung));
    return messages.shift();
  };
  socket.ended = new Promise((ended) => (socket.onclose = ended));
  return new Promise((opened, failed) => {
    socket.onopen = () => opened(socket);
    socket.onerror = () => failed(new Error(`${path} cannot be opened`));
  });
}

async function echo(path, extensions) {
  const socket = await open(path);
  expect(socket.protocol, "echo");
  expect(socket.extensions.split(";")[0], extensions);
  for (const message of ["", "Hello", "ä☺𝄞".repeat(1000), "x".repeat(LARGEST)]) {
    socket.send(message);
    expect(await socket.next(), message);
  }
  const bytes = crypto.getRandomValues(new Uint8Array(65_536));
  socket.send(bytes);
  expect(new Uint8Array(await socket.next()).join(), bytes.join());
  for (let n = 0; n < 100; n++) socket.send(`message ${n}`);
  for (let n = 0; n < 100; n++) expect(await socket.next(), `message ${n}`);
  socket.close(1000, "done");
  const end = await socket.ended;
  expect(`${end.code} ${end.wasClean}`, "1000 true");
}

async function ends(path, message, code, reason) {
  const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}${path}`);
  socket.onopen = () => socket.send(message);
  const end = await new Promise((ended) => (socket.onclose = ended));
  expect(end.code, code);
  if (reason) expect(end.reason, reason);
}

(async () => {
  try {
    await echo("/echo", "");
    await echo("/deflate", "permessage-deflate");
    await ends("/bye", "go", 4000, "bye");
    await ends("/deflate", "x".repeat(LARGEST + 1), 1009);
    document.title = "ok";
  } catch (error) {
    document.title = `failed: ${error.message}`;
  }
})();
