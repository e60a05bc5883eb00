import { createHash } from 'node:crypto';
import { approvalSheet } from '../contract/approval-sheet.ts';
import type { SheetPart } from '../contract/approval-sheet.ts';
import type { ApprovalNotice } from '../contract/notice.ts';
import { DENY_REASON } from '../contract/person-token.ts';
import { markup } from './markup.ts';
import type { Markup } from './markup.ts';

/**
 * The pages of the step-up, drawn on the server: no script, nothing loaded from anywhere, every text escaped. The token is
 * asked for on each page instead of being kept in a cookie, so no other site can act with somebody's session.
 */
const STYLE = `
:root { color-scheme: light dark; --line: #8886; --bad: #b42318; --good: #067647; --accent: #175cd3; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #6ce9a6; --accent: #84adff; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 56rem; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.35rem; margin: 0 0 1rem; } h2 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .2rem 0; overflow-wrap: anywhere; }
pre { border: 1px solid var(--line); border-radius: .4rem; margin: .3rem 0; overflow-x: auto; padding: .6rem .8rem; }
.add { color: var(--good); } .del { color: var(--bad); }
.note { border-left: .3rem solid var(--accent); padding: .4rem .8rem; margin: 1rem 0; }
.note.bad { border-color: var(--bad); } .note.good { border-color: var(--good); }
form { border-top: 1px solid var(--line); margin-top: 1.6rem; padding-top: .6rem; }
label { display: block; font-weight: 600; margin-top: .8rem; }
input, select, textarea { font: inherit; padding: .45rem .6rem; width: 100%; }
button { border: 1px solid var(--line); border-radius: .4rem; cursor: pointer; font: inherit; font-weight: 600; margin: 1rem .6rem 0 0; padding: .5rem 1.2rem; }
button.yes { background: #067647; color: #fff; } button.no { background: #b42318; color: #fff; }
`;
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  // Not `no-referrer`: a form would then send "Origin: null", and its origin is checked.
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

export interface Note {
  readonly tone: 'plain' | 'good' | 'bad';
  readonly text: string;
}

/** The door: it says nothing about the plan, not even whether there is one, before somebody has shown a token. */
export function askPage(approval_id: string, note: Note | null): string {
  return page(
    `Step-up approval of ${approval_id}`,
    markup`${noteOf(note)}
      <p>Somebody asked for an approval outside Slack. Show who you are with your own Aegis token.</p>
      <form method="post">
        ${tokenField('autofocus')}<button class="yes" name="act" value="show">Show the plan</button>
      </form>`,
  );
}

/** The plan as the server holds it, and the form that decides. */
export function planPage(notice: ApprovalNotice, person: string, note: Note | null): string {
  const open = notice.status === 'open' || notice.status === 'approved';
  return page(
    `Step-up approval of ${notice.approval_id}`,
    markup`${noteOf(note)}
      <p>You are <strong>${person}</strong>.</p>
      ${approvalSheet(notice).map(partOf)} ${open ? decisionForm(notice) : markup``}`,
  );
}

/** The end of the way: what became of the decision. */
export function donePage(approval_id: string, note: Note): string {
  return page(
    `Step-up approval of ${approval_id}`,
    markup`${noteOf(note)}
      <p>The card in Slack shows where the plan stands. You can close this page.</p>`,
  );
}

/** The first button is the one that the Enter key presses, so it is one that decides nothing. */
function decisionForm({ revision, plan_hash, effect_hash }: ApprovalNotice): Markup {
  return markup`<form method="post">
    <input type="hidden" name="revision" value="${String(revision)}" />
    <input type="hidden" name="plan_hash" value="${plan_hash}" />
    <input type="hidden" name="effect_hash" value="${effect_hash}" />
    ${tokenField('')}
    <label for="reason">Reason, for a denial (${String(DENY_REASON.chars_min)} characters or more)</label>
    <textarea id="reason" name="reason" rows="2" maxlength="${String(DENY_REASON.chars_max)}"></textarea>
    <label for="because">What is wrong, for a denial</label>
    <select id="because" name="because">
      <option value="other">Other</option>
      <option value="wrong_cause">Wrong cause</option>
      <option value="too_risky">Too risky</option>
      <option value="wrong_time">Wrong time</option>
    </select>
    <button name="act" value="show">Read it again</button>
    <button class="yes" name="act" value="approve">Approve exactly this</button>
    <button class="no" name="act" value="deny">Deny</button>
    <button name="act" value="withdraw">Withdraw my approval</button>
  </form>`;
}

function tokenField(focus: '' | 'autofocus'): Markup {
  return markup`<label for="token">Your own token</label>
    <input
      id="token"
      name="token"
      type="password"
      autocomplete="current-password"
      maxlength="100"
      required
      ${focus}
    />`;
}

function partOf({ title, lines, kind }: SheetPart): Markup {
  const head = markup`<h2>${title}</h2>`;
  if (kind === 'words') return markup`${head}${lines.map((line) => markup`<p>${line}</p>`)}`;
  const diff = lines.map((line) => markup`<span class="${diffClass(line)}">${line}</span>\n`);
  return markup`${head}
    <pre>${diff}</pre>`;
}

function diffClass(line: string): string {
  if (line.startsWith('+')) return 'add';
  return line.startsWith('-') ? 'del' : 'same';
}

function noteOf(note: Note | null): Markup {
  return note === null
    ? markup``
    : markup`<p class="note ${note.tone}" role="${note.tone === 'bad' ? 'alert' : 'status'}">${note.text}</p>`;
}

function page(title: string, body: Markup): string {
  const head = markup`<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>${title}</title><style>${{ html: STYLE }}</style>`;
  const whole = markup`<!doctype html>
<html lang="en"><head>${head}</head>
<body><main><h1>Aegis: ${title}</h1>${body}</main></body></html>`;
  return whole.html;
}
