"""A scripted OpenAI-compatible provider over real sockets (standard library only).

The model id chooses what it does (see scripts.py): answer, stream, fail, hang, hang up. It writes down each request it
got and whether the client left before the end, so a test can say what the provider must have seen.
"""

import asyncio
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

HEAD_LIMIT = 64 * 1024  # no SDK sends a longer head
BODY_LIMIT = 64 * 1024 * 1024  # the largest body a test sends is 6 MB
LONGEST_ANSWER = 60.0  # a script that forgets to end is cut off here


@dataclass
class Seen:
    """One request as the provider saw it."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes
    arrived: float
    target: str = ""  # as it stood in the request line
    model: str = ""
    vanished: float | None = None  # when the client left before the answer was whole
    finished: float | None = None  # when the answer was whole
    fields: dict = field(default_factory=dict)  # the JSON body, or the parts of a form

    @property
    def key(self):
        return self.headers.get("authorization", "").removeprefix("Bearer ") or self.headers.get("api-key", "")

    def for_people(self):
        return {
            "method": self.method,
            "path": self.path,
            "model": self.model,
            "bytes": len(self.body),
            "vanished": self.vanished is not None,
            "finished": self.finished is not None,
        }


class Connection:
    """Reads requests off one socket, and notices when the peer leaves."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.ahead = b""

    async def next_request(self):
        try:
            head = self.ahead + await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self.ahead = b""
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        parts = urlsplit(target)
        body = await self.body(headers)
        return Seen(method, unquote(parts.path), parse_qs(parts.query), headers, body, time.monotonic(), target)

    async def body(self, headers):
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self.chunks()
        length = int(headers.get("content-length", "0"))
        assert length <= BODY_LIMIT
        return await self.reader.readexactly(length)

    async def chunks(self):
        whole = bytearray()
        while size := int((await self.reader.readline()).split(b";")[0], 16):
            whole += await self.reader.readexactly(size)
            await self.reader.readline()
            assert len(whole) <= BODY_LIMIT
        await self.reader.readline()
        return bytes(whole)

    async def gone(self):
        """Ends when the client closes its side. A byte of a next request is kept for later."""
        try:
            while byte := await self.reader.read(1):
                self.ahead += byte
                assert len(self.ahead) <= HEAD_LIMIT
        except ConnectionError:
            pass


class Reply:
    """What a script answers with."""

    def __init__(self, writer):
        self.writer = writer
        self.keep = True

    async def whole(self, status, body, content_type="application/json", headers=None):
        if not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode()
        lines = [f"HTTP/1.1 {status} Scripted", f"content-type: {content_type}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def open_stream(self, content_type="text/event-stream"):
        await self.raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: " + content_type.encode() + b"\r\ntransfer-encoding: chunked\r\n"
            b"x-request-id: req_scripted\r\n\r\n"
        )

    async def piece(self, data):
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, value, name=None):
        head = f"event: {name}\n".encode() if name else b""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        await self.piece(head + b"data: " + text.encode() + b"\n\n")

    async def close_stream(self):
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data):
        self.writer.write(data)
        await self.writer.drain()

    def hang_up(self):
        """Close in the middle: the body never reaches its end."""
        self.keep = False
        self.writer.close()

    def reset(self):
        """Close with a TCP reset."""
        self.keep = False
        at_once = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.writer.transport.abort()


class Scripted:
    """One provider in a thread of its own. `answer(provider, seen, reply)` is the script."""

    def __init__(self, name, keys, answer):
        self.name, self.keys, self.answer = name, set(keys), answer
        self.requests = []
        self.files = {}
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self):
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_LIMIT)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(5)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self):
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self):
        return f"{self.origin}/v1"

    def saw(self, model):
        return [seen for seen in self.requests if seen.model == model]

    def last(self, model=None):
        return self.saw(model)[-1] if model else self.requests[-1]

    def wait_for(self, condition, within):
        """True as soon as the condition holds; False when the time is over."""
        with self._changed:
            return self._changed.wait_for(condition, within)

    def note(self, change=None):
        with self._changed:
            if change:
                change()
            self._changed.notify_all()

    async def _serve(self, reader, writer):
        connection = Connection(reader, writer)
        try:
            while seen := await connection.next_request():
                reply = Reply(writer)
                if not await self._exchange(connection, seen, reply) or not reply.keep:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left while it was sending or between two requests
        finally:
            writer.close()

    async def _exchange(self, connection, seen, reply):
        answering = asyncio.create_task(self.answer(self, seen, reply))
        leaving = asyncio.create_task(connection.gone())
        await asyncio.wait({answering, leaving}, timeout=LONGEST_ANSWER, return_when=asyncio.FIRST_COMPLETED)
        whole = answering.done() and answering.exception() is None
        stamp = "finished" if whole else "vanished"
        self.note(lambda: setattr(seen, stamp, time.monotonic()))
        for task in (answering, leaving):
            task.cancel()
        results = await asyncio.gather(answering, leaving, return_exceptions=True)
        if whole or isinstance(results[0], (ConnectionError, asyncio.CancelledError)):
            return whole and reply.keep
        raise results[0]
