// The root card and the approval card of the house plan, as sent: the bar for the checker and for the page.
import cards from './reference-cards.json' with { type: 'json' };
import type { Block } from './acme.ts';

export const rootCard: Block[] = cards.root;

export const approvalCard: Block[] = cards.approval;
