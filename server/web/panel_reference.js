// panel_reference.js - the routes, as /openapi.json describes them, with requests to copy and to try.

const DEPTH_MOST = 6;

// What the fields of an example are, by their names.
function sampleOf(name) {
    const model = modelList.all.find(canChat) ?? modelList.all.find(canComplete) ?? modelList.all[0];
    const question = [{role: 'user', content: 'What is a berth?'}];
    return {
        model: model?.id ?? 'MODEL', id: model?.id ?? 'MODEL', messages: question, prompt: 'It is a truth', text: 'It is a truth',
        input: 'What is a berth?', max_tokens: 60, tokens: [1, 2, 3],
    }[name];
}

// Examples of the bodies whose schema does not list its fields.
const BODIES = [
    [/chat\/completions$/, ['model', 'messages', 'max_tokens']], [/completions$/, ['model', 'prompt', 'max_tokens']],
    [/\/messages$/, ['model', 'messages', 'max_tokens']], [/\/responses$/, ['model', 'input']],
    [/detokenize$/, ['model', 'tokens']], [/tokenize$/, ['model', 'text']],
];

function resolve(api, schema) {
    const path = schema?.$ref?.startsWith('#/') ? schema.$ref.slice(2).split('/') : null;
    return path ? path.reduce((at, name) => at?.[name], api) ?? {} : schema ?? {};
}

function exampleOfType(api, schema, depth) {
    const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
    switch (type) {
    case 'object': return exampleOfObject(api, schema, depth);
    case 'array': return schema.items ? [exampleOf(api, schema.items, depth + 1)] : [];
    case 'integer':
    case 'number': return schema.minimum ?? 1;
    case 'boolean': return false;
    case 'string': return 'text';
    default: return schema.properties ? exampleOfObject(api, schema, depth) : null;
    }
}

// The members that are required.
function exampleOfObject(api, schema, depth) {
    return Object.fromEntries((schema.required ?? []).map((name) => [
        name, sampleOf(name) ?? exampleOf(api, schema.properties?.[name] ?? {}, depth + 1)]));
}

function exampleOf(api, reference, depth = 0) {
    const schema = resolve(api, reference);
    const given = schema.example ?? schema.examples?.[0] ?? schema.const ?? schema.default ?? schema.enum?.[0];
    if (given !== undefined || depth > DEPTH_MOST) {
        return given ?? null;
    }
    const one = schema.oneOf?.[0] ?? schema.anyOf?.[0];
    return one ? exampleOf(api, one, depth + 1) : exampleOfType(api, schema, depth);
}

const isEmpty = (value) => !value || Object.keys(value).length === 0;

// undefined for an operation without a body.
function exampleBody(api, path, operation) {
    const content = operation.requestBody?.content;
    if (!content) {
        return undefined;
    }
    const media = Object.values(content)[0];
    const names = BODIES.find(([pattern]) => pattern.test(path))?.[1] ?? [];
    const known = Object.fromEntries(names.map((name) => [name, sampleOf(name)]));
    const made = {...media.example ?? exampleOf(api, media.schema)};
    return isEmpty(made) ? known : {...made, ...known};
}

// ---- code to copy ----

const shellQuote = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

function curlCode({method, url, body, key}) {
    return ['curl', method === 'GET' || body ? '' : '-X ' + method + ' ', url,
        key ? ' \\\n  -H "authorization: Bearer $BERTH_API_KEY"' : '',
        body ? " \\\n  -H 'content-type: application/json' \\\n  -d " + shellQuote(body) : ''].join('').replace('curl', 'curl ');
}

function pythonCode({method, url, body, key}) {
    return ['import json', ...(key ? ['import os'] : []), 'import urllib.request', '',
        'request = urllib.request.Request(', '    ' + JSON.stringify(url) + ',',
        ...(body ? ['    data=json.dumps(json.loads(r"""' + body + '""")).encode(),'] : []),
        '    headers={' + [...(body ? ['"content-type": "application/json"'] : []),
            ...(key ? ['"authorization": "Bearer " + os.environ["BERTH_API_KEY"]'] : [])].join(', ') + '},',
        '    method="' + method + '",', ')',
        'with urllib.request.urlopen(request) as response:', '    print(response.read().decode())'].join('\n');
}

function scriptCode({method, url, body, key}) {
    const headers = [...(body ? ["'content-type': 'application/json'"] : []),
        ...(key ? ['authorization: `Bearer ${process.env.BERTH_API_KEY}`'] : [])];
    return ['const response = await fetch(' + JSON.stringify(url) + ', {', "    method: '" + method + "',",
        ...(headers.length ? ['    headers: {' + headers.join(', ') + '},'] : []),
        ...(body ? ['    body: JSON.stringify(' + body.replaceAll('\n', '\n    ') + '),'] : []),
        '});', 'console.log(await response.text());'].join('\n');
}

const LANGUAGES = [['curl', curlCode], ['Python', pythonCode], ['JavaScript', scriptCode]];

// ---- an operation ----

const typeText = (schema) => schema.const !== undefined ? JSON.stringify(schema.const)
    : schema.enum ? schema.enum.map((value) => JSON.stringify(value)).join(', ')
        : [schema.type ?? (schema.oneOf ?? schema.anyOf ?? []).map((one) => one.type ?? 'object')].flat().join(' or ') || 'any';

// A table of the members of a schema, or null when it lists none.
function memberTable(api, reference) {
    const schema = resolve(api, reference);
    const members = Object.entries(schema.properties ?? {});
    if (members.length === 0) {
        return null;
    }
    return make('div', {class: 'wide', tabindex: 0, role: 'group', 'aria-label': 'Fields'}, make('table', null,
        make('thead', null, make('tr', null, ['field', 'type', 'meaning'].map((name) => make('th', null, name)))),
        make('tbody', null, members.map(([name, one]) => {
            const member = resolve(api, one);
            return make('tr', null,
                make('th', {scope: 'row'}, make('code', null, name), schema.required?.includes(name) && ' required'),
                make('td', null, typeText(member)), make('td', null, member.description ?? ''));
        }))));
}

function responseList(operation) {
    return make('ul', null, Object.entries(operation.responses ?? {}).map(([status, response]) => make('li', null,
        make('b', null, status), ' ' + response.description + ' ',
        make('span', {class: 'dim'}, Object.keys(response.content ?? {}).join(', ')))));
}

// The path with its parameters filled in.
const filledPath = (path) => path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(sampleOf(name) ?? name)).slice(1);

// Code in one of the languages, and a button that sends the request.
function requestPart(method, path, example) {
    const body = example === undefined ? null : make('textarea', {rows: Math.min(14, JSON.stringify(example, null, 2).split('\n').length + 1), class: 'mono', spellcheck: 'false', oninput: show});
    const code = make('div');
    const reply = make('div', {'aria-live': 'polite'});
    let written = curlCode;
    if (body) {
        body.value = JSON.stringify(example, null, 2);
    }
    function show() {
        const url = apiBase() + filledPath(path);
        const text = written({method, url, body: body?.value, key: apiKey() !== '' && path.startsWith('/v')});
        code.replaceChildren(codeBlock(text, LANGUAGES.find(([, write]) => write === written)[0]));
    }
    async function tryIt() {
        reply.replaceChildren(make('p', {class: 'dim'}, 'Sent …'));
        try {
            const response = await request(filledPath(path), {method, body: body?.value});
            const text = await response.text();
            reply.replaceChildren(make('p', null, 'Status ', make('b', null, String(response.status))),
                codeBlock(prettyJson(text.slice(0, 100000)), response.headers.get('content-type') ?? ''));
        } catch (error) {
            reply.replaceChildren(make('p', {class: 'wrong'}, error.message));
        }
    }
    const buttons = LANGUAGES.map(([name, write], i) => button(name, (event) => {
        written = write;
        buttons.forEach((one) => one.setAttribute('aria-pressed', String(one === event.target)));
        show();
    }, {'aria-pressed': String(i === 0)}));
    show();
    return make('div', null, body && field('Body', body),
        make('p', {class: 'buttons', role: 'group', 'aria-label': 'Request'}, buttons, button('Send it', tryIt, {class: 'main'})), code, reply);
}

function operationFold(api, path, method, operation) {
    const name = method.toUpperCase();
    const element = fold('', {class: 'operation'});
    element.querySelector('summary').append(make('b', {class: 'method'}, name), make('code', null, path), make('span', {class: 'dim'}, operation.summary ?? ''));
    // Built when it is opened: there are many.
    element.addEventListener('toggle', () => {
        if (element.children.length > 1) {
            return;
        }
        const schema = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
        element.append(make('p', null, operation.description ?? ''),
            ...[schema && memberTable(api, schema)].filter(Boolean),
            requestPart(name, path, exampleBody(api, path, operation)), make('h4', null, 'Answers'), responseList(operation));
    });
    return element;
}

// ---- the panel ----

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

function operationsByTag(api) {
    const tags = new Map();
    for (const [path, item] of Object.entries(api.paths)) {
        for (const method of METHODS.filter((name) => item[name])) {
            const tag = item[method].tags?.[0] ?? 'other';
            tags.set(tag, [...(tags.get(tag) ?? []), operationFold(api, path, method, item[method])]);
        }
    }
    return tags;
}

// Tags whose routes do work come before those that tell of the server.
function sortedTags(tags) {
    const works = (operations) => operations.some((one) => one.querySelector('.method').textContent === 'POST');
    return [...tags].sort((a, b) => works(b[1]) - works(a[1]));
}

function filterOperations(root, wanted) {
    for (const operation of root.querySelectorAll('.operation')) {
        operation.hidden = !operation.querySelector('summary').textContent.toLowerCase().includes(wanted);
    }
    for (const part of root.querySelectorAll('section')) {
        part.hidden = !part.querySelector('.operation:not([hidden])');
    }
}

function buildReference(root) {
    const list = make('div');
    const search = make('input', {type: 'search', oninput: () => filterOperations(list, search.value.toLowerCase())});
    root.append(make('h2', null, 'API reference'),
        make('p', {class: 'dim'}, 'The routes of this server, from ', make('a', {href: 'openapi.json'}, 'openapi.json'), '.'),
        field('Find a route', search), list);
    async function load() {
        try {
            await refreshModels();
            const api = await (await succeed('openapi.json')).json();
            list.replaceChildren(...sortedTags(operationsByTag(api)).map(([tag, operations]) => make('section', {'aria-label': tag}, make('h3', null, tag), operations)));
        } catch (error) {
            list.replaceChildren(make('p', {class: 'wrong', role: 'alert'}, error.message));
        }
    }
    load();
}

panels.push({name: 'reference', title: 'API', order: 90, build: buildReference});
