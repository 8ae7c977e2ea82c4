// Uploads that are answered before they are over: node early_answers.mjs HOST PORT TRIES
//
// Each line of the input is `PATH BYTES length|chunked`; each line of the output is the status, or
// what went wrong, of one upload. The answer is looked at while the body is being sent.

import http from "node:http";
import { text } from "node:stream/consumers";

const [host, port, tries] = process.argv.slice(2);
const piece = Buffer.alloc(100_000, "u");

function upload(path, bytes, framing) {
  return new Promise((done) => {
    const headers =
      framing === "length" ? { "content-length": bytes } : { "transfer-encoding": "chunked" };
    const options = { host, port, path, method: "POST", headers, agent: false, timeout: 15_000 };
    let answered = false;
    const request = http.request(options, (response) => {
      answered = true;
      response.resume();
      response.on("end", () => done(response.statusCode));
      response.on("error", (error) => done(error.code));
    });
    request.on("timeout", () => request.destroy());
    // Once the answer is there, what becomes of the upload does not matter.
    request.on("error", (error) => answered || done(error.code));
    let left = bytes / piece.length;
    const more = () => {
      while (left-- > 0) {
        if (!request.write(piece)) return request.once("drain", more);
      }
      request.end();
    };
    more();
  });
}

for (const line of (await text(process.stdin)).trim().split("\n")) {
  const [path, bytes, framing] = line.split(" ");
  for (let n = 0; n < Number(tries); n++) console.log(await upload(path, Number(bytes), framing));
}
process.exit(0);
