import type { HttpRoute } from '../contract/http.ts';
import type { ActionClass, Preview, ToolDefinition, ToolOutcome } from '../contract/tool.ts';
import type { Guardrails } from '../contract/guardrails.ts';
import type { Retention } from '../contract/retention.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { Authorizer } from './policy/authorizer.ts';
import type { PolicyChange } from './policy/policy-keeper.ts';
import type { GatewayRead, ReadRequest } from './read.ts';

/**
 * L2, the one door out. `read`, `preview` and `execute` share one pipeline; a call that any step refuses never reaches
 * an upstream. It does not believe its caller: for `execute` it consumes a single-use permit, reloads plan and approvals
 * from the ledger and recomputes the plan hash.
 */
export interface PreviewRequest {
  readonly token: string;
  readonly tool: string;
  readonly target: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly change_id: string;
  readonly why: string;
}

export interface ExecuteRequest {
  readonly token: string;
  readonly permit_id: string;
  readonly tool: string;
  readonly target: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly timeout_ms: number;
}

export interface Classification {
  readonly action_class: ActionClass;
  /** Why the class is not the tool's base class, for the card. */
  readonly reasons: readonly string[];
}

/** What became of one credential that was minted, used and given back. */
export interface CredentialProof {
  readonly engine: string;
  readonly revocable: boolean;
  /** Its revocation was confirmed. */
  readonly revoked: boolean;
  /** The same read with the same credential, after its end; not tried where there is nothing to revoke. */
  readonly afterwards: 'refused' | 'accepted' | 'unclear' | 'not tried';
}

export interface Gateway extends GatewayRead {
  preview(
    request: PreviewRequest,
    signal?: AbortSignal,
  ): Promise<{ call_id: string; preview: Preview } | Refusal>;
  execute(
    request: ExecuteRequest,
    signal?: AbortSignal,
  ): Promise<{ call_id: string; outcome: ToolOutcome } | Refusal>;
  /** After a restart or a lost answer: what does the object show? Never runs the write again. */
  reconcile(
    input: { token: string; journal_key: string },
    signal?: AbortSignal,
  ): Promise<{ outcome: ToolOutcome } | Refusal>;
  /** Pure: class by tool, kind and touched paths. */
  classify(action: {
    tool: string;
    target: string;
    params: Readonly<Record<string, unknown>>;
  }): Classification | Refusal;
  /** Pure: the arguments by which a tool brings back a before-image of its own. */
  undoArguments(change: {
    tool: string;
    before_image: Readonly<Record<string, unknown>>;
  }): Readonly<Record<string, unknown>> | Refusal;
  definitions(): readonly ToolDefinition[];
  /** Approved tools of external MCP servers as of now; they are in no digest, each call checks its own pin. */
  upstreamDefinitions(): Promise<readonly ToolDefinition[]>;
  /** Asks an external MCP server what it lists now and notes it, for a person who looks at its pins. */
  lookAtUpstream(
    server: string,
    signal?: AbortSignal,
  ): Promise<{ readonly undeclared: readonly string[] } | Refusal>;
  toolDefinitionsDigest(): string;
  /** Digest of policies (cedar, guardrails, redaction) in force; null while a set failed to load: writes stop. */
  policyDigest(): string | null;
  /** The guardrails in force; null while the set failed to load. */
  guardrails(): Guardrails | null;
  /** How long things are kept; while the set failed to load nothing is taken out. */
  retention(): Retention;
  /** The policies in force, to ask them what may be listed; null while the set failed to load. */
  authorizer(): Authorizer | null;
  /**
   * One look at the policy files; the service looks every second. A set that loads replaces the one in force, one that
   * does not load leaves none in force; calls under way finish under the one that admitted them. Null: nothing changed.
   */
  refreshPolicies(): Promise<PolicyChange | null>;
  /** Whether a write to this target gets a credential that can be revoked, for the card. */
  credentialRevocable(target: string): boolean;
  /** A read with a credential of its own that is given back and tried once more, for the doctor. */
  proveCredential(request: ReadRequest, signal?: AbortSignal): Promise<CredentialProof | Refusal>;
  /** Revokes leases that a crash left behind; those of living processes are left alone. The service calls it at start. */
  sweepLeases(): Promise<{ revoked: number; failed: number }>;
  /** Redacts free text with the same rules as results (Slack text, logs, prompts). No recogniser is asked. */
  redactText(text: string): string;
  /** Every mark that the rules in force can leave in a text, for whoever filters text before it is redacted. */
  redactionMarks(): readonly string[];
  /**
   * The doors of external MCP servers that are served as they are (`relay: true`). `listening_on` is the address that
   * Aegis listens on: the one name besides loopback under which they may be called.
   */
  relayRoutes(listening_on: string): readonly HttpRoute[];
  close(): Promise<void>;
}
