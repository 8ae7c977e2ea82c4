// A server to compare with: it answers every upload at once and does not read it.

import http from "node:http";

const status = { "/echo": 413, "/nowhere": 404, "/hello": 405 };
const server = http.createServer((request, response) => {
  response.writeHead(status[request.url] ?? 200, { "content-type": "text/plain" });
  response.end("no\n");
});
server.listen(0, "127.0.0.1", () => {
  console.error(`listening on http://127.0.0.1:${server.address().port} (node)`);
});
