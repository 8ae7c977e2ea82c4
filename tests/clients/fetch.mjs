// Node's fetch against `longpoll`: node fetch.mjs http://HOST:PORT
//
// Says `ok` at the end; whatever is not as it should be is an exception.

import assert from "node:assert/strict";

const base = process.argv[2];
const signal = AbortSignal.timeout(10_000);
const ask = (path, options = {}) => fetch(base + path, { signal, ...options });

async function keepsConnections() {
  for (let n = 0; n < 10; n++) {
    const response = await ask("/hello");
    assert.equal(response.status, 200);
    assert.equal(await response.text(), "Hello\n");
  }
  const all = await Promise.all(
    Array.from({ length: 20 }, async () => (await ask("/hello")).text()),
  );
  assert.deepEqual(new Set(all), new Set(["Hello\n"]));
}

async function uploads() {
  const whole = "0123456789abcdef".repeat(20_000);
  const response = await ask("/echo", { method: "POST", body: whole });
  assert.equal(response.status, 200);
  assert.equal(await response.text(), whole);
}

// A stream has no length, so fetch sends it in chunks.
async function uploadsAsStream() {
  const pieces = Array.from({ length: 100 }, (_, n) => String(n).repeat(n + 1));
  const left = [...pieces];
  const body = new ReadableStream({
    pull(controller) {
      if (left.length === 0) {
        controller.close();
      } else {
        controller.enqueue(new TextEncoder().encode(left.shift()));
      }
    },
  });
  const response = await ask("/echo", { method: "POST", body, duplex: "half" });
  assert.equal(response.status, 200);
  assert.equal(await response.text(), pieces.join(""));
}

async function streams() {
  const response = await ask("/listing");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const until = async (wanted) => {
    while (text !== wanted) {
      const { value, done } = await reader.read();
      assert.ok(!done, `it ended after ${JSON.stringify(text)}`);
      text += value;
    }
  };
  await until("START\n");
  // Only now can there be a second line.
  const published = await ask("/publish", { method: "POST", body: "MIDDLE" });
  assert.equal(await published.text(), "1");
  await until("START\nMIDDLE\nEND\n");
  assert.ok((await reader.read()).done);
}

await keepsConnections();
await uploads();
await uploadsAsStream();
await streams();
console.log("ok");
