import { ChatOpenAI } from "@langchain/openai";

import { answer } from "./answering.mjs";
import { commandsOf } from "./langchain_chat.mjs";

await answer(
  commandsOf(({ base_url, key, model }) =>
    new ChatOpenAI({ model, apiKey: key, maxRetries: 0, configuration: { baseURL: base_url } })),
);
