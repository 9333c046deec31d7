// panel_graphs.js - what the server does now, drawn from /metrics every two seconds.

const METRICS_POLL = 2000;
const SAMPLES_LEAST = 30;
const SAMPLES_MOST = 150;
const GRAPH_WIDTH = 300;
const GRAPH_HEIGHT = 90;

// ---- reading the text format ----

const METRIC_LINE = /^([a-z_:]+)(?:\{(.*)\})? (\S+)$/;
const METRIC_LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

// Map of name to [{labels, value}].
function parseMetrics(text) {
    const metrics = new Map();
    for (const line of text.split('\n')) {
        const match = line.match(METRIC_LINE);
        if (!match) {
            continue;
        }
        const labels = Object.fromEntries(
            [...(match[2] ?? '').matchAll(METRIC_LABEL)].map(([, name, value]) => [name, value]));
        if (!metrics.has(match[1])) {
            metrics.set(match[1], []);
        }
        metrics.get(match[1]).push({labels, value: Number(match[3])});
    }
    return metrics;
}

const isAny = () => true;
const isError = (labels) => labels.code >= '400';

const sumOf = (metrics, name, isMeant = isAny) =>
    (metrics.get(name) ?? []).reduce((sum, one) => sum + (isMeant(one.labels) ? one.value : 0), 0);

// By how much a counter grew each second between two samples.
function rateOf(now, before, name, isMeant) {
    const grown = sumOf(now.metrics, name, isMeant) - sumOf(before.metrics, name, isMeant);
    return Math.max(0, grown / (now.time - before.time));
}

function bucketsOf(metrics, name) {
    const sums = new Map();
    for (const {labels, value} of metrics.get(name + '_bucket') ?? []) {
        const most = labels.le === '+Inf' ? Infinity : Number(labels.le);
        sums.set(most, (sums.get(most) ?? 0) + value);
    }
    return sums;
}

// A quantile of what a histogram counted between two samples; null when that is nothing.
function quantileOf(now, before, name, quantile) {
    const old = bucketsOf(before.metrics, name);
    const sums = [...bucketsOf(now.metrics, name)].sort((a, b) => a[0] - b[0]);
    const grown = sums.map(([most, count]) => [most, count - (old.get(most) ?? 0)]);
    const wanted = quantile * (grown.at(-1)?.[1] ?? 0);
    let least = 0;
    let below = 0;
    if (!(wanted > 0)) {
        return null;
    }
    for (const [most, count] of grown) {
        if (count >= wanted) {
            return most === Infinity ? least : least + (most - least) * (wanted - below) / (count - below);
        }
        least = most;
        below = count;
    }
    return least;
}

// ---- the graphs: title, how a value is written, and series of [name, value(now, before)] ----

const perSecond = (value) => shortNumber(value) + '/s';
const seconds = (value) => secondsText(value);

function quantiles(name) {
    const below = (quantile) => (now, before) => quantileOf(now, before, name, quantile);
    return [['half below', below(0.5)], ['95 % below', below(0.95)]];
}

const GRAPHS = [
    [
        'Tokens', perSecond,
        [
            ['generated', (now, before) => rateOf(now, before, 'berth_generated_tokens_total')],
            ['read', (now, before) => rateOf(now, before, 'berth_prompt_tokens_total')]
        ]
    ],
    [
        'Prompts', countText,
        [
            ['running', (now) => sumOf(now.metrics, 'berth_jobs_running')],
            ['queued', (now) => sumOf(now.metrics, 'berth_jobs_queued')]
        ]
    ],
    ['Time to the first token', seconds, quantiles('berth_first_token_seconds')],
    ['Time between tokens', seconds, quantiles('berth_between_tokens_seconds')],
    ['Time in the queue', seconds, quantiles('berth_queue_seconds')],
    [
        'KV cache', bytesText,
        [
            ['in use', (now) => sumOf(now.metrics, 'berth_kv_bytes')],
            ['prefixes kept', (now) => sumOf(now.metrics, 'berth_prefix_bytes')]
        ]
    ],
    [
        'Requests', perSecond,
        [
            ['all', (now, before) => rateOf(now, before, 'berth_http_requests_total')],
            ['refused or failed', (now, before) => rateOf(now, before, 'berth_http_requests_total', isError)]
        ]
    ],
    [
        'Processors', (value) => shortNumber(value),
        [
            ['busy', (now, before) => rateOf(now, before, 'process_cpu_seconds_total')],
            ['allowed', (now) => sumOf(now.metrics, 'berth_cpu_limit')]
        ]
    ],
];

// How many samples the width stands for: more as they come.
const spanOf = (values) => Math.min(SAMPLES_MOST, Math.max(SAMPLES_LEAST, values.length)) - 1;

// Lists of points, one for each run of samples that have a value.
function runsOf(values, most) {
    const runs = [[]];
    values.forEach((value, i) => {
        if (value === null) {
            runs.push([]);
            return;
        }
        const x = GRAPH_WIDTH - (values.length - 1 - i) * GRAPH_WIDTH / spanOf(values);
        const y = GRAPH_HEIGHT - value / most * (GRAPH_HEIGHT - 6) - 1;
        runs.at(-1).push(x.toFixed(1) + ',' + y.toFixed(1));
    });
    return runs.filter((points) => points.length > 0);
}

// A run is a line, but a single point would not be seen as one.
function drawnRun(points, look) {
    const alone = points.length === 1;
    return make('polyline',
        {points: [...points, ...(alone ? points : [])].join(' '), class: look + (alone ? ' dot' : '')});
}

// A graph: {element, add(now, before)}.
function graph([title, textOf, series]) {
    const drawn = make('svg', {
        viewBox: '0 0 ' + GRAPH_WIDTH + ' ' + GRAPH_HEIGHT,
        preserveAspectRatio: 'none',
        role: 'img',
        onpointermove: point,
        onpointerleave: () => {
            pointed = null;
            tell();
        }
    });
    const most = make('span', {class: 'dim'});
    const values = series.map(() => []);
    const told = series.map(([name], i) => make('span', {class: 'series series' + i}, name + ' '));
    const numbers = told.map((legend) => legend.appendChild(make('b')));
    let pointed = null;

    function point(event) {
        const box = drawn.getBoundingClientRect();
        pointed = Math.round((box.right - event.clientX) / box.width * spanOf(values[0]));
        tell();
    }

    function tell() {
        numbers.forEach((number, i) => {
            const value = values[i].at(-1 - (pointed ?? 0)) ?? null;
            number.textContent = value === null ? '–' : textOf(value);
        });
    }

    function draw() {
        const highest = Math.max(0, ...values.flat());
        most.textContent = highest > 0 ? 'most ' + textOf(highest) : '';
        const lines =
            values.map((line, i) => runsOf(line, highest || 1).map((run) => drawnRun(run, 'line' + i)));
        drawn.replaceChildren(...lines.flat());
        drawn.setAttribute('aria-label', title + ': ' + told.map((legend) => legend.textContent).join(', '));
    }

    return {
        element: make(
            'article', {class: 'card graph'}, make('h3', null, title, most), drawn, make('p', null, told)),
        add(now, before) {
            series.forEach(([, valueOf], i) => {
                values[i].push(valueOf(now, before));
                values[i].splice(0, values[i].length - SAMPLES_MOST);
            });
            tell();
            draw();
        },
    };
}

// ---- the table of models ----

const MODEL_COLUMNS = [
    ['running', 'berth_jobs_running', countText],
    ['queued', 'berth_jobs_queued', countText],
    ['tokens read', 'berth_prompt_tokens_total', countText],
    ['of them cached', 'berth_cached_tokens_total', countText],
    ['tokens generated', 'berth_generated_tokens_total', countText],
    ['keys and values', 'berth_kv_bytes', bytesText],
    ['in memory', 'berth_model_resident_bytes', bytesText],
];

function modelTable(metrics) {
    const models = (metrics.get('berth_model_mapped_bytes') ?? []).map((one) => one.labels.model);
    const cell = (model, name, textOf) => {
        const found = (metrics.get(name) ?? []).find((one) => one.labels.model === model);
        return make('td', null, found ? textOf(found.value) : '–');
    };
    return make('table', null,
        make('thead', null,
            make('tr', null, make('th', null, 'model'),
                MODEL_COLUMNS.map(([title]) => make('th', null, title)))),
        make('tbody', null,
            models.slice(0, 100).map(
                (model) => make('tr', null, make('th', {scope: 'row'}, model),
                    MODEL_COLUMNS.map(([, name, textOf]) => cell(model, name, textOf))))));
}

// ---- the panel ----

function buildGraphs(root) {
    const graphs = GRAPHS.map(graph);
    const wrong = make('p', {class: 'wrong', role: 'alert'});
    const table = make('div', {class: 'wide', tabindex: 0, role: 'group', 'aria-label': 'Models'});
    let before = null;
    root.append(make('h2', null, 'Graphs'),
        make('p', {class: 'dim'}, 'The last five minutes, from ', make('a', {href: 'metrics'}, 'metrics'),
            '. Point at a line to read it.'),
        wrong, make('div', {class: 'cards'}, graphs.map((one) => one.element)), make('h3', null, 'By model'),
        table);

    async function sample() {
        try {
            const metrics = parseMetrics(await (await succeed('metrics')).text());
            const now = {time: performance.now() / 1000, metrics};
            if (before) {
                graphs.forEach((one) => one.add(now, before));
            }
            before = now;
            table.replaceChildren(modelTable(metrics));
            wrong.textContent = '';
        } catch (error) {
            wrong.textContent = error.message;
        }
    }

    // From the first look on, so that work that is begun in another panel is seen.
    sample();
    setInterval(() => document.visibilityState === 'visible' && sample(), METRICS_POLL);
}

panels.push({name: 'graphs', title: 'Graphs', order: 80, build: buildGraphs});
