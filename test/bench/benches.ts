import type { Bench } from './bench.ts';
import { gateway } from './gateway.ts';
import { harness } from './harness.ts';
import { ledger } from './ledger.ts';
import { redaction } from './redaction.ts';
import { startup } from './startup.ts';

/** Every bench; a new one is a file beside this and a line here. */
export const BENCHES: readonly Bench[] = [startup, ledger, gateway, redaction, harness];
