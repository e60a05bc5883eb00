import { z } from 'zod';
import type { Log } from '../../contract/ports.ts';
import type { ToolDefinition } from '../../contract/tool.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { TokenGrant } from '../../store/authority.ts';
import type { Store } from '../../store/store.ts';
import type { Gateway } from '../gateway.ts';
import type { TeamSettings } from '../pipeline/tenancy.ts';
import type { ReadResult } from '../read.ts';
import { toolNames, type ToolNames } from './tool-names.ts';
import { visibleTools, type VisibleTool } from './visible-tools.ts';

/** What one outside agent may list and call. Every call goes through the read door with the agent's own token. */
export interface FaceDeps {
  readonly gateway: Pick<
    Gateway,
    'read' | 'definitions' | 'upstreamDefinitions' | 'authorizer' | 'redactText'
  >;
  readonly ledger: Pick<Store['ledger'], 'append'>;
  readonly settings: TeamSettings;
  readonly log: Log;
}

export interface FaceTool {
  readonly name: string;
  readonly description: string;
  readonly input_schema: unknown;
}

export type FaceCall = ReadResult | Refusal;

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
      return visible.map((tool) => faceTool(tool, names.outside.get(tool.definition.name) ?? ''));
    },
    async call(name, input) {
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
        return await gateway.read({ token, tool, ...parsed.data });
      } catch (error) {
        log.error({ tool, error: String(error) }, 'a call from outside failed');
        return refuse('internal-fault', 'Aegis could not finish the call.', 'Its log says why.');
      }
    },
  };
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

function badInput(name: string, error: z.ZodError): Refusal {
  const issue = error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  return refuse(
    'arguments-invalid',
    `${name}: ${where}${issue?.message ?? 'not valid'}.`,
    'Write {target, why, args}; the schema is in tools/list.',
  );
}

/** What this file refuses by itself is a ledger entry too. A caller's words may hold anything, so they are redacted. */
async function recorded(
  { ledger, gateway, log }: FaceDeps,
  grant: TokenGrant,
  refusal: Refusal,
): Promise<Refusal> {
  const { code, remedy } = refusal;
  const reason = gateway.redactText(refusal.reason).slice(0, 1000);
  const payload = { code, reason, remedy, by: grant.principal, about: 'mcp tools/call' };
  try {
    await ledger.append(grant.incident_id ?? 'SYSTEM', [
      { kind: 'refusal', actor: 'aegis:gateway', payload },
    ]);
  } catch (error) {
    log.error({ code, error: String(error) }, 'refusal not recorded');
  }
  return { ...refusal, reason };
}
