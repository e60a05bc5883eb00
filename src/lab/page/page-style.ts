// The page's own style. Fonts are those of the machine: nothing is fetched.
export const STYLE = `
:root { --ink:#1d1c1d; --soft:#616061; --line:#dddddd; --plum:#3f0e40; --plum-deep:#350d36; --blue:#1264a3; --green:#007a5a; --red:#e01e5a; --amber:#f2c744; }
* { box-sizing:border-box; }
[hidden] { display:none !important; }
html, body { height:100%; margin:0; }
body { display:flex; flex-direction:column; background:var(--plum-deep); color:var(--ink); font:15px/1.46668 Lato, "Slack-Lato", system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Noto Color Emoji", "Apple Color Emoji", sans-serif; }
button, select, input, textarea { font:inherit; color:inherit; }
h1, h2 { font-size:18px; font-weight:900; margin:0; line-height:1.3; }
.note { color:var(--soft); font-size:13px; font-weight:400; }
.top { display:flex; align-items:center; gap:12px; padding:0 14px; height:46px; flex:none; color:#fff; background:var(--plum-deep); }
.team { font-size:16px; font-weight:900; }
.sim { background:var(--amber); color:#1d1c1d; border-radius:99px; padding:2px 10px; font-size:12px; font-weight:800; letter-spacing:.02em; white-space:nowrap; }
.act-as { margin-left:auto; display:flex; align-items:center; gap:8px; font-size:13px; color:#e8dfe8; min-width:0; }
.act-as select { background:#fff; color:var(--ink); border:0; border-radius:6px; padding:5px 8px; font-weight:700; max-width:220px; min-width:0; }
.burger { display:none; background:none; border:0; color:#fff; font-size:20px; padding:4px 6px; }
.rooms { flex:1; min-height:0; display:grid; grid-template-columns:200px minmax(0,1fr); padding:0 6px 6px 0; }
.rooms.with-thread { grid-template-columns:200px minmax(0,1fr) minmax(420px,40%); }
.side { background:var(--plum-deep); color:#cfc3cf; overflow:auto; padding:10px 8px; display:flex; flex-direction:column; }
.side ul { list-style:none; margin:0 0 12px; padding:0; }
.side-head { font-size:13px; padding:4px 10px; color:#b9a9ba; }
.channel { width:100%; display:flex; gap:8px; align-items:center; text-align:left; background:none; border:0; border-radius:6px; padding:4px 10px; color:#cfc3cf; cursor:pointer; }
.channel:hover { background:#ffffff14; }
.channel.unread { color:#fff; font-weight:800; }
.channel.open { background:#f9edff; color:#39063a; font-weight:700; }
.channel .sign { width:16px; text-align:center; opacity:.85; }
.channel .name { flex:1; overflow:hidden; text-overflow:ellipsis; white-space:nowrap; }
.count { background:var(--red); color:#fff; border-radius:99px; font-size:11px; font-weight:800; padding:0 7px; }
.info { margin-top:auto; font-size:12.5px; line-height:1.45; color:#cbbccb; padding:10px; border-top:1px solid #ffffff22; }
.info p { margin:0 0 6px; overflow-wrap:anywhere; }
.info:empty { display:none; }
.room, .thread { background:#fff; min-height:0; min-width:0; display:flex; flex-direction:column; overflow:hidden; }
.room { border-radius:8px 0 0 8px; }
.rooms:not(.with-thread) .room { border-radius:8px; }
.thread { border-left:1px solid var(--line); border-radius:0 8px 8px 0; }
.room-head { display:flex; align-items:baseline; gap:12px; padding:11px 20px; border-bottom:1px solid var(--line); flex:none; }
.room-head h1, .room-head h2 { white-space:nowrap; }
.room-head .note { overflow:hidden; text-overflow:ellipsis; white-space:nowrap; }
.x { margin-left:auto; align-self:center; background:none; border:0; font-size:22px; line-height:20px; color:var(--soft); cursor:pointer; border-radius:6px; padding:0 8px; }
.x:hover { background:#f3f3f3; }
.rows { flex:1; min-height:0; overflow:auto; padding:4px 0; outline:none; }
.message, .ephemeral { display:flex; gap:10px; padding:5px 20px; }
.message:hover { background:#f8f8f8; }
.ephemeral { background:#f8f5ff; box-shadow:inset 3px 0 0 #9b8ac4; }
.only { font-size:12px; color:var(--soft); margin-bottom:1px; }
.only::before { content:"👁 "; }
.found { background:#fff7d6 !important; transition:background 1s; }
.row.changed > article { animation:changed 1.4s; }
@media (prefers-reduced-motion:reduce) { .row.changed > article { animation:none; } }
@keyframes changed { from { background:#eaf4fb; } }
.content { min-width:0; flex:1; max-width:760px; }
.avatar { flex:none; width:36px; height:36px; border-radius:8px; display:grid; place-items:center; font-size:14px; font-weight:900; color:#fff; }
.avatar.app { background:#0b1f33; }
.avatar svg { width:26px; height:26px; }
.c0{background:#2c699d}.c1{background:#b5446e}.c2{background:#3d7c47}.c3{background:#8a5a00}.c4{background:#6b4fa0}.c5{background:#0f7b7b}.c6{background:#a04040}.c7{background:#4a5a6a}
.by { display:flex; align-items:baseline; gap:6px; line-height:1.3; }
.by strong { font-weight:900; }
.badge { background:#e8e8e8; color:var(--soft); font-size:10px; font-weight:700; border-radius:3px; padding:1px 4px; align-self:center; }
.at { font-size:12px; color:var(--soft); }
.text { white-space:pre-wrap; overflow-wrap:anywhere; }
.replies { display:flex; align-items:center; gap:8px; margin-top:5px; padding:3px 10px 3px 3px; border:1px solid transparent; background:none; border-radius:8px; cursor:pointer; color:var(--blue); font-size:13px; }
.replies:hover { background:#fff; border-color:var(--line); }
.replies .note .at { font-size:13px; }
.faces { display:flex; gap:3px; }
.faces .avatar { width:24px; height:24px; border-radius:6px; font-size:10px; }
.faces .avatar svg { width:17px; height:17px; }
.file { border:1px solid var(--line); border-radius:8px; padding:8px 12px; margin-top:6px; display:inline-block; }
.mention { background:#e8f5fa; color:var(--blue); border-radius:3px; padding:0 2px; }
.mention.own { background:#fff2c9; color:#7a5600; font-weight:700; }
.link { color:var(--blue); text-decoration:none; overflow-wrap:anywhere; }
.link:hover { text-decoration:underline; }
.code { font:12px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; background:#f8f8f8; border:1px solid #dddddd; border-radius:3px; padding:1px 4px; color:#c01343; overflow-wrap:anywhere; }
.pre, .slack_blocks_to_jsx pre { display:block; font:12px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace !important; background:#f8f8f8; border:1px solid #dddddd; border-radius:6px !important; padding:9px 10px !important; margin:4px 0 !important; white-space:pre-wrap !important; overflow-wrap:anywhere; word-break:normal !important; }
.slack_blocks_to_jsx pre { max-height:420px; overflow:auto; }
.slack_blocks_to_jsx .code { font:12px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace !important; padding:1px 4px !important; }
.quote { display:block; border-left:4px solid #dddddd; padding-left:10px; }
.blocks { overflow-wrap:anywhere; }
.slack_blocks_to_jsx.slack_blocks_to_jsx { max-width:100% !important; color:var(--ink); font:inherit !important; }
.slack_blocks_to_jsx .slack_blocks_to_jsx__header_heading { font-size:18px !important; font-weight:900 !important; line-height:1.3; margin:2px 0 !important; }
.slack_blocks_to_jsx .slack_blocks_to_jsx__rich_text_section_element { display:block; white-space:pre-wrap; }
.slack_blocks_to_jsx strong { font-weight:900 !important; }
.slack_blocks_to_jsx .slack_blocks_to_jsx__section .grid { gap:8px 16px; }
.slack_blocks_to_jsx .slack_blocks_to_jsx__context { font-size:13px !important; gap:2px 0; }
.slack_blocks_to_jsx .slack_blocks_to_jsx__table { display:block !important; max-width:100%; overflow:auto; border:1px solid var(--line) !important; border-radius:8px !important; }
.slack_blocks_to_jsx table { border-collapse:collapse; width:100%; font-size:14px; }
.slack_blocks_to_jsx td { vertical-align:top; border-color:var(--line) !important; padding:7px 12px !important; }
.slack_blocks_to_jsx tr:first-child td { background:#f8f8f8; font-weight:700 !important; }
.slack_blocks_to_jsx .slack_blocks_to_jsx__plan { border:1px solid var(--line); border-radius:8px; padding:10px 14px; margin:4px 0; white-space:normal; }
.slack_blocks_to_jsx .slack_blocks_to_jsx__plan_title { font-size:15px !important; font-weight:900 !important; margin:0 0 6px !important; }
.slack_blocks_to_jsx .slack_blocks_to_jsx__plan .slack_blocks_to_jsx__task_card { border:0 !important; padding:3px 0 !important; margin:0 !important; }
.slack_blocks_to_jsx .slack_blocks_to_jsx__task_card_title { font-size:15px !important; font-weight:700 !important; }
.slack_blocks_to_jsx .slack_blocks_to_jsx__task_card_output, .slack_blocks_to_jsx .slack_blocks_to_jsx__task_card_details { margin:0 !important; color:var(--soft); font-size:14px; }
.controls { display:flex; flex-wrap:wrap; gap:8px; margin:7px 0 5px; align-items:center; }
.beside { display:flex; gap:12px; align-items:flex-start; }
.beside > .grow { flex:1; min-width:0; }
.beside > .btn { margin-top:8px; }
.btn { background:#fff; border:1px solid #bbbabb; border-radius:6px; padding:3px 12px; min-height:32px; font-size:13.5px; font-weight:800; cursor:pointer; white-space:nowrap; }
.btn:hover { background:#f8f8f8; box-shadow:0 1px 3px #00000014; }
.btn.primary { background:var(--green); border-color:var(--green); color:#fff; }
.btn.primary:hover { background:#148567; }
.btn.danger { background:var(--red); border-color:var(--red); color:#fff; }
.btn.danger:hover { background:#e23067; }
.btn.more { padding:3px 10px; font-size:16px; line-height:1; }
.btn.small { min-height:28px; }
.busy { opacity:.55; cursor:progress; }
:is(button, select, input, textarea, a):focus-visible { outline:3px solid #1d9bd199; outline-offset:1px; }
.container { border:1px solid var(--line); border-radius:8px; padding:8px 12px; margin:6px 0; }
.container-title { font-weight:800; }
.home { padding:6px 24px; max-width:820px; }
.composer { flex:none; display:flex; align-items:flex-end; gap:8px; margin:0 20px 16px; border:1px solid #8d8d8d; border-radius:10px; padding:7px 8px 7px 12px; }
.composer:focus-within { border-color:var(--blue); box-shadow:0 0 0 1px var(--blue); }
.composer textarea { flex:1; min-width:0; border:0; outline:none; resize:none; background:none; padding:4px 0; line-height:1.4; }
.composer textarea::placeholder { color:#868686; }
.send { min-height:30px; background:var(--green); border-color:var(--green); color:#fff; padding:2px 12px; }
.send:hover { background:#148567; }
.status { padding:0 22px 6px; min-height:20px; font-style:italic; }
.status:empty { display:none; }
.veil { position:fixed; inset:0; background:#00000073; display:grid; place-items:center; z-index:30; padding:16px; }
#confirm-veil { z-index:40; }
.modal { background:#fff; border-radius:12px; width:100%; max-width:540px; max-height:calc(100vh - 48px); display:flex; flex-direction:column; box-shadow:0 18px 48px #00000059; overflow:hidden; }
.modal.small { max-width:440px; }
.modal header { display:flex; align-items:center; padding:17px 22px 13px; border-bottom:1px solid var(--line); }
.modal h2 { font-size:20px; }
.modal .body { padding:12px 22px 16px; overflow:auto; }
.modal footer { display:flex; justify-content:flex-end; gap:10px; padding:14px 22px; border-top:1px solid var(--line); }
.modal footer .btn { min-height:36px; padding:5px 16px; font-size:15px; }
.input { margin:10px 0 14px; }
.label { font-weight:800; margin-bottom:4px; }
.field { width:100%; border:1px solid #8d8d8d; border-radius:6px; padding:8px 10px; background:#fff; }
.controls .field, .beside > .field { width:auto; max-width:260px; padding:5px 8px; }
.input.bad .field { border-color:var(--red); }
.fault { color:#b3123f; margin:5px 0 0; font-size:13.5px; font-weight:700; }
.fault::before { content:"⚠ "; }
.choices { display:flex; flex-direction:column; gap:6px; }
.choice { display:flex; gap:8px; align-items:flex-start; }
.choice input { margin-top:4px; }
.choice small, .item small { display:block; color:var(--soft); font-weight:400; }
.menu { position:fixed; z-index:25; background:#fff; border:1px solid var(--line); border-radius:8px; box-shadow:0 6px 22px #00000030; padding:6px 0; min-width:200px; max-width:320px; }
.item { display:block; width:100%; text-align:left; background:none; border:0; padding:6px 18px; cursor:pointer; }
.item:hover, .item:focus { background:var(--blue); color:#fff; outline:none; }
.toasts { position:fixed; left:50%; transform:translateX(-50%); bottom:18px; display:flex; flex-direction:column; gap:8px; z-index:60; max-width:min(560px, 92vw); }
.toast { background:#1d1c1d; color:#fff; border-radius:8px; padding:10px 16px; font-size:14px; box-shadow:0 6px 20px #0000004d; }
.toast.bad { background:#8b1538; }
.gone .sim::after { content:" · not running"; }
@media (max-width:1100px) {
  .rooms.with-thread { grid-template-columns:190px minmax(0,1fr) minmax(380px,50%); }
  .rooms { grid-template-columns:190px minmax(0,1fr); }
}
@media (max-width:820px) {
  .burger { display:block; }
  .act-as span, .team { display:none; }
  .rooms, .rooms.with-thread { grid-template-columns:minmax(0,1fr); padding:0; position:relative; }
  .side { position:absolute; inset:0 auto 0 0; width:260px; z-index:20; transform:translateX(-105%); visibility:hidden; transition:transform .15s; box-shadow:4px 0 18px #00000059; }
  .side-open .side { transform:none; visibility:visible; }
  .thread { position:absolute; inset:0; z-index:10; border:0; }
  .room, .rooms:not(.with-thread) .room, .thread { border-radius:0; }
  .message, .ephemeral { padding:5px 12px; gap:8px; }
  .room-head { padding:9px 14px; }
  .composer { margin:0 10px 10px; }
  .controls { gap:6px; }
  .controls .btn { padding:3px 9px; font-size:13px; }
  .avatar { width:32px; height:32px; }
  .beside { flex-wrap:wrap; gap:0 12px; }
  .beside > .grow { flex:1 1 100%; }
  .beside > .btn { margin:2px 0 6px; }
  .slack_blocks_to_jsx td { padding:6px 8px !important; white-space:normal !important; }
  .slack_blocks_to_jsx .slack_blocks_to_jsx__section .grid { grid-template-columns:1fr 1fr; gap:6px 10px; }
}
`;
