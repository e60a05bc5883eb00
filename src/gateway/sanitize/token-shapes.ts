import type { Detector } from './detector.ts';

/**
 * Tokens that name their issuer: a fixed beginning and an alphabet. Lengths are lower bounds, so that a longer
 * generation of the same token is still known. Sources: the issuers' own pages and the rules of public scanners. Each
 * pattern begins with letters, not with a class or a look behind: that makes the engine some thirty times faster.
 */
const GROUPS: readonly RegExp[] = [
  // GitHub, npm, DigitalOcean, Stripe, PlanetScale, Grafana, Hugging Face and others with an underscore
  /gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,}|npm_[A-Za-z0-9]{36}|rubygems_[a-f0-9]{48}|dckr_[po]at_[A-Za-z0-9_-]{20,}/g,
  /do[opr]_v1_[a-f0-9]{64}|whsec_[A-Za-z0-9+/]{24,}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|pscale_(?:tkn|oauth|pw)_[A-Za-z0-9=._-]{32,}/g,
  /[srp]k_(?:live|test)_[A-Za-z0-9]{16,}/g,
  /glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/=]{32,}|sntrys_[A-Za-z0-9+/=_-]{40,}|sntryu_[a-f0-9]{64}|lin_(?:api|oauth)_[A-Za-z0-9]{32,}/g,
  /hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}|ntn_[A-Za-z0-9]{40,}|figd_[A-Za-z0-9_-]{36,}|fm[12]_[A-Za-z0-9+/=_-]{100,}|ops_eyJ[A-Za-z0-9+/=_-]{80,}/g,
  // GitLab, Slack, Square, PyPI, Tailscale, Pulumi, Heroku, models and others with a dash
  /gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat)-[A-Za-z0-9_.-]{20,}/g,
  /xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|xai-[A-Za-z0-9]{60,}/g,
  /sk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{24,}|sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,}/g,
  /pypi-[A-Za-z0-9_-]{50,}|tskey-[a-z]{2,10}-[A-Za-z0-9-]{20,}|pul-[a-f0-9]{40}|key-[a-f0-9]{32}/g,
  /HRKU-[A-Za-z0-9_-]{36,}|AGE-SECRET-KEY-1[A-Z0-9]{58}|PMAK-[a-f0-9]{24}-[a-f0-9]{34}|NR(?:AK|II|JS|RA|IQ)-[A-Za-z0-9_-]{19,}/g,
  /AT(?:ATT3|CTT3|BB)[A-Za-z0-9_=-]{24,}|LTAI[A-Za-z0-9]{17,24}/g,
  // Vault, Doppler, SendGrid, Dynatrace, Airtable with a dot
  /hv[sbr]\.[A-Za-z0-9_-]{20,}/g,
  /s\.[A-Za-z0-9]{24}/g,
  /dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,}|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}/g,
  /dt0[a-z]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{64}|pat[A-Za-z0-9]{14}\.[a-f0-9]{64}/g,
  // Databricks, Twilio, PagerDuty
  /dapi[a-f0-9]{32}(?:-\d)?|pdu[a-z]\+[A-Za-z0-9_+-]{18,}/g,
  /SK[a-f0-9]{32}/g,
];

/** Shapes whose fixed part stands in the middle: the beginning is found by looking back from there. */
const MIDDLES: readonly {
  readonly middle: RegExp;
  readonly before: RegExp;
  readonly before_chars_max: number;
}[] = [
  // Terraform Cloud
  { middle: /\.atlasv1\.[A-Za-z0-9=_-]{50,}/g, before: /[A-Za-z0-9]{14}$/, before_chars_max: 14 },
  // Telegram: the number of the bot, then its token
  { middle: /:AA[A-Za-z0-9_-]{32,34}/g, before: /\d{8,10}$/, before_chars_max: 10 },
  // Mailchimp
  { middle: /-us\d{1,2}/g, before: /[a-f0-9]{32}$/, before_chars_max: 32 },
  // Discord: id, time, signature
  {
    middle: /\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}/g,
    before: /[MNO][A-Za-z0-9_-]{23,27}$/,
    before_chars_max: 28,
  },
];

type Place = readonly [start: number, end: number];

export const SERVICE_TOKEN: Detector = {
  kind: 'credential',
  possible: (text) =>
    GROUPS.some((group) => occurs(group, text)) || MIDDLES.some(({ middle }) => occurs(middle, text)),
  find: (text, found) => {
    const places = placesOf(text).sort((a, b) => a[0] - b[0] || b[1] - a[1]);
    let from = 0;
    for (const [start, end] of places) {
      if (start < from) continue;
      found(start, end);
      from = end;
    }
  },
};

function placesOf(text: string): Place[] {
  const places: Place[] = [];
  for (const group of GROUPS) {
    group.lastIndex = 0;
    for (let match = group.exec(text); match !== null; match = group.exec(text))
      addPlace(text, match.index, match.index + match[0].length, places);
  }
  for (const { middle, before, before_chars_max } of MIDDLES) {
    middle.lastIndex = 0;
    for (let match = middle.exec(text); match !== null; match = middle.exec(text)) {
      const head = before.exec(text.slice(Math.max(0, match.index - before_chars_max), match.index));
      if (head !== null) addPlace(text, match.index - head[0].length, match.index + match[0].length, places);
    }
  }
  return places;
}

function occurs(source: RegExp, text: string): boolean {
  source.lastIndex = 0;
  return source.test(text);
}

/** A token begins where a word begins and ends where one ends. */
function addPlace(text: string, start: number, end: number, places: Place[]): void {
  if (!isWord(text, start - 1) && !isWord(text, end)) places.push([start, end]);
}

function isWord(text: string, index: number): boolean {
  const char = text[index];
  return char !== undefined && /[A-Za-z0-9]/.test(char);
}
