import OpenAI from "openai";

import { QUESTION, TOOL, answer, weather } from "./answering.mjs";

const HELLO = [{ role: "user", content: QUESTION }];

const client = ({ base_url, key }) => new OpenAI({ baseURL: base_url, apiKey: key, maxRetries: 0 });

const ask = (asked, messages, members = {}) =>
  client(asked).chat.completions.create({ model: asked.model, messages, ...members });

async function plain(asked) {
  return shown(await ask(asked, HELLO));
}

async function stream(asked, hear) {
  return shown(await heard(asked, HELLO, hear));
}

async function heard(asked, messages, hear, members = {}) {
  const runner = client(asked).chat.completions.stream({
    model: asked.model, messages, stream_options: { include_usage: true }, ...members,
  });
  runner.on("content", hear);
  return runner.finalChatCompletion();
}

async function tools(asked, hear) {
  const members = { tools: [TOOL] };
  const said = (messages) => (asked.streamed ? heard(asked, messages, hear, members) : ask(asked, messages, members));
  const { message } = (await said(HELLO)).choices[0];
  const [call] = message.tool_calls;
  const input = JSON.parse(call.function.arguments);
  const last = await said([...HELLO, message, { role: "tool", tool_call_id: call.id, content: weather(input) }]);
  return { called: call.function.name, arguments: input, ...shown(last) };
}

function shown({ choices: [choice], usage, provider }) {
  return {
    text: choice.message.content,
    finish: choice.finish_reason,
    prompt_tokens: usage?.prompt_tokens,
    completion_tokens: usage?.completion_tokens,
    cost: usage?.cost,
    provider,
  };
}

async function models(asked) {
  const ids = [];
  for await (const model of client(asked).models.list()) ids.push(model.id);
  return { ids };
}

await answer({ plain, stream, tools, models });
