"""How tests ask: one place for what every test repeats."""


def says(text):
    return [{"role": "user", "content": text}]


def ask(client, model, text="Hello?", **more):
    return client.chat.completions.create(model=model, messages=says(text), **more)


def text_of(stream):
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
