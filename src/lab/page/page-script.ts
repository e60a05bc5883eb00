// The page's script: plain browser JavaScript. It asks for what the chosen member sees, places the ready pieces, and
// sends back presses and words. HTML comes only from the server, which escaped it; the script itself writes text nodes.
export const SCRIPT = String.raw`'use strict';
(function () {
  var $ = function (id) { return document.getElementById(id); };
  var at = { as: '', channel: '', thread: '' };
  var state = null;
  var since = Date.now();
  var shownTroubles = {};
  var asked = 0;
  var applied = 0;

  function el(tag, cls, text) {
    var node = document.createElement(tag);
    if (cls) node.className = cls;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function toast(text, bad) {
    var node = el('div', bad ? 'toast bad' : 'toast', text);
    $('toasts').append(node);
    setTimeout(function () { node.remove(); }, 7000);
  }

  function post(path, body) {
    body.as = at.as;
    return fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
      .then(function (answer) { return answer.json(); })
      .then(function (answer) {
        if (answer.error) toast(answer.error, true);
        refresh();
        return answer;
      })
      .catch(function () { toast('The lab is not running any more.', true); return { error: 'gone' }; });
  }

  var held = false;
  var late = false;
  function release() {
    // The click comes right after the release, to whatever stands there then.
    setTimeout(function () {
      held = false;
      if (late) { late = false; refresh(); }
    }, 0);
  }

  var pending = false;
  function refresh() {
    if (pending) return;
    pending = true;
    setTimeout(function () {
      pending = false;
      var number = ++asked;
      var wanted = JSON.stringify(at);
      var query = new URLSearchParams({ as: at.as, channel: at.channel });
      if (at.thread) query.set('thread', at.thread);
      fetch('/state?' + query).then(function (answer) { return answer.json(); }).then(function (next) {
        // An answer for somebody or somewhere else came late: a newer question is on its way.
        if (next.error && at.as) { at.as = at.channel = at.thread = ''; return refresh(); }
        if (number < applied || next.error || wanted !== JSON.stringify(at)) return;
        applied = number;
        // A row that is exchanged between press and release would swallow the click.
        if (held) { late = true; return; }
        show(next);
      }).catch(function () { document.body.classList.add('gone'); });
    }, 30);
  }

  function place(holder, rows) {
    var near = holder.scrollHeight - holder.scrollTop - holder.clientHeight < 140;
    var known = {};
    Array.from(holder.children).forEach(function (child) { known[child.dataset.key] = child; });
    var grew = false;
    rows.forEach(function (row, index) {
      var node = known[row.key];
      if (!node || node.dataset.version !== row.version) {
        var made = document.createElement('div');
        made.innerHTML = row.html;
        made.dataset.key = row.key;
        made.dataset.version = row.version;
        made.className = node ? 'row changed' : 'row';
        if (node) node.replaceWith(made); else grew = true;
        node = made;
      }
      delete known[row.key];
      if (holder.children[index] !== node) holder.insertBefore(node, holder.children[index] || null);
    });
    Object.keys(known).forEach(function (key) { known[key].remove(); });
    if (near || (grew && holder.dataset.fresh)) holder.scrollTop = holder.scrollHeight;
    delete holder.dataset.fresh;
  }

  function entry(channel) {
    var item = el('li');
    var button = el('button', 'channel' + (at.channel === channel.id ? ' open' : '') + (channel.unread ? ' unread' : ''));
    button.type = 'button';
    button.dataset.channel = channel.id;
    button.append(el('span', 'sign', channel.sign), el('span', 'name', channel.name));
    if (channel.mentions) button.append(el('span', 'count', String(channel.mentions)));
    item.append(button);
    return item;
  }

  function showSide(next) {
    var signs = { public: '#', private: '🔒', im: '✉' };
    var channels = next.channels.map(function (c) { return Object.assign({ sign: signs[c.kind] }, c); });
    $('channels').replaceChildren.apply($('channels'), channels.filter(function (c) { return c.kind !== 'im'; }).map(entry));
    var apps = channels.filter(function (c) { return c.kind === 'im'; });
    apps.unshift({ id: 'home', name: next.bot + ' home', sign: '⌂', mentions: 0, unread: false });
    $('apps').replaceChildren.apply($('apps'), apps.map(entry));
    $('info').replaceChildren.apply($('info'), next.info.map(function (line) { return el('p', '', line); }));
    var select = $('act-as');
    var names = JSON.stringify(next.members);
    if (select.dataset.names !== names) {
      select.dataset.names = names;
      select.replaceChildren.apply(select, next.members.map(function (member) {
        var option = el('option', '', member.name + (member.role ? ' (' + member.role + ')' : ''));
        option.value = member.id;
        return option;
      }));
    }
    select.value = next.me.id;
  }

  function showRoom(next) {
    var room = next.channel;
    $('composer-form').hidden = !room || room.archived;
    if (!room) {
      $('room-name').textContent = next.bot;
      $('room-note').textContent = 'Home';
      place($('rows'), [{ key: 'home', version: next.home.version, html: '<div class="home" data-testid="home" data-view="' + next.home.key + '">' + (next.home.html || '<p class="note">The app has not published its Home yet.</p>') + '</div>' }]);
      return;
    }
    $('room-name').textContent = (room.kind === 'public' ? '# ' : room.kind === 'private' ? '🔒 ' : '') + room.name;
    $('room-note').textContent = room.kind === 'im' ? 'Direct message' : room.members + ' members' + (room.topic ? ' · ' + room.topic : '');
    $('composer').placeholder = 'Message ' + (room.kind === 'im' ? room.name : '#' + room.name) + (innerWidth > 820 ? '   (try @' + next.bot + ' investigate, or /aegis status)' : '');
    place($('rows'), room.rows);
  }

  function showThread(next) {
    var thread = next.thread;
    $('thread').hidden = !thread;
    $('rooms').classList.toggle('with-thread', !!thread);
    if (!thread) return;
    $('thread-note').textContent = '# ' + thread.channel;
    $('thread-status').textContent = thread.status ? next.bot + ' ' + thread.status : '';
    place($('thread-rows'), thread.rows);
  }

  function valuesIn(form) {
    var by = {};
    Array.from(form.elements).forEach(function (field) {
      if (!field.name) return;
      var kind = field.type;
      if (kind === 'checkbox') {
        by[field.name] = by[field.name] || [];
        if (field.checked) by[field.name].push(field.value);
      } else if (kind === 'radio') {
        if (field.checked) by[field.name] = field.value;
      } else if (kind === 'select-multiple') {
        by[field.name] = Array.from(field.selectedOptions).map(function (option) { return option.value; });
      } else by[field.name] = field.value;
    });
    return by;
  }

  function putValues(form, by) {
    Array.from(form.elements).forEach(function (field) {
      var value = by[field.name];
      if (!field.name || value === undefined) return;
      if (field.type === 'checkbox') field.checked = value.indexOf(field.value) >= 0;
      else if (field.type === 'radio') field.checked = field.value === value;
      else if (field.type === 'select-multiple') Array.from(field.options).forEach(function (o) { o.selected = value.indexOf(o.value) >= 0; });
      else field.value = value;
    });
  }

  function showModal(next) {
    var form = $('modal');
    var modal = next.modal;
    $('modal-veil').hidden = !modal;
    if (!modal) { form.dataset.view = ''; form.dataset.version = ''; form.replaceChildren(); return; }
    if (form.dataset.view === modal.id && form.dataset.version === modal.version) return;
    var kept = form.dataset.view === modal.id ? valuesIn(form) : {};
    form.innerHTML = modal.html;
    form.dataset.view = modal.id;
    form.dataset.version = modal.version;
    form.classList.remove('busy');
    putValues(form, kept);
    var first = form.querySelector('.bad .field, .body input, .body textarea, .body select');
    if (first) first.focus();
  }

  function show(next) {
    document.body.classList.remove('gone');
    state = next;
    at.as = next.me.id;
    document.body.dataset.as = next.me.id;
    at.channel = next.channel ? next.channel.id : 'home';
    $('team').textContent = next.team;
    showSide(next);
    showRoom(next);
    showThread(next);
    showModal(next);
    next.troubles.forEach(function (trouble) {
      var key = trouble.at_ms + trouble.what;
      if (shownTroubles[key] || trouble.at_ms < since) return;
      shownTroubles[key] = true;
      toast('⚠ ' + trouble.what, true);
    });
    try { sessionStorage.setItem('at', JSON.stringify(at)); } catch (ignored) { void ignored; }
  }

  function openThread(ts) { at.thread = ts; $('thread-rows').dataset.fresh = '1'; refresh(); }

  function goTo(message) {
    var parts = message.split('/');
    at.channel = parts[0];
    at.thread = parts[2];
    refresh();
    setTimeout(function () {
      var node = document.querySelector('[data-ts="' + CSS.escape(parts[1]) + '"]');
      if (!node) return;
      node.scrollIntoView({ block: 'center' });
      node.classList.add('found');
      setTimeout(function () { node.classList.remove('found'); }, 2500);
    }, 250);
  }

  function confirmFirst(control, go) {
    if (!control.dataset.confirm) return go();
    var words = JSON.parse(control.dataset.confirm);
    var box = $('confirm');
    var head = el('header');
    head.append(el('h2', '', words.title));
    var body = el('div', 'body');
    body.innerHTML = words.html;
    var foot = el('footer');
    var no = el('button', 'btn', words.no);
    var yes = el('button', words.danger ? 'btn danger' : 'btn primary', words.yes);
    no.type = yes.type = 'button';
    no.dataset.testid = 'confirm-no';
    yes.dataset.testid = 'confirm-yes';
    var done = function () { $('confirm-veil').hidden = true; box.replaceChildren(); };
    no.onclick = done;
    yes.onclick = function () { done(); go(); };
    foot.append(no, yes);
    box.replaceChildren(head, body, foot);
    $('confirm-veil').hidden = false;
    yes.focus();
  }

  function send(control, choice) {
    var message = control.closest('[data-ts]');
    var view = control.closest('[data-view]');
    var body = { action_id: control.dataset.action, block_id: control.dataset.block };
    if (choice !== undefined) body.choice = choice;
    if (view && !message) body.view_id = view.dataset.view;
    else { body.channel = message.dataset.channel; body.ts = message.dataset.ts; }
    control.classList.add('busy');
    return post('/click', body).then(function () { control.classList.remove('busy'); });
  }

  function press(control) {
    if (control.dataset.message) { void send(control); return goTo(control.dataset.message); }
    if (control.dataset.url) { void send(control); window.open(control.dataset.url, '_blank', 'noopener,noreferrer'); return undefined; }
    return confirmFirst(control, function () { void send(control, control.dataset.choice); });
  }

  function openMenu(control) {
    var menu = $('menu');
    menu.replaceChildren.apply(menu, JSON.parse(control.dataset.options).map(function (option) {
      var item = el('button', 'item', option.text);
      item.type = 'button';
      item.setAttribute('role', 'menuitem');
      item.dataset.testid = 'option-' + option.value;
      if (option.description) item.append(el('small', '', option.description));
      item.onclick = function () {
        menu.hidden = true;
        confirmFirst(control, function () { void send(control, option.value); });
      };
      return item;
    }));
    menu.hidden = false;
    var box = control.getBoundingClientRect();
    menu.style.left = Math.max(8, Math.min(box.left, innerWidth - menu.offsetWidth - 8)) + 'px';
    menu.style.top = Math.max(8, Math.min(box.bottom + 4, innerHeight - menu.offsetHeight - 8)) + 'px';
    menu.firstChild.focus();
  }

  document.addEventListener('pointerdown', function () { held = true; });
  document.addEventListener('pointerup', release);
  document.addEventListener('pointercancel', release);
  document.addEventListener('click', function (event) {
    var target = event.target.closest('[data-action],[data-thread],[data-message],[data-channel].channel,[data-close]');
    if (!event.target.closest('#menu')) $('menu').hidden = true;
    if (!target) return;
    if (target.matches('[data-kind=press]')) press(target);
    else if (target.matches('[data-kind=menu]')) openMenu(target);
    else if (target.matches('a[data-message]')) { event.preventDefault(); goTo(target.dataset.message); }
    else if (target.dataset.thread) openThread(target.dataset.thread);
    else if (target.matches('.channel')) {
      at.channel = target.dataset.channel;
      at.thread = '';
      $('rows').dataset.fresh = '1';
      document.body.classList.remove('side-open');
      if (at.channel === 'home') void post('/home', {}); else refresh();
    } else if (target.matches('[data-close]')) void post('/close', { view_id: $('modal').dataset.view });
  });

  document.addEventListener('change', function (event) {
    var field = event.target.closest('[data-kind=change]');
    if (!field || field.closest('.input')) return;
    var value = field.value;
    if (field.multiple) value = Array.from(field.selectedOptions).map(function (o) { return o.value; });
    if (field.type === 'checkbox') {
      value = Array.from(field.closest('.choices').querySelectorAll('input:checked')).map(function (i) { return i.value; });
    }
    confirmFirst(field, function () { void send(field, value); });
  });

  $('modal').addEventListener('submit', function (event) {
    event.preventDefault();
    var form = $('modal');
    if (form.classList.contains('busy')) return;
    form.classList.add('busy');
    var by = valuesIn(form);
    var values = Object.keys(by).filter(function (name) { return by[name].length > 0; }).map(function (name) { return { name: name, value: by[name] }; });
    void post('/submit', { view_id: form.dataset.view, values: values }).then(function () { form.classList.remove('busy'); });
  });

  function composer(form, field, extra) {
    var grow = function () { field.style.height = 'auto'; field.style.height = Math.min(field.scrollHeight, 160) + 'px'; };
    field.addEventListener('input', grow);
    field.addEventListener('keydown', function (event) {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
    });
    form.addEventListener('submit', function (event) {
      event.preventDefault();
      var text = field.value;
      if (!text.trim()) return;
      field.value = '';
      grow();
      $('rows').dataset.fresh = '1';
      void post('/say', Object.assign({ channel: at.channel, text: text }, extra())).then(function (answer) {
        if (answer.error && !field.value) field.value = text;
      });
    });
  }
  composer($('composer-form'), $('composer'), function () { return {}; });
  composer($('thread-form'), $('thread-composer'), function () { return { thread: at.thread }; });

  $('act-as').addEventListener('change', function () { at.as = $('act-as').value; refresh(); });
  $('thread-close').addEventListener('click', function () { at.thread = ''; refresh(); });
  $('burger').addEventListener('click', function () { document.body.classList.toggle('side-open'); });
  document.addEventListener('keydown', function (event) {
    if (event.key !== 'Escape') return;
    if (!$('menu').hidden) $('menu').hidden = true;
    else if (!$('confirm-veil').hidden) $('confirm-veil').hidden = true;
    else if (!$('modal-veil').hidden) void post('/close', { view_id: $('modal').dataset.view });
    else if (at.thread) { at.thread = ''; refresh(); }
  });

  try { Object.assign(at, JSON.parse(sessionStorage.getItem('at') || '{}')); } catch (ignored) { void ignored; }
  var changes = new EventSource('/changes');
  changes.onmessage = refresh;
  changes.onerror = function () { document.body.classList.add('gone'); };
  $('rows').dataset.fresh = '1';
  refresh();
})();
`;
