// Node's ws against `sockets`: node ws.mjs HOST:PORT FOLDER, where FOLDER holds node_modules/ws.
//
// Says `ok` at the end; whatever is not as it should be is an exception.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";

const [host, folder] = process.argv.slice(2);
const WebSocket = createRequire(join(folder, "package.json"))("ws");
const LARGEST = 1 << 20;
const signal = AbortSignal.timeout(30_000);

async function open(path, perMessageDeflate, options = {}) {
  const socket = new WebSocket(`ws://${host}${path}`, "echo", { perMessageDeflate, ...options });
  // Whatever comes before somebody asks for it is kept.
  const messages = [];
  let bell = () => {};
  socket.on("message", (data, isBinary) => {
    messages.push(isBinary ? data : data.toString());
    bell();
  });
  socket.next = async () => {
    while (messages.length === 0) {
      signal.throwIfAborted();
      await new Promise((rung) => (bell = rung));
    }
    return messages.shift();
  };
  await once(socket, "open", { signal });
  return socket;
}

async function echo(path, deflate) {
  const socket = await open(path, deflate);
  assert.equal(socket.protocol, "echo");
  const compressed = path === "/deflate" && deflate !== false;
  assert.equal(socket.extensions, compressed ? "permessage-deflate" : "");
  for (const message of ["", "Hello", "ä☺𝄞".repeat(1000), "x".repeat(LARGEST)]) {
    socket.send(message);
    assert.equal(await socket.next(), message);
  }
  for (const message of [Buffer.alloc(0), Buffer.alloc(200_000, 0xff)]) {
    socket.send(message);
    assert.deepEqual(await socket.next(), message);
  }
  for (let n = 0; n < 100; n++) socket.send(`message ${n}`);
  socket.send("in ", { fin: false });
  socket.send("", { fin: false });
  socket.send("pieces", { fin: true });
  for (let n = 0; n < 100; n++) assert.equal(await socket.next(), `message ${n}`);
  assert.equal(await socket.next(), "in pieces");
  socket.ping("are you there?");
  const [answer] = await once(socket, "pong", { signal });
  assert.equal(answer.toString(), "are you there?");
  const closed = once(socket, "close", { signal });
  socket.close(1000, "done");
  assert.equal((await closed)[0], 1000);
}

async function isClosed(path, deflate, message, code, reason) {
  const socket = new WebSocket(`ws://${host}${path}`, { perMessageDeflate: deflate });
  await once(socket, "open", { signal });
  const closed = once(socket, "close", { signal });
  socket.on("error", () => {}); // what could not be sent any more
  socket.send(message);
  const [seen, why] = await closed;
  assert.equal(seen, code);
  if (reason !== undefined) assert.equal(why.toString(), reason);
}

async function isRefused(path, options, status) {
  const socket = new WebSocket(`ws://${host}${path}`, options);
  const [, response] = await once(socket, "unexpected-response", { signal });
  assert.equal(response.statusCode, status);
  response.destroy();
}

// ws keeps its context from message to message, unless it is told not to.
for (const deflate of [false, true, { clientNoContextTakeover: true, threshold: 0 }]) {
  await echo("/echo", deflate);
  await echo("/deflate", deflate);
  await isClosed("/bye", deflate, "go", 4000, "bye");
  await isClosed("/deflate", deflate, "x".repeat(LARGEST + 1), 1009);
}
await isRefused("/echo", { origin: "http://elsewhere.example" }, 403);
await isRefused("/pid", {}, 200);
console.log("ok");
