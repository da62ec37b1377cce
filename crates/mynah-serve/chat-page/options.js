// The settings of a conversation as data: how each is asked for, checked, and put into a request.
//
// They are kept as the text that was typed; an empty one is not sent, and the server's own default holds.

const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"];

export const GROUPS = [
  { title: "System prompt", options: [
    { name: "system", label: "System prompt", kind: "text", rows: 4, hint: "What the model is told before everything else." },
  ] },
  { title: "Sampling", options: [
    { name: "temperature", label: "Temperature", kind: "number", least: 0, most: 2, step: 0.05, usual: "1" },
    { name: "top_p", label: "Top p", kind: "number", least: 0, most: 1, step: 0.01, usual: "1" },
    { name: "top_k", label: "Top k", kind: "whole", least: -1, usual: "all" },
    { name: "min_p", label: "Min p", kind: "number", least: 0, most: 1, step: 0.01, usual: "0" },
    { name: "max_tokens", label: "Max tokens", kind: "whole", least: 1, usual: "what fits" },
    { name: "seed", label: "Seed", kind: "whole", usual: "random" },
    { name: "repetition_penalty", label: "Repetition penalty", kind: "number", least: 0.01, most: 100, step: 0.01, usual: "1" },
    { name: "presence_penalty", label: "Presence penalty", kind: "number", least: -2, most: 2, step: 0.1, usual: "0" },
    { name: "frequency_penalty", label: "Frequency penalty", kind: "number", least: -2, most: 2, step: 0.1, usual: "0" },
    { name: "stop", label: "Stop texts", kind: "lines", rows: 2, hint: "One a line; \\n, \\t and \\\\ are a line end, a tab and a backslash." },
  ] },
  { title: "Answers", options: [
    { name: "format", label: "Form", kind: "choice", values: [["", "text"], ["json_object", "any JSON object"], ["json_schema", "JSON of a schema"]] },
    { name: "schema", label: "JSON schema", kind: "json", rows: 6, of: "object", only: (settings) => settings.format === "json_schema" },
    { name: "reasoning_effort", label: "Reasoning effort", kind: "choice", values: [["", "as the model is made"], ...EFFORTS.map((word) => [word, word])] },
  ] },
  { title: "Tools", options: [
    { name: "tools", label: "Tools", kind: "json", rows: 8, of: "array", hint: "A list of {\"type\": \"function\", \"function\": {\"name\", \"description\", \"parameters\"}}. You give their results by hand." },
    { name: "tool_choice", label: "Use of tools", kind: "choice", values: [["", "auto: the model decides"], ["none", "none"], ["required", "required: every answer calls a tool"]], names: (settings) => toolNames(settings) },
    { name: "parallel_tool_calls", label: "Calls in one answer", kind: "choice", values: [["", "several"], ["false", "one"]] },
  ] },
];

const OPTIONS = GROUPS.flatMap((group) => group.options);

export const label = (name) => OPTIONS.find((option) => option.name === name)?.label;

export const isShown = (option, settings) => !option.only || option.only(settings);

// What a typed text means: { value }, {} when it is empty, or { error }.
export function read(option, typed = "") {
  const text = typed.trim();
  if (text === "") return {};
  if (option.kind === "number" || option.kind === "whole") return readNumber(option, text);
  if (option.kind === "json") return readJson(option, text);
  if (option.kind === "lines") return { value: typed.split("\n").filter((line) => line !== "").map(unescape) };
  return { value: typed };
}

function readNumber(option, text) {
  const value = Number(text);
  if (Number.isNaN(value) || (option.kind === "whole" && !Number.isSafeInteger(value))) {
    return { error: option.kind === "whole" ? "a whole number is needed" : "a number is needed" };
  }
  if (value < option.least || value > option.most) {
    const range = option.most === undefined ? `at least ${option.least}` : `${option.least} to ${option.most}`;
    return { error: `must be ${range}` };
  }
  return { value };
}

function readJson(option, text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { error: `is not JSON: ${error.message}` };
  }
  const kind = Array.isArray(value) ? "array" : typeof value;
  return kind === option.of ? { value } : { error: option.of === "array" ? "must be a list: […]" : "must be an object: {…}" };
}

const unescape = (line) => line.replace(/\\([nt\\])/g, (_, letter) => ({ n: "\n", t: "\t", "\\": "\\" })[letter]);

export function toolNames(settings) {
  const { value } = read(OPTIONS.find((option) => option.name === "tools"), settings.tools);
  return (value ?? []).map((tool) => tool?.function?.name).filter((name) => typeof name === "string");
}

// The fields of a request, and what is wrong with settings, by name.
export function fields(settings) {
  const found = {};
  const errors = {};
  for (const option of OPTIONS) {
    if (!isShown(option, settings)) continue;
    const { value, error } = read(option, settings[option.name]);
    if (error) errors[option.name] = error;
    else if (value !== undefined) found[option.name] = value;
  }
  const { system, format, schema, ...body } = found;
  if (format === "json_schema" && schema === undefined) errors.schema ??= "a schema is needed";
  if (format === "json_object") body.response_format = { type: format };
  if (format === "json_schema") body.response_format = { type: format, json_schema: { name: "answer", schema } };
  if (body.parallel_tool_calls) body.parallel_tool_calls = false;
  if (!body.tools?.length) for (const name of ["tools", "tool_choice", "parallel_tool_calls"]) delete body[name];
  else if (body.tool_choice?.startsWith("=")) body.tool_choice = { type: "function", function: { name: body.tool_choice.slice(1) } };
  return { body, system, errors };
}
