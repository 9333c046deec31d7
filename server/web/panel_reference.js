// panel_reference.js - the routes, as /openapi.json describes them, with requests to copy and to try.

const DEPTH_MOST = 6;
const FIELDS_SHOWN = 10;   // longer tables are folded
const REPLY_MOST = 100000; // characters that are shown

// What the fields of an example are, by their names.
function sampleOf(name) {
    const model = modelList.all.find(canChat) ?? modelList.all.find(canComplete) ?? modelList.all[0];
    const question = [{role: 'user', content: 'What is a berth?'}];
    return {
        model: model?.id ?? 'MODEL',
        id: model?.id ?? 'MODEL',
        messages: question,
        prompt: 'It is a truth',
        text: 'It is a truth',
        input: 'What is a berth?',
        max_tokens: 60,
        tokens: [1, 2, 3],
    }[name];
}

// What examples have, whether it is required or not.
const BODIES = [
    [/chat\/completions$/, ['model', 'messages', 'max_tokens']],
    [/completions?$|\/generate$/, ['model', 'prompt', 'max_tokens']],
    [/\/chat$|apply-template$/, ['model', 'messages']],
    [/\/messages$/, ['model', 'messages', 'max_tokens']],
    [/\/responses$/, ['model', 'input']],
    [/detokenize$/, ['model', 'tokens']],
    [/tokenize$/, ['model', 'text']],
];

function resolve(api, schema) {
    const path = schema?.$ref?.startsWith('#/') ? schema.$ref.slice(2).split('/') : null;
    return path ? path.reduce((at, name) => at?.[name], api) ?? {} : schema ?? {};
}

function exampleOfType(api, schema, depth) {
    const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
    switch (type) {
    case 'object':
        return exampleOfObject(api, schema, depth);
    case 'array':
        return schema.items ? [exampleOf(api, schema.items, depth + 1)] : [];
    case 'integer':
    case 'number':
        return schema.minimum ?? 1;
    case 'boolean':
        return false;
    case 'string':
        return 'text';
    default:
        return schema.properties ? exampleOfObject(api, schema, depth) : null;
    }
}

// The members that are required.
function exampleOfObject(api, schema, depth) {
    const member = (name) => sampleOf(name) ?? exampleOf(api, schema.properties?.[name] ?? {}, depth + 1);
    const required = schema.required ?? [];
    return Object.fromEntries(required.map((name) => [name, member(name)]));
}

function exampleOf(api, reference, depth = 0) {
    const schema = resolve(api, reference);
    const given =
        schema.example ?? schema.examples?.[0] ?? schema.const ?? schema.default ?? schema.enum?.[0];
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
    const parts = ['curl ' + (method === 'GET' || body ? '' : '-X ' + method + ' ') + url];
    if (key) {
        parts.push('-H "authorization: Bearer $BERTH_API_KEY"');
    }
    if (body) {
        parts.push("-H 'content-type: application/json'", '-d ' + shellQuote(body));
    }
    return parts.join(' \\\n  ');
}

// A text as a literal of Python, raw where that is possible.
const pythonText = (text) => text.includes('"""') ? JSON.stringify(text) : 'r"""' + text + '"""';

function pythonCode({method, url, body, key}) {
    const lines = ['import os', 'import urllib.request', ''];
    lines.push(`request = urllib.request.Request("${url}", method="${method}")`);
    if (key) {
        lines.push('request.add_header("authorization", "Bearer " + os.environ["BERTH_API_KEY"])');
    }
    if (body) {
        lines.push('request.add_header("content-type", "application/json")');
        lines.push('request.data = ' + pythonText(body) + '.encode()');
    }
    lines.push('with urllib.request.urlopen(request) as response:', '    print(response.read().decode())');
    return lines.slice(key ? 0 : 1).join('\n');
}

function scriptCode({method, url, body, key}) {
    const lines = [`const response = await fetch("${url}", {`, `    method: '${method}',`];
    const headers = [];
    if (key) {
        headers.push('authorization: `Bearer ${process.env.BERTH_API_KEY}`');
    }
    if (body) {
        headers.push("'content-type': 'application/json'");
        lines.push('    body: JSON.stringify(' + body.replaceAll('\n', '\n    ') + '),');
    }
    if (headers.length) {
        lines.push('    headers: {' + headers.join(', ') + '},');
    }
    lines.push('});', 'console.log(await response.text());');
    return lines.join('\n');
}

const LANGUAGES = [['curl', curlCode], ['Python', pythonCode], ['JavaScript', scriptCode]];

// ---- an operation ----

function typeText(schema) {
    if (schema.const !== undefined) {
        return JSON.stringify(schema.const);
    }
    if (schema.enum) {
        return schema.enum.map((value) => JSON.stringify(value)).join(', ');
    }
    const choices = schema.oneOf ?? schema.anyOf ?? [];
    const types = schema.type ?? choices.map((one) => one.type ?? (one.enum ? typeText(one) : 'object'));
    return [types].flat().join(' or ') || 'any';
}

// What the schema says beside the type: its description, and the limits of a number.
function meaningText({description, minimum, maximum}) {
    const least = minimum === undefined ? '' : 'from ' + minimum;
    const most = maximum === undefined ? '' : 'to ' + maximum;
    return [description, [least, most].join(' ').trim()].filter(Boolean).join('; ');
}

const tableRow = (tag, ...cells) => make('tr', null, cells.map((cell) => make(tag, null, cell)));

// A table of the members of a schema, or null when it lists none.
function memberTable(api, reference) {
    const schema = resolve(api, reference);
    const members = Object.entries(schema.properties ?? {});
    if (members.length === 0) {
        return null;
    }
    const rows = members.map(([name, one]) => {
        const member = resolve(api, one);
        const title = [make('code', null, name), schema.required?.includes(name) ? ' required' : ''];
        return tableRow('td', title, typeText(member), meaningText(member));
    });
    const head = make('thead', null, tableRow('th', 'field', 'type', 'meaning'));
    const table = make('table', null, head, make('tbody', null, rows));
    const wide = make('div', {class: 'wide', tabindex: 0, role: 'group', 'aria-label': 'Fields'}, table);
    return fold('Fields of the body (' + rows.length + ')', {open: rows.length <= FIELDS_SHOWN}, wide);
}

function responseItem([status, response]) {
    const kinds = Object.keys(response.content ?? {}).join(', ');
    return make('li', null, make('b', null, status), ' ' + response.description + ' ',
        make('span', {class: 'dim'}, kinds));
}

const responseList = (operation) =>
    make('ul', null, Object.entries(operation.responses ?? {}).map(responseItem));

// The path with its parameters filled in.
const filledPath = (path) =>
    path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(sampleOf(name) ?? name)).slice(1);

// Code in one of the languages, and a button that sends the request.
function requestPart(method, path, example) {
    const text = example === undefined ? '' : JSON.stringify(example, null, 2);
    const rows = Math.min(14, text.split('\n').length + 1);
    const body = text ? make('textarea', {rows, class: 'mono', spellcheck: 'false', oninput: show}) : null;
    const code = make('div');
    const reply = make('div', {'aria-live': 'polite'});
    let written = curlCode;
    if (body) {
        body.value = text;
    }
    function show() {
        const url = apiBase() + filledPath(path);
        const key = apiKey() !== '';
        code.replaceChildren(codeBlock(written({method, url, body: body?.value, key}),
            LANGUAGES.find(([, write]) => write === written)[0]));
    }
    async function tryIt() {
        reply.replaceChildren(make('p', {class: 'dim'}, 'Sent …'));
        try {
            const response = await request(filledPath(path) || '.', {method, body: body?.value});
            const said = (await response.text()).slice(0, REPLY_MOST);
            reply.replaceChildren(make('p', null, 'Status ', make('b', null, String(response.status))),
                codeBlock(prettyJson(said), response.headers.get('content-type') ?? ''));
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
        make('p', {class: 'buttons', role: 'group', 'aria-label': 'Request'}, buttons,
            button('Send it', tryIt, {class: 'main'})),
        code, reply);
}

function operationFold(api, path, method, operation) {
    const name = method.toUpperCase();
    const element = fold('', {class: 'operation'});
    element.querySelector('summary').append(make('b', {class: 'method'}, name), make('code', null, path),
        make('span', {class: 'dim'}, operation.summary ?? ''));
    // Built when it is opened: there are many.
    element.addEventListener('toggle', () => {
        if (element.children.length > 1) {
            return;
        }
        const schema = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
        element.append(make('p', null, operation.description ?? ''),
            requestPart(name, path, exampleBody(api, path, operation)),
            ...[schema && memberTable(api, schema)].filter(Boolean), make('h4', null, 'Answers'),
            responseList(operation));
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
    const works = (operations) =>
        operations.some((one) => one.querySelector('.method').textContent === 'POST');
    return [...tags].sort((a, b) => works(b[1]) - works(a[1]));
}

function tagSection([tag, operations]) {
    return make('section', {'aria-label': tag}, make('h3', null, tag), operations);
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
    const search =
        make('input', {type: 'search', oninput: () => filterOperations(list, search.value.toLowerCase())});
    root.append(make('h2', null, 'API reference'),
        make('p', {class: 'dim'}, 'The routes of this server, from ',
            make('a', {href: 'openapi.json'}, 'openapi.json'), '.'),
        field('Find a route', search), list);
    async function load() {
        try {
            await refreshModels();
            const api = await (await succeed('openapi.json')).json();
            list.replaceChildren(...sortedTags(operationsByTag(api)).map(tagSection));
        } catch (error) {
            list.replaceChildren(make('p', {class: 'wrong', role: 'alert'}, error.message));
        }
    }
    load();
}

panels.push({name: 'reference', title: 'API', order: 90, build: buildReference});
