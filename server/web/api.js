// api.js - requests to this server, and nowhere else. Paths are relative, so that a proxy may add a prefix.

class ApiError extends Error {
    constructor(message, status) {
        super(message);
        this.status = status;
    }
}

const apiBase = () => new URL('.', location.href).href;

// ---- the key ----

const KEY_WANTED =
    'This server asks for a key. It is kept in this tab alone and is gone when the tab is closed.';
const KEY_WRONG = 'This server does not take this key.';

let keyAsked = null;
let keyDeclined = false;

const apiKey = () => sessionStorage.getItem('berth.key') ?? '';

function keepKey(key) {
    if (key) {
        sessionStorage.setItem('berth.key', key);
    } else {
        sessionStorage.removeItem('berth.key');
    }
    byId('key-button').classList.toggle('on', key !== '');
}

// Shows the box for the key. Resolves to whether one was given. Requests that fail together share one box.
function askKey(why = KEY_WANTED) {
    keyAsked ??= new Promise((resolve) => {
        const box = byId('key');
        let given = false;
        byId('key-why').textContent = why;
        byId('key-value').value = apiKey();
        byId('key-form').onsubmit = (event) => {
            event.preventDefault();
            keepKey(byId('key-value').value.trim());
            given = apiKey() !== '';
            box.close();
        };
        byId('key-forget').onclick = () => {
            keepKey('');
            box.close();
        };
        byId('key-cancel').onclick = () => box.close();
        box.onclose = () => {
            keyAsked = null;
            keyDeclined = !given;
            resolve(given);
        };
        box.showModal();
    });
    return keyAsked;
}

// ---- requests ----

function errorText(text, status) {
    try {
        const body = JSON.parse(text);
        const said = body.error?.message ?? body.error ?? body.detail ?? body.message;
        return typeof said === 'string' ? said : text;
    } catch {
        return text.trim() || 'The server answered ' + status;
    }
}

async function send(path, {method = 'GET', body, signal} = {}) {
    const headers = {};
    if (apiKey()) {
        headers.authorization = 'Bearer ' + apiKey();
    }
    if (body !== undefined) {
        headers['content-type'] = 'application/json';
    }
    try {
        return await fetch(path, {method, headers, body, signal, cache: 'no-store'});
    } catch (error) {
        throw error.name === 'AbortError' ? error : new ApiError('The server cannot be reached', 0);
    }
}

// The response, whatever its status; but a 401 asks for the key and tries again while one is given. Who has
// closed the box is asked again when they do something, and not when the page looks by itself.
async function request(path, options) {
    let response = await send(path, options);
    let asks = !keyDeclined || options?.method === 'POST';
    while (asks && response.status === 401) {
        asks = await askKey(apiKey() ? KEY_WRONG : KEY_WANTED);
        response = asks ? await send(path, options) : response;
    }
    return response;
}

// The response of a request that succeeds; else an ApiError with the server's words.
async function succeed(path, options) {
    const response = await request(path, options);
    if (!response.ok) {
        throw new ApiError(errorText(await response.text(), response.status), response.status);
    }
    return response;
}

// ---- streams ----

// The data of each event of a stream of server-sent events.
async function* eventsOf(response) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = '';
    for (;;) {
        const {done, value} = await reader.read();
        rest += decoder.decode(value, {stream: !done});
        const lines = rest.split('\n');
        rest = lines.pop();
        for (const line of lines) {
            if (line.startsWith('data:')) {
                yield line.slice(5).trim();
            }
        }
        if (done) {
            return;
        }
    }
}

// The chunks of a streamed answer. A stream without its end is an error.
async function* chunksOf(path, body, signal) {
    const whole = JSON.stringify({...body, stream: true, stream_options: {include_usage: true}});
    const response = await succeed(path, {method: 'POST', body: whole, signal});
    for await (const data of eventsOf(response)) {
        if (data === '[DONE]') {
            return;
        }
        const chunk = JSON.parse(data);
        if (chunk.error) {
            throw new ApiError(errorText(data, 0), 0);
        }
        yield chunk;
    }
    throw new ApiError('The stream broke off', 0);
}
