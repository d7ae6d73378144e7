// What is asked of any chat model of LangChain's.

import { HumanMessage, ToolMessage } from "@langchain/core/messages";

import { QUESTION, TOOL, weather } from "./answering.mjs";

/** The commands; `modelOf` makes the chat model from the members of a command. */
export function commandsOf(modelOf) {
  return {
    plain: async (asked) => shown(await modelOf(asked).invoke(QUESTION)),
    stream: async (asked, hear) => shown(await heard(modelOf(asked), QUESTION, hear)),
    tools: async (asked, hear) => {
      const model = modelOf(asked).bindTools([TOOL]);
      const said = (turns) => (asked.streamed ? heard(model, turns, hear) : model.invoke(turns));
      const turns = [new HumanMessage(QUESTION)];
      turns.push(await said(turns));
      const [call] = turns.at(-1).tool_calls;
      turns.push(new ToolMessage({ content: weather(call.args), tool_call_id: call.id }));
      return { called: call.name, arguments: call.args, ...shown(await said(turns)) };
    },
  };
}

async function heard(model, input, hear) {
  let whole;
  for await (const chunk of await model.stream(input)) {
    if (chunk.text) hear(chunk.text);
    whole = whole === undefined ? chunk : whole.concat(chunk);
  }
  return whole;
}

function shown({ text, additional_kwargs: more, usage_metadata: usage, response_metadata: told }) {
  return {
    text,
    finish: told.finish_reason,
    prompt_tokens: usage?.input_tokens,
    completion_tokens: usage?.output_tokens,
    cost: told.cost ?? told.usage?.cost ?? told.tokenUsage?.cost,
    provider: told.provider,
    reasoning: more.reasoning_content,
  };
}
