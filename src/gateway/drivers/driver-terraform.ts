/** The face of a Terraform workspace that a driver is lent for one call. */
export interface StateMark {
  /** Null: there is no state yet. */
  readonly lineage: string | null;
  readonly serial: number;
}

/** A plan file as it was made, with what `show -json` says about it; kept sealed until it is applied or too old. */
export interface SavedPlan {
  /** SHA-256 of the plan file. */
  readonly hash: string;
  readonly commit: string;
  readonly state: StateMark;
  readonly json: unknown;
  readonly made_at_ms: number;
}

export type ApplyRun =
  | { readonly status: 'done' }
  /** The state is no longer the one that was planned on: nothing was changed. */
  | { readonly status: 'stale'; readonly message: string };

export interface DriverTerraform {
  /** Checks out a commit of the protected branch (null: its tip) and initialises it. Gives the commit. */
  open(commit: string | null): Promise<string>;
  state(): Promise<StateMark>;
  /** `show -json` of the state. */
  show(): Promise<unknown>;
  /** The plan that is saved for this commit and state, or a new one. */
  plan(): Promise<SavedPlan>;
  /** The saved plan of a commit on a state; null when it is gone. */
  saved(commit: string, state: StateMark): Promise<SavedPlan | null>;
  /** Keeps a sealed copy of the state, then applies exactly this plan file. */
  apply(plan: SavedPlan): Promise<ApplyRun>;
}
