import { ChatOpenRouter } from "@langchain/openrouter";

import { answer } from "./answering.mjs";
import { commandsOf } from "./langchain_chat.mjs";

await answer(
  commandsOf(({ base_url, key, model, preferences }) =>
    new ChatOpenRouter({ model, apiKey: key, maxRetries: 0, baseURL: base_url, provider: preferences })),
);
