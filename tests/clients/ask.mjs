// Asks one question with one of the official clients and prints as JSON what the caller is told.
//
//     node ask.mjs openai|openrouter|ai URL MODEL plain|stream TIMEOUT_MS CAP_MS
//
// `kind` is "answer" (the call came back and threw nothing), "error", or "unfinished" when CAP_MS were over first.
import { performance } from "node:perf_hooks";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { OpenRouter } from "@openrouter/sdk";
import { generateText, streamText } from "ai";
import OpenAI from "openai";

const [client, url, model, mode, timeoutMs, capMs] = process.argv.slice(2);
const isStream = mode === "stream";
const timeout = Number(timeoutMs);
const apiKey = "sk-or-v1-of-no-use";
const messages = [{ role: "user", content: "Why is the sea salty?" }];

async function gather(stream) {
  const told = { text: undefined, finish: undefined };
  for await (const chunk of stream) {
    const choice = chunk.choices?.[0];
    if (choice?.delta?.content != null) told.text = (told.text ?? "") + choice.delta.content;
    told.finish = choice?.finish_reason ?? choice?.finishReason ?? told.finish;
  }
  return told;
}

function whole(result) {
  const choice = result.choices?.[0];
  return { text: choice?.message?.content, finish: choice?.finish_reason ?? choice?.finishReason };
}

async function withOpenAI() {
  const openai = new OpenAI({ apiKey, baseURL: url, timeout });
  const result = await openai.chat.completions.create({ model, messages, stream: isStream });
  return isStream ? gather(result) : whole(result);
}

async function withOpenRouter() {
  const openrouter = new OpenRouter({ apiKey, serverURL: url, timeoutMs: timeout });
  const result = await openrouter.chat.send({ chatRequest: { model, messages, stream: isStream } });
  return isStream ? gather(result) : whole(result);
}

async function withAI() {
  const provider = createOpenRouter({ apiKey, baseURL: url });
  const options = { model: provider.chat(model), messages, timeout };
  if (!isStream) {
    const result = await generateText(options);
    return { text: result.text, finish: result.finishReason };
  }
  const told = { text: "", finish: undefined };
  for await (const part of streamText({ ...options, onError() {} }).fullStream) {
    if (part.type === "text-delta") told.text += part.text;
    if (part.type === "error") throw part.error;
    if (part.type === "abort") throw new Error("aborted");
    if (part.type === "finish") told.finish = part.finishReason;
  }
  return told;
}

// Some classes of errors do not give themselves a name, and some errors are of no class.
function nameOf(error) {
  const own = error?.name;
  return own && own !== "Error" ? own : (error?.constructor?.name ?? typeof error);
}

const ask = { openai: withOpenAI, openrouter: withOpenRouter, ai: withAI }[client];
const cap = new Promise((resolve) => setTimeout(() => resolve({ kind: "unfinished" }), Number(capMs)));
const began = performance.now();
const asked = ask().then(
  (told) => ({ kind: "answer", ...told }),
  (error) => ({ kind: "error", name: nameOf(error), message: String(error?.message ?? error).slice(0, 200) }),
);
const told = await Promise.race([asked, cap]);
console.log(JSON.stringify({ ...told, seconds: (performance.now() - began) / 1000 }));
process.exit(0);
