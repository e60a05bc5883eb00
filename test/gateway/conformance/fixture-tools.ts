import { setTimeout as pause } from 'node:timers/promises';
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js';
import {
  CreateMessageResultSchema,
  ElicitResultSchema,
  type CallToolResult,
  type ServerNotification,
  type ServerRequest,
  type Tool,
} from '@modelcontextprotocol/sdk/types.js';
import { embedded, IMAGE, text, WAV_BASE64 } from './fixture-content.ts';

/** The tools that the conformance suite 0.1.13 calls by name. */
export type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;

interface FixtureTool {
  readonly description: string;
  readonly inputSchema?: Tool['inputSchema'];
  run(args: Readonly<Record<string, unknown>>, extra: Extra): Promise<CallToolResult>;
}

const STEP_MS = 50;
const NO_ARGUMENTS: Tool['inputSchema'] = { type: 'object', properties: {} };

const oneString = (name: string, description: string): Tool['inputSchema'] => ({
  type: 'object',
  properties: { [name]: { type: 'string', description } },
  required: [name],
});

const says = (...content: CallToolResult['content']): Promise<CallToolResult> => Promise.resolve({ content });

export const FIXTURE_TOOLS: Readonly<Record<string, FixtureTool>> = {
  test_simple_text: {
    description: 'Answers with one text',
    run: () => says(text('This is a simple text response for testing.')),
  },
  test_image_content: { description: 'Answers with an image', run: () => says(IMAGE) },
  test_audio_content: {
    description: 'Answers with a sound',
    run: () => says({ type: 'audio', data: WAV_BASE64, mimeType: 'audio/wav' }),
  },
  test_embedded_resource: {
    description: 'Answers with a resource inside the result',
    run: () =>
      says(embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')),
  },
  test_multiple_content_types: {
    description: 'Answers with text, image and resource',
    run: () =>
      says(
        text('Multiple content types test:'),
        IMAGE,
        embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
      ),
  },
  test_tool_with_logging: { description: 'Logs three times while it works', run: logs },
  test_tool_with_progress: { description: 'Reports its progress three times', run: reports },
  test_error_handling: {
    description: 'Always fails',
    run: () =>
      Promise.resolve({
        isError: true,
        content: [text('This tool intentionally returns an error for testing')],
      }),
  },
  test_sampling: {
    description: 'Asks the model of the client',
    inputSchema: oneString('prompt', 'What to ask the model'),
    run: asksModel,
  },
  test_elicitation: {
    description: 'Asks the person at the client',
    inputSchema: oneString('message', 'What to show the person'),
    run: ({ message }, extra) =>
      asksPerson(extra, 'User response: ', String(message), {
        type: 'object',
        properties: {
          username: { type: 'string', description: "User's response" },
          email: { type: 'string', description: "User's email address" },
        },
        required: ['username', 'email'],
      }),
  },
  test_elicitation_sep1034_defaults: {
    description: 'Asks the person with a default for each primitive type',
    run: (_args, extra) => asksPerson(extra, 'Elicitation completed: ', 'Review these values', DEFAULTS),
  },
  test_elicitation_sep1330_enums: {
    description: 'Asks the person with each form of a choice',
    run: (_args, extra) => asksPerson(extra, 'Elicitation completed: ', 'Choose', CHOICES),
  },
  test_reconnection: {
    description: 'Closes its stream while it works, so that the client has to come back for the answer',
    run: async (_args, extra) => {
      extra.closeSSEStream?.();
      await pause(STEP_MS);
      return says(text('The answer after the reconnection.'));
    },
  },
  json_schema_2020_12_tool: {
    description: 'Has a schema with the words of JSON Schema 2020-12',
    inputSchema: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: {
        address: { type: 'object', properties: { street: { type: 'string' }, city: { type: 'string' } } },
      },
      properties: { name: { type: 'string' }, address: { $ref: '#/$defs/address' } },
      additionalProperties: false,
    },
    run: (args) => says(text(`Arguments: ${JSON.stringify(args)}`)),
  },
};

export function fixtureToolList(): Tool[] {
  return Object.entries(FIXTURE_TOOLS).map(([name, tool]) => ({
    name,
    description: tool.description,
    inputSchema: tool.inputSchema ?? NO_ARGUMENTS,
  }));
}

async function logs(_args: unknown, extra: Extra): Promise<CallToolResult> {
  const words = ['Tool execution started', 'Tool processing data', 'Tool execution completed'];
  for (const [index, data] of words.entries()) {
    if (index > 0) await pause(STEP_MS);
    await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } });
  }
  return says(text('Logged three times.'));
}

async function reports(_args: unknown, extra: Extra): Promise<CallToolResult> {
  const progressToken = extra._meta?.progressToken;
  for (const progress of [0, 50, 100]) {
    if (progress > 0) await pause(STEP_MS);
    if (progressToken !== undefined)
      await extra.sendNotification({
        method: 'notifications/progress',
        params: { progressToken, progress, total: 100, message: `Completed ${progress} of 100 steps` },
      });
  }
  return says(text('Reported three times.'));
}

async function asksModel(
  { prompt }: Readonly<Record<string, unknown>>,
  extra: Extra,
): Promise<CallToolResult> {
  const messages = [{ role: 'user' as const, content: text(String(prompt)) }];
  const answer = await extra.sendRequest(
    { method: 'sampling/createMessage', params: { messages, maxTokens: 100 } },
    CreateMessageResultSchema,
  );
  const words = answer.content.type === 'text' ? answer.content.text : `a ${answer.content.type}`;
  return says(text(`LLM response: ${words}`));
}

async function asksPerson(
  extra: Extra,
  before: string,
  message: string,
  requestedSchema: object,
): Promise<CallToolResult> {
  const params = { message, requestedSchema } as Extract<
    ServerRequest,
    { method: 'elicitation/create' }
  >['params'];
  const { action, content } = await extra.sendRequest(
    { method: 'elicitation/create', params },
    ElicitResultSchema,
  );
  return says(text(`${before}action=${action}, content=${JSON.stringify(content ?? {})}`));
}

const DEFAULTS = {
  type: 'object',
  properties: {
    name: { type: 'string', description: 'Who', default: 'John Doe' },
    age: { type: 'integer', description: 'How old', default: 30 },
    score: { type: 'number', description: 'How good', default: 95.5 },
    status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
    verified: { type: 'boolean', description: 'Checked', default: true },
  },
  required: [],
};

const choice = (value: string, title: string) => ({ const: value, title });

const CHOICES = {
  type: 'object',
  properties: {
    untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
    titledSingle: {
      type: 'string',
      oneOf: [choice('value1', 'First'), choice('value2', 'Second'), choice('value3', 'Third')],
    },
    legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['One', 'Two', 'Three'] },
    untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
    titledMulti: {
      type: 'array',
      items: { anyOf: [choice('value1', 'First'), choice('value2', 'Second'), choice('value3', 'Third')] },
    },
  },
  required: [],
};
