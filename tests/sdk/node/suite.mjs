// The Node SDK against the gateway (or, with SDK_DIRECT, against the scripted provider itself). Started by ../test_node.py.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import OpenAI, { AzureOpenAI, toFile } from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const { SDK_ORIGIN: origin, SDK_TOKEN: token, SDK_PROVIDER: provider, SDK_DIRECT: direct } = process.env;
const gatewayOnly = { skip: direct ? 'there is no gateway to hold to this' : false };

// Does not retry, so that each call is one call at the gateway.
const settings = { maxRetries: 0, timeout: 10_000 };
const client = new OpenAI({ baseURL: `${origin}/v1`, apiKey: token, ...settings });
const azure = new AzureOpenAI({ endpoint: origin, apiKey: token, apiVersion: '2024-10-21', ...settings });

const says = (content) => [{ role: 'user', content }];
const ask = (model, more = {}) => client.chat.completions.create({ model, messages: says('Hello?'), ...more });
const tools = ['get_weather', 'get_time'].map((name) => ({
  type: 'function',
  function: { name, parameters: { type: 'object', properties: {} } },
}));
const calls = [
  ['call_paris', 'get_weather', '{"city":"Paris","station":12345678901234567890}'],
  ['call_time', 'get_time', '{"zone":"Europe/Paris"}'],
];
const unicode = 'Grüße, 世界! 🌍👩‍🚀 naïve café \u2028 line\u0085 end';

async function textOf(stream) {
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  return text;
}

async function seen(model) {
  return (await fetch(`${provider}/_seen?model=${model}`)).json();
}

// Waits at most a second until the provider has noticed that its client left.
async function leftWithinASecond(model, before) {
  const deadline = Date.now() + 1_000;
  while (Date.now() < deadline) {
    const since = (await seen(model)).slice(before);
    if (since.length === 1 && since[0].vanished) return true;
  }
  return false;
}

test('a question is answered with text and usage', async () => {
  const reply = await ask('chat');
  assert.equal(reply.choices[0].message.content, 'Hello from primary');
  assert.equal(reply.usage.total_tokens, 18);
});

test('a stream comes in pieces', async () => {
  assert.equal(await textOf(await ask('chat', { stream: true })), 'Hello from primary');
});

test('interleaved deltas of parallel tool calls add up', async () => {
  const stream = client.chat.completions.stream({ model: 'tools', messages: says('Weather and time?'), tools });
  const message = await stream.finalMessage();
  assert.deepEqual(message.tool_calls.map((call) => [call.id, call.function.name, call.function.arguments]), calls);
});

test('structured outputs are parsed', async () => {
  const City = z.object({ name: z.string(), population: z.number(), tags: z.array(z.string()) });
  const request = { model: 'structured', messages: says('A city?'), response_format: zodResponseFormat(City, 'city') };
  const reply = await client.chat.completions.parse(request);
  assert.deepEqual(reply.choices[0].message.parsed, { name: 'Zürich', population: 421878, tags: ['lake', 'tram'] });
});

for (const encoding_format of [undefined, 'float']) {
  test(`embeddings come back exact (${encoding_format ?? 'base64'})`, async () => {
    const reply = await client.embeddings.create({ model: 'embedder', input: ['one', 'two'], encoding_format });
    assert.deepEqual(reply.data.map((row) => row.embedding), Array(2).fill([0.5, -0.25, 1, 0.125]));
  });
}

test('models are listed and retrieved', async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id.split(':').at(-1));
  assert.ok(ids.includes('chat') && ids.includes('tools'));
  assert.equal((await client.models.retrieve('chat')).id, 'chat');
});

const refusals = [
  [400, OpenAI.BadRequestError, 'invalid_value'],
  [404, OpenAI.NotFoundError, 'model_not_found'],
  [409, OpenAI.ConflictError, 'conflict'],
  [422, OpenAI.UnprocessableEntityError, 'unprocessable'],
  [429, OpenAI.RateLimitError, 'rate_limit_exceeded'],
];
for (const [status, kind, code] of refusals) {
  test(`a ${status} raises ${kind.name}`, async () => {
    await assert.rejects(ask(`error-${status}`), (error) => error instanceof kind && error.status === status && error.code === code);
  });
}

test('a provider in trouble raises InternalServerError', async () => {
  await assert.rejects(ask('error-503'), OpenAI.InternalServerError);
});

test('a wrong token raises AuthenticationError', async () => {
  await assert.rejects(client.withOptions({ apiKey: 'kw_wrong_token_000000' }).models.list(), OpenAI.AuthenticationError);
});

test('a model that is not approved raises PermissionDeniedError', gatewayOnly, async () => {
  await assert.rejects(ask('no-approval'), OpenAI.PermissionDeniedError);
});

test('a credential the provider rejects is not the client’s fault', gatewayOnly, async () => {
  await assert.rejects(ask('rejected'), (error) => error.status === 502 && error.code === 'credential_rejected');
});

test('a body of 5 MB arrives whole', async () => {
  const text = 'Grüße '.repeat(800_000);
  const reply = await ask('count', { messages: says(text) });
  assert.equal(reply.choices[0].message.content, createHash('sha256').update(text).digest('hex'));
});

test('unicode cut across writes survives', async () => {
  assert.equal(await textOf(await ask('unicode', { stream: true })), unicode);
});

test('leaving a stream ends the provider’s work within a second', async () => {
  const before = (await seen('slow')).length;
  for await (const _ of await ask('slow', { stream: true })) break;
  assert.ok(await leftWithinASecond('slow', before));
});

test('giving up on a whole answer ends the provider’s work within a second', async () => {
  const before = (await seen('slow')).length;
  await assert.rejects(client.withOptions({ timeout: 500 }).chat.completions.create({ model: 'slow', messages: says('Hello?') }));
  assert.ok(await leftWithinASecond('slow', before));
});

test('a stream that breaks is an error and never a clean end', async () => {
  await assert.rejects(async () => textOf(await ask('cut', { stream: true })));
});

test('a stream that ends without its last event is an error', gatewayOnly, async () => {
  await assert.rejects(async () => textOf(await ask('cut-politely', { stream: true })));
});

for (const failure of ['hang', 'reset', 'garbage', 'error-500', 'error-429', 'error-first-event']) {
  for (const stream of [false, true]) {
    test(`the spare answers when the first provider fails: ${failure}, ${stream ? 'streamed' : 'whole'}`, gatewayOnly, async () => {
      const reply = await ask(`fails-${failure}`, { stream });
      assert.equal(stream ? await textOf(reply) : reply.choices[0].message.content, 'Hello from spare');
    });
  }
}

test('a sound is transcribed', async () => {
  const file = await toFile(Buffer.alloc(100_000, 7), 'hello.wav');
  const reply = await client.audio.transcriptions.create({ model: 'listener', file });
  assert.match(reply.text, /^hello\.wav 100000 /);
});

test('a response passes through, whole and streamed', async () => {
  const reply = await client.responses.create({ model: 'responder', input: 'Hello?' });
  assert.equal(reply.output_text, 'Hello from primary');
  const streamed = await client.responses.stream({ model: 'responder', input: 'Hello?' }).finalResponse();
  assert.equal(streamed.output_text, 'Hello from primary');
});

test('the Azure client is answered, whole and streamed', async () => {
  const question = { model: 'chat', messages: says('Hello?') };
  assert.equal((await azure.chat.completions.create(question)).choices[0].message.content, 'Hello from primary');
  assert.equal(await textOf(await azure.chat.completions.create({ ...question, stream: true })), 'Hello from primary');
});
