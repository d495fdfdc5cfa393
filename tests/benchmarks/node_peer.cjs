// The same work by node and its package `ws`, with one buffer for all hearers:
//   node node_peer.cjs perform URL PLAYERS LINES
//   node node_peer.cjs receive URL LINES SECONDS FILE
'use strict';
const fs = require('node:fs');
const WebSocket = require('ws');

async function connect(url) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  const waiting = [];
  const player = { sound: [], onSound: null };
  socket.on('message', (data) => {
    const event = JSON.parse(data);
    if (event.type === 'response.output_audio.delta') {
      const sound = Buffer.from(event.delta, 'base64');
      if (player.onSound) player.onSound(sound);
      else player.sound.push(sound);
      return;
    }
    const at = waiting.findIndex(({ matches }) => matches(event));
    if (at >= 0) waiting.splice(at, 1)[0].resolve(event);
  });
  player.until = (matches) => new Promise((resolve) => waiting.push({ matches, resolve }));
  player.send = (data) => socket.send(data, { binary: false });
  await player.until((event) => event.type === 'session.created');
  const updated = player.until((event) => event.type === 'session.updated');
  player.send(JSON.stringify({ type: 'session.update', session: { type: 'realtime' } }));
  await updated;
  return player;
}

function item(id, content) {
  return JSON.stringify({
    type: 'conversation.item.create',
    item: { id, type: 'message', role: 'user', content: [content] },
  });
}

function put(player, id, data) {
  const added = player.until((event) => event.type === 'conversation.item.added' && event.item.id === id);
  player.send(data);
  return added;
}

async function say(player) {
  player.sound = [];
  const done = player.until((event) => event.type === 'response.done');
  player.send(JSON.stringify({ type: 'response.create' }));
  await done;
  return Buffer.concat(player.sound);
}

async function perform(url, players, lines) {
  const all = [];
  for (let n = 0; n < players; n++) all.push(await connect(url));
  for (let n = 0; n < lines; n++) {
    const speaker = all[n % players];
    await put(speaker, `say_${n}`, item(`say_${n}`, { type: 'input_text', text: `Say line ${n}.` }));
    const audio = (await say(speaker)).toString('base64');
    const clip = Buffer.from(item(`heard_${n}`, { type: 'input_audio', audio }));
    await Promise.all(all.filter((one) => one !== speaker).map((one) => put(one, `heard_${n}`, clip)));
  }
  return null;
}

async function receive(url, lines, seconds, file) {
  const player = await connect(url);
  await say(player);
  const to = fs.openSync(file, 'w');
  player.onSound = (sound) => fs.writeSync(to, sound);
  const before = process.cpuUsage();
  for (let n = 0; n < lines; n++) await say(player);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / (lines * seconds * 10);
}

const [, , work, url, ...rest] = process.argv;
const numbers = rest.map((word) => (Number.isNaN(Number(word)) ? word : Number(word)));
({ perform, receive })[work](url, ...numbers).then((answer) => {
  process.stdout.write(JSON.stringify(answer) + '\n', () => process.exit(0));
});
