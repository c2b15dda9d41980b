// A service whose callers need an API key, with Express: it asks rndrkit about each request.
'use strict';

const express = require('express');

const { KEYS_URL = 'http://127.0.0.1:8081', KEYS_TOKEN, PORT = '3000' } = process.env;
if (!KEYS_TOKEN) throw new Error('set KEYS_TOKEN to a token of scope verify');

// What a caller gets when rndrkit does not answer. Never 401: his key may be as good as ever.
const unavailable = {
  status: 503,
  headers: { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store', 'Retry-After': '1' },
  problem: {
    type: 'urn:rndrkit:problem:unavailable',
    title: 'Temporarily unavailable',
    status: 503,
    code: 'unavailable',
    detail: 'The API key could not be checked just now. This says nothing about your key; try again.',
    error: 'The API key could not be checked just now. This says nothing about your key; try again.',
  },
};

// Asks, and keeps no answer: a key that is deleted now is refused on the next request.
async function verify(req) {
  const reply = await fetch(`${KEYS_URL}/v1/keys/verify`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${KEYS_TOKEN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({
      // Longer is no key. Several headers arrive here as one with commas, which rndrkit refuses.
      secret: (req.get('X-Api-Key') ?? '').slice(0, 1024),
      context: { ip: req.ip, method: req.method, path: (req.baseUrl + req.path).slice(0, 1024) },
    }),
    redirect: 'error',
    signal: AbortSignal.timeout(1000),
  });
  if (reply.status !== 200) throw new Error(`rndrkit answered ${reply.status}`);
  const answer = await reply.json();
  if (typeof answer.valid !== 'boolean') throw new Error('this is not an answer of rndrkit');
  return answer;
}

async function requireApiKey(req, res, next) {
  const answer = await verify(req).catch((error) => {
    console.error(`API keys cannot be checked: ${error.cause?.message ?? error.message}`);
    return unavailable;
  });
  res.set(answer.headers);
  if (!answer.valid) return res.status(answer.status).end(JSON.stringify(answer.problem));
  req.account = answer.account;
  next();
}

const app = express();
// Behind a proxy of yours, say so, or every caller has its address: app.set('trust proxy', '10.0.0.0/8')
app.use('/api', requireApiKey);
app.get('/api/reports', (req, res) => res.json({ account_id: req.account.id }));
app.listen(Number(PORT), '127.0.0.1');
