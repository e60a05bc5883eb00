import {
  ErrorCode,
  McpError,
  type GetPromptResult,
  type Prompt,
  type ReadResourceResult,
  type Resource,
} from '@modelcontextprotocol/sdk/types.js';
import { embedded, IMAGE, PNG_BASE64, text } from './fixture-content.ts';

/** The resources and prompts that the conformance suite 0.1.13 asks for by name. */
export const FIXTURE_RESOURCES: readonly Resource[] = [
  { uri: 'test://static-text', name: 'static-text', description: 'A text', mimeType: 'text/plain' },
  { uri: 'test://static-binary', name: 'static-binary', description: 'An image', mimeType: 'image/png' },
  { uri: 'test://watched-resource', name: 'watched', description: 'May change', mimeType: 'text/plain' },
];

export const FIXTURE_TEMPLATE = {
  uriTemplate: 'test://template/{id}/data',
  name: 'template',
  description: 'A document for each id',
  mimeType: 'application/json',
} as const;

export function fixtureResource(uri: string): ReadResourceResult {
  if (uri === 'test://static-text')
    return one({ uri, mimeType: 'text/plain', text: 'This is the content of the static text resource.' });
  if (uri === 'test://static-binary') return one({ uri, mimeType: 'image/png', blob: PNG_BASE64 });
  if (uri === 'test://watched-resource') return one({ uri, mimeType: 'text/plain', text: 'As it is now.' });
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id === undefined) throw new McpError(-32_002, `Resource ${uri} not found`, { uri });
  const data = { id, templateTest: true, data: `Data for ID: ${id}` };
  return one({ uri, mimeType: 'application/json', text: JSON.stringify(data) });
}

const argument = (name: string, description: string) => ({ name, description, required: true });

export const FIXTURE_PROMPTS: readonly Prompt[] = [
  { name: 'test_simple_prompt', description: 'A prompt without arguments' },
  {
    name: 'test_prompt_with_arguments',
    description: 'A prompt with two arguments',
    arguments: [argument('arg1', 'First'), argument('arg2', 'Second')],
  },
  {
    name: 'test_prompt_with_embedded_resource',
    description: 'A prompt that holds a resource',
    arguments: [argument('resourceUri', 'Which resource')],
  },
  { name: 'test_prompt_with_image', description: 'A prompt that holds an image' },
];

export function fixturePrompt(name: string, args: Readonly<Record<string, string>>): GetPromptResult {
  if (name === 'test_simple_prompt') return user(text('This is a simple prompt for testing.'));
  if (name === 'test_prompt_with_arguments')
    return user(text(`Prompt with arguments: arg1='${args['arg1']}', arg2='${args['arg2']}'`));
  if (name === 'test_prompt_with_embedded_resource')
    return user(
      embedded(args['resourceUri'] ?? '', 'text/plain', 'Embedded resource content for testing.'),
      text('Please process the embedded resource above.'),
    );
  if (name === 'test_prompt_with_image') return user(IMAGE, text('Please analyze the image above.'));
  throw new McpError(ErrorCode.InvalidParams, `Prompt ${name} not found`);
}

function user(...contents: GetPromptResult['messages'][number]['content'][]): GetPromptResult {
  return { messages: contents.map((content) => ({ role: 'user', content })) };
}

function one(content: ReadResourceResult['contents'][number]): ReadResourceResult {
  return { contents: [content] };
}
