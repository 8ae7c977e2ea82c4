'use strict';
const $ = id => document.getElementById(id);
const root = document.body.dataset.root;

// Times are the visitor's own; the server writes them in UTC.
function localTimes(within) {
  for (const time of within.querySelectorAll('time')) {
    const date = new Date(time.dateTime);
    time.textContent = date.toLocaleDateString([], { day: 'numeric', month: 'short' }) + ', '
      + date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    time.title = date.toLocaleString();
  }
}
localTimes(document);

// Notices of different heights hang close together: each takes as many of the grid's thin rows as it
// is high.
const packed = document.querySelector('.notices');
const heights = new ResizeObserver(entries => {
  for (const { target } of entries) {
    const rows = Math.ceil((target.offsetHeight + 24) / 4);
    target.style.gridRowEnd = `span ${rows}`;
  }
});
if (packed) {
  packed.classList.add('packed');
  for (const notice of packed.children) heights.observe(notice);
}

// New notices appear at the top of the list. The server has escaped what is in them.
const list = document.querySelector('[data-live]');
if (list) {
  const source = new EventSource(`${root}/live?after=${list.dataset.live}`);
  source.addEventListener('pinned', event => {
    const holder = document.createElement('template');
    holder.innerHTML = event.data;
    const notice = holder.content.firstElementChild;
    if (!notice || $(notice.id)) return;
    localTimes(notice);
    notice.classList.add('new');
    document.querySelector('.nothing')?.remove();
    list.prepend(notice);
    heights.observe(notice);
  });
  // Some were pinned up while there was no connection. What is being written is not to be lost.
  source.addEventListener('gap', () => {
    if (!$('pin')?.open) location.reload();
  });
  source.onopen = () => list.classList.add('open');
}

// The talk: what is typed goes through textContent, never through innerHTML.
const said = $('said');
let socket;
function talk() {
  const url = new URL(`${root}/talk`, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  socket = new WebSocket(url);
  socket.onopen = () => said.replaceChildren();  // what was said before comes again
  socket.onmessage = event => {
    const { name, text, here } = JSON.parse(event.data);
    if (here !== undefined) return $('here').textContent = here === 1 ? 'only you' : `${here} here`;
    const item = document.createElement('li');
    const who = document.createElement('b');
    who.textContent = name;
    item.append(who, text);
    item.classList.toggle('mine', name === document.querySelector('.who .name')?.textContent);
    said.append(item);
    while (said.childElementCount > 200) said.firstElementChild.remove();
    said.scrollTop = said.scrollHeight;
  };
  socket.onclose = () => {
    $('here').textContent = 'no connection';
    setTimeout(talk, 1000 + Math.random() * 3000);
  };
}
if (said) talk();

$('say')?.addEventListener('submit', event => {
  event.preventDefault();
  const field = event.target.elements.text;
  if (socket?.readyState !== WebSocket.OPEN || !field.value.trim()) return;
  socket.send(field.value);
  field.value = '';
});

// The chosen picture, before it is sent.
document.querySelector('[name=picture]')?.addEventListener('change', event => {
  const [file] = event.target.files;
  $('preview').hidden = !file;
  if (file) $('preview').src = URL.createObjectURL(file);
});
