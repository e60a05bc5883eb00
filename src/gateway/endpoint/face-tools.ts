import { z } from 'zod';
import type { Log } from '../../contract/ports.ts';
import type { ToolDefinition } from '../../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { TokenGrant } from '../../store/authority.ts';
import type { Gateway } from '../gateway.ts';
import type { TeamSettings } from '../pipeline/tenancy.ts';
import type { ReadResult } from '../read.ts';
import {
  keepLarge,
  readKept,
  RESULT_TOOL,
  ResultInput,
  type KeptDeps,
  type ResultRange,
} from './kept-results.ts';
import { toolNames, type ToolNames } from './tool-names.ts';
import { visibleTools, type VisibleTool } from './visible-tools.ts';

/** What one outside agent may list and call. Every call goes through the read door with the agent's own token. */
export interface FaceDeps extends KeptDeps {
  readonly gateway: Pick<
    Gateway,
    'read' | 'definitions' | 'upstreamDefinitions' | 'authorizer' | 'policyDigest' | 'redactText'
  >;
  readonly settings: TeamSettings;
  readonly log: Log;
}

export interface FaceTool {
  readonly name: string;
  readonly description: string;
  readonly input_schema: unknown;
}

/** The result of a read, or its shape with a pointer when it is large; or lines behind a pointer. */
export type FaceCall = (Omit<ReadResult, 'result'> & { readonly result: unknown }) | ResultRange | Refusal;

export interface FaceTools {
  list(): Promise<readonly FaceTool[]>;
  call(name: string, input: Readonly<Record<string, unknown>>): Promise<FaceCall>;
}

/** Places that a description names; a caller learns of more from the people who gave it the token. */
const PLACES_SHOWN_MAX = 20;
const WHY_CHARS_MAX = 500;

const Input = z.strictObject({
  target: z.string().min(1).max(500),
  why: z.string().trim().min(1).max(WHY_CHARS_MAX),
  args: z.record(z.string(), z.unknown()).default({}),
});

export function faceTools(deps: FaceDeps, grant: TokenGrant, token: string): FaceTools {
  const { gateway, settings, log } = deps;
  const known = async (): Promise<{ definitions: readonly ToolDefinition[]; names: ToolNames }> => {
    const definitions = [...gateway.definitions(), ...(await gateway.upstreamDefinitions())];
    return { definitions, names: toolNames(definitions.map((definition) => definition.name)) };
  };
  return {
    async list() {
      // The policies that decide calls also decide what is listed.
      const authorizer = gateway.authorizer();
      if (authorizer === null) return [];
      const { definitions, names } = await known();
      const visible = await visibleTools(definitions, settings, authorizer, grant);
      const tools = visible.map((tool) => faceTool(tool, names.outside.get(tool.definition.name) ?? ''));
      return tools.length === 0 ? [] : [...tools, KEPT_TOOL];
    },
    async call(name, input) {
      if (name === RESULT_TOOL) return callKept(deps, grant, input);
      const tool = (await known()).names.inside.get(name);
      if (tool === undefined)
        return recorded(
          deps,
          grant,
          refuse(
            'tool-unknown',
            `There is no tool "${name.slice(0, 100)}".`,
            'tools/list names those that there are.',
          ),
        );
      const parsed = Input.safeParse(input);
      if (!parsed.success) return recorded(deps, grant, badInput(name, parsed.error));
      try {
        const read = await gateway.read({ token, tool, ...parsed.data });
        if (isRefusal(read)) return read;
        const { target } = parsed.data;
        return { ...read, result: await keepLarge(deps, grant, read, { tool, target }) };
      } catch (error) {
        log.error({ tool, error: String(error) }, 'a call from outside failed');
        return refuse('internal-fault', 'Aegis could not finish the call.', 'Its log says why.');
      }
    },
  };
}

const KEPT_TOOL: FaceTool = {
  name: RESULT_TOOL,
  description:
    'Reads lines of a result that was too large to be shown whole. The pointer comes with its shape and lasts fifteen minutes.',
  input_schema: z.toJSONSchema(ResultInput, { io: 'input', target: 'draft-7' }),
};

async function callKept(
  deps: FaceDeps,
  grant: TokenGrant,
  input: Readonly<Record<string, unknown>>,
): Promise<ResultRange | Refusal> {
  const parsed = ResultInput.safeParse(input);
  const answer = parsed.success
    ? await readKept(deps, grant, parsed.data)
    : badInput(RESULT_TOOL, parsed.error, 'Write {pointer, lines: "1-200", why}.');
  return isRefusal(answer) ? recorded(deps, grant, answer) : answer;
}

function faceTool({ definition, places }: VisibleTool, name: string): FaceTool {
  const { $schema: _dialect, ...args } = definition.input_schema;
  const required = Array.isArray(args['required']) && args['required'].length > 0;
  return {
    name,
    description: `${definition.description} Reads only.`,
    input_schema: {
      type: 'object',
      properties: {
        target: {
          type: 'string',
          description: targetWords(definition, places),
          ...(definition.target === undefined ? {} : { const: definition.target }),
        },
        why: {
          type: 'string',
          minLength: 1,
          maxLength: WHY_CHARS_MAX,
          description: 'One sentence for the record, which people read: what do you want to know?',
        },
        args,
      },
      required: ['target', 'why', ...(required ? ['args'] : [])],
      additionalProperties: false,
    },
  };
}

function targetWords({ target, target_kinds }: ToolDefinition, places: readonly string[]): string {
  if (target !== undefined) return `Always ${target}`;
  const shown = places.slice(0, PLACES_SHOWN_MAX).map((place) => `${place}/<kind>/<name>`);
  const more = places.length > shown.length ? ` and ${places.length - shown.length} more places` : '';
  return `${shown.join(' or ')}${more}. Kinds: ${target_kinds.join(', ')}. Write - as the name for all of a kind, and as the namespace for what is outside of namespaces.`;
}

function badInput(
  name: string,
  error: z.ZodError,
  remedy = 'Write {target, why, args}; the schema is in tools/list.',
): Refusal {
  const issue = error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  return refuse('arguments-invalid', `${name}: ${where}${issue?.message ?? 'not valid'}.`, remedy);
}

/** What this file refuses by itself is a ledger entry too. A caller's words may hold anything, so they are redacted. */
async function recorded(
  { store, gateway, log }: FaceDeps,
  grant: TokenGrant,
  refusal: Refusal,
): Promise<Refusal> {
  const { code, remedy } = refusal;
  const reason = gateway.redactText(refusal.reason).slice(0, 1000);
  const payload = { code, reason, remedy, by: grant.principal, about: 'mcp tools/call' };
  try {
    await store.ledger.append(grant.incident_id ?? 'SYSTEM', [
      { kind: 'refusal', actor: 'aegis:gateway', payload },
    ]);
  } catch (error) {
    log.error({ code, error: String(error) }, 'refusal not recorded');
  }
  return { ...refusal, reason };
}
