"""Providers that speak Messages, Gemini, Bedrock or Responses: they say what the golden cases say.

The model id names the case. What a provider says of Bedrock is put into frames here, held against botocore's own parser, and
each request to it must bear the signature that botocore's own signer would give it.
"""

import json
import re
import struct
import zlib
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer

GOLDEN = Path(__file__).parent.parent / "golden"
PROTOCOLS = ["messages", "gemini", "bedrock", "responses"]
SPEAKER_KEY = "sk-speaker-4444"
ACCESS_KEY, SECRET_KEY, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "eu-central-1"
# The golden case behind a model's name, where it is called otherwise in a protocol.
CASES = {("responses", "thinking"): "reasoning"}
MODELS = ["text", "parallel_tools", "thinking", "structured", "cut", "limited", "a-v1:0"]
PERSON = '{"name":"Ada Lovelace","born":1815}'
# Where no golden case holds an answer that is one object.
STRUCTURED = {
    "gemini": {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": PERSON}]}, "finishReason": "STOP"}]},
    "bedrock": {
        "output": {"message": {"role": "assistant", "content": [{"text": PERSON}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 12, "outputTokens": 9, "totalTokens": 21}, "metrics": {"latencyMs": 1},
    },
}
LIMITED = {
    "messages": {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down."}},
    "gemini": {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Slow down."}},
    "bedrock": {"message": "Slow down."},
    "responses": {"error": {"type": "requests", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None}},
}


async def answer(provider, seen, reply):
    """Every request comes in here."""
    provider.note(lambda: provider.requests.append(seen))
    seen.fields = json.loads(seen.body or b"{}")
    protocol, seen.model, streamed = asked(seen)
    if not is_shown(protocol, seen):
        return await reply.whole(403, {"message": "the credential or the signature is wrong"})
    if seen.model == "limited":
        headers = {"retry-after": "1", "x-amzn-errortype": "ThrottlingException"}
        return await reply.whole(429, LIMITED[protocol], headers=headers)
    if seen.model == "structured" and protocol in STRUCTURED:
        return await reply.whole(200, STRUCTURED[protocol])
    name = "text" if seen.model in ("cut", "a-v1:0") else seen.model
    case = GOLDEN / protocol / CASES.get((protocol, name), name)
    if not streamed:
        return await reply.whole(200, (case / "answer.json").read_bytes())
    whole = stream(protocol, case)
    await reply.open_stream("application/vnd.amazon.eventstream" if protocol == "bedrock" else "text/event-stream")
    if seen.model == "cut":
        await reply.piece(whole[: len(whole) // 2])
        return reply.hang_up()
    for at in range(0, len(whole), 97):
        await reply.piece(whole[at : at + 97])
    await reply.close_stream()


def asked(seen):
    """The protocol, the model, and whether a stream is wanted: by path and body."""
    if found := re.search(r"/model/(.+)/converse(-stream)?$", seen.path):
        return "bedrock", found[1], found[2] is not None
    if found := re.search(r"/models/(.+):(stream)?[gG]enerateContent$", seen.path):
        return "gemini", found[1], found[2] is not None
    protocol = "messages" if seen.path.endswith("/messages") else "responses"
    return protocol, seen.fields["model"], seen.fields.get("stream", False)


def is_shown(protocol, seen):
    headers = seen.headers
    match protocol:
        case "messages":
            return headers.get("x-api-key", headers.get("authorization")) in (SPEAKER_KEY, f"Bearer {SPEAKER_KEY}")
        case "gemini":
            return headers.get("x-goog-api-key", headers.get("authorization")) in (SPEAKER_KEY, f"Bearer {SPEAKER_KEY}")
        case "bedrock":
            return headers["authorization"] == signature(seen)
        case "responses":
            return headers.get("authorization") == f"Bearer {SPEAKER_KEY}"


def signature(seen):
    """What botocore's signer says of the same request."""
    url = f"http://{seen.headers['host']}{seen.target}"
    request = AWSRequest("POST", url, headers={"content-type": seen.headers["content-type"]}, data=seen.body)
    request.context["timestamp"] = seen.headers["x-amz-date"]
    request.headers["X-Amz-Date"] = seen.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "bedrock", REGION)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    names = signer.signed_headers(signer.headers_to_sign(request))
    scope = f"Credential={signer.scope(request)}"
    return f"AWS4-HMAC-SHA256 {scope}, SignedHeaders={names}, Signature={signer.signature(text, request)}"


def stream(protocol, case):
    if protocol != "bedrock":
        return (case / "stream.sse").read_bytes()
    lines = (case / "stream.frames").read_text().splitlines()
    whole = b"".join(frame(*line.split(" ", 1)) for line in lines)
    parser = EventStreamBuffer()
    parser.add_data(whole)
    assert len(list(parser)) == len(lines), "botocore reads other frames than were written"
    return whole


def frame(kind, payload):
    headers = {":event-type": kind, ":message-type": "event"}
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    payload = payload.encode()
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    framed = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return framed + struct.pack(">I", zlib.crc32(framed))
