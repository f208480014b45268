"""What the scripted provider answers, chosen by the model id (or, where a call names no model, by the path).

Models `fails-…` misbehave at every provider but the spare, which answers them well: they are for failover.
"""

import asyncio
import base64
import email
import email.policy
import hashlib
import json
import re
import struct

CREATED = 1_760_000_000
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
UNICODE = "Grüße, 世界! 🌍👩‍🚀 naïve café \u2028 line\u0085 end"
CITY = {"name": "Zürich", "population": 421878, "tags": ["lake", "tram"]}
VECTOR = [0.5, -0.25, 1.0, 0.125]
# 20 digits: more than a double or a 64-bit integer holds, so a proxy that re-encodes arguments changes it.
CALLS = [
    ("call_paris", "get_weather", ['{"ci', 'ty":"Paris","station":', "12345678901234567890}"]),
    ("call_time", "get_time", ['{"zone":', '"Europe/', 'Paris"}']),
]
SPEECH = bytes(range(256)) * 16
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n not really an image").decode()
FOREVER = 30  # seconds: longer than any test waits, and bounded all the same

SCRIPTS = {}


def script(*models):
    def register(function):
        SCRIPTS.update(dict.fromkeys(models, function))
        return function

    return register


async def answer(provider, seen, reply):
    """Every request comes in here."""
    if seen.path == "/_seen":
        listed = [each.for_people() for each in provider.saw(seen.query["model"][0])]
        return await reply.whole(200, listed)
    path = operation(seen)
    provider.note(lambda: provider.requests.append(seen))
    if seen.key not in provider.keys:
        return await refuse(reply, 401, "Incorrect API key provided.", code="invalid_api_key")
    if found := operation_script(seen.method, path):
        return await found(provider, seen, reply)
    if not path.endswith("/chat/completions"):
        return await refuse(reply, 404, f"No such path: {path}")
    await chat_script(provider, seen.model)(provider, seen, reply)


def operation(seen):
    """Reads the fields, finds the model, and gives the path without its version or deployment."""
    content_type = seen.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        seen.fields = form(content_type, seen.body)
    elif seen.body:
        seen.fields = json.loads(seen.body)
    deployment = re.match(r"/openai/deployments/([^/]+)(/.*)", seen.path)
    seen.model = deployment[1] if deployment else str(seen.fields.get("model", ""))
    return deployment[2] if deployment else re.sub(r"^(/openai)?/v1", "", seen.path)


def form(content_type, body):
    head = f"content-type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    fields = {}
    for part in message.iter_parts():
        value, name = part.get_payload(decode=True), part.get_param("name", header="content-disposition")
        fields[name] = (part.get_filename(), value) if part.get_filename() else value.decode()
    return fields


def chat_script(provider, model):
    if model.startswith("fails-"):
        model = "chat" if provider.name == "spare" else model.removeprefix("fails-")
    if status := re.fullmatch(r"error-(\d{3})", model):
        return lambda provider, seen, reply: error(reply, int(status[1]))
    return SCRIPTS.get(model, unknown_model)


# Errors


async def refuse(reply, status, message, *, kind="invalid_request_error", param=None, code=None, headers=None):
    await reply.whole(status, failure(message, kind, param, code), headers={"x-request-id": "req_scripted", **(headers or {})})


def failure(message, kind="server_error", param=None, code=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


async def unknown_model(provider, seen, reply):
    message = f"The model `{seen.model}` does not exist."
    await refuse(reply, 404, message, code="model_not_found")


ERRORS = {
    400: dict(message="Invalid value for 'temperature'.", param="temperature", code="invalid_value"),
    403: dict(message="You are not allowed to use this model.", code="permission_denied"),
    404: dict(message="The model `error-404` does not exist.", code="model_not_found"),
    409: dict(message="The request conflicts with another one.", code="conflict"),
    422: dict(message="The request could not be processed.", code="unprocessable"),
    429: dict(message="Slow down.", kind="requests", code="rate_limit_exceeded", headers={"retry-after": "1"}),
    500: dict(message="The server had an error.", kind="server_error"),
    503: dict(message="Overloaded.", kind="server_error", code="overloaded"),
}


async def error(reply, status):
    await refuse(reply, status, **ERRORS[status])


# Chat


def completion(model, message, finish="stop"):
    message = {"role": "assistant", "content": None, "refusal": None, **message}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": model, "choices": [choice], "usage": USAGE}


def chunk(model, delta=None, finish=None, **more):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": model, "choices": choices, **more}


async def says(seen, reply, pieces):
    """Answers with this text, whole or streamed, as the request asks."""
    if not seen.fields.get("stream"):
        return await reply.whole(200, completion(seen.model, {"content": "".join(pieces)}), headers={"x-request-id": "req_scripted"})
    await reply.open_stream()
    await begin(seen, reply, pieces)
    await end(seen, reply)


async def begin(seen, reply, pieces):
    await reply.event(chunk(seen.model, {"role": "assistant", "content": ""}))
    for piece in pieces:
        await reply.event(chunk(seen.model, {"content": piece}))


async def end(seen, reply, finish="stop"):
    await reply.event(chunk(seen.model, {}, finish))
    if (seen.fields.get("stream_options") or {}).get("include_usage"):
        await reply.event(chunk(seen.model, usage=USAGE))
    await reply.event("[DONE]")
    await reply.close_stream()


@script("chat", "no-approval")
async def chat(provider, seen, reply):
    await says(seen, reply, ["Hel", "lo ", "from ", provider.name])


@script("count")
async def count(provider, seen, reply):
    """Says what came in, so a test can tell that nothing was lost or changed."""
    text = "".join(message["content"] for message in seen.fields["messages"])
    await says(seen, reply, [hashlib.sha256(text.encode()).hexdigest()])


@script("structured")
async def structured(provider, seen, reply):
    assert seen.fields["response_format"]["type"] == "json_schema"
    text = json.dumps(CITY, ensure_ascii=False)
    await says(seen, reply, [text[:5], text[5:9], text[9:]])


@script("tools")
async def tools(provider, seen, reply):
    if not seen.fields.get("stream"):
        return await reply.whole(200, completion(seen.model, {"tool_calls": whole_calls()}, "tool_calls"))
    await reply.open_stream()
    await reply.event(chunk(seen.model, {"role": "assistant", "content": None}))
    for delta in interleaved_calls():
        await reply.event(chunk(seen.model, {"tool_calls": [delta]}))
    await end(seen, reply, "tool_calls")


@script("agent")
async def agent(provider, seen, reply):
    """Reads the file that it is told of, with whichever tool its client has for that, and says what is in it."""
    messages = seen.fields["messages"]
    results = [text_of(message) for message in messages if message["role"] == "tool"]
    names = [tool["function"]["name"] for tool in seen.fields.get("tools", [])]
    path = next(iter(re.findall(r"/[\w./-]+/note\.txt", " ".join(map(text_of, messages)))), "")
    ways = {
        "Read": {"file_path": path},
        "exec_command": {"cmd": f"cat {path}"},
        "shell_command": {"command": f"cat {path}"},
        "shell": {"command": ["cat", path]},
    }
    way = next((name for name in ways if name in names), None)
    if results or not way or not path:
        # What has no tools is some small thing on the side, such as a title.
        return await says(seen, reply, ["It says: ", results[-1] if results else "nothing"])
    call = {"index": 0, "id": "call_read", "type": "function", "function": {"name": way, "arguments": json.dumps(ways[way])}}
    if not seen.fields.get("stream"):
        return await reply.whole(200, completion(seen.model, {"tool_calls": [call]}, "tool_calls"))
    await reply.open_stream()
    await reply.event(chunk(seen.model, {"role": "assistant", "content": None, "tool_calls": [call]}))
    await end(seen, reply, "tool_calls")


def text_of(message):
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def whole_calls():
    return [{"id": id, "type": "function", "function": {"name": name, "arguments": "".join(pieces)}} for id, name, pieces in CALLS]


def interleaved_calls():
    """Both calls begin, then their arguments come in turns; only the first delta of each says id and name."""
    for index, (id, name, _) in enumerate(CALLS):
        yield {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
    for pieces in zip(*(pieces for _, _, pieces in CALLS)):
        for index, piece in enumerate(pieces):
            yield {"index": index, "function": {"arguments": piece}}


@script("unicode")
async def unicode(provider, seen, reply):
    """Streams one byte to a write where characters are long, so that each of them is cut."""
    if not seen.fields.get("stream"):
        return await says(seen, reply, [UNICODE])
    await reply.open_stream()
    event = b"data: " + json.dumps(chunk(seen.model, {"role": "assistant", "content": UNICODE}), ensure_ascii=False).encode() + b"\n\n"
    for n in range(len(event)):
        await reply.piece(event[n : n + 1])
        if event[n] > 127:
            await asyncio.sleep(0.001)  # its own TCP segment, not only its own chunk
    await end(seen, reply)


@script("cut")
async def cut(provider, seen, reply):
    """The connection breaks in the middle of the body."""
    await reply.open_stream()
    await begin(seen, reply, ["Hel", "lo"])
    reply.hang_up()


@script("cut-politely")
async def cut_politely(provider, seen, reply):
    """The body ends as HTTP wants it, but neither a finish reason nor `[DONE]` has come."""
    await reply.open_stream()
    await begin(seen, reply, ["Hel", "lo"])
    await reply.close_stream()


@script("error-in-stream")
async def error_in_stream(provider, seen, reply):
    await reply.open_stream()
    await begin(seen, reply, ["Hel", "lo"])
    await reply.event(failure("The server had an error while streaming."))
    await reply.close_stream()


@script("slow")
async def slow(provider, seen, reply):
    """Streams until the client leaves; unstreamed it thinks as long."""
    if not seen.fields.get("stream"):
        return await asyncio.sleep(FOREVER)
    await reply.open_stream()
    await begin(seen, reply, [])
    for _ in range(FOREVER * 50):
        await reply.event(chunk(seen.model, {"content": "tick "}))
        await asyncio.sleep(0.02)


# Failures that another provider can make good


@script("hang")
async def hang(provider, seen, reply):
    await asyncio.sleep(FOREVER)


@script("reset")
async def reset(provider, seen, reply):
    reply.reset()


@script("garbage")
async def garbage(provider, seen, reply):
    await reply.raw(b"\x16\x03\x01\x00\xee this is not HTTP\r\n\r\n" + bytes(64))
    reply.hang_up()


@script("html")
async def html(provider, seen, reply):
    await reply.whole(200, b"<!doctype html><title>Sign in to the network</title>", "text/html")


@script("error-in-200")
async def error_in_200(provider, seen, reply):
    await reply.whole(200, failure("The model is overloaded.", code="overloaded"))


@script("error-first-event")
async def error_first_event(provider, seen, reply):
    if not seen.fields.get("stream"):
        return await error_in_200(provider, seen, reply)
    await reply.open_stream()
    await reply.event(failure("The model is overloaded.", code="overloaded"))
    await reply.close_stream()


@script("cut-before-content")
async def cut_before_content(provider, seen, reply):
    await reply.open_stream()
    await begin(seen, reply, [])
    reply.hang_up()


# Other operations

OPERATIONS = []


def at(method, pattern):
    def register(function):
        OPERATIONS.append((method, re.compile(pattern), function))
        return function

    return register


def operation_script(method, path):
    return next((function for known, pattern, function in OPERATIONS if known == method and pattern.fullmatch(path)), None)


@at("GET", "/models")
async def models(provider, seen, reply):
    await reply.whole(200, {"object": "list", "data": [model(id) for id in SCRIPTS]})


@at("GET", "/models/.+")
async def one_model(provider, seen, reply):
    await reply.whole(200, model(seen.path.rpartition("/")[2]))


def model(id):
    return {"id": id, "object": "model", "created": CREATED, "owned_by": "scripted"}


@at("POST", "/embeddings")
async def embeddings(provider, seen, reply):
    inputs = seen.fields["input"] if isinstance(seen.fields["input"], list) else [seen.fields["input"]]
    packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    vector = packed if seen.fields.get("encoding_format") == "base64" else VECTOR
    data = [{"object": "embedding", "index": n, "embedding": vector} for n in range(len(inputs))]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    await reply.whole(200, {"object": "list", "model": seen.model, "data": data, "usage": usage})


@at("POST", "/moderations")
async def moderations(provider, seen, reply):
    result = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
    await reply.whole(200, {"id": "modr-1", "model": seen.model, "results": [result]})


@at("POST", "/audio/(transcriptions|translations)")
async def transcriptions(provider, seen, reply):
    filename, sound = seen.fields["file"]
    text = f"{filename} {len(sound)} {hashlib.sha256(sound).hexdigest()}"
    if seen.fields.get("stream") != "true":
        return await reply.whole(200, {"text": text})
    await reply.open_stream()
    for word in text.split():
        await reply.event({"type": "transcript.text.delta", "delta": word + " "})
        await asyncio.sleep(0.1)
    usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 3, "total_tokens": 17}
    await reply.event({"type": "transcript.text.done", "text": text, "usage": usage})
    await reply.close_stream()


@at("POST", "/audio/speech")
async def speech(provider, seen, reply):
    await reply.whole(200, SPEECH, "audio/mpeg")


@at("POST", "/images/generations")
async def images(provider, seen, reply):
    await reply.whole(200, {"created": CREATED, "data": [{"b64_json": PIXEL}]})


@at("POST", "/images/edits")
async def image_edits(provider, seen, reply):
    _, picture = seen.fields["image"]
    await reply.whole(200, {"created": CREATED, "data": [{"b64_json": base64.b64encode(picture).decode()}]})


@at("POST", "/files")
async def upload(provider, seen, reply):
    filename, content = seen.fields["file"]
    file = {"id": f"file-{len(provider.files) + 1}", "object": "file", "bytes": len(content), "created_at": CREATED}
    file |= {"filename": filename, "purpose": seen.fields["purpose"], "status": "processed"}
    provider.files[file["id"]] = (file, content)
    await reply.whole(200, file)


@at("GET", "/files")
async def files(provider, seen, reply):
    await reply.whole(200, {"object": "list", "has_more": False, "data": [file for file, _ in provider.files.values()]})


@at("GET", "/files/[^/]+/content")
async def content(provider, seen, reply):
    await with_file(provider, seen, reply, lambda id: reply.whole(200, provider.files[id][1], "application/octet-stream"))


@at("GET", "/files/[^/]+")
async def file(provider, seen, reply):
    await with_file(provider, seen, reply, lambda id: reply.whole(200, provider.files[id][0]))


@at("DELETE", "/files/[^/]+")
async def delete(provider, seen, reply):
    def forget(id):
        del provider.files[id]
        return reply.whole(200, {"id": id, "object": "file", "deleted": True})

    await with_file(provider, seen, reply, forget)


async def with_file(provider, seen, reply, then):
    id = re.search(r"/files/([^/]+)", seen.path)[1]
    if id not in provider.files:
        return await refuse(reply, 404, f"No such File object: {id}", param="id")
    await then(id)


# Responses


@at("POST", "/responses")
async def responses(provider, seen, reply):
    if not seen.fields.get("stream"):
        return await reply.whole(200, response(seen.model, "completed", [message(provider.name)]))
    await reply.open_stream()
    for number, (name, fields) in enumerate(response_events(seen.model, provider.name)):
        await reply.event({"type": name, "sequence_number": number, **fields}, name)
    await reply.close_stream()


def message(name, status="completed"):
    part = {"type": "output_text", "text": f"Hello from {name}", "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [part] if status == "completed" else []}


def response(model, status, output):
    usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    fixed = {"error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True}
    fixed |= {"temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": []}
    done = {"usage": usage} if status == "completed" else {"usage": None}
    return {"id": "resp_scripted", "object": "response", "created_at": CREATED, "model": model, "status": status, "output": output, **fixed, **done}


def response_events(model, name):
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    whole = message(name)
    text = whole["content"][0]["text"]
    yield "response.created", {"response": response(model, "in_progress", [])}
    yield "response.in_progress", {"response": response(model, "in_progress", [])}
    yield "response.output_item.added", {"output_index": 0, "item": message(name, "in_progress")}
    yield "response.content_part.added", {**place, "part": {**whole["content"][0], "text": ""}}
    for piece in (text[:3], text[3:]):
        yield "response.output_text.delta", {**place, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {**place, "text": text, "logprobs": []}
    yield "response.content_part.done", {**place, "part": whole["content"][0]}
    yield "response.output_item.done", {"output_index": 0, "item": whole}
    yield "response.completed", {"response": response(model, "completed", [whole])}
