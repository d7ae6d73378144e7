import { OpenRouter } from "@openrouter/sdk";

import { QUESTION, TOOL, answer, weather } from "./answering.mjs";

const HELLO = [{ role: "user", content: QUESTION }];

// Unless told otherwise it tries again for an hour.
const client = ({ base_url, key }) =>
  new OpenRouter({ serverURL: base_url, apiKey: key, retryConfig: { strategy: "none" } });

function ask(asked, messages, members = {}) {
  const { only, allow_fallbacks: allowFallbacks } = asked.preferences ?? {};
  const provider = asked.preferences && { only, allowFallbacks };
  return client(asked).chat.send({ chatRequest: { model: asked.model, messages, provider, ...members } });
}

async function plain(asked) {
  return shown(await ask(asked, HELLO));
}

function shown({ choices: [choice], usage }) {
  return {
    text: choice.message.content,
    finish: choice.finishReason,
    prompt_tokens: usage?.promptTokens,
    completion_tokens: usage?.completionTokens,
    cost: usage?.cost,
    reasoning: choice.message.reasoning,
  };
}

async function stream(asked, hear) {
  let seen = { reasoning: "" };
  for await (const { choices, usage } of await ask(asked, HELLO, { stream: true })) {
    for (const { delta, finishReason } of choices) {
      if (delta.content) hear(delta.content);
      seen.reasoning += delta.reasoning ?? "";
      if (finishReason) seen.finish = finishReason;
    }
    if (usage) {
      const { promptTokens, completionTokens, cost } = usage;
      seen = { ...seen, prompt_tokens: promptTokens, completion_tokens: completionTokens, cost };
    }
  }
  return seen;
}

async function tools(asked) {
  const { message } = (await ask(asked, HELLO, { tools: [TOOL] })).choices[0];
  const [call] = message.toolCalls;
  const input = JSON.parse(call.function.arguments);
  const result = { role: "tool", toolCallId: call.id, content: weather(input) };
  const last = await ask(asked, [...HELLO, message, result], { tools: [TOOL] });
  return { called: call.function.name, arguments: input, ...shown(last) };
}

async function models(asked) {
  const listed = new Map();
  for await (const { result } of await client(asked).models.list({})) {
    for (const model of result.data) listed.set(model.id, model);
  }
  return { ids: [...listed.keys()], prompt_price: listed.get(asked.model).pricing.prompt };
}

async function endpoints(asked) {
  const [author, slug] = asked.model.split("/");
  const { data } = await client(asked).endpoints.list({ author, slug });
  return { id: data.id, providers: data.endpoints.map(({ providerName }) => providerName) };
}

await answer({ plain, stream, tools, models, endpoints });
