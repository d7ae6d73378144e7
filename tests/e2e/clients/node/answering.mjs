// The loop of the programs in this folder: a command in a line of JSON in, what became of it in a line of JSON out.

import { createInterface } from "node:readline";

export const QUESTION = "What is the weather in Köln?";
export const PARAMETERS = { type: "object", properties: { town: { type: "string" } }, required: ["town"] };
export const TOOL = {
  type: "function",
  function: { name: "weather", description: "The weather of a town.", parameters: PARAMETERS },
};

/** What the tool of that name answers. */
export const weather = ({ town }) => `Rain in ${town}.`;

/**
 * Do what is asked until there is nobody to ask. `commands` are functions by name. Each is given the members of the
 * command, and a function to call with each piece of a stream; it returns an object.
 */
export async function answer(commands) {
  const tell = process.stdout.write.bind(process.stdout);
  for (const name of ["log", "info", "debug"]) console[name] = console.error; // what a library prints is no answer
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...asked } = JSON.parse(line);
    tell(JSON.stringify(await done(commands[name], asked)) + "\n");
  }
}

async function done(command, asked) {
  const heard = [];
  try {
    return { heard, result: await command(asked, (piece) => heard.push(piece)) };
  } catch (error) {
    return { heard, raised: classes(error), status: error.status ?? error.statusCode ?? null, said: String(error.message) };
  }
}

function classes(error) {
  const names = [];
  for (let at = Object.getPrototypeOf(error); at !== null; at = Object.getPrototypeOf(at)) names.push(at.constructor.name);
  return names;
}
