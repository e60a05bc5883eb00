// The page's frame. All that changes is put in by the script.
export const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Aegis lab · simulated Slack</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
</head>
<body>
<header class="top">
  <button type="button" class="burger" id="burger" aria-label="Channels">☰</button>
  <strong class="team" id="team"></strong>
  <span class="sim" data-testid="simulated" title="No message leaves this machine. Slack Technologies has no part in this page.">Simulated Slack</span>
  <label class="act-as"><span>Act as</span><select id="act-as" data-testid="act-as"></select></label>
</header>
<div class="rooms" id="rooms">
  <nav class="side" id="side" aria-label="Channels">
    <div class="side-head">Channels</div>
    <ul id="channels"></ul>
    <div class="side-head">Apps</div>
    <ul id="apps"></ul>
    <div class="info" id="info"></div>
  </nav>
  <main class="room">
    <div class="room-head"><h1 id="room-name"></h1><span class="note" id="room-note"></span></div>
    <div class="rows" id="rows" data-testid="channel" tabindex="0"></div>
    <form class="composer" id="composer-form"><textarea id="composer" data-testid="composer" rows="1" aria-label="Message"></textarea><button type="submit" class="btn send" data-testid="send" aria-label="Send">➤</button></form>
  </main>
  <aside class="thread" id="thread" data-testid="thread" hidden>
    <div class="room-head"><h2>Thread</h2><span class="note" id="thread-note"></span><button type="button" class="x" id="thread-close" aria-label="Close thread">×</button></div>
    <div class="rows" id="thread-rows" tabindex="0"></div>
    <div class="status note" id="thread-status"></div>
    <form class="composer" id="thread-form"><textarea id="thread-composer" data-testid="thread-composer" rows="1" placeholder="Reply…" aria-label="Reply"></textarea><button type="submit" class="btn send" data-testid="thread-send" aria-label="Send reply">➤</button></form>
  </aside>
</div>
<div class="veil" id="modal-veil" hidden><form class="modal" id="modal" data-testid="modal" role="dialog" aria-modal="true" novalidate></form></div>
<div class="veil" id="confirm-veil" hidden><div class="modal small" id="confirm" data-testid="confirm" role="alertdialog" aria-modal="true"></div></div>
<div class="menu" id="menu" role="menu" data-testid="menu" hidden></div>
<div class="toasts" id="toasts" role="status"></div>
</body>
</html>
`;
