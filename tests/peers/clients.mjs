// OpenAI's and AWS's SDKs for Node, unmodified, with nothing changed but the address.
import assert from "node:assert";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_TOOLS, "package.json"));
const OpenAI = require("openai");
const { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } = require("@aws-sdk/client-bedrock-runtime");
const { ROUTER, PIXEL } = process.env;

const tool = (name) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
});

async function openai() {
  const client = new OpenAI({ baseURL: `${ROUTER}/v1`, apiKey: "none", maxRetries: 0 });
  const user = (content) => ({ role: "user", content });
  const said = await client.chat.completions.create({ model: "auto", messages: [user("Why is the sky blue?")] });
  assert(said.choices[0].message.content.includes("simulation") && said.cost.totalUsd > 0);
  const seen = [{ type: "text", text: "What is this?" }, { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } }];
  assert((await client.chat.completions.create({ model: "auto", messages: [user(seen)] })).choices[0].message.content);
  const messages = [user("Use weather and time.")];
  const tools = [tool("weather"), tool("time")];
  const stream = client.chat.completions.stream({ model: "auto", messages, tools, stream_options: { include_usage: true } });
  const whole = await stream.finalChatCompletion();
  const calls = whole.choices[0].message.tool_calls;
  assert.deepEqual(calls.map((call) => call.function.name), ["weather", "time"]);
  calls.forEach((call) => JSON.parse(call.function.arguments));
  assert(whole.usage.total_tokens > 0);
  const results = calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "fine" }));
  const answer = await client.chat.completions.create({ model: "auto", messages: [...messages, whole.choices[0].message, ...results], tools });
  assert.equal(answer.choices[0].finish_reason, "stop");
  await assert.rejects(client.chat.completions.create({ model: "gpt-4o", messages }), OpenAI.NotFoundError);
  assert.equal((await client.models.list()).data[0].id, "auto");
}

async function bedrock() {
  const client = new BedrockRuntimeClient({ region: "us-east-1", endpoint: ROUTER, credentials: { accessKeyId: "a", secretAccessKey: "b" }, maxAttempts: 1 });
  const messages = [{ role: "user", content: [{ text: "Why is the sky blue?" }] }];
  const said = await client.send(new ConverseCommand({ modelId: "auto:lower-cost", messages }));
  assert(said.output.message.content[0].text.includes("simulation") && said.trace.promptRouter.invokedModelId);
  const { stream } = await client.send(new ConverseStreamCommand({ modelId: "auto", messages }));
  let text = "";
  let usage;
  for await (const event of stream) {
    text += event.contentBlockDelta?.delta?.text ?? "";
    usage = event.metadata?.usage ?? usage;
  }
  assert(text.includes("simulation") && usage.totalTokens > 0);
  await assert.rejects(client.send(new ConverseCommand({ modelId: "gpt-4o", messages })), { name: "ValidationException" });
}

await openai();
await bedrock();
