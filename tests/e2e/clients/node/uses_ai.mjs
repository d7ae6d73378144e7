// The AI SDK with its provider for OpenRouter.

import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

import { PARAMETERS, QUESTION, answer, weather } from "./answering.mjs";

const asking = ({ base_url, key, model, preferences }) => ({
  model: createOpenRouter({ baseURL: base_url, apiKey: key }).chat(model, { provider: preferences }),
  prompt: QUESTION,
  maxRetries: 0,
});

async function plain(asked) {
  return shown(await generateText(asking(asked)));
}

async function stream(asked, hear) {
  return shown(await heard(asking(asked), hear));
}

async function heard(asking, hear) {
  const result = streamText({ ...asking, onError: () => {} });
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") hear(part.text);
    if (part.type === "error") throw part.error;
  }
  return {
    text: await result.text,
    reasoningText: await result.reasoningText,
    finishReason: await result.finishReason,
    usage: await result.usage,
    providerMetadata: await result.providerMetadata,
  };
}

async function tools(asked, hear) {
  const calls = [];
  const execute = (input) => {
    calls.push(input);
    return weather(input);
  };
  const members = {
    ...asking(asked),
    tools: { weather: tool({ description: "The weather of a town.", inputSchema: jsonSchema(PARAMETERS), execute }) },
    stopWhen: stepCountIs(3),
  };
  const result = asked.streamed ? await heard(members, hear) : await generateText(members);
  return { called: "weather", arguments: calls[0], ...shown(result) };
}

function shown({ text, reasoningText, finishReason, usage, providerMetadata }) {
  return {
    text,
    reasoning: reasoningText,
    finish: finishReason,
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    cost: providerMetadata?.openrouter?.usage?.cost,
    provider: providerMetadata?.openrouter?.provider,
  };
}

await answer({ plain, stream, tools });
